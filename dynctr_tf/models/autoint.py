"""AutoInt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import FieldAttention, LogitSum
from dynctr_tf.models.deep_part import deep_part, kernel_regularizer, unbiased_logit
from dynctr_tf.models.parts import Embedding, encoded_inputs


def autoint(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    num_layers: int = 2,
    num_heads: int = 2,
    head_dim: int = 8,
    scaled: bool = False,
    hidden_units: Sequence[int] = (400, 400, 400),
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "autoint",
) -> Any:
    """AutoInt+: self-attention among fields beside a multi-layer perceptron.

    Use it where interactions should be looked at field by field; without dense layers it is AutoInt.

    `logit = w^T [E_L] + h^T MLP([e_1; ...; e_F]) + b`, E_L the output of the last interacting layer.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        num_layers: Number L of interacting layers. Default 2.
        num_heads: Number of heads. Default 2.
        head_dim: Size of a head. Default 8.
        scaled: Whether scores are divided by `sqrt(head_dim)`. Default `False`.
        hidden_units: Widths of the dense layers; empty for AutoInt. Default `(400, 400, 400)`.
        activation: Their activation. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `False`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of all kernels. Default 0.0.
        name: The model's name. Default `"autoint"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: Fewer than one interacting layer.

    Cost: that of `FieldAttention` for each layer beside the MLP's.

    Example:

    >>> autoint(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        Song et al., AutoInt, CIKM 2019, arXiv 1810.11921, equations 5 to 9; section 5.5 for AutoInt+.
    """
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, got {num_layers}; without interacting layers use dnn.")
    inputs = encoded_inputs(features)
    field_map = embedding.field_map(inputs, features)
    x = field_map
    for layer in range(num_layers):
        x = FieldAttention(
            num_heads,
            head_dim,
            scaled=scaled,
            kernel_regularizer=kernel_regularizer(kernel_regularizer_l2),
            name=f"attention_{layer + 1}",
        )(x)
    parts = [unbiased_logit(keras.layers.Flatten(name="flatten_attention")(x), "attended")]
    if hidden_units:
        flat = keras.layers.Flatten(name="flatten")(field_map)
        deep = deep_part(flat, hidden_units, activation, batch_norm, dropout, kernel_regularizer_l2)
        parts.append(unbiased_logit(deep, "deep"))
    return keras.Model(inputs, LogitSum(name="logit")(parts), name=name)
