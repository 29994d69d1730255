"""FiBiNET."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import BilinearDense, LogitSum, SqueezeExcitation
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs, unbiased_logit
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING


def fibinet(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    bilinear_kind: str = "interaction",
    reduction_ratio: float = 3,
    excitation_activation: str = "relu",
    deep: Deep = Deep((400, 400, 400)),
    name: str = "fibinet",
) -> keras.Model:
    """FiBiNET: bilinear products of all pairs of fields, plain and re-weighed by squeeze-and-excitation.

    Use it where the importance of fields changes from row to row; it is by far the most expensive baseline.

    `v_f = SE(E)_f * e_f`; `logit = b + sum_f w[i_f] + h^T MLP([(e_i W) * e_j; (v_i W') * v_j for i < j])`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        bilinear_kind: Which pairs share W: `"all"`, `"each"` or `"interaction"`. Default `"interaction"`.
        reduction_ratio: As `SqueezeExcitation`. Default 3.
        excitation_activation: As `SqueezeExcitation`. Default `"relu"`.
        deep: The dense layers; with no units it is a weighted sum of the products. Default `Deep((400, 400, 400))`.
        name: The model's name. Default `"fibinet"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown kind.

    Cost: with P pairs, `2 * P * embedding.dim * deep.units[0]` multiply-adds per row in the first dense layer.

    Example:

    >>> fibinet(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Huang et al., FiBiNET, RecSys 2019, arXiv 1905.09433, equations 3 to 10. The first dense layer is two
        `BilinearDense`, whose sum is the dense layer on all products joined.
    """
    inputs = encoded_inputs(features)
    field_map, weights = embedding.with_linear(inputs, features)
    excited = SqueezeExcitation(reduction_ratio, activation=excitation_activation, name="squeeze_excitation")(field_map)
    units = deep.units[0] if deep.units else 1
    # As in MLP, the normalisation would remove a bias before it; the logit has its own.
    use_bias = bool(deep.units) and not deep.batch_norm
    options = {"kind": bilinear_kind, "kernel_regularizer": deep.kernel_regularizer()}
    plain = BilinearDense(units, use_bias=use_bias, name="bilinear", **options)(field_map)
    weighed = BilinearDense(units, use_bias=False, name="excited_bilinear", **options)(excited)
    x = stack.Sum(name="first_dense")([plain, weighed])
    if deep.units:
        x = deep.activated(x, "first_{}")
        x = unbiased_logit(deep.mlp(x, deep.units[1:], "mlp"), "deep")
    return keras.Model(inputs, LogitSum(name="logit")([weights, x]), name=name)


ENTRIES = (
    ModelEntry(
        "fibinet",
        fibinet,
        title="FiBiNET: Combining Feature Importance and Bilinear feature Interaction for Click-Through Rate "
        "Prediction",
        paper="arXiv 1905.09433",
        equation="3-10",
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                **DENSE,
                "bilinear_kind": Choice(("all", "each", "interaction")),
                "reduction_ratio": Choice((2, 3, 5)),
            }
        ),
    ),
)
