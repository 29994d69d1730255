"""The graph of a functional model: its calls, one after the other, and what a copy of it needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf.stack.versions import KERAS_3


@dataclasses.dataclass(frozen=True)
class GraphCall:
    """One call of a layer in the graph of a functional model.

    Args:
        layer: The layer; on Keras 3 possibly an operation without weights.
        inputs: `id` of each symbolic tensor that the call needs.
        outputs: `id` of each symbolic tensor that it gives.
        fill: Makes positional and named arguments of the call out of a dict from `id` to tensor.
    """

    layer: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    fill: Callable[[dict[int, Any]], tuple[tuple[Any, ...], dict[str, Any]]]


def graph_of(model: Any) -> Any:
    """Returns the functional model that holds the graph of a model or layer, `None` where there is no such graph."""
    if KERAS_3:
        if isinstance(model, keras.Sequential):
            return getattr(model, "_functional", None)
        return model if isinstance(model, keras.Model) and hasattr(model, "_nodes_by_depth") else None
    return model if isinstance(model, keras.Model) and getattr(model, "_is_graph_network", False) else None


def graph_calls(model: Any) -> list[GraphCall]:
    """Returns the calls of layers in a functional model, deepest first, without those of its inputs."""
    graph = graph_of(model)
    depths = sorted(graph._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in graph._nodes_by_depth[depth] if not node.is_input]
    if KERAS_3:
        return [
            GraphCall(
                node.operation,
                tuple(id(tensor) for tensor in node.input_tensors),
                tuple(id(tensor) for tensor in node.outputs),
                node.arguments.fill_in,
            )
            for node in nodes
        ]

    def filler(node: Any) -> Callable[[dict[int, Any]], tuple[tuple[Any, ...], dict[str, Any]]]:
        # Keras 2 takes a tensor off a list each time that it is used.
        uses = len(node.flat_input_ids)
        return lambda values: node.map_arguments({str(key): [value] * uses for key, value in values.items()})

    return [
        GraphCall(
            node.layer,
            tuple(int(key) for key in node.flat_input_ids),
            tuple(int(key) for key in node.flat_output_ids),
            filler(node),
        )
        for node in nodes
    ]


def in_form_of(tensor: Any, value: tf.Tensor) -> Any:
    """Returns a dense tensor as an input takes it, which may be sparse or ragged."""
    spec = None if KERAS_3 else tensor.type_spec
    if getattr(tensor, "sparse", False) or isinstance(spec, tf.SparseTensorSpec):
        return tf.sparse.from_dense(value)
    if getattr(tensor, "ragged", False) or isinstance(spec, tf.RaggedTensorSpec):
        return tf.RaggedTensor.from_tensor(value)
    return value


def copy_trainable_of_weights(layer: Any, other: Any) -> None:
    """Makes the weights of a layer trainable that are so in another one like it; only Keras 3 can change them."""
    if KERAS_3:
        for old, new in zip(layer.weights, other.weights, strict=False):
            if old.trainable != new.trainable:
                new.trainable = old.trainable
