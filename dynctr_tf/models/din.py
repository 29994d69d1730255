"""DIN, with or without DPN's operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import TargetAttention
from dynctr_tf.models.behaviour_network import Behaviours, behaviour_network
from dynctr_tf.models.parts import Embedding


def din(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    hidden_units: Sequence[int] = (200, 80),
    attention_units: Sequence[int] = (80, 40),
    softmax: bool = False,
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
    name: str = "din",
) -> Any:
    """DIN: the history weighed by what each behaviour has to do with the target.

    Use it as the standard model for histories; `heterogeneous` adds DPN's query-behaviour operation.

    `v = sum_t a(q, b_t) b_t`, `logit = w^T MLP([x_0; v]) + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        hidden_units: Widths of the dense layers. Default `(200, 80)`.
        attention_units: Widths of the activation unit. Default `(80, 40)`.
        softmax: Whether its weights sum to 1. Default `False`.
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
        name: The model's name. Default `"din"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: No sequence that repeats a field, sequences that do not go together, or an unknown option.

    Cost: a network of `4 * dim` inputs per behaviour.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import Field
    >>> from dynctr_tf.encoding.encoded_features import Sequence as History
    >>> features = EncodedFeatures((Field("item", "item", 1, 9),), (History("items", "user", 5, 1, 9, field="item"),))
    >>> din(features, embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        Zhou et al., Deep Interest Network for Click-Through Rate Prediction, arXiv 1706.06978; with the operations as
        in Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, table 5, joined by our
        reading: sum and norm in the encoder, concatenation in the decoder.
    """

    def decode(batch: Behaviours, encoded: Any) -> Any:
        layer = TargetAttention(attention_units, softmax=softmax, name="target_attention")
        return layer([batch.query, encoded], mask=batch.mask)

    return behaviour_network(
        features,
        None,
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
