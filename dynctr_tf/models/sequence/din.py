"""DIN, with or without DPN's operations."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import TargetAttention
from dynctr_tf.models.entry import ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, History
from dynctr_tf.models.parts.history import Behaviours
from dynctr_tf.models.search_spaces import HISTORY
from dynctr_tf.models.sequence.behaviour_network import behaviour_network


def din(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    history: History = History(),
    deep: Deep = Deep((200, 80)),
    attention_units: Sequence[int] = (80, 40),
    softmax: bool = False,
    name: str = "din",
) -> keras.Model:
    """DIN: the history, with each behaviour weighed by its relevance to the target.

    Use it as the standard model for histories; `History(heterogeneous=True)` adds DPN's query-behaviour operation.

    `v = sum_t a(q, b_t) b_t`, `logit = w^T MLP([x_0; v]) + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        history: The behaviours, and the operations on them. Default `History()`.
        deep: The dense layers. Default `Deep((200, 80))`.
        attention_units: Widths of the activation unit. Default `(80, 40)`.
        softmax: Whether its weights sum to 1. Default `False`.
        name: The model's name. Default `"din"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: No sequence that repeats a field, sequences that do not go together, or an unknown option.

    Cost: a network of `4 * dim` inputs per behaviour.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import EncodedSequence, Field
    >>> history = EncodedSequence("items", "user", 5, 1, 9, field="item")
    >>> features = EncodedFeatures((Field("item", "item", 1, 9),), (history,))
    >>> din(features, embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Zhou et al., Deep Interest Network for Click-Through Rate Prediction, arXiv 1706.06978; with the operations as
        in Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, table 5, joined by our
        reading: sum and norm in the encoder, concatenation in the decoder.
    """

    def decode(batch: Behaviours, encoded: Any) -> Any:
        layer = TargetAttention(attention_units, softmax=softmax, name="target_attention")
        return layer([batch.query, encoded], mask=batch.mask)

    return behaviour_network(features, None, decode, embedding=embedding, history=history, deep=deep, name=name)


ENTRIES = (
    ModelEntry(
        "din",
        din,
        title="Deep Interest Network for Click-Through Rate Prediction",
        paper="arXiv 1706.06978",
        equation="3 and section 4.3",
        search_space=HISTORY,
    ),
    ModelEntry(
        "din_heter",
        din,
        title="Dynamic Parameterized Network for CTR Prediction",
        paper="arXiv 2111.04983",
        equation="8, with DIN",
        fixed=MappingProxyType({"history.homogeneous": False, "history.heterogeneous": True}),
        search_space=HISTORY,
    ),
)
