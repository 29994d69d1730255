"""What the dynamic layers of a model generate: the gates, weights and parameters of each row.

A layer is asked in one of three ways. One that has a method `generated_weights(*call_arguments)` answers itself: it
takes what the layer is called with and returns a dict of tensors whose first axis is the batch; a layer of your own may
have one. This file has a reader for each layer of this library that generates without a `ParameterGenerator`. For every
other layer, the generators within it are read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import layers
from dynctr_tf.layers.embedding.scenario_indices import checked_scenario
from dynctr_tf.layers.scenario.scenario_rows import gather_rows, table_rows, with_mean_row
from dynctr_tf.layers.scenario.scenario_towers import ScenarioTowers
from dynctr_tf.stack import widened

_MOST_NUMBERS = 512
_HOOK = "generated_weights"
Reader = Callable[[Any, tuple[Any, ...], dict[str, Any], Any], Mapping[str, tf.Tensor]]


class GeneratedWeights(NamedTuple):
    """What one layer generated for some rows.

    Attributes:
        layer: The layer's name, within other layers with theirs in front.
        name: What it is called, such as `"gate"`.
        shape: The shape of what is generated for one row.
        values: float32 `(rows, numbers)`: the numbers of each row, or 512 of them where there are more; NaN where a
            row's inputs do not tell.
    """

    layer: str
    name: str
    shape: tuple[int, ...]
    values: np.ndarray


def generated_weights(
    model: keras.Model, batches: Iterable[Any], *, max_numbers: int = _MOST_NUMBERS
) -> list[GeneratedWeights]:
    """Answers rows with a model, and returns what its dynamic layers generated on the way.

    Use it on any Keras model that has layers of this library, from the catalogue or your own. `explain_dynamic_part`
    makes a report of it.

    Args:
        model: The model.
        batches: Inputs of the model, batch by batch.
        max_numbers: How many numbers of each tensor are kept, evenly spread over it. Default 512.

    Returns:
        What each layer generated; empty for a static model.

    Raises:
        ValueError: A layer's own `generated_weights` returns something other than a tensor with a row for each row of
            the batch.

    Cost: one answer of the model in eager mode; memory of `rows * max_numbers` numbers for each tensor.

    Example:

    >>> x = keras.Input((6,))
    >>> model = keras.Model(x, layers.MixtureOfKernels(4, num_kernels=3)(x))
    >>> [(found.name, found.shape) for found in generated_weights(model, [np.ones((2, 6), np.float32)])]
    [('weights', (3,))]
    """
    watched = list(_watched_layers(model))
    collected: dict[tuple[str, str], list[tuple[tuple[int, ...], np.ndarray]]] = {}
    for inputs in batches:
        rows = len(tf.nest.flatten(inputs)[0])
        noted: list[tuple[str, str, tuple[int, ...], np.ndarray]] = []
        with _watching(watched, rows, noted, max_numbers):
            model(inputs, training=False)
        times: dict[tuple[str, str], int] = {}
        for layer, name, shape, values in noted:
            # A layer that is called twice generates twice.
            called = times[layer, name] = times.get((layer, name), 0) + 1
            key = (layer, name if called == 1 else f"{name}, call {called}")
            collected.setdefault(key, []).append((shape, values))
    return [
        GeneratedWeights(layer, name, parts[0][0], np.concatenate([values for _, values in parts]))
        for (layer, name), parts in collected.items()
    ]


def _watched_layers(model: Any) -> Iterator[tuple[str, Any, Reader]]:
    """The layers that are read, each with its name; what lies within one that answers for itself is left out."""

    def within(layer: Any, before: str, seen: set[int]) -> Iterator[tuple[str, Any, Reader]]:
        for inner in layer._flatten_layers(include_self=False, recursive=False):
            if id(inner) in seen:
                continue
            seen.add(id(inner))
            name = f"{before}{inner.name}"
            reader = _reader_of(inner)
            if isinstance(inner, layers.KernelBank) and getattr(layer, "generator", None) is not None:
                continue  # the generator beside it makes its weights
            if reader is not None:
                yield name, inner, reader
            else:
                yield from within(inner, f"{name}/", seen)

    own = _reader_of(model)
    if own is not None:
        yield model.name, model, own
    else:
        yield from within(model, "", {id(model)})


def _reader_of(layer: Any) -> Reader | None:
    if callable(getattr(layer, _HOOK, None)):
        return _own_answer
    return next((_READERS[kind] for kind in type(layer).__mro__ if kind in _READERS), None)


def _own_answer(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], _: Any) -> Mapping[str, tf.Tensor]:
    found = getattr(layer, _HOOK)(*args, **kwargs)
    if not isinstance(found, Mapping):
        raise ValueError(f"{layer.name}.{_HOOK} must return a dict of tensors, got {type(found).__name__}.")
    return found


@contextlib.contextmanager
def _watching(
    watched: list[tuple[str, Any, Reader]],
    rows: int,
    noted: list[tuple[str, str, tuple[int, ...], np.ndarray]],
    max_numbers: int,
) -> Iterator[None]:
    """Lets the layers note what they generate while they are called."""

    def watch(name: str, layer: Any, reader: Reader) -> Callable[..., Any]:
        original = layer.call

        def call(*args: Any, **kwargs: Any) -> Any:
            outputs = original(*args, **kwargs)
            given = {key: value for key, value in kwargs.items() if key not in ("training", "mask")}
            for what, tensor in reader(layer, args, given, outputs).items():
                kept = _rows_of(f"{name}, {what}", tensor, rows, max_numbers, needed=reader is _own_answer)
                if kept is not None:
                    noted.append((name, what, *kept))
            return outputs

        return call

    try:
        for name, layer, reader in watched:
            # Set on the object itself, past Keras' handling of attributes; Keras calls `self.call`.
            object.__setattr__(layer, "call", watch(name, layer, reader))
        yield
    finally:
        for _, layer, _ in watched:
            vars(layer).pop("call", None)


def _rows_of(
    what: str, tensor: Any, rows: int, max_numbers: int, *, needed: bool
) -> tuple[tuple[int, ...], np.ndarray] | None:
    """The shape of what is generated for a row, and the rows; `None` for what has no row for each of the batch."""
    values = widened(tensor)
    shape = tuple(int(size) for size in values.shape)
    if not shape or shape[0] != rows:
        # Weights for each position of a sequence share one axis with the rows.
        if not shape or not rows or shape[0] % rows or shape[0] == 0:
            if needed:
                raise ValueError(f"{what} must have {rows} rows, those of the batch, got the shape {shape}.")
            return None
        shape = (rows, shape[0] // rows, *shape[1:])
    flat = tf.reshape(values, [rows, -1])
    if flat.shape[1] > max_numbers:
        chosen = np.unique(np.linspace(0, flat.shape[1] - 1, max_numbers).astype(np.int32))
        flat = tf.gather(flat, chosen, axis=1)
    return shape[1:], flat.numpy()


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any], place: int, name: str) -> Any:
    return args[place] if len(args) > place else kwargs.get(name)


def _condition_or_inputs(args: tuple[Any, ...], kwargs: dict[str, Any], name: str = "condition") -> tuple[Any, Any]:
    inputs = _argument(args, kwargs, 0, "inputs")
    condition = _argument(args, kwargs, 1, name)
    return inputs, inputs if condition is None else condition


def _of_generator(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> Mapping[str, Any]:
    return {"weights": outputs}


def _of_adaptive_dense(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> Mapping[str, Any]:
    _, condition = _condition_or_inputs(args, kwargs)
    if layer.num_groups is None:
        condition = tf.cast(condition, layer.compute_dtype)
    return {"weights": layer.generated_numbers(condition)}


def _of_condition(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> Mapping[str, Any]:
    """The condition itself weighs the kernels."""
    return {"weights": _condition_or_inputs(args, kwargs, layer.condition_argument)[1]}


def _of_gate(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> Mapping[str, Any]:
    """What a layer multiplies its inputs by; an input of 0 does not show it."""
    inputs = widened(_argument(args, kwargs, 0, "inputs"))
    gates = tf.where(inputs == 0.0, np.nan, widened(outputs) / tf.where(inputs == 0.0, 1.0, inputs))
    if getattr(layer, "granularity", None) == "field":
        found = tf.math.is_finite(gates)
        total = tf.reduce_sum(tf.where(found, gates, 0.0), axis=-1)
        gates = total / tf.reduce_sum(tf.cast(found, total.dtype), axis=-1)
    return {"gate": gates}


def _of_towers(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> Mapping[str, Any]:
    scenario = checked_scenario(layer.name, _argument(args, kwargs, 1, "scenario"), layer.num_scenarios, layer.unknown)
    # Few scenarios have many parameters: they are thinned before each row has its own.
    distinct, places = tf.unique(tf.reshape(table_rows(scenario), [-1]))
    found = {}
    for index in range(layer.num_layers):
        parts = [widened(part) for part in layer.dense_parameters(index, distinct)]
        flat = tf.concat([tf.reshape(part, [tf.shape(distinct)[0], -1]) for part in parts], axis=1)
        numbers = int(flat.shape[1])
        if numbers > _MOST_NUMBERS:
            flat = tf.gather(flat, np.unique(np.linspace(0, flat.shape[1] - 1, _MOST_NUMBERS).astype(int)), axis=1)
        kept = "" if flat.shape[1] == numbers else f", {flat.shape[1]} of {numbers:,} numbers"
        found[f"layer {index + 1}{kept}"] = tf.gather(flat, places)
    return found


def _of_normalization(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> Mapping[str, Any]:
    scenario = checked_scenario(layer.name, _argument(args, kwargs, 1, "scenario"), layer.num_scenarios, layer.unknown)
    rows = table_rows(scenario)
    return {
        name: gather_rows(with_mean_row(widened(layer.parameters[f"scenario_{name}"])), rows)
        for name in ("gamma", "beta")
    }


def _of_taps(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> Mapping[str, Any]:
    return {"taps": layer.dense["taps"](_argument(args, kwargs, 0, "inputs"))} if layer.dynamic_kernel else {}


def _of_combination(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any) -> Mapping[str, Any]:
    _, specific, embedding = _argument(args, kwargs, 0, "inputs")
    if layer.kind == "gate":
        return {"weights": tf.nn.softmax(layer._affine(tf.concat([specific, embedding], axis=-1)))}
    return {"scale": 2.0 * tf.sigmoid(layer._affine(specific))} if layer.kind == "film" else {}


_READERS: dict[type, Reader] = {
    layers.ParameterGenerator: _of_generator,
    layers.AdaptiveDense: _of_adaptive_dense,
    layers.HyperDense: _of_condition,
    layers.CoActionUnit: _of_condition,
    layers.KernelBank: _of_condition,
    layers.EmbeddingGate: _of_gate,
    layers.HiddenGate: _of_gate,
    layers.HiddenUnitContributions: _of_gate,
    layers.PartitionedNormalization: _of_normalization,
    layers.LightConvolution: _of_taps,
    layers.SharedCombination: _of_combination,
    ScenarioTowers: _of_towers,
}
