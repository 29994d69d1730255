"""PLE."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import ExpertMixture, ParallelMLP, SeparateTowers
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.multi_scenario.scenario_inputs import scenario_batch
from dynctr_tf.models.parts import Embedding, Hidden
from dynctr_tf.models.search_spaces import EXPERTS


def ple(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    num_levels: int = 1,
    num_shared_experts: int = 2,
    num_specific_experts: int = 1,
    expert_units: Sequence[int] = (256, 128),
    tower_units: Sequence[int] = (64,),
    deep: Hidden = Hidden(),
    unknown: str = "mean",
    name: str = "ple",
) -> keras.Model:
    """PLE: experts that all scenarios share beside experts of each scenario.

    Use it where sharing all experts, as `mmoe` does, harms some scenarios: here each scenario also has its own experts.

    At each level, `x_s <- sum_e softmax(W_s x_s)_e h_e` over the scenario's own experts `h_e(x_s)` and the shared ones
    `h_e(x)`, and between levels `x <- sum_e softmax(W x)_e h_e` over the same; `logit = tower_s(x_s)`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        num_levels: Number of extraction levels. Default 1.
        num_shared_experts: Number of experts that all scenarios share, at each level. Default 2.
        num_specific_experts: Number of experts of each scenario, at each level. Default 1.
        expert_units: Widths of the layers of an expert. Default `(256, 128)`.
        tower_units: Widths of the hidden layers of a tower, possibly none. Default `(64,)`.
        deep: What all dense layers have in common. Default `Hidden()`.
        unknown: What rows of a missing or unknown scenario get: `"mean"`, the mean of all scenarios' parameters;
            `"error"`, an error while running. Default `"mean"`.
        name: The model's name. Default `"ple"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: The data has no scenarios, a number below 1, or a width or choice that a layer refuses.

    Cost: that of all shared experts, and of `SeparateTowers` for the others: a row goes through the experts of its
        scenario only.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import Field
    >>> fields = (Field("page", "scenario", 1, 5), Field("user", "user", 6, 9), Field("item", "item", 15, 9))
    >>> features = EncodedFeatures(fields, num_scenarios=5)
    >>> ple(features, embedding=Embedding(4), expert_units=(8,), tower_units=(4,)).output_shape
    (None, 1)

    Reference:
        Tang et al., Progressive Layered Extraction (PLE), RecSys 2020, equations 1 to 6, with scenarios in the place of
        tasks. A row belongs to one scenario: between levels, the shared path weighs that scenario's experts and the
        shared ones, not those of the other scenarios.
    """
    if min(num_levels, num_shared_experts, num_specific_experts) < 1:
        raise ValueError(
            "num_levels, num_shared_experts and num_specific_experts must be at least 1, got "
            f"{num_levels}, {num_shared_experts} and {num_specific_experts}."
        )
    batch = scenario_batch(features, embedding, "ple")
    regularizer = deep.kernel_regularizer()
    tower = deep.layer_options()
    count, scenarios = num_shared_experts + num_specific_experts, features.num_scenarios
    own = shared = batch.flat
    for level in range(1, num_levels + 1):
        parts = [ParallelMLP(num_shared_experts, expert_units, name=f"shared_experts_{level}", **tower)(shared)]
        for index in range(1, num_specific_experts + 1):
            specific = SeparateTowers(
                scenarios, expert_units, None, unknown=unknown, name=f"specific_expert_{level}_{index}", **tower
            )
            vector = specific(own, batch.scenario)
            parts.append(keras.layers.Reshape((1, vector.shape[-1]), name=f"as_expert_{level}_{index}")(vector))
        experts = keras.layers.Concatenate(axis=1, name=f"experts_{level}")(parts)
        gates = SeparateTowers(
            scenarios, (), count, unknown=unknown, kernel_regularizer=regularizer, name=f"gates_{level}"
        )
        own = ExpertMixture(name=f"mixture_{level}")([experts, gates(own, batch.scenario)])
        if level < num_levels:
            shared_gate = keras.layers.Dense(count, use_bias=False, dtype="float32", name=f"shared_gate_{level}")
            shared = ExpertMixture(name=f"shared_mixture_{level}")([experts, shared_gate(shared)])
    towers = SeparateTowers(scenarios, tower_units, unknown=unknown, name="towers", **tower)
    return keras.Model(batch.inputs, towers(own, batch.scenario), name=name)


ENTRIES = (
    ModelEntry(
        "ple",
        ple,
        title="Progressive Layered Extraction (PLE): A Novel Multi-Task Learning Model",
        paper="RecSys 2020",
        equation="1-6",
        search_space=MappingProxyType(
            {
                **EXPERTS,
                "num_levels": Choice((1, 2)),
                "num_shared_experts": Choice((1, 2, 4)),
                "num_specific_experts": Choice((1, 2)),
            }
        ),
    ),
)
