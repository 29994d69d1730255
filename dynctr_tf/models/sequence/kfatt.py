"""KFAtt, with or without DPN's operations."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, History
from dynctr_tf.models.parts.history import Behaviours
from dynctr_tf.models.search_spaces import HISTORY
from dynctr_tf.models.sequence.behaviour_network import (
    SELF_ATTENTION_EMBEDDING,
    behaviour_network,
    kalman_attention,
    self_attention,
)


def kfatt(
    features: EncodedFeatures,
    *,
    embedding: Embedding = SELF_ATTENTION_EMBEDDING,
    history: History = History(),
    deep: Deep = Deep((200, 80)),
    kind: str = "freq",
    key: str | None = None,
    num_heads: int = 2,
    session_length: int | None = None,
    name: str = "kfatt",
) -> keras.Model:
    """KFAtt: self-attention inside sessions, then attention with a prior of the query and a cap on repeated keys.

    Use it for search, where a query has a key, such as its category, that behaviours share.

    `H = MSA(B)`, `v = KFAtt(q, K, H)`, `logit = w^T MLP([x_0; v]) + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding(initial_scale=0.2)`, see `SELF_ATTENTION_EMBEDDING`.
        history: The behaviours, and the operations on them. Default `History()`.
        deep: The dense layers. Default `Deep((200, 80))`.
        kind: `"base"` or `"freq"`. Default `"freq"`.
        key: The sequence that holds the keys, such as the category. Default `None`: the last of them.
        num_heads: Heads of both attentions. Default 2.
        session_length: Behaviours see each other inside blocks of this many. Default `None`: the whole history.
        name: The model's name. Default `"kfatt"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: No sequence that repeats a field, sequences that do not go together, or an unknown option.

    Cost: quadratic in the length of a history.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import EncodedSequence, Field
    >>> history = EncodedSequence("items", "user", 5, 1, 9, field="item")
    >>> features = EncodedFeatures((Field("item", "item", 1, 9),), (history,))
    >>> kfatt(features, embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Liu et al., Kalman Filtering Attention for User Behavior Modeling in CTR Prediction, NeurIPS 2020; with the
        operations as in Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, table 5,
        joined by our reading: sum and norm in the encoder, concatenation in the decoder.
    """

    def encode(batch: Behaviours) -> Any:
        return self_attention(batch, num_heads, session_length)

    def decode(batch: Behaviours, encoded: Any) -> Any:
        return kalman_attention(batch, encoded, num_heads, kind, key)

    return behaviour_network(features, encode, decode, embedding=embedding, history=history, deep=deep, name=name)


ENTRIES = (
    ModelEntry(
        "kfatt",
        kfatt,
        title="Kalman Filtering Attention for User Behavior Modeling in CTR Prediction",
        paper="NeurIPS 2020",
        equation="KFAtt-base, KFAtt-freq",
        search_space=MappingProxyType({**HISTORY, "kind": Choice(("base", "freq"))}),
    ),
)
