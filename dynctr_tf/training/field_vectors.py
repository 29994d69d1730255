"""Embeddings of a field by its values: put into a model, and taken out of one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.datasets.value_vectors import ValueVectors
from dynctr_tf.encoding import Encoder, IdMap
from dynctr_tf.encoding.encoded_features import FIRST_VALUE_OFFSET, EncodedSequence, Field
from dynctr_tf.encoding.value_text import looked_up_text
from dynctr_tf.layers import BlockEmbedding, FieldEmbedding, KeyEmbedding
from dynctr_tf.layers.embedding.block_embedding import FIRST_ORDER
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.stack import raw_variable
from dynctr_tf.training.carry_over import keep_weights


class LoadedVectors(NamedTuple):
    """What `load_field_vectors` returns.

    Attributes:
        values: How many values the field has.
        found: How many of them have a vector now.
        unused: How many vectors are of values that the field does not have.
    """

    values: int
    found: int
    unused: int


class _Rows(NamedTuple):
    """Where the rows of a field are: the table, the first one of its block, and how wide the embeddings are."""

    variable: Any
    first: int
    dim: int
    trains: bool

    @property
    def table(self) -> tf.Variable:
        """The variable of TensorFlow."""
        return raw_variable(self.variable)


def load_field_vectors(
    model: keras.Model,
    encoder: Encoder,
    field: str,
    vectors: ValueVectors,
    *,
    new: IdMap | None = None,
    optimizer: Any = None,
) -> LoadedVectors:
    """Gives the values of a field the vectors of a file, by the values themselves.

    Use it on a new model before it is trained. Values without a vector keep the start that they have; those of a field
    that does not train become 0, and so do its missing and its unknown value. First-order weights stay as they are.
    Use it with `new` on a model whose vocabularies have grown, after `carry_over`.

    Args:
        model: A model with a `FieldEmbedding` of all ids, or with `BlockEmbedding`, as the models of the catalogue and
            `dynctr_tf.models.Embedding` make them.
        encoder: The encoder of its ids.
        field: The field; one that has a vocabulary.
        vectors: The vectors, of the size of the field's embeddings.
        new: What `dynctr_tf.encoding.id_map` says of the encoder before and this one: values that it does not call new
            keep their rows, and no vector need be of a new one. Default `None`: all values are given vectors.
        optimizer: The model's optimizer where it has been built, as after `carry_over`: one of this library's, FTRL for
            example, gets the state with which it goes on from the vectors. Default `None`: it is built later.

    Returns:
        How many values of the field there are, with `new` those that are new alone; how many have a vector now; and how
        many vectors are of other values.

    Raises:
        ValueError: An unknown field, one without a vocabulary of its own, vectors of another size, none of the field's
            values among them, or two vectors for one value.

    Example:

    >>> from dynctr_tf.datasets import SyntheticCtrRows
    >>> from dynctr_tf.models import Embedding, dnn
    >>> source = SyntheticCtrRows(num_train=300, num_validation=100, num_test=100)
    >>> encoder = Encoder.fit(source, progress=False)
    >>> model = dnn(encoder.features, embedding=Embedding(4, sizes="item_id=2"))
    >>> vectors = ValueVectors(encoder.vocabularies["item_id"].values[:5], np.ones((5, 2)))
    >>> load_field_vectors(model, encoder, "item_id", vectors).found
    5
    """
    values = _values_of(encoder, field)
    rows = _rows_of(model, encoder, field)
    if vectors.dim != rows.dim:
        raise ValueError(
            f"The vectors of {field!r} have {vectors.dim} numbers, its embeddings {rows.dim}. Give the field its size "
            f'in the model, from which it is projected: Embedding(sizes="{field}={vectors.dim}").'
        )
    keys = looked_up_text(vectors.keys, encoder.vocabularies[field].form)  # as a look-up would spell them
    _check_distinct(field, keys, vectors.keys, values)
    vector_of = pc.index_in(values, value_set=keys)
    has_vector = vector_of.is_valid().to_numpy(zero_copy_only=False)
    used = int(has_vector.sum())
    asked = np.ones(len(values), bool)
    if new is not None:
        entry = _entry(encoder, field)
        asked = new.is_new[entry.first_id + FIRST_VALUE_OFFSET : entry.first_id + entry.num_ids]
    found = np.flatnonzero(has_vector & asked)
    if not len(found) and new is None:
        raise ValueError(
            f"None of the {len(values):,} values of {field!r}, such as {values[:3].to_pylist()}, is among the "
            f"{len(vectors.keys):,} keys, such as {vectors.keys[:3].to_pylist()}."
        )
    chosen = vectors.vectors[vector_of.take(pa.array(found)).to_numpy(zero_copy_only=False)]
    if not rows.trains and new is None:
        block = np.arange(rows.first, rows.first + FIRST_VALUE_OFFSET + len(values))
        _put(rows, block, np.zeros((len(block), rows.dim), np.float32))
    places = rows.first + FIRST_VALUE_OFFSET + found
    _put(rows, places, chosen)
    if optimizer is not None and rows.trains:
        keep_weights(optimizer, rows.variable, places)
    return LoadedVectors(int(asked.sum()), len(found), len(vectors.keys) - used)


def field_vectors(model: keras.Model, encoder: Encoder, field: str) -> ValueVectors:
    """Returns the embeddings of a field's values, as they stand in its table.

    Args:
        model: As `load_field_vectors`.
        encoder: The encoder of its ids.
        field: The field; one that has a vocabulary.

    Raises:
        ValueError: An unknown field, or one without a vocabulary of its own, or with an empty one.
    """
    values = _values_of(encoder, field)
    rows = _rows_of(model, encoder, field)
    places = rows.first + FIRST_VALUE_OFFSET + np.arange(len(values))
    return ValueVectors(values, tf.gather(rows.table, places)[:, : rows.dim].numpy())


def fields_with_vectors(encoder: Encoder) -> list[str]:
    """Returns the fields that `field_vectors` takes: those with a vocabulary of their own that is not empty."""
    return [entry.name for entry in encoder.features.entries if len(_vocabulary(encoder, entry.name))]


def _check_distinct(field: str, keys: pa.Array, written: pa.Array, values: pa.Array) -> None:
    """Refuses keys that are two spellings of one of the field's values, such as 12 and 12.0."""
    if pc.count_distinct(keys).as_py() == len(keys):
        return
    counted = pc.value_counts(keys.filter(pc.is_in(keys, value_set=values)))
    twice = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
    if len(twice):
        both = written.filter(pc.equal(keys, twice[0])).to_pylist()
        raise ValueError(
            f"{len(twice):,} values of {field!r} have more than one vector: the keys {both} are spellings of "
            f"{twice[0].as_py()!r}; keep one of them."
        )


def _vocabulary(encoder: Encoder, field: str) -> pa.Array:
    fitted = encoder.vocabularies.get(field)
    return pa.array([], pa.large_string()) if fitted is None else fitted.values.cast(pa.large_string())


def _values_of(encoder: Encoder, field: str) -> pa.Array:
    known = [entry.name for entry in encoder.features.entries]
    if field not in known:
        raise ValueError(unknown_name_message("field", field, known))
    if field not in encoder.vocabularies:
        feature = encoder.schema.feature(field)
        shared = feature.shares_vocabulary_with
        why = (
            f"it has the ids of {shared!r}; give that one"
            if shared is not None
            else "it is numeric, and has bins"
            if feature.kind == "numeric"
            else "its values are hashed"
        )
        raise ValueError(f"The field {field!r} has no vocabulary of its own, so that its rows have no keys: {why}.")
    return _vocabulary(encoder, field)


def _entry(encoder: Encoder, field: str) -> Field | EncodedSequence:
    return next(entry for entry in encoder.features.entries if entry.name == field)


def _rows_of(model: keras.Model, encoder: Encoder, field: str) -> _Rows:
    entry = _entry(encoder, field)
    for layer in model._flatten_layers():
        if isinstance(layer, KeyEmbedding):
            raise ValueError(
                f"The rows of {layer.name} belong to keys, which take them when they are first seen, and not to the "
                f"values of {field!r} in their order; a model without embedding.num_keys has vectors by value."
            )
        if not isinstance(layer, FieldEmbedding) or not layer.built or layer.name.endswith(FIRST_ORDER):
            continue
        if isinstance(layer, BlockEmbedding):
            block = layer.rows_of(entry.first_id, entry.num_ids)
            first = None if block is None else block.start
        else:
            first = entry.first_id if layer.num_ids == encoder.features.num_ids else None
        if first is not None:
            return _Rows(layer.table, first, layer.output_dim, bool(layer.trainable))
    raise ValueError(
        f"The model has no FieldEmbedding of all {encoder.features.num_ids:,} ids and no BlockEmbedding of {field!r}."
    )


def _put(rows: _Rows, places: np.ndarray, values: np.ndarray) -> None:
    width = int(rows.table.shape[1])
    if width > rows.dim:  # first-order weights stand in the last column
        values = np.concatenate([values, tf.gather(rows.table, places)[:, rows.dim :].numpy()], axis=1)
    rows.table.scatter_update(tf.IndexedSlices(tf.constant(values, tf.float32), tf.constant(places)))
