"""A model's answer to one user and many items, in which everything that depends on the user alone is computed once."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.export.rows_alike import repeat_row
from dynctr_tf.layers import BlockEmbedding, FieldEmbedding, FieldProjection, FieldSelection
from dynctr_tf.models.adaptive.graph_copy import run_graph


@dataclasses.dataclass
class _Once:
    """A value that depends on the user alone: one row."""

    row: tf.Tensor


@dataclasses.dataclass
class _Columns:
    """Columns along the second axis, of the user `(1, a, ...)` and of the items `(items, b, ...)`.

    `order` says for each column whether it is the user's, and its index among the columns of its side.
    """

    once: tf.Tensor
    each: tf.Tensor
    order: list[tuple[bool, int]]

    def selected(self, positions: Sequence[int]) -> Any:
        """Some of the columns."""
        chosen = [self.order[position] for position in positions]
        once = [place for of_user, place in chosen if of_user]
        each = [place for of_user, place in chosen if not of_user]
        if not each:
            return _Once(tf.gather(self.once, once, axis=1))
        if not once:
            return tf.gather(self.each, each, axis=1)
        numbers = {True: 0, False: 0}
        order = []
        for of_user, _ in chosen:
            order.append((of_user, numbers[of_user]))
            numbers[of_user] += 1
        return _Columns(tf.gather(self.once, once, axis=1), tf.gather(self.each, each, axis=1), order)


@dataclasses.dataclass
class TwoSides:
    """The entries of an encoded batch that belong to the user, and those that belong to the items.

    Attributes:
        once: The specifications of the user's entries, one row each.
        each: Those of the items' entries.
        order: For each column of `"fields"` whether it is the user's, and its index among the columns of its side.
    """

    once: dict[str, tf.TensorSpec]
    each: dict[str, tf.TensorSpec]
    order: list[tuple[bool, int]]

    def of_rows(self, rows: Mapping[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Takes the user of the first row and the items of all rows; returns both, and the batch with that user."""
        once: dict[str, Any] = {}
        each: dict[str, Any] = {}
        repeated: dict[str, Any] = {}
        for key in {**self.once, **self.each}:
            values = rows[key]
            first = np.repeat(values[:1], len(values), axis=0)
            if key in self.once and key in self.each:
                of_user = np.array([side for side, _ in self.order])
                once[key], each[key] = values[:1, of_user], values[:, ~of_user]
                repeated[key] = np.where(of_user, first, values)
            elif key in self.once:
                once[key], repeated[key] = values[:1], first
            else:
                each[key] = repeated[key] = values
        sides = (once, each, repeated)
        return tuple({key: tf.constant(value) for key, value in side.items()} for side in sides)  # type: ignore[return-value]


def two_sides(
    features: EncodedFeatures, signature: Mapping[str, tf.TensorSpec], items: Container[str]
) -> TwoSides | None:
    """Splits the inputs of a model into the user's and the items'.

    Args:
        features: The description of the encoded batch.
        signature: The specifications of the model's inputs.
        items: The features that are of items.

    Returns:
        The sides; `None` where one of them has no input.
    """
    once: dict[str, tf.TensorSpec] = {}
    each: dict[str, tf.TensorSpec] = {}
    order: list[tuple[bool, int]] = []
    names = {entry.key: entry.name for entry in features.own_entries}
    names.update({field.role: field.name for field in features.fields if field.role in ("scenario", "group")})
    for key, specification in signature.items():
        plain = str(specification.name)
        if key == "fields":
            numbers = {True: 0, False: 0}
            for field in features.single_valued:
                of_user = field.name not in items
                order.append((of_user, numbers[of_user]))
                numbers[of_user] += 1
            if numbers[True]:
                once[key] = tf.TensorSpec((1, numbers[True]), specification.dtype, name=f"{plain}_once")
            if numbers[False]:
                each[key] = tf.TensorSpec((None, numbers[False]), specification.dtype, name=plain)
        elif names[key] in items:
            each[key] = specification
        else:
            once[key] = tf.TensorSpec((1, *specification.shape[1:]), specification.dtype, name=f"{plain}_once")
    return TwoSides(once, each, order) if once and each else None


def answer_for_one_user(
    model: keras.Model,
    once: Mapping[str, tf.Tensor],
    each: Mapping[str, tf.Tensor],
    order: Sequence[tuple[bool, int]],
) -> Any:
    """Runs a functional model on the encoded batch of one user and many items.

    Each layer whose inputs depend on the user alone runs on one row. Embeddings are looked up separately for the
    columns of the user and of the items, and a selection of columns that all belong to one side stays on that side. For
    everything else `repeat_row` repeats the user's row.

    Args:
        model: The model.
        once: The entries of the batch that are the user's, one row each.
        each: The entries that are the items'. `"fields"` may be in both.
        order: For each column of `"fields"` whether it is the user's, and its index among the columns of its side.

    Returns:
        The model's output for all items.
    """
    count = tf.shape(next(iter(each.values())))[0]
    graph = stack.graph_of(model)
    values: dict[int, Any] = {}
    for key, tensor in model.input.items():
        if key in once and key in each:
            values[id(tensor)] = _Columns(once[key], each[key], list(order))
        else:
            values[id(tensor)] = _Once(once[key]) if key in once else each[key]
    repeated: dict[int, tf.Tensor] = {}

    def whole(value: Any) -> Any:
        """The value of all items."""
        if not isinstance(value, (_Once, _Columns)):
            return value
        if id(value) not in repeated:
            if isinstance(value, _Once):
                repeated[id(value)] = repeat_row(value.row, count)
            else:
                starts = {True: 0, False: value.once.shape[1]}
                both = tf.concat([repeat_row(value.once, count), value.each], 1)
                places = [starts[of_user] + place for of_user, place in value.order]
                repeated[id(value)] = both if places == list(range(len(places))) else tf.gather(both, places, axis=1)
        return repeated[id(value)]

    def call_layer(call: stack.GraphCall, arguments: Any, keywords: Any, values: dict[int, Any]) -> Any:
        layer = call.layer
        given = [leaf for leaf in tf.nest.flatten((arguments, keywords)) if isinstance(leaf, (_Once, _Columns))]
        if not given:
            return layer(*arguments, **keywords)
        parts = tf.nest.flatten(arguments)
        if isinstance(layer, FieldEmbedding) and layer.num_ids_per_field is None and not _tensors(keywords):
            return _embedded(layer, parts)
        if type(layer) is FieldProjection:
            return _applied(arguments[0], layer)
        if type(layer) is keras.layers.Concatenate and layer.axis == 1 and _are_field_maps(parts):
            return _joined(parts)
        if type(layer) is FieldSelection and isinstance(arguments[0], _Columns):
            width = len(arguments[0].order)
            positions = list(range(width)) if layer.positions is None else layer.positions
            return _applied(arguments[0].selected(positions), lambda part: part[:, :, layer.start : layer.stop])
        tensors = _tensors((arguments, keywords))
        if all(isinstance(leaf, _Once) for leaf in tensors):
            arguments, keywords = tf.nest.map_structure(_row, (arguments, keywords))
            return tf.nest.map_structure(_Once, layer(*arguments, **keywords))
        arguments, keywords = tf.nest.map_structure(whole, (arguments, keywords))
        return layer(*arguments, **keywords)

    waiting = run_graph(model, values, call_layer)
    assert not waiting
    return whole(values[id(graph.outputs[0])])


def _tensors(structure: Any) -> list[Any]:
    return [leaf for leaf in tf.nest.flatten(structure) if isinstance(leaf, (_Once, _Columns)) or tf.is_tensor(leaf)]


def _row(value: Any) -> Any:
    return value.row if isinstance(value, _Once) else value


def _applied(value: Any, function: Any) -> Any:
    """What a function of each column gives, one or several, for the user's columns and the items' apart."""
    if isinstance(value, _Once):
        return tf.nest.map_structure(_Once, function(value.row))
    if not isinstance(value, _Columns):
        return function(value)
    found = [function(value.once), function(value.each)]
    flat = [
        _Columns(own, other, value.order) for own, other in zip(*(tf.nest.flatten(one) for one in found), strict=True)
    ]
    return tf.nest.pack_sequence_as(found[0], flat)


def _are_field_maps(parts: Sequence[Any]) -> bool:
    shapes = [(part.once if isinstance(part, _Columns) else _row(part)).shape for part in parts]
    return all(len(shape) == 3 and shape[1] is not None for shape in shapes)


def _joined(parts: Sequence[Any]) -> Any:
    """What is of the user and of the items, side by side along the second axis."""
    once: list[tf.Tensor] = []
    each: list[tf.Tensor] = []
    order: list[tuple[bool, int]] = []
    for part in parts:
        starts = {True: sum(one.shape[1] for one in once), False: sum(one.shape[1] for one in each)}
        if isinstance(part, _Columns):
            order += [(of_user, starts[of_user] + place) for of_user, place in part.order]
            once.append(part.once)
            each.append(part.each)
        else:
            of_user = isinstance(part, _Once)
            own = _row(part)
            order += [(of_user, starts[of_user] + place) for place in range(own.shape[1])]
            (once if of_user else each).append(own)
    if not each:
        return _Once(tf.concat(once, 1))
    return _Columns(tf.concat(once, 1), tf.concat(each, 1), order)


def _embedded(layer: FieldEmbedding, parts: Sequence[Any]) -> Any:
    """The field maps of ids, looked up separately for the user and the items."""
    ids = _joined(parts)
    if not isinstance(layer, BlockEmbedding):
        return _applied(ids, layer)
    if layer.columns is not None and isinstance(ids, _Once):
        ids = _Once(tf.gather(ids.row, layer.columns, axis=1))
    elif layer.columns is not None:
        ids = ids.selected(layer.columns)
    return _applied(ids, layer.embed_columns)
