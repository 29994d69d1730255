"""Base classes of layers, the dtypes that they compute in, and the weights that they add."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.stack.serializable import serializable
from dynctr_tf.stack.variables import uncast_weight_options
from dynctr_tf.stack.versions import KERAS_3


class FloatInputs:
    """Lets the inputs of a layer, and its policy, be of any dtype; it comes first among the bases of the layer.

    The call arguments named in `float_arguments` are cast to the compute dtype, integers and booleans too, as
    `keras.layers.Dense` does: Keras 3 casts those that are floating, Keras 2 the first of them alone. A kernel that
    is cast to the dtype of integer inputs would be zeros. Ids and masks are other arguments and are not cast.

    Weights start with numbers drawn in float32 if their own dtype is narrower, because TensorFlow lacks some operations
    of initializers in narrower dtypes.
    """

    float_arguments: tuple[str, ...] = ("inputs", "condition")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "call" in vars(cls):
            cls.call = _with_float_arguments(vars(cls)["call"])  # type: ignore[attr-defined]

    def add_weight(self, *args: Any, initializer: Any = None, dtype: Any = None, **kwargs: Any) -> Any:
        """Adds a weight: what Keras calls."""
        stored = tf.as_dtype(dtype or self.variable_dtype)  # type: ignore[attr-defined]
        if stored != tf.float32 and initializer is not None:
            initializer = _drawn_in_float32(keras.initializers.get(initializer), stored)
        return super().add_weight(*args, initializer=initializer, dtype=dtype, **kwargs)  # type: ignore[misc]


def _with_float_arguments(call: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(call)
    names = list(signature.parameters)[1:]

    @functools.wraps(call)
    def call_with_floats(self: Any, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = _float_arguments(self, names, args, kwargs)
        return call(self, *args, **kwargs)

    call_with_floats.__signature__ = signature  # type: ignore[attr-defined]  # which Keras 2 reads
    return call_with_floats


@tf.autograph.experimental.do_not_convert
def _float_arguments(
    layer: Any, names: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    cast = layer.float_arguments
    given = tuple(as_floats(layer, value) if name in cast else value for name, value in zip(names, args, strict=False))
    named = {name: as_floats(layer, value) if name in cast else value for name, value in kwargs.items()}
    return (*given, *args[len(names) :]), named


def as_floats(layer: Any, value: Any) -> Any:
    """Returns a tensor, or those of a list, in the compute dtype of a layer.

    Args:
        layer: The layer; the message names it.
        value: The tensor, of numbers or booleans, or a list of them; anything else is returned as it is.

    Raises:
        ValueError: The tensor holds strings.
    """
    if isinstance(value, (list, tuple)):
        return [as_floats(layer, part) for part in value]
    if not tf.is_tensor(value) and not isinstance(value, (np.ndarray, np.generic)):
        return value
    wanted, found = tf.as_dtype(layer.compute_dtype), tf.as_dtype(value.dtype)
    if found == tf.string:
        raise ValueError(f"{layer.name} takes numbers, got strings; dynctr_tf.encoding makes ids of raw values.")
    return value if found == wanted else tf.cast(value, wanted)


def _drawn_in_float32(initializer: Any, stored: tf.DType) -> Any:
    def start(shape: Any, dtype: Any = None, **options: Any) -> tf.Tensor:
        drawn = initializer(shape, dtype=tf.float32.name if stored.size < 4 else stored.name, **options)
        return tf.cast(tf.convert_to_tensor(drawn), stored)

    return start


def wide_dtype(layer: Any) -> str:
    """Returns the dtype in which a layer takes softmax, norms, losses and logits: float32, and float64 in float64."""
    return "float64" if tf.as_dtype(layer.compute_dtype) == tf.float64 else "float32"


def widened(x: Any) -> tf.Tensor:
    """Returns a tensor, or the value of a weight, in float32 at least."""
    tensor = tf.convert_to_tensor(x)
    return tensor if tensor.dtype in (tf.float32, tf.float64) else tf.cast(tensor, tf.float32)


class Layer(FloatInputs, keras.layers.Layer):  # type: ignore[misc]
    """A layer of this library; see `FloatInputs`."""


class MaskedLayer(Layer):
    """A layer whose caller says which positions hold a value, by the call argument `mask`.

    Keras would otherwise warn of the masks that it keeps beside tensors, or pass them on to layers whose inputs have
    another shape.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Returns no mask for what follows: what Keras calls."""
        return


def given_mask(mask: Any) -> tf.Tensor | None:
    """Returns the mask that a caller gave, as bool; `None` where there is none.

    If the caller gives no mask, Keras 3 gives a layer that takes a list a list of the masks of its inputs.
    """
    return None if mask is None or isinstance(mask, (list, tuple)) else tf.cast(mask, tf.bool)


class ConditionedLayer(MaskedLayer):
    """A layer that is called as `layer(inputs, condition)` and whose weights need the shapes of both.

    Keras 3 hands both shapes to `build`, Keras 2 the first alone, also when a saved layer is built again. A subclass
    overrides `build_weights`, which gets both shapes on either stack.
    """

    condition_argument: str = "condition"
    """How a subclass calls the second argument of `call`."""

    _condition_shape: tuple[int | None, ...] | None = None

    def build_weights(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        """Makes the weights; `condition_shape` is `None` where the layer is called without a condition."""
        raise NotImplementedError

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        """Makes the weights: what Keras calls."""
        if condition_shape is None:
            condition_shape = self._condition_shape
        else:
            self._condition_shape = tuple(condition_shape)
        self._inputs_shape = tuple(inputs_shape)
        self.build_weights(self._inputs_shape, None if condition_shape is None else tuple(condition_shape))
        self.built = True

    if not KERAS_3:

        def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            condition = args[0] if args else kwargs.pop(self.condition_argument, None)
            if condition is None and len(args) < 2:
                return super().__call__(inputs, **kwargs)
            if isinstance(condition, np.ndarray):
                condition = tf.convert_to_tensor(condition)  # as Keras 2 does with the first argument alone
            if condition is not None and not self.built:
                self._condition_shape = tuple(condition.shape)
            return super().__call__(inputs, condition, *args[1:], **kwargs)

        def get_build_config(self) -> dict[str, Any] | None:
            """Returns what `build_from_config` builds the layer from."""
            if not self.built:
                return None
            shapes = (self._inputs_shape, self._condition_shape)
            return {"shapes": [None if shape is None else list(shape) for shape in shapes]}

        def build_from_config(self, config: dict[str, Any]) -> None:
            """Builds a saved layer before its weights are loaded."""
            if config:
                self.build(*config["shapes"])


class ScenarioLayer(ConditionedLayer):
    """A layer that is called as `layer(inputs, scenario)`, with the index of each row's scenario, an integer."""

    float_arguments = ("inputs",)
    condition_argument = "scenario"

    def build(self, inputs_shape: Any, scenario_shape: Any = None) -> None:
        """Makes the weights: what Keras calls."""
        super().build(inputs_shape, scenario_shape)


def build_attention(
    attention: Any,
    query_shape: tuple[Any, ...],
    value_shape: tuple[Any, ...],
    key_shape: tuple[Any, ...] | None = None,
) -> None:
    """Makes the weights of a `keras.layers.MultiHeadAttention` inside the `build` of another layer.

    Keras 2 makes them in the first call and has no way to ask for it earlier.
    """
    if KERAS_3:
        attention.build(query_shape, value_shape, key_shape)


@serializable
class Sum(keras.layers.Add):  # type: ignore[misc]
    """The sum of inputs of one shape; Keras 3's own `Add` takes the second for a bias where the batch is empty."""

    def _merge_function(self, inputs: list[Any]) -> tf.Tensor:
        return tf.add_n(inputs)


def add_moving_average(layer: Any, name: str, shape: tuple[int, ...], initializer: Any) -> Any:
    """Adds a weight that a layer moves itself in training, such as the mean of a normalisation; replicas average it."""
    options: dict[str, Any] = {"aggregation": "mean", "dtype": wide_dtype(layer)}
    if not KERAS_3:
        options |= {
            "aggregation": tf.VariableAggregation.MEAN,
            "synchronization": tf.VariableSynchronization.ON_READ,
        }
    return layer.add_weight(
        name=name, shape=shape, initializer=initializer, trainable=False, **options, **uncast_weight_options()
    )
