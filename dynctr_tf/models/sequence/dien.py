"""DIEN, with or without DPN's operations."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import AttentionGRU, NextBehaviourLoss, TargetAttention
from dynctr_tf.models.entry import ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, History
from dynctr_tf.models.parts.history import Behaviours
from dynctr_tf.models.search_spaces import HISTORY
from dynctr_tf.models.sequence.behaviour_network import behaviour_network


def dien(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    history: History = History(),
    deep: Deep = Deep((200, 80)),
    attention_units: Sequence[int] = (80, 40),
    auxiliary_weight: float = 1.0,
    gru_kind: str = "augru",
    name: str = "dien",
) -> keras.Model:
    """DIEN: a recurrence extracts interests from the history, and a second one follows them towards the target.

    Use it where the order of behaviours matters and a step-by-step recurrence is affordable.

    `h = GRU(B)`, with an auxiliary loss on what follows; `a = softmax_t(MLP([q; h_t; ...]))`, `v = AUGRU(h, a)`,
    `logit = w^T MLP([x_0; v]) + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        history: The behaviours, and the operations on them. Default `History()`.
        deep: The dense layers. Default `Deep((200, 80))`.
        attention_units: Widths of the attention network. Default `(80, 40)`.
        auxiliary_weight: Factor of the auxiliary loss; 0 for none. Default 1.0.
        gru_kind: `"augru"` or `"agru"`. Default `"augru"`.
        name: The model's name. Default `"dien"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: No sequence that repeats a field, sequences that do not go together, or an unknown option.

    Cost: two recurrences over the history, step by step.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import EncodedSequence, Field
    >>> history = EncodedSequence("items", "user", 5, 1, 9, field="item")
    >>> features = EncodedFeatures((Field("item", "item", 1, 9),), (history,))
    >>> dien(features, embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Zhou et al., Deep Interest Evolution Network for Click-Through Rate Prediction, arXiv 1809.03672; with the
        operations as in Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, table 5,
        joined by our reading: sum and norm in the encoder, concatenation in the decoder.
    """

    def encode(batch: Behaviours) -> Any:
        # Padding is at the end, so it changes no state before it; later layers mask it.
        recurrence = keras.layers.GRU(batch.behaviours.shape[-1], return_sequences=True, name="interest_gru")
        states = recurrence(batch.behaviours)
        if not auxiliary_weight:
            return states
        return NextBehaviourLoss(auxiliary_weight, name="auxiliary")([states, batch.behaviours], mask=batch.mask)

    def decode(batch: Behaviours, encoded: Any) -> Any:
        weigh = TargetAttention(attention_units, softmax=True, return_weights=True, name="target_attention")
        weights = weigh([batch.query, encoded], mask=batch.mask)
        return AttentionGRU(kind=gru_kind, name="evolution")([encoded, weights], mask=batch.mask)

    return behaviour_network(features, encode, decode, embedding=embedding, history=history, deep=deep, name=name)


ENTRIES = (
    ModelEntry(
        "dien",
        dien,
        title="Deep Interest Evolution Network for Click-Through Rate Prediction",
        paper="arXiv 1809.03672",
        equation="interest extractor and interest evolving layers",
        search_space=HISTORY,
    ),
    ModelEntry(
        "dien_heter",
        dien,
        title="Dynamic Parameterized Network for CTR Prediction",
        paper="arXiv 2111.04983",
        equation="8, with DIEN",
        fixed=MappingProxyType({"history.homogeneous": False, "history.heterogeneous": True}),
        search_space=HISTORY,
    ),
)
