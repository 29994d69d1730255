"""What a model must know of the encoded data: fields, their ids and roles, sequences, scenarios."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from dynctr_tf.nearest import unknown_name_message

MOST_IDS = 2**31 - 1
"""The most ids that one id space has, the padding id included: they are int32."""

PADDING_ID = 0
MISSING_OFFSET = 0
UNKNOWN_OFFSET = 1
FIRST_VALUE_OFFSET = 2
"""Inside a field's block of ids: the missing value, the unknown bucket, then the values."""

_NO_FEATURES = frozenset({"fields", "scenario", "group", "label", "weight", "true_probability"})
_FEATURE = "feature:"


def feature_key(name: str) -> str:
    """The key of a feature where features stand beside the entries of an encoded batch and the labels.

    It is the feature's name. Only a feature that has the name of one of those entries (`"fields"`, `"scenario"`,
    `"group"`, `"label"`, `"weight"`, `"true_probability"`) has another key, such as `"feature:label"`. Two names never
    have the same key.

    Args:
        name: The feature's name.

    Example:

    >>> feature_key("history"), feature_key("group"), feature_key("feature:group")
    ('history', 'feature:group', 'feature:feature:group')
    """
    bare = name
    while bare.startswith(_FEATURE):
        bare = bare.removeprefix(_FEATURE)
    return _FEATURE + name if bare in _NO_FEATURES else name


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of the field map.

    Args:
        name: The feature's name.
        role: The feature's role.
        first_id: The first id of its block in the one id space that all fields share. `first_id` is the
            missing value, `first_id + 1` the unknown bucket, `first_id + 2` the first value.
        num_ids: The size of its block.
        max_values: 1 for a field that has one value a row; for a multi-valued field the width of its entry
            in the batch, whose embeddings are pooled into one field. Default 1.
        scenario_specific: As in the schema. Default `False`.
        is_key: Whether its ids are keys without a vocabulary. Its block is that of all keys then, in which no id is
            the missing or unknown one by its place. Default `False`.
    """

    name: str
    role: str
    first_id: int
    num_ids: int
    max_values: int = 1
    scenario_specific: bool = False
    is_key: bool = False

    @property
    def key(self) -> str:
        """Its key in the batch, where it is multi-valued, and among the columns of encoded rows."""
        return feature_key(self.name)


@dataclasses.dataclass(frozen=True)
class EncodedSequence:
    """One sequence of ids in time order, padded with 0 at the end.

    Args:
        name: The feature's name.
        role: The feature's role.
        length: The width of its entry in the batch.
        first_id: As in `Field`: the block of the field whose ids it repeats, or a block of its own.
        num_ids: The size of that block.
        field: The field whose ids it repeats. Default `None`: ids of its own.
        scenario_specific: As in the schema. Default `False`.
        is_key: As in `Field`. Default `False`.
    """

    name: str
    role: str
    length: int
    first_id: int
    num_ids: int
    field: str | None = None
    scenario_specific: bool = False
    is_key: bool = False

    @property
    def key(self) -> str:
        """Its key in the batch and among the columns of encoded rows."""
        return feature_key(self.name)


@dataclasses.dataclass(frozen=True)
class EncodedFeatures:
    """The description of an encoded data set that every model function takes first.

    An encoded batch is a dict: `"fields"`, int32 `(batch, number of single-valued fields)`; one int32
    `(batch, max_values)` entry per multi-valued field and one int32 `(batch, length)` entry per sequence,
    under their names, padded with 0; `"scenario"` and `"group"`, int32 `(batch,)`, where there are such. A multi-valued
    field or sequence that is itself called `"fields"`, `"scenario"` or `"group"` has the key that `feature_key` gives.
    The field map has the single-valued fields first, then the multi-valued ones, as `fields` lists them.

    Args:
        fields: The fields, the multi-valued ones last.
        sequences: The sequences. Default none.
        num_scenarios: How many scenarios there are; 0 where the data has none. Scenario 0 is the missing
            one, 1 the unknown one. Default 0.
        num_groups: Likewise for groups. Default 0.

    Raises:
        ValueError: No field, a name given twice, or a multi-valued field before a single-valued one.
    """

    fields: tuple[Field, ...]
    sequences: tuple[EncodedSequence, ...] = ()
    num_scenarios: int = 0
    num_groups: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", tuple(self.fields))
        object.__setattr__(self, "sequences", tuple(self.sequences))
        if not self.fields:
            raise ValueError("The encoded data has no field.")
        names = [entry.name for entry in self.entries]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"Names given twice: {twice}.")
        widths = [field.max_values > 1 for field in self.fields]
        if widths != sorted(widths):
            raise ValueError(f"Multi-valued fields come last, got {names}.")

    @classmethod
    def from_sizes(cls, sizes: Iterable[int]) -> EncodedFeatures:
        """Describes fields `f0`, `f1`, ... of the given numbers of ids, for data that is encoded already.

        Example:

        >>> EncodedFeatures.from_sizes([100, 50]).num_ids
        151
        """
        fields, first = [], 1
        for index, size in enumerate(sizes):
            fields.append(Field(f"f{index}", "context", first, int(size)))
            first += int(size)
        return cls(tuple(fields))

    @classmethod
    def of_keys(cls, names: Iterable[str]) -> EncodedFeatures:
        """Describes fields of int64 keys that have no vocabulary, for models with `Embedding(num_keys=...)`.

        All fields share one space of keys, and models of them take `"fields"` in int64.

        Args:
            names: The fields, in the order of the columns.

        Example:

        >>> [field.name for field in EncodedFeatures.of_keys(["user", "item"]).fields]
        ['user', 'item']
        """
        return cls(tuple(Field(name, "context", 1, 2**63 - 2, is_key=True) for name in names))

    @property
    def entries(self) -> tuple[Field | EncodedSequence, ...]:
        """The fields, then the sequences."""
        return (*self.fields, *self.sequences)

    @property
    def single_valued(self) -> tuple[Field, ...]:
        """The fields that make up the `"fields"` entry, in the order of its columns."""
        return tuple(field for field in self.fields if field.max_values == 1)

    @property
    def multi_valued(self) -> tuple[Field, ...]:
        """The fields that have an entry of their own and are pooled."""
        return tuple(field for field in self.fields if field.max_values > 1)

    @property
    def own_entries(self) -> tuple[Field | EncodedSequence, ...]:
        """The multi-valued fields, then the sequences: what has an entry of its own in the batch."""
        return (*self.multi_valued, *self.sequences)

    @property
    def num_fields(self) -> int:
        """The number of rows of a field map."""
        return len(self.fields)

    @property
    def num_ids(self) -> int:
        """The size of the id space, the padding id 0 and keys included."""
        return max(entry.first_id + entry.num_ids for entry in self.entries)

    @property
    def num_vocabulary_ids(self) -> int:
        """The size of the id space without keys, the padding id 0 included."""
        return max((entry.first_id + entry.num_ids for entry in self.entries if not entry.is_key), default=1)

    @property
    def key_names(self) -> tuple[str, ...]:
        """The fields and sequences whose ids are keys without a vocabulary."""
        return tuple(entry.name for entry in self.entries if entry.is_key)

    def positions(self, role: str | None = None, names: Iterable[str] = ()) -> list[int]:
        """Returns the rows of the field map that have a role or are named.

        Raises:
            ValueError: A name that no field has.
        """
        known = [field.name for field in self.fields]
        wanted = list(names)
        for name in wanted:
            if name not in known:
                raise ValueError(unknown_name_message("field", name, known))
        return [i for i, field in enumerate(self.fields) if field.role == role or field.name in wanted]

    def scenario_partition(self, specific: Iterable[str] | None = None) -> tuple[list[int], list[int]]:
        """Splits the entries into scenario-specific and scenario-shared ones.

        Args:
            specific: Names of the specific ones. Default `None`: the scenario, and what the schema declares to be so.

        Returns:
            Two lists of indices in `entries`, the specific ones first. They are also the rows of a field map whose
            pooled sequences follow the fields.

        Raises:
            ValueError: A name that no entry has.

        Example:

        >>> fields = (Field("page", "scenario", 1, 4), Field("item", "item", 5, 9))
        >>> EncodedFeatures(fields).scenario_partition()
        ([0], [1])
        """
        known = [entry.name for entry in self.entries]
        wanted = None if specific is None else list(specific)
        for name in wanted or ():
            if name not in known:
                raise ValueError(unknown_name_message("field or sequence", name, known))
        chosen = [
            index
            for index, entry in enumerate(self.entries)
            if ((entry.role == "scenario" or entry.scenario_specific) if wanted is None else entry.name in wanted)
        ]
        return chosen, [index for index in range(len(known)) if index not in chosen]

    def to_json(self) -> str:
        """Writes the description as a JSON text."""
        mapping = dataclasses.asdict(self)
        for entry in (*mapping["fields"], *mapping["sequences"]):
            # Left out where it says nothing, so that the fingerprints of encoders saved before it existed still hold.
            for name in ("scenario_specific", "is_key"):
                if not entry[name]:
                    del entry[name]
        return json.dumps(mapping, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> EncodedFeatures:
        """Reads what `to_json` wrote."""
        mapping: dict[str, Any] = json.loads(text)
        mapping["fields"] = tuple(Field(**entry) for entry in mapping["fields"])
        mapping["sequences"] = tuple(EncodedSequence(**entry) for entry in mapping["sequences"])
        return cls(**mapping)
