"""OptMSM, reconstructed."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import FIRST_VALUE_OFFSET, EncodedFeatures
from dynctr_tf.layers import (
    GeneratedTowers,
    InstanceTower,
    OrthogonalSet,
    ParallelMLP,
    ScenarioEmbedding,
    SeparateTowers,
    SharedCombination,
)
from dynctr_tf.models.entry import Choice, LogUniform, ModelEntry
from dynctr_tf.models.multi_scenario.scenario_inputs import scenario_batch
from dynctr_tf.models.parts import Embedding, Hidden, logit
from dynctr_tf.models.search_spaces import TOWERS, TRAINED, WIDTHS
from dynctr_tf.nearest import unknown_name_message

TOWER_KINDS = ("scenario", "instance", "separate", "none")


def optmsm(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    specific: Sequence[str] | None = None,
    enhanced: bool = True,
    num_shared: int | None = None,
    encoder_units: Sequence[int] = (128, 64),
    orthogonal_kind: str = "cosine",
    orthogonal_weight: float = 0.001,
    combination_kind: str = "concatenate",
    scenario_dim: int = 16,
    tower_kind: str = "scenario",
    rank: int | None = None,
    code_dim: int = 8,
    tower_units: Sequence[int] = (64, 32),
    deep: Hidden = Hidden(),
    unknown: str = "mean",
    name: str = "optmsm",
) -> keras.Model:
    """OptMSM: separate encoders of shared and specific information, and a tower that a hypernetwork generates.

    Use it for many scenarios of unequal size. Only the abstract of the paper is public: the equations are a
    reconstruction, and each alternative is an argument.

    Scenario-enhanced learning: `G_k = MLP_k(E_c)`, k = 1 ... K, from the shared features' embeddings; `P = MLP([E_p;
    e_s])` from the specific ones' and the scenario's, MLP_k ending in a linear layer; a penalty pushes the G_k of an
    instance towards right angles (`OrthogonalSet`); `r = combine(G, P, e_s)` (`SharedCombination`). Scenario-specific
    prediction: `logit = tower(r)`, the tower's parameters generated for the scenario (`GeneratedTowers`) or for the
    instance, from `[e_s; P]` (`InstanceTower`).

    Ablations: `enhanced=False`, all embeddings go to the tower; `orthogonal_weight=0`, no constraint;
    `tower_kind="none"`, one static tower; `tower_kind="separate"`, free towers.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        specific: Names of the scenario-specific fields and sequences. Default `None`: the scenario, and what the schema
            declares.
        enhanced: Whether there is scenario-enhanced learning. Default `True`.
        num_shared: Number K of shared encoders. Default `None`: one for each real scenario.
        encoder_units: Widths of the layers of each encoder. Default `(128, 64)`.
        orthogonal_kind: Kind of the constraint, `"cosine"` or `"frobenius"`. Default `"cosine"`.
        orthogonal_weight: Its weight in the loss; 0 for none. Default 0.001.
        combination_kind: `"concatenate"`, `"gate"`, `"select"` or `"film"`. Default `"concatenate"`.
        scenario_dim: Width of e_s, and of the hypernetwork's scenario embedding. Default 16.
        tower_kind: What the tower is generated from: `"scenario"`, `"instance"`; or not generated: `"separate"`,
            `"none"`. Default `"scenario"`.
        rank: Rank of the generated layers. Default `None`: whole kernels.
        code_dim: Width of the hypernetwork, the number of kernels that it mixes. Default 8.
        tower_units: Widths of the hidden layers of the tower. Default `(64, 32)`.
        deep: What all dense layers have in common. Default `Hidden()`.
        unknown: What rows of a missing or unknown scenario get: `"mean"`, the mean of all scenarios' parameters;
            `"error"`, an error while running. Default `"mean"`.
        name: The model's name. Default `"optmsm"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: The data has no scenarios, no feature that they share, a set that `combination_kind` cannot select
            from, or an unknown option.

    Cost: K encoders on the shared features and one on the specific ones; the tower as `GeneratedTowers`, its first
    layer on K + 1 vectors (with `"gate"` and `"select"` on two, which is cheaper for many scenarios).

    Example:

    >>> from dynctr_tf.encoding.encoded_features import Field
    >>> fields = (Field("page", "scenario", 1, 5), Field("user", "user", 6, 9), Field("item", "item", 15, 9))
    >>> features = EncodedFeatures(fields, num_scenarios=5)
    >>> optmsm(features, embedding=Embedding(4), encoder_units=(8,), tower_units=(4,)).output_shape
    (None, 1)

    Reference:
        OptMSM: Optimizing Multi-Scenario Modeling for Click-Through Rate Prediction, arXiv 2306.13382, ECML-PKDD 2023.
        The partition, the set of shared embeddings, the constraint, the combination and the scenario-specific
        hypernetwork are in its abstract; all equations and defaults are ours. Of the combinations, concatenation is the
        default because it measured best: `pipelines/papers/optmsm/README.md`.
    """
    if tower_kind not in TOWER_KINDS:
        raise ValueError(unknown_name_message("kind of tower", str(tower_kind), TOWER_KINDS))
    batch = scenario_batch(features, embedding, "optmsm")
    tower = deep.layer_options()
    scenarios, scenario = features.num_scenarios, batch.scenario
    own, x, specific_vector = None, batch.flat, None
    if enhanced or tower_kind == "instance":
        own = ScenarioEmbedding(scenarios, scenario_dim, unknown, name="scenario_embedding")(scenario)
        specific_fields, shared_fields = features.scenario_partition(specific)
        if not shared_fields:
            raise ValueError("All fields are scenario-specific; at least one must be shared by the scenarios.")
        parts = [*([batch.vector(specific_fields, "specific")] if specific_fields else []), own]
        joined = keras.layers.Concatenate(name="specific_inputs")(parts) if len(parts) > 1 else own
        specific_vector = deep.mlp(joined, encoder_units, "specific_encoder")
    if enhanced:
        count = scenarios - FIRST_VALUE_OFFSET if num_shared is None else num_shared
        encoders = ParallelMLP(count, encoder_units, linear_output=True, name="shared_encoders", **tower)
        shared = encoders(batch.vector(shared_fields, "shared"))
        shared = OrthogonalSet(orthogonal_weight, orthogonal_kind, name="orthogonal_set")(shared)
        combination = SharedCombination(scenarios, combination_kind, unknown, name="combination")
        x = combination([shared, specific_vector, own], scenario)
    if tower_kind == "instance":
        condition = keras.layers.Concatenate(name="hyper_condition")([own, specific_vector])
        layer = InstanceTower(tower_units, rank=rank, code_dim=code_dim, name="tower", **tower)
        return keras.Model(batch.inputs, layer(x, condition), name=name)
    if tower_kind == "none":
        return keras.Model(batch.inputs, logit(deep.mlp(x, tower_units, "tower")), name=name)
    if tower_kind == "separate":
        towers = SeparateTowers(scenarios, tower_units, rank=rank, unknown=unknown, name="tower", **tower)
    else:
        towers = GeneratedTowers(
            scenarios,
            tower_units,
            rank=rank,
            scenario_dim=scenario_dim,
            code_dim=code_dim,
            unknown=unknown,
            name="tower",
            **tower,
        )
    return keras.Model(batch.inputs, towers(x, scenario), name=name)


ENTRIES = (
    ModelEntry(
        "optmsm",
        optmsm,
        title="OptMSM: Optimizing Multi-Scenario Modeling for Click-Through Rate Prediction",
        paper="arXiv 2306.13382",
        equation="none public: a reconstruction from the abstract",
        search_space=MappingProxyType(
            {
                **TRAINED,
                "encoder_units": WIDTHS,
                "tower_units": TOWERS,
                "orthogonal_weight": LogUniform(1e-4, 1e-1),
                "combination_kind": Choice(("concatenate", "gate", "select", "film")),
                "rank": Choice((None, 4, 8)),
                "code_dim": Choice((4, 8, 16)),
            }
        ),
    ),
)
