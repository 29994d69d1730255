"""Self-attention between behaviours, attention of the query to them, with or without DPN's operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import AttentionDecoder
from dynctr_tf.models.behaviour_attention import self_attention
from dynctr_tf.models.behaviour_network import Behaviours, behaviour_network
from dynctr_tf.models.parts import Embedding


def transformer(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    hidden_units: Sequence[int] = (200, 80),
    num_heads: int = 2,
    session_length: int | None = None,
    homogeneous: bool = False,
    heterogeneous: bool = False,
    num_kernels: int = 4,
    gate: str = "softmax",
    form: str = "full",
    kernel_size: int = 3,
    context: str = "none",
    sequences: Sequence[str] | None = None,
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "transformer",
) -> Any:
    """Trans: multi-head self-attention as encoder, multi-head attention of the query as decoder.

    Use it as the attention model that DPN's operations are measured against, or join them to it.

    `H = MSA(B)`, `v = MHA(q, H, H)`, `logit = w^T MLP([x_0; v]) + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        hidden_units: Widths of the dense layers. Default `(200, 80)`.
        num_heads: Heads of both attentions. Default 2.
        session_length: Behaviours see each other inside blocks of this many. Default `None`: the whole history.
        homogeneous: Whether the homogeneous operation, a dynamic convolution over the behaviours, stands beside the
            encoder. Default `False`.
        heterogeneous: Whether the heterogeneous operation, the query transformed by the behaviours, stands beside the
            decoder. Default `False`.
        num_kernels: Number l of kernels of an operation. Default 4.
        gate: Activation of their weights. Default `"softmax"`.
        form: Form of the dynamic convolution, see `DynamicConvolution`. Default `"full"`.
        kernel_size: Its odd number of taps. Default 3.
        context: What generates for it and for the query, see `SequenceContext`. Default `"none"`.
        sequences: The sequences that are the behaviours, side by side; each repeats the ids of a field, which is its
            part of the query. Default `None`: all that repeat a field.
        activation: Activation of the dense layers. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `False`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of their kernels. Default 0.0.
        name: The model's name. Default `"transformer"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: No sequence that repeats a field, sequences that do not go together, or an unknown option.

    Cost: quadratic in the length of a history.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import Field
    >>> from dynctr_tf.encoding.encoded_features import Sequence as History
    >>> features = EncodedFeatures((Field("item", "item", 1, 9),), (History("items", "user", 5, 1, 9, field="item"),))
    >>> transformer(features, embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        Vaswani et al., Attention Is All You Need, arXiv 1706.03762; with the operations as in Zhu et al., Dynamic
        Parameterized Network for CTR Prediction, arXiv 2111.04983, table 5, joined by our reading: sum and norm in
        the encoder, concatenation in the decoder.
    """

    def decode(batch: Behaviours, encoded: Any) -> Any:
        return AttentionDecoder(num_heads, name="decoder")([batch.query, encoded], mask=batch.mask)

    return behaviour_network(
        features,
        self_attention(num_heads, session_length),
        decode,
        embedding=embedding,
        hidden_units=hidden_units,
        homogeneous=homogeneous,
        heterogeneous=heterogeneous,
        num_kernels=num_kernels,
        gate=gate,
        form=form,
        kernel_size=kernel_size,
        context=context,
        sequences=sequences,
        activation=activation,
        batch_norm=batch_norm,
        dropout=dropout,
        kernel_regularizer_l2=kernel_regularizer_l2,
        name=name,
    )
