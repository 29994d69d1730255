"""What the columns of a data set mean: names, kinds, roles, vocabulary rules and the label.

A schema is written by a person (or drafted by `python -m pipelines.schema`), kept as a JSON file beside the
data, and read by everything that follows. It needs no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal, get_args

from dynctr_tf.nearest import unknown_name_message

Kind = Literal["categorical", "numeric", "multi_valued", "sequence"]
Role = Literal["user", "item", "query", "context", "scenario", "group"]
Binning = Literal["log_squared", "log_squared_plus_one", "quantile"]

KINDS: tuple[str, ...] = get_args(Kind)
ROLES: tuple[str, ...] = get_args(Role)
BINNINGS: tuple[str, ...] = get_args(Binning)

RESERVED_NAMES = frozenset({"fields", "scenario", "group", "label", "weight", "true_probability", "split"})
"""Names of entries of an encoded batch, which no feature may take."""


def _choice(what: str, given: Any, known: tuple[str, ...]) -> None:
    if given not in known:
        raise ValueError(unknown_name_message(what, str(given), known))


def _from_mapping(cls: type, mapping: Any, what: str) -> Any:
    """Builds a dataclass from a JSON object, refusing keys that the class has not."""
    if not isinstance(mapping, dict):
        raise ValueError(f"{what} must be a JSON object, got {type(mapping).__name__}: {mapping!r}")
    known = [field.name for field in dataclasses.fields(cls)]
    for key in mapping:
        if key not in known:
            raise ValueError(unknown_name_message(f"key of {what}", key, known))
    missing = [
        field.name
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
        and field.name not in mapping
    ]
    if missing:
        raise ValueError(f"{what} lacks {', '.join(map(repr, missing))}; it has {sorted(mapping)}.")
    return cls(**mapping)


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """How the values of one feature become ids.

    Args:
        min_count: A value seen fewer times than this in the training rows has no id of its own; it goes to
            the unknown bucket of its field, which is trained on such values. Default 1: keep all.
        max_size: Keep at most this many values, the most frequent first. Default `None`: no limit.
        hash_buckets: Hash values into this many buckets in place of a vocabulary. Default `None`: a vocabulary.

    Raises:
        ValueError: A number below 1, or hashing together with a vocabulary rule.
    """

    min_count: int = 1
    max_size: int | None = None
    hash_buckets: int | None = None

    def __post_init__(self) -> None:
        for name in ("min_count", "max_size", "hash_buckets"):
            value = getattr(self, name)
            if value is None and name != "min_count":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"vocabulary.{name} must be a whole number of at least 1, got {value!r}.")
        if self.hash_buckets is not None and (self.min_count > 1 or self.max_size is not None):
            raise ValueError(
                "A hashed feature keeps no vocabulary: give either hash_buckets, or min_count and max_size, "
                f"not both. Got {self}."
            )


@dataclasses.dataclass(frozen=True)
class Feature:
    """One feature of a data set.

    Args:
        name: The column it is read from, and its name in the serving signatures.
        kind: `"categorical"` (one value, read as a string), `"numeric"` (one number, binned to an id),
            `"multi_valued"` (a set of values, pooled into one field) or `"sequence"` (values in time order).
        role: Whom it describes: `"user"`, `"item"`, `"query"`, `"context"`, `"scenario"` (which scenario
            the row belongs to) or `"group"` (a group that shares generated parameters). At most one feature
            is the scenario and one the group, and both are categorical. Default `"context"`.
        vocabulary: How values become ids. Not used by numeric features.
        binning: How a number v becomes a bin: `"log_squared"`, floor(ln(v)^2) for v > 2 and floor(v) below
            (the rule of the 2014 Kaggle winners, which the DynInt paper's Log(V^2) means);
            `"log_squared_plus_one"`, floor(ln(v^2 + 1)) (what the author's code does); or `"quantile"`,
            equally filled bins fitted on the training rows. Bins are values like others: they get ids by
            the vocabulary rule. Default `"log_squared"`.
        num_bins: Number of quantile bins. Default 64. Not used otherwise.
        separator: What separates the values of a multi-valued or sequence feature. Default `"|"`.
        max_length: How many values of a multi-valued or sequence feature are kept: the first ones of a set,
            the last (newest) ones of a sequence. Default 32.
        shares_vocabulary_with: The categorical feature whose ids this sequence or multi-valued feature
            repeats, such as the target item of a history of items. Default `None`: ids of its own.
        scenario_specific: Whether the feature belongs to what models of several scenarios read as specific
            information, apart from what the scenarios share. The scenario itself always does. Default `False`.

    Raises:
        ValueError: An unknown kind, role or binning, a reserved name, a number out of range, or
            a combination that has no meaning.
    """

    name: str
    kind: Kind
    role: Role = "context"
    vocabulary: Vocabulary = Vocabulary()
    binning: Binning = "log_squared"
    num_bins: int = 64
    separator: str = "|"
    max_length: int = 32
    shares_vocabulary_with: str | None = None
    scenario_specific: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"A feature's name must be a non-empty string, got {self.name!r}.")
        if self.name in RESERVED_NAMES:
            raise ValueError(
                f"{self.name!r} is the name of an entry of the encoded batch and cannot name a feature; "
                f"rename the column. Reserved: {sorted(RESERVED_NAMES)}."
            )
        _choice(f"kind of feature {self.name!r}", self.kind, KINDS)
        _choice(f"role of feature {self.name!r}", self.role, ROLES)
        _choice(f"binning of feature {self.name!r}", self.binning, BINNINGS)
        for argument in ("num_bins", "max_length"):
            value = getattr(self, argument)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{argument} of feature {self.name!r} must be at least 1, got {value!r}.")
        if not isinstance(self.scenario_specific, bool):
            raise ValueError(
                f"scenario_specific of feature {self.name!r} must be true or false, got {self.scenario_specific!r}."
            )
        if not self.separator:
            raise ValueError(f"The separator of feature {self.name!r} must not be empty.")
        if self.role in ("scenario", "group") and self.kind != "categorical":
            raise ValueError(f"The {self.role} must be a categorical feature; {self.name!r} is {self.kind}.")
        if self.shares_vocabulary_with is not None and self.kind not in ("multi_valued", "sequence"):
            raise ValueError(
                f"Only a multi-valued or sequence feature shares another's vocabulary; {self.name!r} is {self.kind}."
            )


@dataclasses.dataclass(frozen=True)
class Schema:
    """The columns of a data set that a model is trained on.

    Args:
        features: The features, in the order of their fields.
        label: The column of the label, 0 or 1.
        weight: The column of the rows' weights. Default `None`: every row weighs 1.
        true_probability: The column of the rows' true click probability, which synthetic data has.
            Default `None`.

    Raises:
        ValueError: No feature, a name given twice, more than one scenario or group, or a shared vocabulary
            that does not exist.

    Example:

    >>> schema = Schema(features=(Feature("user_id", "categorical", role="user"), Feature("age", "numeric")),
    ...                 label="click")
    >>> Schema.from_json(schema.to_json()) == schema
    True
    """

    features: tuple[Feature, ...]
    label: str
    weight: str | None = None
    true_probability: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(self.features))
        if not self.features:
            raise ValueError("A schema needs at least one feature.")
        columns = [feature.name for feature in self.features]
        columns += [name for name in (self.label, self.weight, self.true_probability) if name is not None]
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise ValueError(f"Columns named more than once in the schema: {twice}.")
        for role in ("scenario", "group"):
            having = [feature.name for feature in self.features if feature.role == role]
            if len(having) > 1:
                raise ValueError(f"At most one feature may have the role {role!r}, got {having}.")
        categorical = {feature.name for feature in self.features if feature.kind == "categorical"}
        for feature in self.features:
            other = feature.shares_vocabulary_with
            if other is not None and other not in categorical:
                raise ValueError(
                    f"Feature {feature.name!r} shares the vocabulary of {other!r}: "
                    + unknown_name_message("categorical feature", other, categorical)
                )

    @property
    def columns(self) -> tuple[str, ...]:
        """All the columns that are read, the label first."""
        extra = [name for name in (self.weight, self.true_probability) if name is not None]
        return (self.label, *extra, *(feature.name for feature in self.features))

    def feature(self, name: str) -> Feature:
        """Returns the feature of this name.

        Raises:
            KeyError: There is none.
        """
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(unknown_name_message("feature", name, [feature.name for feature in self.features]))

    def to_json(self) -> str:
        """Writes the schema as a JSON text; arguments that have their default are left out."""
        mapping: dict[str, Any] = {"label": self.label}
        for name in ("weight", "true_probability"):
            if getattr(self, name) is not None:
                mapping[name] = getattr(self, name)
        mapping["features"] = [_without_defaults(feature) for feature in self.features]
        return json.dumps(mapping, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """Reads what `to_json` wrote, or what a person wrote in its form.

        Raises:
            ValueError: Not JSON, or a key, kind, role or value that is not known; the message names it and
                the nearest known one.
        """
        try:
            mapping = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"The schema is not JSON: {error}.") from error
        if isinstance(mapping, dict) and isinstance(mapping.get("features"), list):
            mapping = {**mapping, "features": tuple(_feature(entry) for entry in mapping["features"])}
        schema: Schema = _from_mapping(cls, mapping, "the schema")
        return schema

    def save(self, path: str | Path) -> None:
        """Writes the schema to a JSON file."""
        Path(path).write_text(self.to_json(), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Reads a schema from a JSON file.

        Raises:
            ValueError: As `from_json`, with the file's name.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _feature(entry: Any) -> Feature:
    what = f"feature {entry.get('name')!r}" if isinstance(entry, dict) else "a feature"
    if isinstance(entry, dict) and "vocabulary" in entry:
        entry = {**entry, "vocabulary": _from_mapping(Vocabulary, entry["vocabulary"], f"the vocabulary of {what}")}
    feature: Feature = _from_mapping(Feature, entry, what)
    return feature


def _without_defaults(value: Any) -> dict[str, Any]:
    kept = {}
    for field in dataclasses.fields(value):
        given = getattr(value, field.name)
        if field.default is not dataclasses.MISSING and given == field.default:
            continue
        kept[field.name] = _without_defaults(given) if dataclasses.is_dataclass(given) else given
    return kept
