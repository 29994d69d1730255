"""The adaptive factorization network."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import LogarithmicTransformation, LogitSum, SplitEmbedding
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs, flat, unbiased_logit
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING


def afn(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    num_neurons: int = 64,
    epsilon: float = 1e-7,
    dnn_units: Sequence[int] = (400, 400, 400),
    deep: Deep = Deep((400, 400, 400)),
    name: str = "afn",
) -> keras.Model:
    """AFN+: products of learned powers of fields, and a second perceptron beside theirs on its own embeddings.

    Use it where the order of interactions should be learned; without `dnn_units` it is AFN.

    `logit = h^T MLP(LNN(E)) + h'^T DNN([e'_1; ...; e'_F]) + b`, LNN the logarithmic transformation.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        num_neurons: Number of products of the logarithmic transformation. Default 64.
        epsilon: Smallest absolute value of an embedding; smaller ones are raised to it. Default 1e-7.
        dnn_units: Widths of the DNN beside it; empty for AFN. Default `(400, 400, 400)`.
        deep: The dense layers; with no units it is a weighted sum of the products. Default `Deep((400, 400, 400))`.
        name: The model's name. Default `"afn"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: `num_neurons * (fields + deep.units[0]) * embedding.dim` multiply-adds per row, beside the DNN's; with the
    DNN the table is twice as wide.

    Example:

    >>> afn(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Cheng et al., Adaptive Factorization Network, AAAI 2020, arXiv 1909.03276, equations 6 to 9. The weights that
        join the two parts are those of the two last dense layers. Beside a DNN those of the products start a tenth as
        large; this is our choice.
    """
    inputs = encoded_inputs(features)
    field_map = embedding.field_map(inputs, features, width=embedding.dim * (2 if dnn_units else 1))
    maps = SplitEmbedding(2, name="split")(field_map) if dnn_units else [field_map]
    products = LogarithmicTransformation(
        num_neurons, epsilon=epsilon, kernel_regularizer=deep.kernel_regularizer(), name="logarithmic"
    )(maps[0])
    # Products of powers of untrained embeddings are noise of variance 1, which would hide a DNN beside them.
    x = deep(flat(products, "flatten_products"))
    parts = [unbiased_logit(x, "adaptive", initial_size=0.1 if dnn_units else 1.0)]
    if dnn_units:
        parts.append(unbiased_logit(deep.mlp(flat(maps[1]), dnn_units, "dnn"), "deep"))
    return keras.Model(inputs, LogitSum(name="logit")(parts), name=name)


ENTRIES = (
    ModelEntry(
        "afn",
        afn,
        title="Adaptive Factorization Network: Learning Adaptive-Order Feature Interactions",
        paper="arXiv 1909.03276",
        equation="6-8",
        fixed=MappingProxyType({"dnn_units": ()}),
        search_space=MappingProxyType({**EMBEDDING, **DENSE, "num_neurons": Choice((64, 256, 800, 1200))}),
    ),
    ModelEntry(
        "afn_plus",
        afn,
        title="Adaptive Factorization Network: Learning Adaptive-Order Feature Interactions",
        paper="arXiv 1909.03276",
        equation="6-9",
        search_space=MappingProxyType({**EMBEDDING, **DENSE, "num_neurons": Choice((64, 256, 800, 1200))}),
    ),
)
