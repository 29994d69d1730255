"""Towers of scenarios: separate, star and generated ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, arrays, close
from towers import SCENARIO, TOWER, run_tower, tower_of

from dynctr_tf.layers import (
    MLP,
    AdaptiveDense,
    CoActionUnit,
    EmbeddingGate,
    ExpertMixture,
    GateUnit,
    GeneratedTowers,
    GroupCondition,
    HiddenUnitContributions,
    InstanceTower,
    LightConvolution,
    MaskBlock,
    OrthogonalSet,
    ParallelMLP,
    PartitionedNormalization,
    PersonalizedAttention,
    PersonalizedBridge,
    PersonalizedMLP,
    ScenarioEmbedding,
    ScenarioFieldEmbedding,
    SeparateTowers,
    SharedCombination,
    StarTowers,
)

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised
X, Z = floats(7, 5), floats(7, 4)


@pytest.mark.parametrize("make", [SeparateTowers, StarTowers, GeneratedTowers])
def test_each_row_meets_its_own_scenario(make: Any) -> None:
    layer = randomised(make(**TOWER), X, SCENARIO)
    expected = [run_tower(X[row], tower_of(layer, max(0, SCENARIO[row] - 1))) for row in range(7)]
    close(layer(X, SCENARIO), expected)
    # Several vectors of one scenario stand side by side.
    several = randomised(make(**TOWER), floats(7, 3, 5), SCENARIO)
    x = floats(7, 3, 5)
    towers = [tower_of(several, max(0, index - 1)) for index in SCENARIO]
    close(several(x, SCENARIO), [[run_tower(x[row, place], towers[row]) for place in range(3)] for row in range(7)])


@pytest.mark.parametrize("make", [SeparateTowers, GeneratedTowers])
def test_low_rank_towers_follow_their_equation(make: Any) -> None:
    layer = randomised(make(5, (8,), 1, rank=2, activation="tanh"), X, SCENARIO)
    down, up, bias = arrays(*layer.factors["0"])
    assert set(layer.factors) == {"0"}  # the output of width 1 saves nothing by a rank
    expected = []
    for row in range(7):
        (core, core_bias), (kernel, last_bias) = tower_of(layer, max(0, SCENARIO[row] - 1))
        hidden = np.tanh(((X[row] @ down) @ core + core_bias) @ up + bias)
        expected.append(hidden @ kernel + last_bias)
    close(layer(X, SCENARIO), expected)


# ------------------------------------------------------------------------------------------------------- identities


@pytest.mark.parametrize("make", [SeparateTowers, StarTowers, GeneratedTowers])
def test_one_scenario_is_a_single_tower(make: Any) -> None:
    layer = randomised(make(**{**TOWER, "num_scenarios": 3}), X, np.full(7, 2, np.int32))
    single = MLP((4, 3), activation="tanh")
    single(X)
    tower = tower_of(layer, 1)
    single.set_weights([part for pair in tower[:2] for part in pair])
    expected = single(X).numpy() @ tower[2][0] + tower[2][1]
    for scenario in (2, 1, 0):  # the mean of one tower is that tower
        close(layer(X, np.full(7, scenario, np.int32)), expected)


def test_towers_start_alike() -> None:
    for make in (SeparateTowers, StarTowers):
        layer = make(**TOWER)
        found = layer(np.repeat(X[:1], 4, axis=0), np.array([2, 3, 4, 0], np.int32)).numpy()
        close(found, np.repeat(found[:1], 4, axis=0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: SeparateTowers(5, unknown="error"),
        lambda: PartitionedNormalization(5, unknown="error"),
        lambda: SharedCombination(5, "select", unknown="error"),
        lambda: ScenarioEmbedding(5, unknown="error"),
        lambda: ScenarioFieldEmbedding(10, 3, 5, unknown="error"),
    ],
)
def test_unknown_scenarios_can_be_refused(make: Any) -> None:
    layer = make()
    assert np.isfinite(called_with(layer, tf.constant([2, 4])).numpy()).all()
    compiled = tf.function(lambda scenario: called_with(layer, scenario))
    for scenario in ([2, 1], [0, 3]):
        for call in (lambda scenario: called_with(layer, scenario), compiled):
            with pytest.raises(tf.errors.InvalidArgumentError, match="unknown="):
                call(tf.constant(scenario))


def called_with(layer: Any, scenario: Any) -> Any:
    if isinstance(layer, (ScenarioEmbedding, GroupCondition)):
        return layer(scenario)
    if isinstance(layer, ScenarioFieldEmbedding):
        return layer([scenario, tf.ones((2, 2), tf.int32)])
    if isinstance(layer, SharedCombination):
        return layer([floats(2, 3, 4), floats(2, 5), floats(2, 2)], scenario)
    return layer(tf.constant(X[:2]), scenario)


@pytest.mark.parametrize(
    "make",
    [
        lambda: SeparateTowers(5),
        lambda: StarTowers(5),
        lambda: GeneratedTowers(5),
        lambda: PartitionedNormalization(5),
        lambda: SharedCombination(5, "select"),
        lambda: ScenarioEmbedding(5),
        lambda: ScenarioFieldEmbedding(10, 3, 5),
        lambda: HiddenUnitContributions(5),
        lambda: GroupCondition(5),
        lambda: AdaptiveDense(4, rank=2, num_groups=5),
    ],
)
def test_an_index_that_there_is_not_is_refused_in_every_dtype_and_in_graphs(make: Any) -> None:
    layer = make()
    assert np.isfinite(called_with(layer, tf.constant([0, 4], tf.uint8)).numpy()).all()
    compiled = tf.function(lambda scenario: called_with(layer, scenario))
    for index, dtype in ((-1, tf.int32), (5, tf.int32), (2**32 + 2, tf.int64)):
        for call in (lambda scenario: called_with(layer, scenario), compiled):
            with pytest.raises(tf.errors.InvalidArgumentError, match=rf"(?s)to 4, and got another.*{index}\b"):
                call(tf.constant([3, index], dtype))


def test_xla_compiles_layers_that_check_indices() -> None:
    made = [SeparateTowers(5), PartitionedNormalization(5), HiddenUnitContributions(5), GroupCondition(5)]

    def answers(scenario: Any) -> list[Any]:
        return [called_with(layer, scenario) for layer in made]

    expected = answers(tf.constant([2, 4]))
    for dtype in (tf.int32, tf.int64):
        compiled = tf.function(answers, jit_compile=True)(tf.constant([2, 4], dtype))
        for one, other in zip(compiled, expected, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SeparateTowers(2), "at least 3"),
        (lambda: SeparateTowers(5, unknown="men"), "Did you mean 'mean'"),
        (lambda: SeparateTowers(5, (), None), "at least one layer"),
        (lambda: GeneratedTowers(5, rank=0), "rank must be"),
        (lambda: GeneratedTowers(5, scenario_dim=0), "scenario_dim"),
        (lambda: StarTowers(5)(X), "got no scenario"),
        (lambda: InstanceTower((0,)), "Widths must be"),
        (lambda: OrthogonalSet(-1.0), "must not be negative"),
        (lambda: OrthogonalSet(1.0, "frobenus"), "Did you mean 'frobenius'"),
        (lambda: SharedCombination(5, "selekt"), "Did you mean 'select'"),
        (lambda: SharedCombination(5, "film")([floats(2, 4, 3), floats(2, 5), floats(2, 2)], SCENARIO[:2]), "got 4"),
        (lambda: ScenarioEmbedding(5, 0), "dim must be"),
        (lambda: ScenarioFieldEmbedding(5, 3, 2), "at least 3"),
        (lambda: PartitionedNormalization(5, momentum=1.0), "momentum"),
        (lambda: GateUnit(granularity="elements"), "Did you mean 'element'"),
        (lambda: GateUnit(granularity="position")(X, Z), "gate per position"),
        (lambda: GateUnit()(X), "condition"),
        (lambda: HiddenUnitContributions(0), "num_groups"),
        (lambda: HiddenUnitContributions(3)(X), "got no groups"),
        (lambda: EmbeddingGate("fields"), "Did you mean 'field'"),
        (lambda: MaskBlock(0), "units must be"),
        (lambda: PersonalizedMLP(()), "units"),
        (lambda: PersonalizedAttention(4)(floats(2, 3, 6), Z[:2]), "must divide"),
        (lambda: CoActionUnit((3,))(X, Z), "15 weights, got a condition of width 4"),
        (lambda: LightConvolution(4), "must be odd"),
        (lambda: PersonalizedBridge(0), "units"),
        (lambda: ParallelMLP(0), "at least one perceptron"),
        (lambda: ExpertMixture()([floats(2, 3, 4), floats(2, 2)]), "got"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
