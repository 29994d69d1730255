"""DCN-V2 with a mixture of low-rank experts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import CrossMixtureLayer
from dynctr_tf.models.deep_part import deep_part, kernel_regularizer
from dynctr_tf.models.parts import Embedding, encoded_inputs
from dynctr_tf.nearest import unknown_name_message

_STRUCTURES = ("parallel", "stacked")


def dcn_v2_mix(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    num_layers: int = 3,
    rank: int = 32,
    num_experts: int = 4,
    gate: str = "softmax",
    structure: str = "parallel",
    hidden_units: Sequence[int] = (400, 400, 400),
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "dcn_v2_mix",
) -> Any:
    """DCN-Mix (CrossMix): DCN-V2 whose cross layers are gated mixtures of low-rank experts.

    Use it where the full matrices of `dcn_v2` are too dear.

    `x_l = sum_k G_k(x_(l-1)) * (x_0 * (U_k g(C_k g(V_k^T x_(l-1))) + b)) + x_(l-1)`, then as `dcn_v2`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        num_layers: Number of cross layers. Default 3.
        rank: Width of an expert. Default 32.
        num_experts: Number of experts in a layer. Default 4.
        gate: `"softmax"` or `"sigmoid"`. Default `"softmax"`.
        structure: `"parallel"` or `"stacked"`. Default `"parallel"`.
        hidden_units: Widths of the dense layers; empty for cross layers alone. Default `(400, 400, 400)`.
        activation: Their activation. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `False`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of all kernels. Default 0.0.
        name: The model's name. Default `"dcn_v2_mix"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown structure or gate, or fewer than one cross layer.

    Cost: with n = fields * embedding.dim, `2 * num_layers * num_experts * rank * n` multiply-adds per row beside
    those of the MLP.

    Example:

    >>> dcn_v2_mix(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        Wang et al., DCN V2, arXiv 2008.13535, equations 3 and 4.
    """
    if structure not in _STRUCTURES:
        raise ValueError(unknown_name_message("structure", str(structure), _STRUCTURES))
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, got {num_layers}; without cross layers use dnn.")
    inputs = encoded_inputs(features)
    field_map = embedding.field_map(inputs, features)
    flat = keras.layers.Flatten(name="flatten")(field_map)
    x = flat
    for layer in range(num_layers):
        x = CrossMixtureLayer(
            rank,
            num_experts,
            gate=gate,
            kernel_regularizer=kernel_regularizer(kernel_regularizer_l2),
            name=f"cross_{layer + 1}",
        )([x, flat])
    stacked = structure == "stacked"
    if hidden_units:
        deep = deep_part(x if stacked else flat, hidden_units, activation, batch_norm, dropout, kernel_regularizer_l2)
        x = deep if stacked else keras.layers.Concatenate(name="concatenate")([x, deep])
    return keras.Model(inputs, keras.layers.Dense(1, dtype="float32", name="logit")(x), name=name)
