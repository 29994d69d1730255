"""sDPN: both sequence-based operations and no attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.models.behaviour_network import behaviour_network
from dynctr_tf.models.parts import Embedding


def sdpn(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    hidden_units: Sequence[int] = (200, 80),
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
    name: str = "sdpn",
) -> Any:
    """sDPN: behaviours convolved by what they are together, and the query transformed by them; no attention at all.

    Use it first for data with histories: it is the paper's best and cheaper than attention.

    `H = DynamicConvolution(B)`, `v = QueryOperation(q; H)`, `logit = w^T MLP([x_0; v]) + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        hidden_units: Widths of the dense layers. Default `(200, 80)`.
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
        name: The model's name. Default `"sdpn"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: No sequence that repeats a field, sequences that do not go together, or an unknown option.

    Cost: that of `DynamicConvolution`, linear in the length of a history, and of `QueryOperation`.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import Field
    >>> from dynctr_tf.encoding.encoded_features import Sequence as History
    >>> features = EncodedFeatures((Field("item", "item", 1, 9),), (History("items", "user", 5, 1, 9, field="item"),))
    >>> sdpn(features, embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, equations 6 to 8, tables 4 and
        5. The dense part is our choice.
    """
    return behaviour_network(
        features,
        None,
        None,
        embedding=embedding,
        hidden_units=hidden_units,
        homogeneous=True,
        heterogeneous=True,
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
