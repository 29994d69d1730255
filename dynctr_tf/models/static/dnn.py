"""The plain deep network."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.models.entry import ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING


def dnn(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    deep: Deep = Deep((400, 400, 400)),
    name: str = "dnn",
) -> keras.Model:
    """Embeddings, flattened, and a multi-layer perceptron.

    Use it as the model that leaves all interactions to dense layers.

    `logit = w^T MLP([e_1; ...; e_F]) + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        deep: The dense layers. Default `Deep((400, 400, 400))`.
        name: The model's name. Default `"dnn"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: that of the MLP on `fields * embedding.dim` inputs.

    Example:

    >>> dnn(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        The baseline that the papers call DNN.
    """
    inputs = encoded_inputs(features)
    return keras.Model(inputs, deep.logit(embedding.field_map(inputs, features)), name=name)


ENTRIES = (
    ModelEntry(
        "dnn",
        dnn,
        title="Multi-layer perceptron on embeddings",
        paper="none; the deep baseline of the papers",
        equation="none",
        search_space=MappingProxyType({**EMBEDDING, **DENSE}),
    ),
)
