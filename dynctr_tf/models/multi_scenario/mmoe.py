"""MMoE, and POSO's form of it."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import ExpertMixture, GateUnit, ParallelMLP, SeparateTowers
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.multi_scenario.scenario_inputs import positions_of, scenario_batch
from dynctr_tf.models.parts import Embedding, Hidden
from dynctr_tf.models.search_spaces import EXPERTS


def mmoe(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    num_experts: int = 4,
    expert_units: Sequence[int] = (256, 128),
    tower_units: Sequence[int] = (64,),
    personal: Sequence[str] = (),
    deep: Hidden = Hidden(),
    unknown: str = "mean",
    name: str = "mmoe",
) -> keras.Model:
    """MMoE: experts that all scenarios share, weighed by a gate for each scenario.

    Use it where some scenarios resemble each other and others do not. With one expert it is `shared_bottom`.

    `logit = tower_s(sum_e softmax(W_s x)_e expert_e(x))`, `x = [e_1; ...; e_F]`, s the row's scenario. With `personal`,
    expert e is first multiplied by a gate between 0 and 2, generated from these fields.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        num_experts: Number of experts. Default 4.
        expert_units: Widths of the layers of an expert. Default `(256, 128)`.
        tower_units: Widths of the hidden layers of a tower, possibly none. Default `(64,)`.
        personal: Roles or names of the fields by which experts are personalised, as POSO does for new users. Default
            `()`: none.
        deep: What all dense layers have in common. Default `Hidden()`.
        unknown: What rows of a missing or unknown scenario get: `"mean"`, the mean of all scenarios' parameters;
            `"error"`, an error while running. Default `"mean"`.
        name: The model's name. Default `"mmoe"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: The data has no scenarios, or a width or choice is refused by a layer.

    Cost: that of all experts, and of `SeparateTowers`.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import Field
    >>> fields = (Field("page", "scenario", 1, 5), Field("user", "user", 6, 9), Field("item", "item", 15, 9))
    >>> features = EncodedFeatures(fields, num_scenarios=5)
    >>> mmoe(features, embedding=Embedding(4), num_experts=2, expert_units=(8,), tower_units=(4,)).output_shape
    (None, 1)

    Reference:
        Ma et al., Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts, KDD 2018,
        equations 5 to 7, with scenarios in the place of tasks; Dai et al., POSO, arXiv 2108.04690, section 3.5.
    """
    batch = scenario_batch(features, embedding, "mmoe")
    scenarios = features.num_scenarios
    experts = ParallelMLP(num_experts, expert_units, name="experts", **deep.layer_options())(batch.flat)
    if personal:
        condition = batch.vector(positions_of(features, personal, "personal"), "personal")
        experts = GateUnit(granularity="position", name="personal_gate")(experts, condition)
    regularizer = deep.kernel_regularizer()
    gates = SeparateTowers(scenarios, (), num_experts, unknown=unknown, kernel_regularizer=regularizer, name="gates")
    mixed = ExpertMixture(name="mixture")([experts, gates(batch.flat, batch.scenario)])
    towers = SeparateTowers(scenarios, tower_units, unknown=unknown, name="towers", **deep.layer_options())
    return keras.Model(batch.inputs, towers(mixed, batch.scenario), name=name)


ENTRIES = (
    ModelEntry(
        "mmoe",
        mmoe,
        title="Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts",
        paper="KDD 2018",
        equation="5-7",
        search_space=MappingProxyType({**EXPERTS, "num_experts": Choice((2, 4, 8))}),
    ),
)
