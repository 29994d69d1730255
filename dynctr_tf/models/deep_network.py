"""The plain deep network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import MLP
from dynctr_tf.models.parts import Embedding, encoded_inputs


def dnn(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    hidden_units: Sequence[int] = (400, 400, 400),
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "dnn",
) -> Any:
    """Embeddings, flattened, and a multi-layer perceptron.

    Use it as the model that leaves all interactions to dense layers.

    `logit = w^T MLP([e_1; ...; e_F]) + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        hidden_units: Widths of the dense layers. Default `(400, 400, 400)`.
        activation: Their activation. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `False`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of their kernels. Default 0.0.
        name: The model's name. Default `"dnn"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: that of the MLP on `fields * embedding.dim` inputs.

    Example:

    >>> dnn(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        The baseline that the papers call DNN.
    """
    inputs = encoded_inputs(features)
    field_map = embedding.field_map(inputs, features)
    x = keras.layers.Flatten(name="flatten")(field_map)
    x = MLP(
        hidden_units,
        activation=activation,
        batch_norm=batch_norm,
        dropout=dropout,
        kernel_regularizer=keras.regularizers.L2(kernel_regularizer_l2) if kernel_regularizer_l2 else None,
        name="mlp",
    )(x)
    return keras.Model(inputs, keras.layers.Dense(1, dtype="float32", name="logit")(x), name=name)
