"""FiBiNET."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import BatchNormalization, BilinearDense, LogitSum, SqueezeExcitation
from dynctr_tf.models.deep_part import deep_part, kernel_regularizer, unbiased_logit
from dynctr_tf.models.parts import Embedding, encoded_inputs


def fibinet(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    mode: str = "interaction",
    reduction_ratio: float = 3,
    excitation_activation: str = "relu",
    hidden_units: Sequence[int] = (400, 400, 400),
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "fibinet",
) -> Any:
    """FiBiNET: bilinear products of all pairs of fields, plain and re-weighed by squeeze-and-excitation.

    Use it where the importance of fields changes from row to row; it is by far the dearest baseline.

    `v_f = SE(E)_f * e_f`; `logit = b + sum_f w[i_f] + h^T MLP([(e_i W) * e_j; (v_i W') * v_j for i < j])`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        mode: Which pairs share W: `"all"`, `"each"` or `"interaction"`. Default `"interaction"`.
        reduction_ratio: As `SqueezeExcitation`. Default 3.
        excitation_activation: As `SqueezeExcitation`. Default `"relu"`.
        hidden_units: Widths of the dense layers; empty for a weighted sum of the products. Default `(400, 400, 400)`.
        activation: Their activation. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `False`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of all kernels. Default 0.0.
        name: The model's name. Default `"fibinet"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown mode.

    Cost: with P pairs, `2 * P * embedding.dim * hidden_units[0]` multiply-adds per row in the first dense layer.

    Example:

    >>> fibinet(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        Huang et al., FiBiNET, RecSys 2019, arXiv 1905.09433, equations 3 to 10. The first dense layer is two
        `BilinearDense`, whose sum is the dense layer on all products joined.
    """
    inputs = encoded_inputs(features)
    field_map, weights = embedding.with_linear(inputs, features)
    excited = SqueezeExcitation(reduction_ratio, activation=excitation_activation, name="squeeze_excitation")(field_map)
    units = hidden_units[0] if hidden_units else 1
    # As in MLP, a bias in front of the normalisation would be taken away again; the logit has its own.
    use_bias = bool(hidden_units) and not batch_norm
    options = {"mode": mode, "kernel_regularizer": kernel_regularizer(kernel_regularizer_l2)}
    plain = BilinearDense(units, use_bias=use_bias, name="bilinear", **options)(field_map)
    weighed = BilinearDense(units, use_bias=False, name="excited_bilinear", **options)(excited)
    x = stack.Sum(name="first_dense")([plain, weighed])
    if hidden_units:
        if batch_norm:
            x = BatchNormalization(name="first_batch_norm")(x)
        x = keras.layers.Activation(activation, name="first_activation")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name="first_dropout")(x)
        x = deep_part(x, hidden_units[1:], activation, batch_norm, dropout, kernel_regularizer_l2)
        x = unbiased_logit(x, "deep")
    return keras.Model(inputs, LogitSum(name="logit")([weights, x]), name=name)
