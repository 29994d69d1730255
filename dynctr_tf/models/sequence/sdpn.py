"""sDPN: both sequence-based operations and no attention."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.models.entry import ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, History
from dynctr_tf.models.search_spaces import HISTORY
from dynctr_tf.models.sequence.behaviour_network import behaviour_network


def sdpn(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    history: History = History(homogeneous=True, heterogeneous=True),
    deep: Deep = Deep((200, 80)),
    name: str = "sdpn",
) -> keras.Model:
    """sDPN: a convolution of the behaviours that they generate, and a transform of the query that they generate.

    Use it first for data with histories: it has no attention, is the paper's best model and cheaper than attention.

    `H = DynamicConvolution(B)`, `v = QueryOperation(q; H)`, `logit = w^T MLP([x_0; v]) + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        history: The behaviours, and the operations on them. Default
            `History(homogeneous=True, heterogeneous=True)`.
        deep: The dense layers. Default `Deep((200, 80))`.
        name: The model's name. Default `"sdpn"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: No sequence that repeats a field, sequences that do not go together, or an unknown option.

    Cost: that of `DynamicConvolution`, linear in the length of a history, and of `QueryOperation`.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import EncodedSequence, Field
    >>> history = EncodedSequence("items", "user", 5, 1, 9, field="item")
    >>> features = EncodedFeatures((Field("item", "item", 1, 9),), (history,))
    >>> sdpn(features, embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, equations 6 to 8, tables 4 and
        5. The dense part is our choice.
    """
    if not (history.homogeneous and history.heterogeneous):
        raise ValueError(f"sdpn has both operations, homogeneous and heterogeneous, got {history!r}.")
    return behaviour_network(features, None, None, embedding=embedding, history=history, deep=deep, name=name)


ENTRIES = (
    ModelEntry(
        "sdpn",
        sdpn,
        title="Dynamic Parameterized Network for CTR Prediction",
        paper="arXiv 2111.04983",
        equation="6-8",
        fixed=MappingProxyType({"history.homogeneous": True, "history.heterogeneous": True}),
        search_space=HISTORY,
    ),
)
