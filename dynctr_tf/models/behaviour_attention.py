"""The attentions that several models of behaviours read a history with: inside sessions, then by the query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dynctr_tf.layers import KalmanFilteringAttention, SelfAttentionEncoder
from dynctr_tf.models.behaviour_network import Behaviours


def self_attention(num_heads: int, session_length: int | None) -> Callable[[Behaviours], Any]:
    """Returns an encoder: self-attention between the behaviours, the layer `"encoder"`.

    Args:
        num_heads: Number of heads.
        session_length: Behaviours see each other inside blocks of this many; `None` for the whole history.
    """

    def encode(batch: Behaviours) -> Any:
        layer = SelfAttentionEncoder(num_heads, session_length=session_length, name="encoder")
        return layer(batch.behaviours, mask=batch.mask)

    return encode


def kalman_attention(num_heads: int, mode: str, key: str | None) -> Callable[[Behaviours, Any], Any]:
    """Returns a decoder: KFAtt of the query to the encoded behaviours, the layer `"decoder"`.

    Args:
        num_heads: Number of heads.
        mode: `"base"` or `"freq"`.
        key: The sequence that holds the keys; `None` for the last of them.
    """

    def decode(batch: Behaviours, encoded: Any) -> Any:
        query, keys, key_ids = batch.keyed(key)
        layer = KalmanFilteringAttention(num_heads=num_heads, mode=mode, name="decoder")
        ids = {"key_ids": key_ids} if mode == "freq" else {}
        return layer([query, encoded, keys], mask=batch.mask, **ids)

    return decode
