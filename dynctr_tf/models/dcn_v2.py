"""DCN-V2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import MLP, CrossLayer
from dynctr_tf.models.parts import Embedding, encoded_inputs
from dynctr_tf.nearest import unknown_name_message

_STRUCTURES = ("parallel", "stacked")


def dcn_v2(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    num_layers: int = 3,
    rank: int | None = None,
    structure: str = "parallel",
    hidden_units: Sequence[int] = (400, 400, 400),
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "dcn_v2",
) -> Any:
    """DCN-V2: cross layers on the flattened embeddings, beside or before a multi-layer perceptron.

    Use it as the strongest widely used static model of explicit interactions.

    `x_l = x_0 * (W_l x_(l-1) + b_l) + x_(l-1)`; `logit = w^T [x_L; MLP(x_0)] + b` in parallel,
    `w^T MLP(x_L) + b` stacked.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        num_layers: Number L of cross layers. Default 3.
        rank: Rank of their matrices. Default `None`: full.
        structure: `"parallel"` or `"stacked"`. Default `"parallel"`.
        hidden_units: Widths of the dense layers; empty for cross layers alone. Default `(400, 400, 400)`.
        activation: Their activation. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `False`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of all kernels. Default 0.0.
        name: The model's name. Default `"dcn_v2"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown structure, or fewer than one cross layer.

    Cost: with n = fields * embedding.dim, `num_layers * n ** 2` multiply-adds per row beside the MLP's.

    Example:

    >>> dcn_v2(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        Wang et al., DCN V2, arXiv 2008.13535, equations 1 and 2; section 3.4 for the two structures.
    """
    if structure not in _STRUCTURES:
        raise ValueError(unknown_name_message("structure", str(structure), _STRUCTURES))
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, got {num_layers}; without cross layers use dnn.")
    regularizer = keras.regularizers.L2(kernel_regularizer_l2) if kernel_regularizer_l2 else None
    inputs = encoded_inputs(features)
    field_map = embedding.field_map(inputs, features)
    x0 = keras.layers.Flatten(name="flatten")(field_map)
    x = x0
    for layer in range(num_layers):
        x = CrossLayer(rank=rank, kernel_regularizer=regularizer, name=f"cross_{layer + 1}")([x, x0])
    if hidden_units:
        mlp = MLP(
            hidden_units,
            activation=activation,
            batch_norm=batch_norm,
            dropout=dropout,
            kernel_regularizer=regularizer,
            name="mlp",
        )
        deep = mlp(x if structure == "stacked" else x0)
        x = deep if structure == "stacked" else keras.layers.Concatenate(name="concatenate")([x, deep])
    return keras.Model(inputs, keras.layers.Dense(1, dtype="float32", name="logit")(x), name=name)
