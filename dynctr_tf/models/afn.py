"""The adaptive factorization network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import LogarithmicTransformation, LogitSum, SplitEmbedding
from dynctr_tf.models.deep_part import deep_part, kernel_regularizer, unbiased_logit
from dynctr_tf.models.parts import Embedding, encoded_inputs


def afn(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    num_neurons: int = 64,
    epsilon: float = 1e-7,
    dnn_hidden_units: Sequence[int] = (400, 400, 400),
    hidden_units: Sequence[int] = (400, 400, 400),
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "afn",
) -> Any:
    """AFN+: products of learned powers of fields, and a second perceptron beside theirs on its own embeddings.

    Use it where the order of interactions should be learned; without `dnn_hidden_units` it is AFN.

    `logit = h^T MLP(LNN(E)) + h'^T DNN([e'_1; ...; e'_F]) + b`, LNN the logarithmic transformation.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        num_neurons: Number of products of the logarithmic transformation. Default 64.
        epsilon: Smallest absolute value of an embedding that is told from 0. Default 1e-7.
        dnn_hidden_units: Widths of the DNN beside it; empty for AFN. Default `(400, 400, 400)`.
        hidden_units: Widths of the dense layers; empty for a weighted sum of the products. Default `(400, 400, 400)`.
        activation: Their activation. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `False`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of all kernels. Default 0.0.
        name: The model's name. Default `"afn"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: `num_neurons * (fields + hidden_units[0]) * embedding.dim` multiply-adds per row, beside the DNN's; with the
    DNN the table is twice as wide.

    Example:

    >>> afn(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        Cheng et al., Adaptive Factorization Network, AAAI 2020, arXiv 1909.03276, equations 6 to 9. The weights that
        join the two parts are those of the two last dense layers; that beside a DNN those of the products start a
        tenth as large is our choice.
    """
    inputs = encoded_inputs(features)
    field_map = embedding.field_map(inputs, features, width=embedding.dim * (2 if dnn_hidden_units else 1))
    maps = SplitEmbedding(2, name="split")(field_map) if dnn_hidden_units else [field_map]
    products = LogarithmicTransformation(
        num_neurons,
        epsilon=epsilon,
        kernel_regularizer=kernel_regularizer(kernel_regularizer_l2),
        name="logarithmic",
    )(maps[0])
    x = keras.layers.Flatten(name="flatten_products")(products)
    x = deep_part(x, hidden_units, activation, batch_norm, dropout, kernel_regularizer_l2)
    # Products of powers of embeddings that mean nothing yet are noise of variance 1, through which a DNN beside
    # them would not be heard.
    parts = [unbiased_logit(x, "adaptive", initial_size=0.1 if dnn_hidden_units else 1.0)]
    if dnn_hidden_units:
        x = keras.layers.Flatten(name="flatten")(maps[1])
        x = deep_part(x, dnn_hidden_units, activation, batch_norm, dropout, kernel_regularizer_l2, name="dnn")
        parts.append(unbiased_logit(x, "deep"))
    return keras.Model(inputs, LogitSum(name="logit")(parts), name=name)
