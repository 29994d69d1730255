"""Wide & Deep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import LogitSum
from dynctr_tf.models.deep_part import deep_part, unbiased_logit
from dynctr_tf.models.parts import Embedding, encoded_inputs


def wide_deep(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    hidden_units: Sequence[int] = (400, 400, 400),
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "wide_deep",
) -> Any:
    """Wide & Deep: first-order weights beside a multi-layer perceptron.

    Use it as the simplest model that both remembers single values and generalises.

    `logit = b + sum_f w[i_f] + h^T MLP([e_1; ...; e_F])`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        hidden_units: Widths of the dense layers; empty for linear layers alone. Default `(400, 400, 400)`.
        activation: Their activation. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `False`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of all kernels. Default 0.0.
        name: The model's name. Default `"wide_deep"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: that of the MLP on `fields * embedding.dim` inputs.

    Example:

    >>> wide_deep(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        Cheng et al., Wide & Deep Learning for Recommender Systems, DLRS 2016, arXiv 1606.07792, equation 3. Crossed
        features of the wide part, which that paper picks by hand, are fields of the data set here.
    """
    inputs = encoded_inputs(features)
    field_map, weights = embedding.with_linear(inputs, features)
    flat = keras.layers.Flatten(name="flatten")(field_map)
    deep = deep_part(flat, hidden_units, activation, batch_norm, dropout, kernel_regularizer_l2)
    return keras.Model(inputs, LogitSum(name="logit")([weights, unbiased_logit(deep, "deep")]), name=name)
