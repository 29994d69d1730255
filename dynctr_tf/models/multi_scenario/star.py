"""STAR."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import LogitSum, PartitionedNormalization, ScenarioEmbedding, StarTowers
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.multi_scenario.scenario_inputs import scenario_batch
from dynctr_tf.models.parts import Embedding, Tower, unbiased_logit
from dynctr_tf.models.search_spaces import NETWORK


def star(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    deep: Tower = Tower((256, 128, 64)),
    partitioned_norm: bool = True,
    auxiliary_units: Sequence[int] | None = (32,),
    unknown: str = "mean",
    name: str = "star",
) -> keras.Model:
    """STAR: one shared network, multiplied by one network per scenario.

    Use it for scenarios that have most in common, also when some have few rows.

    `logit = tower_s(PN_s([e_1; ...; e_F])) + auxiliary([e_1; ...; e_F; a_s])`, s the row's scenario: `StarTowers`
    after `PartitionedNormalization`, and a small network that sees an embedding a_s of the scenario.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        deep: The hidden layers. Default `Tower((256, 128, 64))`.
        partitioned_norm: Whether the inputs are normalised scenario by scenario. Default `True`.
        auxiliary_units: Widths of the auxiliary network; `None` for no such network. Default `(32,)`.
        unknown: What rows of a missing or unknown scenario get: `"mean"`, the mean of all scenarios' parameters;
            `"error"`, an error while running. Default `"mean"`.
        name: The model's name. Default `"star"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: The data has no scenarios, or a width or choice is refused by a layer.

    Cost: that of `StarTowers`, and of the auxiliary network.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import Field
    >>> fields = (Field("page", "scenario", 1, 5), Field("user", "user", 6, 9), Field("item", "item", 15, 9))
    >>> features = EncodedFeatures(fields, num_scenarios=5)
    >>> star(features, embedding=Embedding(4), deep=Tower((8,))).output_shape
    (None, 1)

    Reference:
        Sheng et al., One Model to Serve All: Star Topology Adaptive Recommender for Multi-Domain CTR Prediction, CIKM
        2021, arXiv 2101.11427, section 3.
    """
    batch = scenario_batch(features, embedding, "star")
    scenarios, x = features.num_scenarios, batch.flat
    if partitioned_norm:
        x = PartitionedNormalization(scenarios, unknown=unknown, name="partitioned_norm")(x, batch.scenario)
    towers = StarTowers(scenarios, deep.units, unknown=unknown, name="towers", **deep.layer_options())
    output = towers(x, batch.scenario)
    if auxiliary_units is not None:
        own = ScenarioEmbedding(scenarios, embedding.dim, unknown, name="scenario_embedding")(batch.scenario)
        joined = keras.layers.Concatenate(name="auxiliary_inputs")([batch.flat, own])
        auxiliary = unbiased_logit(deep.mlp(joined, auxiliary_units, "auxiliary_mlp"), "auxiliary")
        output = LogitSum(use_bias=False, name="logit")([output, auxiliary])
    return keras.Model(batch.inputs, output, name=name)


ENTRIES = (
    ModelEntry(
        "star",
        star,
        title="One Model to Serve All: Star Topology Adaptive Recommender for Multi-Domain CTR Prediction",
        paper="arXiv 2101.11427",
        equation="section 3",
        search_space=MappingProxyType({**NETWORK, "partitioned_norm": Choice((True, False))}),
    ),
)
