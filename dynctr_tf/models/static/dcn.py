"""The first Deep & Cross Network."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import VectorCrossNetwork
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs, flat, logit
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING


def dcn(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    num_layers: int = 3,
    deep: Deep = Deep((400, 400, 400)),
    name: str = "dcn",
) -> keras.Model:
    """DCN: cross layers with a weight vector each, beside a multi-layer perceptron.

    Use it as the cheapest model of bounded-degree crosses; `dcn_v2` is the stronger one.

    `x_l = x_0 * (w_l . x_(l-1)) + b_l + x_(l-1)`; `logit = w^T [x_L; MLP(x_0)] + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        num_layers: Number L of cross layers. Default 3.
        deep: The dense layers; with no units it is cross layers alone. Default `Deep((400, 400, 400))`.
        name: The model's name. Default `"dcn"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: `(num_layers + 1) * fields * embedding.dim` multiply-adds per row beside those of the MLP.

    Example:

    >>> dcn(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Wang et al., Deep & Cross Network for Ad Click Predictions, ADKDD 2017, arXiv 1708.05123, equations 3 to 5.
    """
    inputs = encoded_inputs(features)
    x0 = flat(embedding.field_map(inputs, features))
    x = VectorCrossNetwork(num_layers, kernel_regularizer=deep.kernel_regularizer(), name="cross")(x0)
    if deep.units:
        x = keras.layers.Concatenate(name="concatenate")([x, deep(x0)])
    return keras.Model(inputs, logit(x), name=name)


ENTRIES = (
    ModelEntry(
        "dcn",
        dcn,
        title="Deep & Cross Network for Ad Click Predictions",
        paper="arXiv 1708.05123",
        equation="3-5",
        search_space=MappingProxyType({**EMBEDDING, **DENSE, "num_layers": Choice((1, 2, 3, 4))}),
    ),
    ModelEntry(
        "crossnet",
        dcn,
        title="Deep & Cross Network for Ad Click Predictions",
        paper="arXiv 1708.05123",
        equation="3",
        fixed=MappingProxyType({"deep.units": ()}),
        search_space=MappingProxyType({**EMBEDDING, "num_layers": Choice((1, 2, 3, 4))}),
    ),
)
