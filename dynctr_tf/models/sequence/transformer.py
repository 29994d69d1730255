"""Self-attention between behaviours, attention of the query to them, with or without DPN's operations."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import AttentionDecoder
from dynctr_tf.models.entry import ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, History
from dynctr_tf.models.parts.history import Behaviours
from dynctr_tf.models.search_spaces import HISTORY
from dynctr_tf.models.sequence.behaviour_network import (
    SELF_ATTENTION_EMBEDDING,
    behaviour_network,
    self_attention,
)


def transformer(
    features: EncodedFeatures,
    *,
    embedding: Embedding = SELF_ATTENTION_EMBEDDING,
    history: History = History(),
    deep: Deep = Deep((200, 80)),
    num_heads: int = 2,
    session_length: int | None = None,
    encoder_attention: bool = True,
    decoder_attention: bool = True,
    name: str = "transformer",
) -> keras.Model:
    """Trans: multi-head self-attention as encoder, multi-head attention of the query as decoder.

    Use it as the attention model that DPN's operations are measured against, or join them to it.

    `H = MSA(B)`, `v = MHA(q, H, H)`, `logit = w^T MLP([x_0; v]) + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding(initial_scale=0.2)`, see `SELF_ATTENTION_EMBEDDING`.
        history: The behaviours, and the operations on them. Default `History()`.
        deep: The dense layers. Default `Deep((200, 80))`.
        num_heads: Heads of both attentions. Default 2.
        session_length: Behaviours see each other inside blocks of this many. Default `None`: the whole history.
        encoder_attention: Whether behaviours attend to each other; if not, `history.homogeneous` encodes alone.
            Default `True`.
        decoder_attention: Whether the query attends to the behaviours; if not, `history.heterogeneous` decodes alone.
            Default `True`.
        name: The model's name. Default `"transformer"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: No sequence that repeats a field, sequences that do not go together, an unknown option, or a side
            without attention and without its operation.

    Cost: quadratic in the length of a history.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import EncodedSequence, Field
    >>> history = EncodedSequence("items", "user", 5, 1, 9, field="item")
    >>> features = EncodedFeatures((Field("item", "item", 1, 9),), (history,))
    >>> transformer(features, embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Vaswani et al., Attention Is All You Need, arXiv 1706.03762; with the operations as in Zhu et al., Dynamic
        Parameterized Network for CTR Prediction, arXiv 2111.04983, tables 4 and 5, joined by our reading: sum and norm
        in the encoder, concatenation in the decoder. Each side may have attention, the operation or both; with the
        operations alone it is `sdpn`.
    """

    for side, attention, operation in (
        ("encoder", encoder_attention, history.homogeneous),
        ("decoder", decoder_attention, history.heterogeneous),
    ):
        if not attention and not operation:
            what = "history.homogeneous" if side == "encoder" else "history.heterogeneous"
            raise ValueError(f"{side}_attention is false, so {what} must be true: nothing else is on that side.")

    def encode(batch: Behaviours) -> Any:
        return self_attention(batch, num_heads, session_length)

    def decode(batch: Behaviours, encoded: Any) -> Any:
        return AttentionDecoder(num_heads, name="decoder")([batch.query, encoded], mask=batch.mask)

    return behaviour_network(
        features,
        encode if encoder_attention else None,
        decode if decoder_attention else None,
        embedding=embedding,
        history=history,
        deep=deep,
        name=name,
        operation_alone=True,
    )


ENTRIES = (
    ModelEntry(
        "transformer",
        transformer,
        title="Attention Is All You Need",
        paper="arXiv 1706.03762",
        equation="1",
        search_space=HISTORY,
    ),
    ModelEntry(
        "transformer_homo",
        transformer,
        title="Dynamic Parameterized Network for CTR Prediction",
        paper="arXiv 2111.04983",
        equation="6 and 7, with attention",
        fixed=MappingProxyType({"history.homogeneous": True, "history.heterogeneous": False}),
        search_space=HISTORY,
    ),
    ModelEntry(
        "transformer_heter",
        transformer,
        title="Dynamic Parameterized Network for CTR Prediction",
        paper="arXiv 2111.04983",
        equation="8, with attention",
        fixed=MappingProxyType({"history.homogeneous": False, "history.heterogeneous": True}),
        search_space=HISTORY,
    ),
)
