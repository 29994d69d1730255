"""Wide & Deep."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import LogitSum
from dynctr_tf.models.entry import ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING


def wide_deep(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    deep: Deep = Deep((400, 400, 400)),
    name: str = "wide_deep",
) -> keras.Model:
    """Wide & Deep: first-order weights beside a multi-layer perceptron.

    Use it as the simplest model that both remembers single values and generalises.

    `logit = b + sum_f w[i_f] + h^T MLP([e_1; ...; e_F])`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        deep: The dense layers; with no units it is linear layers alone. Default `Deep((400, 400, 400))`.
        name: The model's name. Default `"wide_deep"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: that of the MLP on `fields * embedding.dim` inputs.

    Example:

    >>> wide_deep(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Cheng et al., Wide & Deep Learning for Recommender Systems, DLRS 2016, arXiv 1606.07792, equation 3. Crossed
        features of the wide part, which that paper picks by hand, are fields of the data set here.
    """
    inputs = encoded_inputs(features)
    field_map, weights = embedding.with_linear(inputs, features)
    return keras.Model(inputs, LogitSum(name="logit")([weights, deep.part_of_logit(field_map)]), name=name)


ENTRIES = (
    ModelEntry(
        "wide_deep",
        wide_deep,
        title="Wide & Deep Learning for Recommender Systems",
        paper="arXiv 1606.07792",
        equation="3",
        search_space=MappingProxyType({**EMBEDDING, **DENSE}),
    ),
)
