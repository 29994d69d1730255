"""The neural factorization machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import BiInteraction, LogitSum
from dynctr_tf.models.deep_part import deep_part, unbiased_logit
from dynctr_tf.models.parts import Embedding, encoded_inputs


def nfm(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    hidden_units: Sequence[int] = (400, 400, 400),
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "nfm",
) -> Any:
    """NFM: the sum of the products of all pairs of fields, and a multi-layer perceptron on it.

    Use it where a deep network should start from pairs, at the width of a single embedding.

    `logit = b + sum_f w[i_f] + h^T MLP(sum_(f<g) e_f * e_g)`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        hidden_units: Widths of the dense layers; empty for a weighted sum of the pairs. Default `(400, 400, 400)`.
        activation: Their activation. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `False`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of all kernels. Default 0.0.
        name: The model's name. Default `"nfm"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: `fields * embedding.dim` multiply-adds per row beside those of the MLP.

    Example:

    >>> nfm(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        He and Chua, Neural Factorization Machines, SIGIR 2017, arXiv 1708.05027, equations 3 to 7.
    """
    inputs = encoded_inputs(features)
    field_map, weights = embedding.with_linear(inputs, features)
    pooled = BiInteraction(name="bi_interaction")(field_map)
    deep = deep_part(pooled, hidden_units, activation, batch_norm, dropout, kernel_regularizer_l2)
    return keras.Model(inputs, LogitSum(name="logit")([weights, unbiased_logit(deep, "deep")]), name=name)
