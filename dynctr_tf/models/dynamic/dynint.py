"""DynInt in its three kinds."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import DynamicActivation, DynamicGeneratedParameters, DynamicWeightedParameters
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Embedding, Generator, kernel_regularizer
from dynctr_tf.models.parts.polynomial_network import polynomial_network
from dynctr_tf.models.search_spaces import GENERATOR, ORTHOGONAL, POLYNOMIAL
from dynctr_tf.nearest import unknown_name_message

_KINDS = ("da", "dgp", "dwp")


def dynint(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    kind: str = "dgp",
    num_layers: int = 4,
    num_subspaces: int | None = None,
    rank: int | None = None,
    generator: Generator = Generator(),
    granularity: str = "field",
    sigma_kind: str = "two_sigmoid",
    offset_kind: str = "unit",
    orthogonal_weight: float = 1e-4,
    residual: bool = True,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "dynint",
) -> keras.Model:
    """DynInt: the network of xDeepInt with layers that generate a part of their parameters for each instance.

    Use it as the main dynamic model; train it with G-FTRL on the table and FTRL on the rest. `"dgp"` is the
    fastest with many sub-spaces, faster than the static network; `"da"` costs little more than that; `"dwp"`
    costs `rank` times that.

    The layers are `DynamicActivation` (da), `DynamicGeneratedParameters` (dgp) or `DynamicWeightedParameters` (dwp).
    The flattened field map is their condition; everything else is as in `xdeepint`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        kind: `"da"`, `"dgp"` or `"dwp"`. Default `"dgp"`.
        num_layers: Number L of layers; interactions reach degree L + 1, and 0 leaves a linear model over the
            embeddings, as in table 3 of DynInt. Default 4.
        num_subspaces: Number h of pieces of each embedding, a divisor of `embedding.dim`. Default `None`:
            its greatest common divisor with 16.
        rank: K of dgp or dwp, not used by da. Default `None`: for dgp 64, or the number of stacked fields where
            that is smaller; for dwp 2.
        generator: The network that generates. Default `Generator()`.
        granularity: Shape of the gate of da, see `DynamicActivation`. Default `"field"`.
        sigma_kind: Kind of the singular values of dgp, see `DynamicGeneratedParameters`. Default `"two_sigmoid"`.
        offset_kind: Start of the weights of dwp, see `DynamicWeightedParameters`. Default `"unit"`.
        orthogonal_weight: Weight of the penalty of equation 11 (dgp) or 12 (dwp). Default 1e-4: the paper's loss has
            the penalty, but prints no weight; ours is the smallest that was measured. On 86,342 rows of Criteo
            (`python -m pipelines.papers run dynint/figure-7b --sample`, three seeds) it makes the columns of dgp
            orthogonal, a mean absolute cosine of .003 against .07 without, and the AUC is the same to four digits; no
            weight up to 0.1 makes a difference that holds. dwp starts with equal factors, where the penalty is largest
            and almost without gradient; the columns of dgp cannot be orthogonal if there are more than stacked fields.
        residual: Whether layers are residual; if not, the outputs of all layers are joined before the output.
            Default `True`.
        dropout: Share of the entries of X_0 dropped in training before mixing. Default 0.0.
        kernel_regularizer_l2: L2 penalty of the static matrices. Default 0.0.
        name: The model's name. Default `"dynint"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown kind, a negative number of layers, or h does not divide `embedding.dim`.

    Cost: with F' = h * F, per layer and row `2 * F' * K * D / h` multiply-adds for dgp, `K * F' ** 2 * D / h`
    for dwp, `F' ** 2 * D / h` for da, beside those of the generator.

    Example:

    >>> dynint(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), num_subspaces=2).output_shape
    (None, 1)

    Reference:
        Yan and Li, DynInt, arXiv 2301.08139, equations 2 to 10. Depth and sub-spaces are those of the author's
        script for xDeepInt; reduction ratio and ranks lie in the ranges that the paper searched.
    """
    if kind not in _KINDS:
        raise ValueError(unknown_name_message("kind of dynint", str(kind), _KINDS))

    def make_layer(number: int, stacked_fields: int) -> Any:
        shared: dict[str, Any] = {
            "residual": residual,
            "dropout": dropout,
            "fields_last": True,
            "kernel_regularizer": kernel_regularizer(kernel_regularizer_l2),
            "name": f"{kind}_{number}",
            **generator.options(),
        }
        if kind == "da":
            return DynamicActivation(granularity=granularity, **shared)
        if kind == "dgp":
            directions = min(64, stacked_fields) if rank is None else rank
            return DynamicGeneratedParameters(
                rank=directions, sigma_kind=sigma_kind, orthogonal_weight=orthogonal_weight, **shared
            )
        return DynamicWeightedParameters(
            rank=2 if rank is None else rank, offset_kind=offset_kind, orthogonal_weight=orthogonal_weight, **shared
        )

    return polynomial_network(
        features,
        make_layer,
        embedding=embedding,
        num_layers=num_layers,
        num_subspaces=num_subspaces,
        residual=residual,
        conditioned=True,
        name=name,
    )


ENTRIES = (
    ModelEntry(
        "dynint_da",
        dynint,
        title="DynInt: Dynamic Interaction Modeling for Large-scale Click-Through Rate Prediction",
        paper="arXiv 2301.08139",
        equation="2 and 4",
        fixed=MappingProxyType({"kind": "da"}),
        search_space=MappingProxyType({**POLYNOMIAL, **GENERATOR}),
    ),
    ModelEntry(
        "dynint_dgp",
        dynint,
        title="DynInt: Dynamic Interaction Modeling for Large-scale Click-Through Rate Prediction",
        paper="arXiv 2301.08139",
        equation="2, 5, 7, 8 and 11",
        fixed=MappingProxyType({"kind": "dgp"}),
        search_space=MappingProxyType({**POLYNOMIAL, **GENERATOR, **ORTHOGONAL, "rank": Choice((16, 32, 64, 128))}),
    ),
    ModelEntry(
        "dynint_dwp",
        dynint,
        title="DynInt: Dynamic Interaction Modeling for Large-scale Click-Through Rate Prediction",
        paper="arXiv 2301.08139",
        equation="2, 6, 9, 10 and 12",
        fixed=MappingProxyType({"kind": "dwp"}),
        search_space=MappingProxyType({**POLYNOMIAL, **GENERATOR, **ORTHOGONAL, "rank": Choice((1, 2, 3, 4))}),
    ),
)
