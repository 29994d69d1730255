"""DeepFM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import FactorizationMachine, LogitSum
from dynctr_tf.models.deep_part import deep_part, unbiased_logit
from dynctr_tf.models.parts import Embedding, encoded_inputs


def deepfm(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    hidden_units: Sequence[int] = (400, 400, 400),
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "deepfm",
) -> Any:
    """DeepFM: a factorization machine beside a multi-layer perceptron, on the same embeddings.

    Use it as the usual first deep model of explicit pairs.

    `logit = b + sum_f w[i_f] + sum_(f<g) <e_f, e_g> + h^T MLP([e_1; ...; e_F])`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        hidden_units: Widths of the dense layers; empty for the factorization machine alone. Default `(400, 400, 400)`.
        activation: Their activation. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `False`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of all kernels. Default 0.0.
        name: The model's name. Default `"deepfm"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: `2 * fields * embedding.dim` multiply-adds per row beside those of the MLP.

    Example:

    >>> deepfm(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        Guo et al., DeepFM, IJCAI 2017, arXiv 1703.04247, equations 1 to 4.
    """
    inputs = encoded_inputs(features)
    field_map, weights = embedding.with_linear(inputs, features)
    parts = [weights, FactorizationMachine(name="factorization_machine")(field_map)]
    if hidden_units:
        flat = keras.layers.Flatten(name="flatten")(field_map)
        deep = deep_part(flat, hidden_units, activation, batch_norm, dropout, kernel_regularizer_l2)
        parts.append(unbiased_logit(deep, "deep"))
    return keras.Model(inputs, LogitSum(name="logit")(parts), name=name)
