"""Copies of functional models in which single calls of layers are made differently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack

CallLayer = Callable[[stack.GraphCall, "tuple[Any, ...]", "dict[str, Any]", "dict[int, Any]"], Any]


def check_is_graph(model: Any) -> None:
    """Checks that a model has a graph of layers.

    Args:
        model: The model.

    Raises:
        ValueError: It is no functional model, or a sequential one that has not been built.
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


def copy_layer(layer: Any, path: str) -> Any:
    """Returns a layer made anew from its configuration, without its weights.

    Args:
        layer: The layer, or an operation of Keras 3, which has no state and is returned as it is.
        path: Its path, for the message.

    Raises:
        ValueError: Its configuration does not make a layer.
    """
    if not isinstance(layer, keras.layers.Layer):
        return layer
    try:
        return type(layer).from_config(layer.get_config())
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            f"Layer {path!r} of type {type(layer).__name__} cannot be copied from its configuration: {error} "
            "Give it a get_config that returns every argument of its constructor."
        ) from error


def run_graph(model: Any, values: dict[int, Any], call_layer: CallLayer) -> list[Any]:
    """Runs through the graph of a model, each call being made by a function.

    Args:
        model: A functional model.
        values: The tensors that stand for those of the model, by `id`; at first for its inputs. It is filled.
        call_layer: Is given the call, its arguments, its named arguments and `values`; returns the outputs, or `None`
            where something else has to be computed first.

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
