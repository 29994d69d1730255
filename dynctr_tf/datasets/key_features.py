"""Row sources whose schema gets other vocabulary rules: features with keys without a vocabulary."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import Schema, Vocabulary, why_not_keys

if TYPE_CHECKING:
    from dynctr_tf.datasets.row_source import RowSource

ALL, AUTO = "all", "auto"
"""All features that can have keys; those that the schema names, or all where it names none."""


class VocabularyRules:
    """The base of sources whose vocabulary rules can be replaced: they hold the schema, and rows do not depend on it.

    Example:

    >>> from dynctr_tf.datasets import SyntheticCtrRows
    >>> source = SyntheticCtrRows(num_train=100)
    >>> source.set_rules(schema_with_keys(source.schema, "user_id"))
    >>> [feature.name for feature in source.schema.features if feature.vocabulary.keys]
    ['user_id']
    """

    _schema: Schema

    def set_rules(self, schema: Schema) -> None:
        """Gives the rows a schema that differs in vocabulary rules alone.

        Args:
            schema: The schema.
        """
        self._schema = schema


def give_keys(source: RowSource, keys: str) -> None:
    """Lets the values of some features of a source have keys.

    Args:
        source: The rows.
        keys: As `schema_with_keys` takes it.

    Raises:
        ValueError: As `schema_with_keys`, or a source whose rules cannot be replaced.
    """
    schema = schema_with_keys(source.schema, keys)
    if schema == source.schema:
        return
    if not isinstance(source, VocabularyRules):
        raise ValueError(
            f"The rules of {type(source).__name__} cannot be replaced; give the features keys in its schema, as "
            '"vocabulary": {"keys": true}.'
        )
    source.set_rules(schema)


def schema_with_keys(schema: Schema, keys: str) -> Schema:
    """Returns a schema in which the values of some features have keys without a vocabulary.

    Args:
        schema: The schema.
        keys: `"all"` features that can have them, or names of features, with commas between them. `"auto"`: those of
            the schema; all where it has none.

    Raises:
        ValueError: A feature that does not exist or that cannot have keys; `"all"`, and none can.

    Example:

    >>> from dynctr_tf.schema import Feature
    >>> schema = Schema((Feature("user", "categorical"), Feature("age", "numeric")), label="click")
    >>> [feature.vocabulary.keys for feature in schema_with_keys(schema, "all").features]
    [True, False]
    """
    features = {feature.name: feature for feature in schema.features}
    if keys == AUTO and any(feature.vocabulary.keys for feature in schema.features):
        return schema
    if keys in (ALL, AUTO):
        chosen = [name for name, feature in features.items() if not why_not_keys(feature)]
        if not chosen:
            raise ValueError("No feature of the schema can have keys: none is categorical with values of its own.")
    else:
        chosen = [name.strip() for name in keys.split(",")]
    for name in chosen:
        if name not in features:
            raise ValueError(unknown_name_message("feature in data.keys", name, features))
        if reason := why_not_keys(features[name]):
            raise ValueError(f"The values of {name!r} cannot be keys: {reason}.")
    return dataclasses.replace(
        schema,
        features=tuple(
            dataclasses.replace(feature, vocabulary=Vocabulary(keys=True)) if feature.name in chosen else feature
            for feature in schema.features
        ),
    )
