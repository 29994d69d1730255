"""GateNet's gate on embeddings."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.interaction.field_map import field_map_sizes
from dynctr_tf.nearest import unknown_name_message

_GRANULARITIES = ("field", "element")


@stack.serializable
class EmbeddingGate(stack.Layer):
    """Lets each embedding weigh itself before the fields meet.

    Use it between the embeddings and the rest of any model. With W = 0 and a `gate_scale` of 2 it is the identity.

    `g_f = gate_scale * sigmoid(W_f e_f)`, `v_f = g_f * e_f`: one gate per field, or one for each number of it.

    Args:
        granularity: `"field"` (the paper's vector-wise), one gate per field; `"element"` (bit-wise), one per number.
            Default `"field"`.
        shared: Whether all fields have the same W (the paper's field sharing). Default `False`.
        gate_scale: Upper end of a gate. Default 1.0.
        kernel_initializer: Start of W, a Keras initializer. Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of W. Default `None`.

    Call arguments:
        inputs: A field map.

    Input shape:
        `(batch, fields, dim)`.

    Output shape:
        `(batch, fields, dim)`.

    Raises:
        ValueError: An unknown granularity, another rank or unknown sizes.

    Cost: `fields * dim` parameters and multiply-adds per row, `dim` times as many bit by bit; shared, one field's
    parameters.

    Example:

    >>> import tensorflow as tf
    >>> EmbeddingGate(gate_scale=2.0, kernel_initializer="zeros")(tf.constant([[[3.0], [4.0]]])).numpy().tolist()
    [[[3.0], [4.0]]]

    Reference:
        Huang et al., GateNet: Gating-Enhanced Deep Network for Click-Through Rate Prediction, arXiv 2007.03519,
        equations 3 to 5.
    """

    def __init__(
        self,
        granularity: str = "field",
        shared: bool = False,
        gate_scale: float = 1.0,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if granularity not in _GRANULARITIES:
            raise ValueError(unknown_name_message("granularity", str(granularity), _GRANULARITIES))
        self.granularity = granularity
        self.shared = shared
        self.gate_scale = gate_scale
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build(self, input_shape: Any) -> None:
        fields, dim = field_map_sizes(self.name, input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(1 if self.shared else fields, dim, 1 if self.granularity == "field" else dim),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            trainable=True,
        )
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        kernel = tf.cast(self.kernel, inputs.dtype)
        if self.granularity == "field":
            logits = tf.reduce_sum(inputs * kernel[:, :, 0], axis=-1, keepdims=True)  # (batch, fields, 1)
        elif self.shared:
            logits = tf.tensordot(inputs, kernel[0], axes=1)
        else:
            logits = tf.transpose(tf.matmul(tf.transpose(inputs, [1, 0, 2]), kernel), [1, 0, 2])
        return inputs * tf.cast(self.gate_scale * tf.sigmoid(stack.widened(logits)), inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "granularity": self.granularity,
            "shared": self.shared,
            "gate_scale": self.gate_scale,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
