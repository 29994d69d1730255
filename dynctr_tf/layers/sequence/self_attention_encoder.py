"""Self-attention between the behaviours of a history, or of each session in it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.dense import Dense
from dynctr_tf.layers.sequence.masked_reductions import presence


@stack.serializable
class SelfAttentionEncoder(stack.MaskedLayer):
    """Lets behaviours look at each other by multi-head attention, over the whole history or inside sessions.

    Use it as the encoder of a sequence model. The attention is `keras.layers.MultiHeadAttention`; this layer gives
    it masks, residuals and norms.

    `h = LN(x + MHA(x, x, x))`, `y = LN(h + W_2 relu(W_1 h))`, without the second step if there is no
    feed-forward part; norms in float32.

    Args:
        num_heads: Number of heads. Default 2.
        key_dim: Width of a head. Default `None`: that of the inputs over the number of heads.
        session_length: Behaviours see each other inside blocks of this many. Default `None`: the whole history.
        feed_forward_dim: Width of the feed-forward part; 0 for none. Default `None`: that of the inputs.
        dropout: Share of the attention weights dropped in training. Default 0.0.

    Call arguments:
        inputs: The sequence, float.
        mask: bool, `True` where there is a behaviour; other positions are not seen, and give 0.
            Default `None`: everywhere.
        sessions: int, the session of each behaviour, in place of blocks. Default `None`.
        training: As for dropout. Default `None`: Keras decides.

    Input shape:
        `(batch, t, n)`, mask and sessions `(batch, t)`.

    Output shape:
        `(batch, t, n)`.

    Raises:
        ValueError: Numbers below 1, or inputs of another rank.

    Cost: `4 * n ** 2` parameters, and `2 * n ** 2` of the feed-forward part; t times as many multiply-adds per row,
    and `2 * t ** 2 * n` of the attention.

    Example:

    >>> import tensorflow as tf
    >>> SelfAttentionEncoder(num_heads=2, session_length=3)(tf.ones((2, 5, 4))).shape
    TensorShape([2, 5, 4])

    Reference:
        Vaswani et al., Attention Is All You Need, arXiv 1706.03762, without positions; inside sessions as in Liu et
        al., Kalman Filtering Attention for User Behavior Modeling in CTR Prediction, NeurIPS 2020.
    """

    def __init__(
        self,
        num_heads: int = 2,
        key_dim: int | None = None,
        session_length: int | None = None,
        feed_forward_dim: int | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (
            num_heads < 1
            or (key_dim is not None and key_dim < 1)
            or (session_length is not None and session_length < 1)
        ):
            raise ValueError(
                "num_heads, key_dim and session_length must be at least 1, got "
                f"{num_heads}, {key_dim}, {session_length}."
            )
        self.num_heads = int(num_heads)
        self.key_dim = key_dim
        self.session_length = session_length
        self.feed_forward_dim = feed_forward_dim
        self.dropout = dropout
        self.attention: Any = None
        self._norms: list[Any] = []
        self._feed_forward: list[Any] = []

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape)
        if len(shape) != 3 or shape[-1] is None:
            raise ValueError(f"{self.name} takes a sequence (batch, t, n) with n known, got {shape}.")
        width = shape[-1]
        self.attention = keras.layers.MultiHeadAttention(
            self.num_heads,
            self.key_dim or max(width // self.num_heads, 1),
            dropout=self.dropout,
            # The bias of the keys would be taken away by the softmax.
            use_bias=False,
            dtype=self.dtype_policy,
            name="attention",
        )
        stack.build_attention(self.attention, shape, shape)
        hidden = width if self.feed_forward_dim is None else self.feed_forward_dim
        if hidden:
            self._feed_forward = [
                Dense(hidden, activation="relu", dtype=self.dtype_policy, name="dense_1"),
                Dense(width, dtype=self.dtype_policy, name="dense_2"),
            ]
            self._feed_forward[0].build(shape)
            self._feed_forward[1].build((*shape[:-1], hidden))
        self._norms = [
            keras.layers.LayerNormalization(epsilon=1e-6, dtype=stack.wide_dtype(self), name=f"norm_{index + 1}")
            for index in range(2 if hidden else 1)
        ]
        for norm in self._norms:
            norm.build(shape)
        self.built = True

    def call(
        self,
        inputs: tf.Tensor,
        mask: tf.Tensor | None = None,
        sessions: tf.Tensor | None = None,
        training: bool | None = None,
    ) -> tf.Tensor:
        x = inputs
        shape = tf.shape(x)
        there = presence(x, stack.given_mask(mask))
        x = tf.where(there[:, :, tf.newaxis], x, tf.zeros_like(x))
        seen = tf.broadcast_to(there[:, tf.newaxis, :], [shape[0], shape[1], shape[1]])  # (batch, t, t)
        if sessions is None and self.session_length is not None:
            sessions = (tf.range(shape[1]) // self.session_length)[tf.newaxis, :]
        if sessions is not None:
            seen &= tf.equal(sessions[:, :, tf.newaxis], sessions[:, tf.newaxis, :])
        attended = self.attention(x, x, attention_mask=seen, training=training)
        h = tf.cast(self._norms[0](x + attended), x.dtype)
        if self._feed_forward:
            h = tf.cast(self._norms[1](h + self._feed_forward[1](self._feed_forward[0](h))), x.dtype)
        return tf.where(there[:, :, tf.newaxis], h, tf.zeros_like(h))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "session_length": self.session_length,
            "feed_forward_dim": self.feed_forward_dim,
            "dropout": self.dropout,
        }
