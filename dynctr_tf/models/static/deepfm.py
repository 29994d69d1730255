"""DeepFM."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import FactorizationMachine, LogitSum
from dynctr_tf.models.entry import ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING


def deepfm(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    deep: Deep = Deep((400, 400, 400)),
    name: str = "deepfm",
) -> keras.Model:
    """DeepFM: a factorization machine beside a multi-layer perceptron, on the same embeddings.

    Use it as the usual first deep model of explicit pairs.

    `logit = b + sum_f w[i_f] + sum_(f<g) <e_f, e_g> + h^T MLP([e_1; ...; e_F])`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        deep: The dense layers; with no units it is the factorization machine alone. Default `Deep((400, 400, 400))`.
        name: The model's name. Default `"deepfm"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: `2 * fields * embedding.dim` multiply-adds per row beside those of the MLP.

    Example:

    >>> deepfm(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Guo et al., DeepFM, IJCAI 2017, arXiv 1703.04247, equations 1 to 4.
    """
    inputs = encoded_inputs(features)
    field_map, weights = embedding.with_linear(inputs, features)
    pairs = FactorizationMachine(name="factorization_machine")(field_map)
    parts = [weights, pairs, *deep.parts_of_logit(field_map)]
    return keras.Model(inputs, LogitSum(name="logit")(parts), name=name)


ENTRIES = (
    ModelEntry(
        "deepfm",
        deepfm,
        title="DeepFM: A Factorization-Machine based Neural Network for CTR Prediction",
        paper="arXiv 1703.04247",
        equation="1-4",
        search_space=MappingProxyType({**EMBEDDING, **DENSE}),
    ),
)
