"""The neural factorization machine."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import BiInteraction, LogitSum
from dynctr_tf.models.entry import ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING


def nfm(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    deep: Deep = Deep((400, 400, 400)),
    name: str = "nfm",
) -> keras.Model:
    """NFM: the sum of the products of all pairs of fields, and a multi-layer perceptron on it.

    Use it where a deep network should start from pairs, in a vector as wide as one embedding.

    `logit = b + sum_f w[i_f] + h^T MLP(sum_(f<g) e_f * e_g)`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        deep: The dense layers; with no units it is a weighted sum of the pairs. Default `Deep((400, 400, 400))`.
        name: The model's name. Default `"nfm"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: `fields * embedding.dim` multiply-adds per row beside those of the MLP.

    Example:

    >>> nfm(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        He and Chua, Neural Factorization Machines, SIGIR 2017, arXiv 1708.05027, equations 3 to 7.
    """
    inputs = encoded_inputs(features)
    field_map, weights = embedding.with_linear(inputs, features)
    pooled = BiInteraction(name="bi_interaction")(field_map)
    return keras.Model(inputs, LogitSum(name="logit")([weights, deep.part_of_logit(pooled)]), name=name)


ENTRIES = (
    ModelEntry(
        "nfm",
        nfm,
        title="Neural Factorization Machines for Sparse Predictive Analytics",
        paper="arXiv 1708.05027",
        equation="3-7",
        search_space=MappingProxyType({**EMBEDDING, **DENSE}),
    ),
)
