"""A sequence pooled into the vector that generates parameters for it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.sequence.masked_reductions import masked_mean
from dynctr_tf.nearest import unknown_name_message

_KINDS = ("none", "convolution", "separable")


@stack.serializable
class SequenceContext(stack.MaskedLayer):
    """Averages a sequence, or its local convolution, over time.

    Use it to condition a dynamic layer on a user's history: globally aware as it is, locally aware with a
    convolution before the average.

    `z = mean over the present positions of x_t`, or of `activation(Conv1D(x))_t`.

    Args:
        kind: `"none"`; `"convolution"`, a static one; or `"separable"`, depthwise then pointwise.
            Default `"none"`.
        kernel_size: Odd number of taps of that convolution. Default 3.
        activation: Its Keras activation. Default `"relu"`.

    Call arguments:
        inputs: The sequence, float.
        mask: bool, `True` where there is a value. Default `None`: everywhere.

    Input shape:
        `(batch, t, n)`, mask `(batch, t)`.

    Output shape:
        `(batch, n)`; 0 where a sequence is empty.

    Raises:
        ValueError: An unknown kind, an even number of taps, or inputs of another rank.

    Cost: `t * n` additions per row; with a convolution of k taps `k * n ** 2` parameters and t times as many
    multiply-adds, separable `(k + n) * n`.

    Example:

    >>> import tensorflow as tf
    >>> SequenceContext()(tf.constant([[[1.0], [3.0], [0.0]]]), mask=tf.constant([[True, True, False]])).numpy()
    array([[2.]], dtype=float32)

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, equation 7 and the text on
        locality. Equation 7 has the sum, the introduction the average, which we take: a sum would grow with
        the length of the history.
    """

    def __init__(self, kind: str = "none", kernel_size: int = 3, activation: Any = "relu", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if kind not in _KINDS:
            raise ValueError(unknown_name_message("kind of context", str(kind), _KINDS))
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, so that a position has a middle tap; got {kernel_size}.")
        self.kind = kind
        self.kernel_size = int(kernel_size)
        self.activation = keras.activations.get(activation)
        self._convolution: Any = None

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape)
        if len(shape) != 3 or shape[-1] is None:
            raise ValueError(f"{self.name} takes a sequence (batch, t, n) with n known, got {shape}.")
        if self.kind != "none":
            convolution = keras.layers.Conv1D if self.kind == "convolution" else keras.layers.SeparableConv1D
            self._convolution = convolution(
                shape[-1],
                self.kernel_size,
                padding="same",
                activation=self.activation,
                dtype=self.dtype_policy,
                name="convolution",
            )
            self._convolution.build(shape)
        self.built = True

    def call(self, inputs: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        x, mask = inputs, stack.given_mask(mask)
        if self._convolution is not None:
            if mask is not None:
                x = tf.where(mask[:, :, tf.newaxis], x, tf.zeros_like(x))
            x = self._convolution(x)
        return masked_mean(x, mask)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (input_shape[0], input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kind": self.kind,
            "kernel_size": self.kernel_size,
            "activation": keras.activations.serialize(self.activation),
        }
