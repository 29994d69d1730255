"""Inputs of functional models, by the key of the batch that they take."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf.stack.serializable import serializable
from dynctr_tf.stack.versions import KERAS_3


@serializable
class KeyedInput(keras.layers.InputLayer):  # type: ignore[misc]
    """The input of a model under a key that is not the layer's name; `keyed_input` makes one.

    Keras 3 wants a tensor to have the name of its key, but no two layers may share a name.
    """

    def __init__(self, key: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.key = key
        # `Model.export` makes the tensor's name that of an argument, which may not be just anything.
        if KERAS_3 and key.isascii() and key.isidentifier():
            self.output.name = key

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "key": self.key}


def keyed_input(key: str, shape: tuple[int | None, ...], *, name: str, dtype: str = "int32") -> Any:
    """Returns a `keras.Input` for any key of a dict of inputs; `name` is the layer's, which no other may have."""
    if KERAS_3 and key != name:
        return KeyedInput(key, shape=shape, dtype=dtype, name=name).output
    return keras.Input(shape, dtype=dtype, name=name)


def input_is_used(model: Any, key: str) -> bool:
    """Whether a model uses an input: a layer of a functional model takes it; a model of another kind has it."""
    inputs = model.input if isinstance(getattr(model, "input", None), dict) else {}
    if key not in inputs:
        return False
    history = getattr(inputs[key], "_keras_history", None)
    return history is None or bool(history[0]._outbound_nodes)


def copied_input(tensor: Any) -> Any:
    """Returns a new input like one of a functional model."""
    layer = tensor._keras_history[0] if KERAS_3 else None
    if isinstance(layer, keras.layers.InputLayer):
        return type(layer).from_config(layer.get_config()).output
    if not isinstance(getattr(tensor, "type_spec", tf.TensorSpec(())), tf.TensorSpec):
        return keras.Input(type_spec=tensor.type_spec, name=tensor.name)  # sparse or ragged
    dtype = tf.as_dtype(tensor.dtype).name
    return keras.Input(tuple(tensor.shape[1:]), batch_size=tensor.shape[0], dtype=dtype, name=tensor.name)
