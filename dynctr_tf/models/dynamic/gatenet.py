"""GateNet."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import EmbeddingGate, HiddenGate
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs, flat, logit
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING


def gatenet(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    deep: Deep = Deep((400, 400, 400)),
    embedding_gate: bool = True,
    granularity: str = "field",
    shared: bool = False,
    hidden_gate: bool = True,
    gate_scale: float = 1.0,
    name: str = "gatenet",
) -> keras.Model:
    """GateNet: embeddings and hidden layers that weigh themselves.

    Use it to let a deep network weigh fields and units row by row.

    `v_f = gate_scale * sigmoid(W_f e_f) * e_f`; for each layer `a <- activation(W_l a + b_l)`, then
    `a <- gate_scale * sigmoid(W a) * a`; `logit = w^T a + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        deep: The hidden layers. Default `Deep((400, 400, 400))`.
        embedding_gate: Whether embeddings are gated. Default `True`.
        granularity: `"field"`, one gate per field; `"element"`, one per number. Default `"field"`.
        shared: Whether all fields have the same gate. Default `False`.
        hidden_gate: Whether hidden layers are gated. Default `True`.
        gate_scale: Upper end of a gate. Default 1.0.
        name: The model's name. Default `"gatenet"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown granularity.

    Cost: that of `dnn`, and a square matrix for each hidden layer.

    Example:

    >>> gatenet(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Huang et al., GateNet: Gating-Enhanced Deep Network for Click-Through Rate Prediction, arXiv 2007.03519.
    """
    inputs = encoded_inputs(features)
    x = embedding.field_map(inputs, features)
    gates = {"gate_scale": gate_scale, "kernel_regularizer": deep.kernel_regularizer()}
    if embedding_gate:
        x = EmbeddingGate(granularity, shared, name="field_gate", **gates)(x)
    x = flat(x)
    for index, units in enumerate(deep.units, start=1):
        x = deep.mlp(x, (units,), f"mlp_{index}")
        if hidden_gate:
            x = HiddenGate(name=f"hidden_gate_{index}", **gates)(x)
    return keras.Model(inputs, logit(x), name=name)


ENTRIES = (
    ModelEntry(
        "gatenet",
        gatenet,
        title="GateNet: Gating-Enhanced Deep Network for Click-Through Rate Prediction",
        paper="arXiv 2007.03519",
        equation="3-5 and the hidden gate",
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                **DENSE,
                "embedding_gate": Choice((True, False)),
                "granularity": Choice(("field", "element")),
                "hidden_gate": Choice((True, False)),
            }
        ),
    ),
)
