"""Batch normalisation whose served statistics are right from the first steps on."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack


@stack.serializable
class BatchNormalization(stack.Layer):
    """Batch normalisation whose moving statistics are right after a few steps.

    Use it in place of `keras.layers.BatchNormalization`, whose moving mean and variance start at 0 and 1 and keep
    13 % of that after 200 steps: a model that has trained for some hundred steps is served with other numbers than
    those that it trained with.

    `y = gamma (x - mu) / sqrt(var + epsilon) + beta`, in training with mean and (biased) variance of the batch over all
    axes but the last, else with moving averages of them. At first these are plain means over the batches met so far,
    until `momentum` keeps less than plain means would: after k batches an average keeps min(momentum, k / (k + 1)) of
    itself.

    Args:
        momentum: What the moving averages keep at each step, at most. Default 0.99.
        epsilon: Added to the variance. Default 0.001.
        center: Whether there is a shift beta. Default `True`.
        scale: Whether there is a scale gamma. Default `True`.

    Call arguments:
        inputs: x, float.
        training: Whether the statistics are those of the batch. Default `None`: they are not. A layer whose
            `trainable` is `False` always uses the moving ones, as in Keras.

    Input shape:
        `(batch, ..., n)` with n known.

    Output shape:
        That of the input, in the compute dtype.

    Raises:
        ValueError: A momentum outside [0, 1), an epsilon that is not positive, or a last axis of unknown size.

    Cost: `2 * n` trained parameters, as many moving averages and a count; about 8 operations per element, in float32
    under any mixed policy.

    Example:

    >>> import tensorflow as tf
    >>> layer = BatchNormalization()
    >>> x = tf.constant([[1.0], [3.0]])
    >>> layer(x, training=True).numpy().round(2).tolist(), layer(x).numpy().round(2).tolist()
    ([[-1.0], [1.0]], [[-1.0], [1.0]])

    Reference:
        Ioffe and Szegedy, ICML 2015, arXiv 1502.03167, algorithms 1 and 2. How the averages start is our choice.
    """

    def __init__(
        self,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        center: bool = True,
        scale: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= momentum < 1 or not epsilon > 0:
            raise ValueError(
                f"momentum must lie in [0, 1) and epsilon be above 0, got momentum={momentum}, epsilon={epsilon}."
            )
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape)
        if len(shape) < 2 or shape[-1] is None:
            raise ValueError(f"{self.name} takes shape (batch, ..., n) with n known, got {shape}.")
        width = (int(shape[-1]),)
        options = stack.uncast_weight_options()
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(name="gamma", shape=width, initializer="ones", trainable=True, **options)
        if self.center:
            self.beta = self.add_weight(name="beta", shape=width, initializer="zeros", trainable=True, **options)
        self.moving_mean = stack.add_moving_average(self, "moving_mean", width, "zeros")
        self.moving_variance = stack.add_moving_average(self, "moving_variance", width, "ones")
        # How many batches have moved the averages.
        self.moving_count = stack.add_moving_average(self, "moving_count", (), "zeros")
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        exact = tf.as_dtype(stack.wide_dtype(self))
        x = tf.cast(inputs, exact)
        moving = (self.moving_mean, self.moving_variance)
        mean, variance = (tf.cast(tf.convert_to_tensor(average), exact) for average in moving)
        if training and self.trainable:
            found = tf.nn.moments(x, axes=list(range(x.shape.rank - 1)))
            met = tf.cast(tf.convert_to_tensor(self.moving_count), exact)
            keep = tf.minimum(tf.constant(self.momentum, exact), met / (met + 1.0))
            for average, before, now in zip(moving, (mean, variance), found, strict=True):
                moved = keep * before + (1.0 - keep) * tf.stop_gradient(now)
                average.assign(tf.cast(moved, average.dtype))
            self.moving_count.assign(tf.cast(met + 1.0, self.moving_count.dtype))
            mean, variance = found
        factor = tf.math.rsqrt(variance + self.epsilon)  # (n,)
        if self.gamma is not None:
            factor *= tf.cast(tf.convert_to_tensor(self.gamma), exact)
        shift = -mean * factor
        if self.beta is not None:
            shift += tf.cast(tf.convert_to_tensor(self.beta), exact)
        return tf.cast(x * factor + shift, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
        }
