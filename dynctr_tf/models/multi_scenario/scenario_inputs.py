"""The inputs of models of several scenarios: embedded fields, their partition and the scenario."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import FIRST_VALUE_OFFSET, EncodedFeatures
from dynctr_tf.layers import FieldSelection
from dynctr_tf.models.parts import Embedding, encoded_inputs
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import ROLES


@dataclasses.dataclass(frozen=True)
class ScenarioBatch:
    """An embedded batch of several scenarios.

    Args:
        features: The description that the encoder gives.
        inputs: The result of `encoded_inputs`.
        field_map: `(batch, fields + sequences, dim)`.
        flat: The same, flattened.
        scenario: The index of each row's scenario, `(batch,)`.
    """

    features: EncodedFeatures
    inputs: dict[str, Any]
    field_map: Any
    flat: Any
    scenario: Any

    def vector(self, positions: Sequence[int], name: str) -> Any:
        """Returns the embeddings of some rows of the field map, flattened.

        Args:
            positions: The rows.
            name: The beginning of the layers' names.
        """
        selected = FieldSelection(positions, name=f"select_{name}")(self.field_map)
        return keras.layers.Flatten(name=f"flatten_{name}")(selected)


def check_has_scenarios(features: EncodedFeatures, model: str) -> None:
    """Checks that the data has at least one real scenario.

    Args:
        features: The description that the encoder gives.
        model: The name of the model, for the error.

    Raises:
        ValueError: It has none.
    """
    if features.num_scenarios <= FIRST_VALUE_OFFSET:
        raise ValueError(
            f"Model {model!r} is for data of several scenarios, and the encoded data has none (num_scenarios="
            f"{features.num_scenarios}). Give the feature that holds the scenario the role 'scenario' in the schema."
        )


def scenario_batch(features: EncodedFeatures, embedding: Embedding, model: str) -> ScenarioBatch:
    """Embeds a batch for a model of several scenarios.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings.
        model: Name of the model, for messages.

    Raises:
        ValueError: The data has no scenarios.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import Field
    >>> fields = (Field("page", "scenario", 1, 4), Field("item", "item", 5, 9))
    >>> batch = scenario_batch(EncodedFeatures(fields, num_scenarios=4), Embedding(8), "mine")
    >>> tuple(batch.flat.shape), tuple(batch.vector([1], "item").shape)
    ((None, 16), (None, 8))
    """
    check_has_scenarios(features, model)
    inputs = encoded_inputs(features)
    field_map = embedding.field_map(inputs, features)
    flat = keras.layers.Flatten(name="flatten")(field_map)
    return ScenarioBatch(features, inputs, field_map, flat, inputs["scenario"])


def positions_of(features: EncodedFeatures, wanted: Sequence[str], what: str) -> list[int]:
    """Returns the rows of the field map, sequences pooled after the fields, that have roles or names.

    Args:
        features: The description that the encoder gives.
        wanted: Roles, and names of fields and sequences.
        what: What they are wanted for, for messages.

    Raises:
        ValueError: Neither a role nor a name, or nothing found.
    """
    names = [entry.name for entry in features.entries]
    for name in wanted:
        if name not in ROLES and name not in names:
            raise ValueError(unknown_name_message(f"role or field of {what}", name, [*ROLES, *names]))
    found = [i for i, entry in enumerate(features.entries) if entry.role in wanted or entry.name in wanted]
    if not found:
        roles = {entry.name: entry.role for entry in features.entries}
        raise ValueError(f"No field is one of {list(wanted)} for {what}; the fields and their roles are {roles}.")
    return found
