"""The first Deep & Cross Network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import VectorCrossNetwork
from dynctr_tf.models.deep_part import deep_part, kernel_regularizer
from dynctr_tf.models.parts import Embedding, encoded_inputs


def dcn(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    num_layers: int = 3,
    hidden_units: Sequence[int] = (400, 400, 400),
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "dcn",
) -> Any:
    """DCN: cross layers with a weight vector each, beside a multi-layer perceptron.

    Use it as the cheapest model of bounded-degree crosses; `dcn_v2` is the stronger one.

    `x_l = x_0 * (w_l . x_(l-1)) + b_l + x_(l-1)`; `logit = w^T [x_L; MLP(x_0)] + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        num_layers: Number L of cross layers. Default 3.
        hidden_units: Widths of the dense layers; empty for cross layers alone. Default `(400, 400, 400)`.
        activation: Their activation. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `False`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of all kernels. Default 0.0.
        name: The model's name. Default `"dcn"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: `(num_layers + 1) * fields * embedding.dim` multiply-adds per row beside those of the MLP.

    Example:

    >>> dcn(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        Wang et al., Deep & Cross Network for Ad Click Predictions, ADKDD 2017, arXiv 1708.05123, equations 3 to 5.
    """
    inputs = encoded_inputs(features)
    field_map = embedding.field_map(inputs, features)
    flat = keras.layers.Flatten(name="flatten")(field_map)
    crossed = VectorCrossNetwork(
        num_layers, kernel_regularizer=kernel_regularizer(kernel_regularizer_l2), name="cross"
    )(flat)
    if hidden_units:
        deep = deep_part(flat, hidden_units, activation, batch_norm, dropout, kernel_regularizer_l2)
        crossed = keras.layers.Concatenate(name="concatenate")([crossed, deep])
    return keras.Model(inputs, keras.layers.Dense(1, dtype="float32", name="logit")(crossed), name=name)
