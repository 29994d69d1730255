"""STAR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import LogitSum, PartitionedNormalization, ScenarioEmbedding, StarTowers
from dynctr_tf.models.deep_part import deep_part, kernel_regularizer, unbiased_logit
from dynctr_tf.models.parts import Embedding
from dynctr_tf.models.scenario_inputs import scenario_batch


def star(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    hidden_units: Sequence[int] = (256, 128, 64),
    partitioned_norm: bool = True,
    auxiliary_units: Sequence[int] | None = (32,),
    activation: str = "relu",
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    unknown: str = "mean",
    name: str = "star",
) -> Any:
    """STAR: one shared network, multiplied by one network per scenario.

    Use it for scenarios that have most in common, also when some have few rows.

    `logit = tower_s(PN_s([e_1; ...; e_F])) + auxiliary([e_1; ...; e_F; a_s])`, s the row's scenario: `StarTowers`
    behind `PartitionedNormalization`, and a small network that sees an embedding a_s of the scenario.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        hidden_units: Widths of the hidden layers. Default `(256, 128, 64)`.
        partitioned_norm: Whether the inputs are normalised scenario by scenario. Default `True`.
        auxiliary_units: Widths of the auxiliary network; `None` for no such network. Default `(32,)`.
        activation: Activation of the dense layers. Default `"relu"`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of their kernels. Default 0.0.
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
    >>> star(features, embedding=Embedding(4), hidden_units=(8,)).output_shape
    (None, 1)

    Reference:
        Sheng et al., One Model to Serve All: Star Topology Adaptive Recommender for Multi-Domain CTR Prediction, CIKM
        2021, arXiv 2101.11427, section 3.
    """
    batch = scenario_batch(features, embedding, "star")
    regularizer = kernel_regularizer(kernel_regularizer_l2)
    tower = {
        "activation": activation,
        "dropout": dropout,
        "kernel_regularizer": regularizer,
    }
    scenarios, x = features.num_scenarios, batch.flat
    if partitioned_norm:
        x = PartitionedNormalization(scenarios, unknown=unknown, name="partitioned_norm")(x, batch.scenario)
    logit = StarTowers(scenarios, hidden_units, unknown=unknown, name="towers", **tower)(x, batch.scenario)
    if auxiliary_units is not None:
        own = ScenarioEmbedding(scenarios, embedding.dim, unknown, name="scenario_embedding")(batch.scenario)
        joined = keras.layers.Concatenate(name="auxiliary_inputs")([batch.flat, own])
        deep = deep_part(
            joined, auxiliary_units, activation, False, dropout, kernel_regularizer_l2, name="auxiliary_mlp"
        )
        logit = LogitSum(use_bias=False, name="logit")([logit, unbiased_logit(deep, "auxiliary")])
    return keras.Model(batch.inputs, logit, name=name)
