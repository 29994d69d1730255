"""DPN, field-based."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import FieldOperation
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs, logit
from dynctr_tf.models.search_spaces import FIELD_OPERATION
from dynctr_tf.nearest import unknown_name_message


def dpn_field(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(dim=10),
    deep: Deep = Deep((100, 100)),
    aggregator: str = "concatenate",
    contexts: str = "previous",
    implicit: bool = True,
    project_contexts: bool = False,
    num_kernels: int = 4,
    gate_activation: str = "softmax",
    bias_kind: str = "dynamic",
    stop_gradient: bool = False,
    name: str = "dpn_field",
) -> keras.Model:
    """DPN on fields: each field is transformed on its own, by kernels that all the fields generate.

    Use it where a deep network over all embeddings has too many parameters: kernels are shared by the fields.

    `X_l = relu(FieldOperation(X_(l-1); Z_l))`, `logit = w^T flatten(X_L) + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding(dim=10)`.
        deep: The layers of each field. Default `Deep((100, 100))`.
        aggregator: How context fields become weights: `"summation"`, `"self"`, `"attention"` or `"concatenate"`.
            Default `"concatenate"`.
        contexts: `"previous"`, each layer its own inputs; or `"x0"`, all of them the embeddings. Default
            `"previous"`.
        implicit: Whether each operation has its parallel static part. Default `True`.
        project_contexts: Whether the concatenation is projected to the width of a field. Default `False`.
        num_kernels: Number l of kernels of an operation. Default 4.
        gate_activation: Activation of their weights. Default `"softmax"`.
        bias_kind: `"dynamic"`, `"static"` or `"none"`. Default `"dynamic"`.
        stop_gradient: Whether contexts are cut off from the gradient. Default `False`.
        name: The model's name. Default `"dpn_field"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown option, or no layer.

    Cost: with F fields and widths u_l, `num_kernels * F * sum of u_(l-1) * u_l` multiply-adds per row.

    Example:

    >>> features = EncodedFeatures.from_sizes([10, 20])
    >>> dpn_field(features, embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, section on field-based
        operations and table 2c.
        The paper normalises each layer over the batch, `Deep(batch_norm=True)`; `dpn` says why we do not by default.
    """
    if contexts not in ("previous", "x0"):
        raise ValueError(unknown_name_message("contexts", str(contexts), ("previous", "x0")))
    if not deep.units:
        raise ValueError("deep.units must be one or more widths, got none.")
    inputs = encoded_inputs(features)
    x = x0 = embedding.field_map(inputs, features)
    for index, units in enumerate(deep.units, start=1):
        layer = FieldOperation(
            units,
            aggregator,
            num_kernels,
            gate_activation=gate_activation,
            implicit=implicit,
            project_contexts=project_contexts,
            bias_kind=bias_kind,
            stop_gradient=stop_gradient,
            kernel_regularizer=deep.kernel_regularizer(),
            name=f"dynamic_{index}",
        )
        x = layer(x) if aggregator == "self" or contexts == "previous" else layer(x, x0)
        x = deep.activated(x, f"{{}}_{index}")
    return keras.Model(inputs, logit(x), name=name)


ENTRIES = (
    ModelEntry(
        "dpn_field",
        dpn_field,
        title="Dynamic Parameterized Network for CTR Prediction",
        paper="arXiv 2111.04983",
        equation="3",
        search_space=MappingProxyType(
            {
                **FIELD_OPERATION,
                "deep.units": Choice(((100, 100), (200, 200))),
                "aggregator": Choice(("summation", "self", "attention", "concatenate")),
            }
        ),
    ),
)
