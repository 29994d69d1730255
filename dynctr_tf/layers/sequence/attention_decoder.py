"""A history read by a query with multi-head attention."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.sequence.masked_reductions import presence


@stack.serializable
class AttentionDecoder(stack.MaskedLayer):
    """Sums the behaviours of a history by their attention to a query.

    Use it as the decoder of a sequence model. The attention is `keras.layers.MultiHeadAttention` with the query as
    its one position; this layer gives it masks, an answer for empty histories, and plain vectors.

    `y = MHA(q, K, V) W_o`, K the keys and V the behaviours.

    Args:
        num_heads: Number of heads. Default 2.
        key_dim: Width of a head. Default `None`: that of the behaviours over the number of heads.
        units: Width of the output. Default `None`: that of the behaviours.
        dropout: Share of the attention weights dropped in training. Default 0.0.

    Call arguments:
        inputs: `[query, behaviours]`, or `[query, behaviours, keys]`, float; keys default to the behaviours.
        mask: bool, `True` where there is a behaviour. Default `None`: everywhere.
        training: As for dropout. Default `None`: Keras decides.

    Input shape:
        `[(batch, m), (batch, t, n), (batch, t, p)]`, mask `(batch, t)`.

    Output shape:
        `(batch, units)`; 0 for an empty history.

    Raises:
        ValueError: Numbers below 1, or tensors of other ranks.

    Cost: with all widths n, `4 * n ** 2` parameters and about `2 * t * n * (n + 1)` multiply-adds per row.

    Example:

    >>> import tensorflow as tf
    >>> AttentionDecoder(num_heads=2)([tf.ones((2, 3)), tf.ones((2, 5, 4))]).shape
    TensorShape([2, 4])

    Reference:
        Vaswani et al., Attention Is All You Need, arXiv 1706.03762, equation 1 and section 3.2.2.
    """

    def __init__(
        self,
        num_heads: int = 2,
        key_dim: int | None = None,
        units: int | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if num_heads < 1 or (key_dim is not None and key_dim < 1) or (units is not None and units < 1):
            raise ValueError(f"num_heads, key_dim and units must be at least 1, got {num_heads}, {key_dim}, {units}.")
        self.num_heads = int(num_heads)
        self.key_dim = key_dim
        self.units = units
        self.dropout = dropout
        self.attention: Any = None

    def build(self, input_shape: Any) -> None:
        shapes = [
            tuple(shape) if isinstance(shape, (list, tuple, tf.TensorShape)) else (shape,) for shape in input_shape
        ]
        if [len(shape) for shape in shapes] not in ([2, 3], [2, 3, 3]) or None in [shape[-1] for shape in shapes]:
            raise ValueError(
                f"{self.name} takes [query (batch, m), behaviours (batch, t, n)] and perhaps keys (batch, t, p), of "
                f"known widths; got {shapes}."
            )
        width = shapes[1][-1]
        self.attention = keras.layers.MultiHeadAttention(
            self.num_heads,
            self.key_dim or max(width // self.num_heads, 1),
            output_shape=self.units or width,
            dropout=self.dropout,
            # The bias of the keys would be taken away by the softmax.
            use_bias=False,
            dtype=self.dtype_policy,
            name="attention",
        )
        query, keys = (shapes[0][0], 1, shapes[0][1]), shapes[-1]
        stack.build_attention(self.attention, query, shapes[1], keys)
        self.built = True

    def call(self, inputs: Any, mask: tf.Tensor | None = None, training: bool | None = None) -> tf.Tensor:
        query, behaviours, *rest = inputs
        keys = rest[0] if rest else behaviours
        there = presence(behaviours, stack.given_mask(mask))
        values, keys = (tf.where(there[:, :, tf.newaxis], x, tf.zeros_like(x)) for x in (behaviours, keys))
        y = self.attention(
            query[:, tf.newaxis, :], values, key=keys, attention_mask=there[:, tf.newaxis, :], training=training
        )[:, 0]  # (batch, units)
        return tf.where(tf.reduce_any(there, axis=1, keepdims=True), y, tf.zeros_like(y))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        query, behaviours = (tuple(shape) for shape in list(input_shape)[:2])
        return (query[0], self.units or behaviours[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "units": self.units,
            "dropout": self.dropout,
        }
