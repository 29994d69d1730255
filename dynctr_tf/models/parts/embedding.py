"""The embeddings of a model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures, EncodedSequence, Field
from dynctr_tf.layers import (
    BlockEmbedding,
    FieldEmbedding,
    FieldProjection,
    FieldSelection,
    KeyEmbedding,
    ValuePooling,
)
from dynctr_tf.layers.embedding.block_embedding import FIRST_ORDER
from dynctr_tf.layers.embedding.key_index import INDEX_KINDS
from dynctr_tf.models.parts.part import Part
from dynctr_tf.nearest import unknown_name_message

_POOLING = ("mean", "sum")


@dataclasses.dataclass(frozen=True, repr=False)
class Embedding(Part):
    """The embeddings of the ids of an encoded batch: one table and one gather, the layer `"embedding"`.

    Use it as the option `embedding` of a model, or after `encoded_inputs` in a model of your own. The values of a
    multi-valued field are pooled into one vector. So are those of a sequence in models without sequence layers, so
    that any model trains on any data.

    Args:
        dim: Size of an embedding. Default 16.
        initial_scale: Embeddings start uniform between minus and plus this number. Default 0.05: within
            0.01, products of embeddings and what they generate have hardly a gradient at first.
        pooling: How the values of multi-valued fields and sequences are pooled, `"mean"` or `"sum"`. Default `"mean"`.
        row_regularizer_l2: L2 penalty of the rows of the batch, see `FieldEmbedding`. Default 0.0.
        sizes: Fields whose embeddings have another size, as `"user_id=8"`: they have a table of their own, the layer
            `"embedding_1"` and so on, and are projected to `dim`. Default none.
        frozen: Fields whose embeddings do not train, which is of use where they were trained elsewhere. Default none.
        num_keys: How many ids can have a row of the table at a time. An id then gets its row when it is first seen in
            training, as keys without a vocabulary need it: the layer is a `KeyEmbedding`. Default `None`: each id has
            a row.
        index_kind: As `KeyEmbedding`, with `num_keys`. Default `"tensorflow"`.

    Raises:
        ValueError: A size below 1 or that is not a number, a negative number, or an unknown kind of pooling, field or
            index; `num_keys` with sizes or frozen fields.

    Example:

    >>> from dynctr_tf.models.parts.encoded_inputs import encoded_inputs
    >>> features = EncodedFeatures.from_sizes([10, 20])
    >>> tuple(Embedding(4).field_map(encoded_inputs(features), features).shape)
    (None, 2, 4)

    For int64 keys that no encoder has made:

    >>> from dynctr_tf.models import dnn
    >>> model = dnn(EncodedFeatures.of_keys(["user", "item"]), embedding=Embedding(4, num_keys=100))
    >>> model.input["fields"].dtype, model.get_layer("embedding").num_keys
    ('int64', 100)
    """

    dim: int = 16
    initial_scale: float = 0.05
    pooling: str = "mean"
    row_regularizer_l2: float = 0.0
    sizes: str | Sequence[str] = ()
    frozen: str | Sequence[str] = ()
    num_keys: int | None = None
    index_kind: str = "tensorflow"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.size_of()
        if self.index_kind not in INDEX_KINDS:
            raise ValueError(unknown_name_message("index_kind", self.index_kind, INDEX_KINDS))
        if self.num_keys is not None and (self.sizes or self.frozen):
            raise ValueError(
                "With num_keys all ids take their rows from one table, in which no field has a size of its own or is "
                f"frozen; got sizes={self.sizes!r} and frozen={self.frozen!r}."
            )
        if self.pooling not in _POOLING:
            raise ValueError(unknown_name_message("pooling mode", self.pooling, _POOLING))

    def row_options(self) -> dict[str, Any]:
        """Returns the options that layers with a table take."""
        return {"initial_scale": self.initial_scale, "row_regularizer_l2": self.row_regularizer_l2}

    def size_of(self) -> dict[str, int]:
        """Returns the sizes of the fields that have one of their own.

        Raises:
            ValueError: A text that is not a field with a size, or a field that is named twice.
        """
        sizes: dict[str, int] = {}
        for entry in [self.sizes] if isinstance(self.sizes, str) else self.sizes:
            name, equals, size = entry.rpartition("=")
            if not equals or not name or not size.isdecimal() or int(size) < 1:
                raise ValueError(f'sizes are written as "user_id=8", a field and a size of at least 1; got {entry!r}.')
            if name in sizes:
                raise ValueError(f"The field {name!r} has two sizes: {sizes[name]} and {size}.")
            sizes[name] = int(size)
        return sizes

    @property
    def frozen_fields(self) -> tuple[str, ...]:
        """The fields whose embeddings do not train."""
        return (self.frozen,) if isinstance(self.frozen, str) else tuple(self.frozen)

    def table(
        self,
        features: EncodedFeatures,
        *,
        width: int | None = None,
        linear: bool = False,
        entries: Sequence[Field | EncodedSequence] | None = None,
    ) -> Callable[[Any], Any]:
        """Makes the layer of the table; where fields have sizes of their own or are frozen, the layers of the tables.

        Args:
            features: The description that the encoder gives.
            width: Numbers of each id, where a model cuts them into several vectors. Default `None`: `dim`.
            linear: Whether each id has a first-order weight too. Default `False`.
            entries: What the ids are of that it is called with, in their order. Default `None`: that of `all_ids`.

        Raises:
            ValueError: A size of its own, or frozen, is a field that does not exist or that shares another's ids;
                features of keys without `num_keys`.
        """
        width = self.dim if width is None else width
        if self.num_keys is not None:
            return KeyEmbedding(
                self.num_keys,
                width,
                linear=linear,
                index_kind=self.index_kind,
                keys_are_ids=True,
                name="embedding",
                **self.row_options(),
            )
        refuse_keys(features, "embedding.num_keys says how many of them can have a row at a time; it is not given.")
        own = self._own_tables(features, width)
        if own:
            listed = [*features.single_valued, *features.own_entries] if entries is None else list(entries)
            return _Tables(self, features, own, listed, width, linear)
        return FieldEmbedding(features.num_ids, width, linear=linear, name="embedding", **self.row_options())

    def _own_tables(self, features: EncodedFeatures, width: int) -> list[_OwnTable]:
        """The fields that cannot be in the one table of all, because of their size or because they are frozen."""
        sizes, frozen = self.size_of(), self.frozen_fields
        owners = {entry.name: entry for entry in _owners(features)}
        own = []
        for name in dict.fromkeys([*sizes, *frozen]):
            if name not in owners:
                raise ValueError(unknown_name_message("field with ids of its own", name, owners))
            if sizes.get(name, width) != width or name in frozen:
                own.append(_OwnTable(owners[name].first_id, sizes.get(name, width), name not in frozen))
        return own

    def pool(self, rows: Any, pooled: list[Any], name: str = "pooling") -> Any:
        """Pools the values at the end of the rows into one row for each field.

        Args:
            rows: `(batch, n, dim)`.
            pooled: The ids of each field to pool, as `ValuePooling` takes them; possibly none.
            name: Name of the layer. Default `"pooling"`.
        """
        return ValuePooling(self.pooling, name=name)([rows, *pooled]) if pooled else rows

    def field_map(self, inputs: dict[str, Any], features: EncodedFeatures, *, width: int | None = None) -> Any:
        """Embeds a batch.

        Args:
            inputs: The result of `encoded_inputs`.
            features: The description that the encoder gives.
            width: Numbers of each id, where a model cuts them into several vectors. Default `None`: `dim`.

        Returns:
            The field map `(batch, fields + sequences, width)`.
        """
        ids, pooled = all_ids(inputs, features)
        return self.pool(self.table(features, width=width)(ids if len(ids) > 1 else ids[0]), pooled)

    def with_linear(
        self, inputs: dict[str, Any], features: EncodedFeatures, *, width: int | None = None
    ) -> tuple[Any, Any]:
        """Embeds a batch, with first-order weights from the same gather.

        Args:
            inputs: The result of `encoded_inputs`.
            features: The description that the encoder gives.
            width: Numbers of each id, where a model cuts them into several vectors. Default `None`: `dim`.

        Returns:
            The field map `(batch, fields + sequences, width)` and the first-order weights
            `(batch, fields + sequences, 1)`.
        """
        ids, pooled = all_ids(inputs, features)
        table = self.table(features, width=width, linear=True)
        field_map, weights = table(ids if len(ids) > 1 else ids[0])
        return self.pool(field_map, pooled), self.pool(weights, pooled, "linear_pooling")


def refuse_keys(features: EncodedFeatures, reason: str) -> None:
    """Refuses features whose ids are keys without a vocabulary.

    Args:
        features: The description that the encoder gives.
        reason: Why they cannot be taken, and what to do.

    Raises:
        ValueError: There are such features.
    """
    names = features.key_names
    if names:
        shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise ValueError(f"{shown} {'has' if len(names) == 1 else 'have'} keys without a vocabulary. {reason}")


def all_ids(inputs: dict[str, Any], features: EncodedFeatures) -> tuple[list[Any], list[Any]]:
    """Returns the ids of all fields and sequences, and those of the pooled ones, which come last.

    Args:
        inputs: The result of `encoded_inputs`.
        features: The description that the encoder gives.
    """
    pooled = [inputs[entry.key] for entry in features.own_entries]
    return ([inputs["fields"], *pooled] if features.single_valued else pooled), pooled


class _OwnTable(NamedTuple):
    """A field that has a table of its own."""

    first_id: int
    size: int
    trains: bool


class _Tables:
    """Tables of different sizes, called as the layer of one would be."""

    def __init__(
        self,
        embedding: Embedding,
        features: EncodedFeatures,
        own: list[_OwnTable],
        entries: list[Field | EncodedSequence],
        width: int,
        linear: bool,
    ) -> None:
        self._embedding = embedding
        self._own = own
        self._width = width
        self._linear = linear
        self._blocks = {entry.first_id: (entry.first_id, entry.num_ids) for entry in _owners(features)}
        # The block of each column of ids.
        self._columns = [entry.first_id for entry in entries for _ in range(_columns_of(entry))]

    def __call__(self, ids: Any) -> Any:
        own = {one.first_id for one in self._own}
        rest = [block for first, block in self._blocks.items() if first not in own]
        found = [self._embed(0, rest, self._width, True, ids)]
        for number, (first, size, trains) in enumerate(self._own, start=1):
            found.append(self._embed(number, [self._blocks[first]], size, trains, ids))
        parts = [part for part in found if part is not None]
        order = [column for columns, *_ in parts for column in columns]
        back = [order.index(column) for column in range(len(order))]
        # Called as the layer of one table, for those who look for the embeddings of a model by their name.
        field_map = _in_order([part[1] for part in parts], back, "embedding")
        if not self._linear:
            return field_map
        return field_map, _in_order([part[2] for part in parts], back, "first_order")

    def _embed(
        self, number: int, blocks: list[tuple[int, int]], size: int, trains: bool, ids: Any
    ) -> tuple[list[int], Any, Any] | None:
        """The columns of some blocks, their embeddings and their first-order weights; `None` where no column is."""
        firsts = {first for first, _ in blocks}
        columns = [column for column, first in enumerate(self._columns) if first in firsts]
        if not columns:
            return None
        name = f"embedding_{number}"
        linear = self._linear and trains
        options = self._embedding.row_options()
        if not trains:
            options["row_regularizer_l2"] = 0.0
        found = BlockEmbedding(blocks, size, columns, linear=linear, name=name, trainable=trains, **options)(ids)
        rows, weights = found if linear else (found, None)
        if self._linear and not trains:
            weights = BlockEmbedding(blocks, 1, columns, initial_scale=0.0, name=f"{name}{FIRST_ORDER}")(ids)
        if size != self._width:
            rows = FieldProjection(self._width, name=f"projection_{number}")(rows)
        return columns, rows, weights


def _owners(features: EncodedFeatures) -> list[Field | EncodedSequence]:
    """The fields and sequences whose ids are their own, in the order of these."""
    owners = {entry.first_id: entry for entry in reversed(features.entries)}
    return [owners[first] for first in sorted(owners)]


def _in_order(maps: list[Any], back: list[int], name: str) -> Any:
    joined = keras.layers.Concatenate(axis=1, name=f"{name}_tables")(maps) if len(maps) > 1 else maps[0]
    return FieldSelection(back, name=name)(joined)


def _columns_of(entry: Field | EncodedSequence) -> int:
    return entry.max_values if isinstance(entry, Field) else entry.length
