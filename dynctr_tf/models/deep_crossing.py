"""Deep Crossing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import ResidualUnit
from dynctr_tf.models.deep_part import kernel_regularizer
from dynctr_tf.models.parts import Embedding, encoded_inputs


def deep_crossing(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    hidden_units: Sequence[int] = (400, 400, 400),
    activation: str = "relu",
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "deep_crossing",
) -> Any:
    """Deep Crossing: residual units on the flattened embeddings.

    Use it as the deep network that keeps its input within reach of every layer.

    `x_l = relu(x_(l-1) + W_2 relu(W_1 x_(l-1) + b_1) + b_2)`; `logit = w^T x_L + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        hidden_units: Widths of the middles of the residual units. Default `(400, 400, 400)`.
        activation: Their activation. Default `"relu"`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of all kernels. Default 0.0.
        name: The model's name. Default `"deep_crossing"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: No residual unit.

    Cost: `2 * fields * embedding.dim * sum(hidden_units)` multiply-adds per row.

    Example:

    >>> deep_crossing(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        Shan et al., Deep Crossing, KDD 2016, sections 4.1 to 4.3.
    """
    if not hidden_units:
        raise ValueError("hidden_units must have one width or more, got none; without residual units use lr.")
    inputs = encoded_inputs(features)
    field_map = embedding.field_map(inputs, features)
    x = keras.layers.Flatten(name="flatten")(field_map)
    for index, units in enumerate(hidden_units):
        x = ResidualUnit(
            units,
            activation=activation,
            dropout=dropout,
            kernel_regularizer=kernel_regularizer(kernel_regularizer_l2),
            name=f"residual_{index + 1}",
        )(x)
    return keras.Model(inputs, keras.layers.Dense(1, dtype="float32", name="logit")(x), name=name)
