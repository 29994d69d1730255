"""Copies of functional models in which some calls of layers are replaced."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack

CallLayer = Callable[[stack.GraphCall, "tuple[Any, ...]", "dict[str, Any]", "dict[int, Any]"], Any]

# By the bytes of a number: the rounding error of a sum in another order, relative to the largest number.
_ROUNDING = {2: 0.1, 4: 1e-3, 8: 1e-6}
_PLAIN = (bool, int, float, str, bytes, type(None), np.ndarray, np.generic)


def check_is_graph(model: Any) -> None:
    """Checks that a model has a graph of layers.

    Args:
        model: The model.

    Raises:
        ValueError: It is not a functional model, or a sequential one that has not been built.
    """
    if stack.graph_of(model) is None:
        raise ValueError(
            f"Only functional models, and sequential ones that are built, can be rewritten layer by layer; got "
            f"{getattr(model, 'name', model)!r} of type {type(model).__name__}. "
            "Write it with keras.Model(inputs, outputs)."
        )


def copied_inputs(model: Any) -> dict[int, Any]:
    """Returns new inputs like those of a model, by the `id` of the old ones.

    Args:
        model: A functional model.
    """
    return {id(tensor): stack.copied_input(tensor) for tensor in stack.graph_of(model).inputs}


def copied_layer(layer: Any, path: str) -> Any:
    """Returns a copy of a layer that can be trained without changing the original.

    It is made anew from its configuration; `copy_state` gives it the rest once it is built. A layer that training does
    not change, such as an adapted `Normalization`, a look-up table or a user's layer without weights, is returned
    itself: its configuration may not contain all that it holds.

    Args:
        layer: The layer, or an operation of Keras 3, which has no state and is returned as it is.
        path: Its path, for the message.

    Raises:
        ValueError: Its configuration does not make a layer.
    """
    if not isinstance(layer, keras.layers.Layer) or hasattr(layer, "adapt"):
        return layer
    has_weights = bool(layer.weights) or bool(stack.random_states(layer))
    known = type(layer).__module__.startswith(("keras.", "tf_keras.", "dynctr_tf.layers."))
    if not has_weights and (not known or isinstance(layer, keras.layers.Lambda)):
        return layer
    try:
        return type(layer).from_config(layer.get_config())
    except (NotImplementedError, TypeError, ValueError) as error:
        if not has_weights:
            return layer
        raise ValueError(
            f"Layer {path!r} of type {type(layer).__name__} cannot be copied from its configuration: {error} "
            "Give it a get_config that returns every argument of its constructor."
        ) from error


def copy_state(layer: Any, new: Any, path: str) -> None:
    """Gives a layer that `copied_layer` made what no configuration contains: weights, frozen parts, tables.

    Args:
        layer: The layer.
        new: Its copy, built.
        path: Its path, for the message.

    Raises:
        ValueError: They have different weights.
    """
    if new is layer or not isinstance(layer, keras.layers.Layer):
        return
    pairs = list(_pairs(layer, new, path))
    for old, one in pairs:
        if old.trainable != one.trainable:
            one.trainable = old.trainable
    for old, one in pairs:
        for name, value in _plain_state(old, one).items():
            setattr(one, name, copy.deepcopy(value))
        if hasattr(old, "adapt") and _saves_assets(old):
            with tempfile.TemporaryDirectory() as folder:
                old.save_assets(folder)
                if any(Path(folder).iterdir()):
                    one.load_assets(folder)
    copy_weights(layer, new, path)
    for _, one in pairs:
        if hasattr(one, "finalize_state"):
            one.finalize_state()  # A Normalization computes with tensors that it derives from its weights.


def copy_weights(layer: Any, new: Any, path: str) -> None:
    """Gives a layer the weights of another one, its random state, and which weights are trainable.

    Args:
        layer: The layer.
        new: One of the same weights.
        path: Its path, for the message.

    Raises:
        ValueError: They have different weights.
    """
    stack.copy_trainable_of_weights(layer, new)
    lists = [(_variables(layer.weights), _variables(new.weights)), (_states(layer), _states(new))]
    for old_weights, new_weights in lists:
        shapes = [[tuple(weight.shape) for weight in weights] for weights in (old_weights, new_weights)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"Layer {path!r} of type {type(layer).__name__} has weights of the shapes {shapes[0]}, and a layer "
                f"made from its configuration has {shapes[1]}: its get_config leaves something out."
            )
        for old, one in zip(old_weights, new_weights, strict=True):
            one.assign(old)


def _variables(weights: Iterable[Any]) -> list[Any]:
    """The variables among the weights of a layer; Keras 2 has look-up tables among them."""
    return [weight for weight in weights if hasattr(weight, "assign") and hasattr(weight, "shape")]


def _states(layer: Any) -> list[Any]:
    """The state that a layer keeps from call to call beside its weights: random states, those of a recurrence."""
    recurrent = [getattr(one, "states", None) for one in layer._flatten_layers() if getattr(one, "stateful", False)]
    states = [state for state in tf.nest.flatten(recurrent) if hasattr(state, "assign")]
    found = {id(state): state for state in (*stack.random_states(layer), *states)}
    return list(found.values())


def _pairs(layer: Any, new: Any, path: str) -> list[tuple[Any, Any]]:
    """The layer and its copy, and all layers inside of them."""
    old_layers, new_layers = (list(one._flatten_layers()) for one in (layer, new))
    kinds = [[type(one) for one in layers] for layers in (old_layers, new_layers)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"Layer {path!r} of type {type(layer).__name__} holds other layers than one made from its configuration: "
            f"{[kind.__name__ for kind in kinds[0]]} against {[kind.__name__ for kind in kinds[1]]}."
        )
    return list(zip(old_layers, new_layers, strict=True))


def _plain_state(layer: Any, new: Any) -> dict[str, Any]:
    """Attributes of a user's layer that hold plain data which differs from its copy's."""
    if type(layer).__module__.startswith(("keras.", "tf_keras.", "dynctr_tf.")):
        return {}
    usual = vars(keras.layers.Layer())
    found = {}
    for name, value in vars(layer).items():
        if name not in usual and not name.startswith("_keras") and _is_plain(value):
            other = vars(new).get(name)
            if type(other) is not type(value) or not np.array_equal(np.asarray(other), np.asarray(value)):
                found[name] = value
    return found


def _is_plain(value: Any) -> bool:
    if type(value) in (tuple, list, dict, set):
        return all(_is_plain(part) for part in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, _PLAIN)


def _saves_assets(layer: Any) -> bool:
    return hasattr(layer, "save_assets") and hasattr(layer, "load_assets")


def model_like(model: Any, inputs: Any, outputs: Any, name: str) -> Any:
    """Returns a functional model of the type of another one, with the attributes that it has beside its layers.

    A subclass with its own training step keeps its type: it is made as `type(model)(inputs, outputs, name=name)`, and
    gets the attributes that were set on the model. A sequential model becomes a functional one.

    Args:
        model: The model.
        inputs: The new inputs.
        outputs: The new outputs.
        name: The new name.

    Raises:
        ValueError: The type has another constructor, or is a subclass of `keras.Sequential`.
    """
    kind = type(model)
    if kind is keras.Sequential or kind.__module__.startswith(("keras.", "tf_keras.")):
        return keras.Model(inputs, outputs, name=name)
    try:
        if isinstance(model, keras.Sequential):
            raise TypeError("a subclass of Sequential takes a list of layers.")
        new = kind(inputs, outputs, name=name)
    except TypeError as error:
        raise ValueError(
            f"Model {model.name!r} is of type {kind.__name__}, which cannot be made as "
            f"{kind.__name__}(inputs, outputs, name=name): {error} Its own methods, such as a train_step, would be "
            "lost. Give the class such a constructor and set further attributes on the model afterwards."
        ) from error
    usual = vars(keras.Model(inputs, outputs))
    for key, value in vars(model).items():
        if key not in usual and not key.startswith("_"):
            setattr(new, key, value)
    return new


def run_graph(model: Any, values: dict[int, Any], call_layer: CallLayer) -> list[Any]:
    """Runs through the graph of a model; a function makes each call.

    Args:
        model: A functional model.
        values: The tensors that replace those of the model, by `id`; at first those of its inputs. New ones are added.
        call_layer: A function of the call, its arguments, its named arguments and `values` that returns the outputs, or
            `None` if another call has to be made first.

    Returns:
        The calls that were never made, because they wait for one another.
    """
    waiting = stack.graph_calls(model)
    while waiting:
        rest = []
        for call in waiting:
            outputs = None
            if all(key in values for key in call.inputs):
                arguments, named = call.fill(values)
                outputs = call_layer(call, arguments, named, values)
            if outputs is None:
                rest.append(call)
            else:
                values.update(zip(call.outputs, tf.nest.flatten(outputs), strict=True))
        if len(rest) == len(waiting):
            return rest
        waiting = rest
    return []


def like_structure(structure: Any, values: dict[int, Any]) -> Any:
    """Returns a structure of old tensors with the new ones in their places.

    Args:
        structure: A tensor, list or dict of tensors, such as `model.input`.
        values: The new tensors by the `id` of the old.
    """
    return tf.nest.map_structure(lambda tensor: values[id(tensor)], structure)


# ------------------------------------------------------------------------------------------------ the check


def check_same_outputs(model: Any, new: Any, changed: list[str], sample: Any = None) -> None:
    """Checks that a copy gives the same outputs as its original, up to rounding.

    Args:
        model: The original.
        new: The copy, of the same inputs.
        changed: The paths of the layers that were replaced, for the message.
        sample: A batch of the model's inputs. Default `None`: one is made, as `batch_for` does.

    Raises:
        ValueError: It gives other outputs, or no batch can be made.
    """
    batch = batch_for(model, sample)
    with _kept_state(model, new):
        expected, found = (tf.nest.flatten(one(batch, training=False)) for one in (model, new))
    rounding = _rounding(model)
    for one, other in zip(expected, found, strict=True):
        difference = _difference(one, other, rounding)
        if difference is not None:
            raise ValueError(
                f"The copy of model {model.name!r} gives other outputs than the model: {difference}. Of its layers "
                f"{changed} were replaced; report this with the model, please."
            )


def check_same_layers(model: Any, made: dict[int, Any], sample: Any = None) -> None:
    """Checks that copied layers give the same outputs as their originals, on the inputs that these get in the model.

    Args:
        model: The original.
        made: The copies by the `id` of the originals; other layers are not checked.
        sample: A batch of the model's inputs. Default `None`: one is made, as `batch_for` does.

    Raises:
        ValueError: A copy gives other outputs; the message names it. Or no batch can be made.
    """
    batch = batch_for(model, sample)
    graph = stack.graph_of(model)
    values = {id(tensor): value for tensor, value in zip(graph.inputs, _in_order(graph, batch), strict=True)}
    with _kept_state(model, *(new for new in made.values() if isinstance(new, keras.layers.Layer))):
        _check_graph(model, values, made, "")


def _check_graph(model: Any, values: dict[int, Any], made: dict[int, Any], prefix: str) -> None:
    def call_layer(call: stack.GraphCall, arguments: Any, keywords: Any, values: dict[int, Any]) -> Any:
        layer, path = call.layer, prefix + call.layer.name
        inner = stack.graph_of(layer)
        if inner is not None:
            given = tf.nest.flatten((arguments, keywords))
            tensors = [part for part in given if part is None or not isinstance(part, bool)]
            inside = {id(tensor): value for tensor, value in zip(inner.inputs, tensors, strict=False)}
            _check_graph(layer, inside, made, f"{path}/")
        outputs = layer(*arguments, **keywords)
        new = made.get(id(layer))
        if new is None or new is layer or inner is not None:
            return outputs
        try:
            found = new(*arguments, **keywords)
        except (tf.errors.OpError, TypeError, ValueError) as error:
            raise ValueError(_otherwise(layer, path, f"it fails with {type(error).__name__}: {error}")) from error
        pairs = zip(tf.nest.flatten(outputs), tf.nest.flatten(found), strict=True)
        for one, other in pairs:
            difference = _difference(one, other, _rounding(layer))
            # A layer that draws random numbers also in serving differs from itself.
            if difference is not None and _is_deterministic(layer, arguments, keywords, outputs):
                raise ValueError(_otherwise(layer, path, difference))
        return outputs

    run_graph(model, values, call_layer)


def _otherwise(layer: Any, path: str, difference: str) -> str:
    return (
        f"Layer {path!r} of type {type(layer).__name__} cannot be copied: made anew from its configuration and weights "
        f"it gives other outputs ({difference}). It keeps state elsewhere; hold it in weights (add_weight), in "
        "get_config, or in a layer without weights."
    )


def _is_deterministic(layer: Any, arguments: Any, keywords: Any, outputs: Any) -> bool:
    again = tf.nest.flatten(layer(*arguments, **keywords))
    pairs = zip(tf.nest.flatten(outputs), again, strict=True)
    return all(_difference(one, other, _rounding(layer)) is None for one, other in pairs)


def _rounding(layer: Any) -> float:
    """The relative difference that outputs may have, for the fewest bits that a layer of the model computes in."""
    layers = layer._flatten_layers() if isinstance(layer, keras.layers.Layer) else ()
    dtypes = [tf.as_dtype(one.compute_dtype) for one in layers if one.compute_dtype]
    return _ROUNDING[min([dtype.size for dtype in dtypes if dtype.is_floating], default=4)]


def _difference(one: Any, other: Any, rounding: float) -> str | None:
    """The difference of two outputs, in words; `None` if it is only rounding."""
    expected, found = (_dense(part) for part in (one, other))
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return f"{expected.dtype} of shape {expected.shape} against {found.dtype} of shape {found.shape}"
    if not np.issubdtype(expected.dtype, np.floating):
        return None if np.array_equal(expected, found) else "other numbers or strings"
    finite = np.isfinite(expected)
    size = float(np.abs(expected[finite]).max()) if finite.any() else 0.0
    allowed = rounding * max(size, 1.0)
    gap = np.abs(expected[finite].astype(np.float64) - found[finite].astype(np.float64))
    if gap.size and not gap.max() <= allowed:
        return f"by {gap.max():.3g}, where the largest number is {size:.3g}"
    return None if np.array_equal(finite, np.isfinite(found)) else "other places are not finite"


def _dense(value: Any) -> np.ndarray:
    if isinstance(value, tf.SparseTensor):
        value = tf.sparse.to_dense(value)
    elif isinstance(value, tf.RaggedTensor):
        value = value.to_tensor()
    tensor = tf.convert_to_tensor(value)
    return np.asarray((tf.cast(tensor, tf.float32) if tensor.dtype == tf.bfloat16 else tensor).numpy())


class _kept_state:
    """Restores after the check the state that layers keep from call to call, such as that of a stateful recurrence."""

    def __init__(self, *layers: Any) -> None:
        weights = {id(weight): weight for layer in layers for weight in (*layer.non_trainable_weights, *_states(layer))}
        # A call never writes to a frozen table, which may be large.
        self.weights = [
            weight for weight in _variables(weights.values()) if np.prod([n or 1 for n in weight.shape]) <= 2**20
        ]

    def __enter__(self) -> None:
        self.values = [weight.numpy() for weight in self.weights]

    def __exit__(self, *error: Any) -> None:
        for weight, value in zip(self.weights, self.values, strict=True):
            weight.assign(value)


def _in_order(graph: Any, batch: Any) -> list[Any]:
    """The tensors of a batch in the order of the graph's inputs."""
    if isinstance(batch, dict) and not isinstance(graph.input, dict):
        return [batch[tensor.name] for tensor in graph.inputs]
    if isinstance(batch, dict):
        places = {id(tensor): batch[name] for name, tensor in graph.input.items()}
        return [places[id(tensor)] for tensor in graph.inputs]
    return [batch] if not isinstance(batch, (list, tuple)) else tf.nest.flatten(batch)


def batch_for(model: Any, sample: Any = None) -> Any:
    """Returns a batch that a functional model accepts: `sample`, or one that is made.

    Floats are drawn around 0. Whole numbers and strings are those that the layers which read them know: ids below the
    number of ids, words of a vocabulary.

    Args:
        model: The model.
        sample: A batch of its inputs. Default `None`.

    Raises:
        ValueError: The model accepts none of the batches that were tried.
    """
    graph = stack.graph_of(model)
    if sample is not None:
        return tf.nest.map_structure(_as_tensor, sample)
    takers = _takers(model)
    failures = []
    for attempt in range(4):
        random = np.random.default_rng(7)
        made = {id(tensor): _drawn(tensor, takers.get(id(tensor), []), attempt, random) for tensor in graph.inputs}
        batch = like_structure(graph.input, made)
        try:
            with _kept_state(model):
                model(batch, training=False)
        except (tf.errors.OpError, TypeError, ValueError) as error:
            failures.append(f"{type(error).__name__}: {str(error).splitlines()[0][:200]}")
        else:
            return batch
    raise ValueError(
        f"The copy of model {model.name!r} is checked on a batch, but the model accepts no batch that was made for its "
        f"inputs {[(tensor.name, tuple(tensor.shape), str(tensor.dtype)) for tensor in graph.inputs]}: "
        f"{failures[0]} Give a batch of your data as sample."
    )


def _as_tensor(value: Any) -> Any:
    return value if tf.is_tensor(value) else tf.convert_to_tensor(value)


def _takers(model: Any) -> dict[int, list[Any]]:
    """The layers that take an input of the model as it is, by the `id` of the input; also in nested models."""
    found: dict[int, list[Any]] = {id(tensor): [] for tensor in stack.graph_of(model).inputs}
    for call in stack.graph_calls(model):
        inner = stack.graph_of(call.layer)
        for place, key in enumerate(call.inputs):
            if key not in found:
                continue
            if inner is None:
                found[key].append(call.layer)
            elif place < len(inner.inputs):
                found[key] += _takers(call.layer)[id(inner.inputs[place])]
            if len(call.outputs) == 1 and not isinstance(call.layer, keras.layers.Layer):
                found.setdefault(call.outputs[0], found[key])  # The result of a slice or cast counts as its source.
    return found


_SIZES = ("num_ids", "input_dim", "num_groups", "num_scenarios", "num_tokens", "num_real")


def _drawn(tensor: Any, takers: list[Any], attempt: int, random: np.random.Generator) -> Any:
    shape = tuple(
        4 if axis == 0 and size is None else 3 if size is None else size for axis, size in enumerate(tensor.shape)
    )
    dtype = tf.as_dtype(tensor.dtype)
    if dtype == tf.string:
        words = sorted({str(word) for taker in takers for word in _vocabulary(taker)} - {""})[:100]
        words = [words or ["a", "b", "c d"], ["1", "2", "0"], ["a", "b", "c d"], ["", "[UNK]"]][attempt]
        value = tf.constant(random.choice(np.array(words, object), shape).tolist())
    elif dtype == tf.bool:
        value = tf.constant(random.random(shape) < 0.7)
    elif dtype.is_integer:
        columns = [taker for taker in takers if getattr(taker, "column", None) is not None]
        sizes = [
            getattr(taker, key)
            for taker in takers
            if taker not in columns
            for key in _SIZES
            if isinstance(getattr(taker, key, None), int)
        ]
        numbers = [int(word) for taker in takers for word in _vocabulary(taker) if str(word).lstrip("-").isdigit()]
        highest = min([*sizes, dtype.max])
        if attempt == 0 and numbers:
            value = tf.constant(random.choice(numbers, shape), dtype)
        else:
            # Scenarios 0 and 1 are missing and unknown, which some models refuse.
            low, high = [(0, min(highest, 1000)), (2, min(highest, 1000)), (0, 2), (2, 3)][attempt]
            drawn = random.integers(low, max(high, low + 1), shape)
            for taker in columns:  # one column of ids holds numbers of groups, counted from the field's first id
                drawn[:, taker.column] = taker.first_id + random.integers(0, taker.num_groups, shape[0])
            value = tf.constant(drawn, dtype)
    else:
        value = tf.cast(random.normal(size=shape) if attempt == 0 else random.random(shape), dtype)
    return stack.in_form_of(tensor, value)


def _vocabulary(layer: Any) -> Iterator[Any]:
    if hasattr(layer, "get_vocabulary") and hasattr(layer, "adapt"):
        yield from layer.get_vocabulary()[:200]
