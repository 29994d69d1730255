"""GateNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import EmbeddingGate, HiddenGate
from dynctr_tf.models.deep_part import deep_part, kernel_regularizer
from dynctr_tf.models.parts import Embedding, encoded_inputs


def gatenet(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    hidden_units: Sequence[int] = (400, 400, 400),
    embedding_gate: str | None = "field",
    shared: bool = False,
    hidden_gate: bool = True,
    scale: float = 1.0,
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "gatenet",
) -> Any:
    """GateNet: embeddings and hidden layers that weigh themselves.

    Use it to let a deep network play down fields and units row by row.

    `v_f = scale * sigmoid(W_f e_f) * e_f`; `a <- activation(W_l a + b_l)`, `a <- scale * sigmoid(W a) * a` for each
    layer; `logit = w^T a + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        hidden_units: Widths of the hidden layers. Default `(400, 400, 400)`.
        embedding_gate: `"field"`, one gate per field; `"element"`, one per number; `None` for none. Default `"field"`.
        shared: Whether all fields have the same gate. Default `False`.
        hidden_gate: Whether hidden layers are gated. Default `True`.
        scale: Upper end of a gate. Default 1.0.
        activation: Activation of the dense layers. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `False`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of their kernels. Default 0.0.
        name: The model's name. Default `"gatenet"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown kind of gate.

    Cost: that of `dnn`, and a square matrix for each hidden layer.

    Example:

    >>> gatenet(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        Huang et al., GateNet: Gating-Enhanced Deep Network for Click-Through Rate Prediction, arXiv 2007.03519.
    """
    inputs = encoded_inputs(features)
    field_map = embedding.field_map(inputs, features)
    regularizer = kernel_regularizer(kernel_regularizer_l2)
    if embedding_gate is not None:
        gate = EmbeddingGate(embedding_gate, shared, scale=scale, kernel_regularizer=regularizer, name="field_gate")
        field_map = gate(field_map)
    x = keras.layers.Flatten(name="flatten")(field_map)
    for index, units in enumerate(hidden_units, start=1):
        x = deep_part(x, (units,), activation, batch_norm, dropout, kernel_regularizer_l2, name=f"mlp_{index}")
        if hidden_gate:
            x = HiddenGate(scale=scale, kernel_regularizer=regularizer, name=f"hidden_gate_{index}")(x)
    return keras.Model(inputs, keras.layers.Dense(1, dtype="float32", name="logit")(x), name=name)
