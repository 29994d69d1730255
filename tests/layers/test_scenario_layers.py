"""Layers of several scenarios, gates and masks: against their equations, and what they are in special cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers import (
    MLP,
    AdaptiveDense,
    CoActionUnit,
    EmbeddingGate,
    ExpertMixture,
    GateUnit,
    GeneratedTowers,
    GroupCondition,
    HiddenGate,
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
from dynctr_tf.layers.dynamic.orthogonal_set import orthogonality
from dynctr_tf.layers.dynamic.scenario_rows import scenario_blocks

RANDOM = np.random.default_rng(21)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


X, Z, SCENARIO = floats(7, 5), floats(7, 4), np.array([2, 4, 0, 3, 2, 1, 4], np.int32)
TOWER: dict[str, Any] = {"num_scenarios": 5, "hidden_units": (4, 3), "units": 2, "activation": "tanh"}


def arrays(*weights: Any) -> list[np.ndarray]:
    return [tf.convert_to_tensor(weight).numpy() for weight in weights]


def randomised(layer: Any, *inputs: Any) -> Any:
    """Calls the layer, and gives it random weights."""
    layer(*inputs)
    layer.set_weights([0.5 * floats(*weight.shape) for weight in layer.get_weights()])
    return layer


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(tf.convert_to_tensor(found).numpy(), np.asarray(expected), rtol=2e-4, atol=2e-5)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


# ------------------------------------------------------------------------------------------------- rows by scenario


@pytest.mark.parametrize(("batch", "num_rows", "share"), [(0, 3, 1), (1, 50, 1), (40, 1, 1), (64, 6, 5), (100, 50, 2)])
def test_blocks_hold_one_scenario_each_and_are_few(batch: int, num_rows: int, share: int) -> None:
    rows = (RANDOM.integers(0, num_rows, batch) // share).astype(np.int32)
    blocks = scenario_blocks(tf.constant(rows, tf.int32), num_rows)
    x = floats(batch, 3)
    arranged = blocks.arrange(tf.constant(x))
    present = max(1, min(batch, num_rows))
    assert blocks.rows.shape[0] <= 2 * present
    assert arranged.shape[0] * arranged.shape[1] <= 2 * max(batch, present)
    np.testing.assert_array_equal(blocks.restore(arranged).numpy(), x)
    kept = np.repeat(blocks.rows.numpy(), arranged.shape[1])
    np.testing.assert_array_equal(kept[blocks.places.numpy()], rows)
    assert len(set(blocks.places.numpy().tolist())) == batch


def tower_of(layer: Any, row: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernels and biases of one row of the tables: 0 for the mean, then the real scenarios."""
    table = [layer.dense_parameters(index, tf.range(layer.num_real + 1)) for index in range(layer.num_layers)]
    return [(kernels.numpy()[row], biases.numpy()[row]) for kernels, biases in table]


def run_tower(x: np.ndarray, tower: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    for index, (kernel, bias) in enumerate(tower):
        x = x @ kernel + bias
        x = np.tanh(x) if index < len(tower) - 1 else x
    return x


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


def test_parameters_of_the_towers_are_what_their_equations_say() -> None:
    separate = randomised(SeparateTowers(**TOWER), X, SCENARIO)
    kernels, biases = arrays(*separate.tables[1])
    close(tower_of(separate, 2)[1][0], kernels[1])
    close(tower_of(separate, 0)[1][0], kernels.mean(0))  # the mean tower
    close(tower_of(separate, 0)[1][1], biases.mean(0))
    star = randomised(StarTowers(**TOWER), X, SCENARIO)
    (kernel, bias), (kernels, biases) = arrays(*star.shared[0]), arrays(*star.tables[0])
    close(tower_of(star, 3)[0][0], kernel * kernels[2])
    close(tower_of(star, 3)[0][1], bias + biases[2])
    close(tower_of(star, 0)[0][0], kernel * kernels.mean(0))
    generated = randomised(GeneratedTowers(**TOWER, scenario_dim=6, code_units=3), X, SCENARIO)
    (embeddings,) = arrays(generated.scenario_embeddings)
    codes = relu(embeddings @ arrays(generated.generator.kernels[0])[0] + arrays(generated.generator.biases[0])[0])
    bank = generated.banks[1]
    kernels, static, biases, bias = arrays(bank.kernels, bank.unmixed_kernel, bank.biases, bank.unmixed_bias)
    for row, code in enumerate([codes.mean(0), *codes]):
        close(tower_of(generated, row)[1][0], sum(code[j] * kernels[0, j] for j in range(3)) + static[0, 0])
        close(tower_of(generated, row)[1][1], code @ biases + bias)
    mean = np.mean([tower_of(generated, row)[1][0] for row in (1, 2, 3)], axis=0)
    close(tower_of(generated, 0)[1][0], mean)  # the mean code generates the mean tower


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


@pytest.mark.parametrize("rank", [None, 1])
def test_instance_tower_follows_its_equation(rank: int | None) -> None:
    layer = randomised(InstanceTower((4,), 2, rank, code_units=3, activation="tanh"), X, Z)
    assert set(layer.downs) == (set() if rank is None else {"0", "1"})
    codes = relu(Z @ arrays(layer.generator.kernels[0])[0] + arrays(layer.generator.biases[0])[0])

    def bank_of(bank: Any, x: np.ndarray, code: np.ndarray) -> np.ndarray:
        kernels, static, biases, bias = arrays(bank.kernels, bank.unmixed_kernel, bank.biases, bank.unmixed_bias)
        return x @ (np.tensordot(code, kernels[0], 1) + static[0, 0]) + code @ biases + bias

    expected = []
    for row in range(7):
        x = X[row]
        for index, bank in enumerate(layer.banks):
            if str(index) in layer.downs:
                down, up = layer.downs[str(index)], layer.ups[str(index)]
                x = bank_of(bank, x @ arrays(down.kernel)[0], codes[row]) @ arrays(up.kernel)[0] + arrays(up.bias)[0]
            else:
                x = bank_of(bank, x, codes[row])
            x = np.tanh(x) if index == 0 else x
        expected.append(x)
    close(layer(X, Z), expected)


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


def test_generated_tower_of_a_constant_condition_is_static() -> None:
    layer = randomised(InstanceTower((4, 3), 2, code_units=3, activation="tanh"), X, Z)
    constant = np.repeat(Z[:1], 7, axis=0)
    (code,) = layer.generator(tf.constant(Z[:1])).numpy()
    tower = []
    for bank in layer.banks:
        kernels, static, biases, bias = arrays(bank.kernels, bank.unmixed_kernel, bank.biases, bank.unmixed_bias)
        tower.append((np.tensordot(code, kernels[0], 1) + static[0, 0], code @ biases + bias))
    close(layer(X, constant), run_tower(X, tower))


def test_towers_start_alike() -> None:
    for make in (SeparateTowers, StarTowers):
        layer = make(**TOWER)
        found = layer(np.repeat(X[:1], 4, axis=0), np.array([2, 3, 4, 0], np.int32)).numpy()
        close(found, np.repeat(found[:1], 4, axis=0))


def test_gates_that_start_at_zero_leave_the_network() -> None:
    close(GateUnit()(X, Z), X)
    close(GateUnit(include_inputs=True, granularity="position")(floats(3, 2, 4), Z[:3]).shape, (3, 2, 4))
    close(HiddenUnitContributions(5)(X, SCENARIO), X)
    field_map = floats(3, 4, 5)
    for granularity in ("field", "element"):
        close(EmbeddingGate(granularity, scale=2.0, kernel_initializer="zeros")(field_map), field_map)
    close(HiddenGate(scale=2.0, kernel_initializer="zeros")(X), X)
    personalised, plain = PersonalizedMLP((4, 3)), MLP((4, 3))
    personalised(X, Z)
    plain(X)
    plain.set_weights([weight for dense in personalised.dense_layers for weight in dense.get_weights()])
    close(personalised(X, Z), plain(X))


# -------------------------------------------------------------------------------------------- OptMSM's other layers


def test_orthogonality_values() -> None:
    vectors = floats(4, 3, 5)
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    cosine = np.mean([sum(abs(u[i] @ u[j]) for i in range(3) for j in range(i + 1, 3)) for u in unit])
    frobenius = np.mean([np.linalg.norm(u @ u.T - np.eye(3)) ** 2 for u in unit])
    close(orthogonality(tf.constant(vectors)), cosine)
    close(orthogonality(tf.constant(vectors), "frobenius"), frobenius)
    for form, value in (("cosine", cosine), ("frobenius", frobenius)):
        layer = OrthogonalSet(0.1, form)
        np.testing.assert_array_equal(layer(vectors).numpy(), vectors)
        close(layer.losses[0], 0.1 * value)
        assert float(orthogonality(tf.eye(4)[tf.newaxis], form)) == pytest.approx(0, abs=1e-6)
    silent = OrthogonalSet(0.0)
    silent(vectors)
    assert silent.losses == []


@pytest.mark.parametrize("mode", ["gate", "select", "concat", "film"])
def test_combinations_follow_their_equations(mode: str) -> None:
    shared, specific, embedding = floats(7, 3, 4), floats(7, 5), floats(7, 2)
    layer = randomised(SharedCombination(5, mode), [shared, specific, embedding], SCENARIO)
    kernel, bias = arrays(layer.kernel, layer.bias) if layer.kernel is not None else (None, None)
    expected = []
    for row in range(7):
        own = shared[row].mean(0) if SCENARIO[row] < 2 else shared[row, SCENARIO[row] - 2]
        if mode == "gate":
            weights = softmax(np.concatenate([specific[row], embedding[row]]) @ kernel + bias)
            expected.append(np.concatenate([weights @ shared[row], specific[row]]))
        elif mode == "select":
            expected.append(np.concatenate([own, specific[row]]))
        elif mode == "concat":
            expected.append(np.concatenate([shared[row].ravel(), specific[row]]))
        else:
            expected.append(own * 2 * sigmoid(specific[row] @ kernel + bias))
    close(layer([shared, specific, embedding], SCENARIO), expected)


def test_scenario_embedding_of_unknown_scenarios_is_the_mean() -> None:
    layer = ScenarioEmbedding(5, 3)
    found = layer(SCENARIO).numpy()
    table = layer.get_weights()[0]
    close(found, [table.mean(0) if index < 2 else table[index - 2] for index in SCENARIO])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(SCENARIO))
    gradient = tape.gradient(loss, stack.raw_variable(layer.embeddings))
    # Dense, with the two rows of unknown scenarios shared out and repeated scenarios summed.
    close(gradient, np.repeat([[2 + 2 / 3], [1 + 2 / 3], [2 + 2 / 3]], 3, axis=1))


def test_a_table_for_each_scenario() -> None:
    layer = ScenarioFieldEmbedding(10, 3, 5)
    ids = np.array([[1, 0], [9, 2], [3, 0], [1, 1], [4, 4], [0, 5], [7, 7]], np.int32)
    found = layer([SCENARIO, ids]).numpy()
    tables = layer.get_weights()[0].reshape(3, 10, 3)
    for row in range(7):
        for place in range(2):
            own = (
                tables[:, ids[row, place]].mean(0) if SCENARIO[row] < 2 else tables[SCENARIO[row] - 2, ids[row, place]]
            )
            close(found[row, place], np.zeros(3) if ids[row, place] == 0 else own)


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


# ------------------------------------------------------------------------------------------------ partitioned norm


def test_partitioned_norm_follows_its_equation_and_skips_scenarios_of_one_row() -> None:
    layer = PartitionedNormalization(5, momentum=0.9)
    scenario = np.array([2, 2, 2, 3, 4, 4, 0, 1], np.int32)
    x = 3 + 2 * floats(8, 4)
    layer(x, scenario)
    gamma, beta, gammas, betas, *_ = (0.5 + floats(*weight.shape) for weight in layer.get_weights())
    mean, variance = floats(4, 4), 1 + np.square(floats(4, 4))
    layer.set_weights([gamma, beta, gammas, betas, mean, variance, np.full((4, 1), 50.0)])  # momentum rules by then
    found = layer(x, scenario, training=True).numpy()
    for row in range(8):
        index = scenario[row]
        rows = x if index < 2 else x[scenario == index]
        statistics = (rows.mean(0), rows.var(0)) if len(rows) > 1 else (mean[index - 1], variance[index - 1])
        own = (gammas.mean(0), betas.mean(0)) if index < 2 else (gammas[index - 2], betas[index - 2])
        unit = (x[row] - statistics[0]) / np.sqrt(statistics[1] + 0.001)
        close(found[row], unit * gamma * own[0] + beta + own[1])
    moved = layer.get_weights()[4]
    close(moved[0], 0.9 * mean[0] + 0.1 * x.mean(0))
    close(moved[1], 0.9 * mean[1] + 0.1 * x[:3].mean(0))
    np.testing.assert_array_equal(moved[2], mean[2])  # scenario 3 has one row
    served = layer(x, scenario).numpy()
    index = scenario[0] - 1
    unit = (x[0] - moved[index]) / np.sqrt(layer.get_weights()[5][index] + 0.001)
    close(served[0], unit * gamma * gammas[0] + beta + betas[0])


def test_partitioned_norm_serves_early_what_it_trained_with() -> None:
    layer = PartitionedNormalization(5)
    batches = [0.03 * floats(6, 4) + 2 for _ in range(3)]
    scenario = np.array([2, 2, 2, 2, 3, 3], np.int32)
    for x in batches:
        layer(x, scenario, training=True)
    mean, variance, count = layer.get_weights()[4:]
    close(mean[1], np.mean([x[:4].mean(0) for x in batches], axis=0))
    close(variance[1], np.mean([x[:4].var(0) for x in batches], axis=0))
    np.testing.assert_array_equal(count[:, 0], [3, 3, 3, 0])
    np.testing.assert_array_equal([mean[3], variance[3]], [np.zeros(4), np.ones(4)])  # never met


# ------------------------------------------------------------------------------------------- experts, gates and masks


def test_experts_and_their_mixture() -> None:
    layer = randomised(ParallelMLP(3, (4, 2), "tanh"), X)
    first, first_bias, second, second_bias = (
        arrays(part)[0] for pair in zip(layer.kernels, layer.biases, strict=True) for part in pair
    )
    experts = [np.tanh(np.tanh(X @ first[k] + first_bias[k]) @ second[k] + second_bias[k]) for k in range(3)]
    close(layer(X), np.stack(experts, axis=1))
    logits = floats(7, 3)
    close(
        ExpertMixture()([np.stack(experts, axis=1), logits]),
        sum(softmax(logits)[:, k : k + 1] * experts[k] for k in range(3)),
    )


@pytest.mark.parametrize("include", [False, True])
def test_gate_unit_follows_its_equation(include: bool) -> None:
    layer = randomised(GateUnit(include_inputs=include, scale=1.5), X, Z)
    (first, second), (bias, last) = arrays(*layer.generator.kernels), arrays(*layer.generator.biases)
    z = np.concatenate([Z, X], axis=1) if include else Z
    close(layer(X, Z), X * 1.5 * sigmoid(relu(z @ first + bias) @ second + last))
    x = tf.constant(X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x, Z))
    # The gate sees the inputs through a stopped gradient.
    close(tape.gradient(loss, x), 1.5 * sigmoid(relu(z @ first + bias) @ second + last))


def test_gates_of_gatenet_and_lhuc() -> None:
    field_map = floats(3, 4, 5)
    for granularity, shared in (("field", False), ("field", True), ("element", False), ("element", True)):
        layer = randomised(EmbeddingGate(granularity, shared), field_map)
        (kernel,) = layer.get_weights()
        expected = [
            [field_map[n, f] * sigmoid(field_map[n, f] @ kernel[0 if shared else f]) for f in range(4)]
            for n in range(3)
        ]
        close(layer(field_map), expected)
    hidden = randomised(HiddenGate(), X)
    close(hidden(X), X * sigmoid(X @ hidden.get_weights()[0]))
    lhuc = randomised(HiddenUnitContributions(5), X, SCENARIO)
    close(lhuc(X, SCENARIO), X * 2 * sigmoid(lhuc.get_weights()[0][SCENARIO]))


def test_mask_block_follows_its_equation() -> None:
    layer = randomised(MaskBlock(3, 2.0), X, Z)
    (first, second), (bias, last) = arrays(*layer.generator.kernels), arrays(*layer.generator.biases)
    assert first.shape == (4, 10)
    y = ((relu(Z @ first + bias) @ second + last) * X) @ arrays(layer.dense.kernel)[0]
    unit = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-6)
    gamma, beta = layer.norm.get_weights()
    close(layer(X, Z), relu(unit * gamma + beta))


@pytest.mark.parametrize("independent", [False, True])
def test_co_action_follows_its_equation(independent: bool) -> None:
    layer = CoActionUnit((3, 2), 2, independent)
    x, weights = floats(2, 4, 5), floats(2, layer.parameter_count(5))
    assert layer.parameter_count(5) == 21 * (1 + independent)
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], bool)
    expected = np.zeros((2, 10))
    for n in range(2):
        for t in range(4):
            outputs = []
            for order in (1, 2):
                own = weights[n, 21 * (order - 1) :] if independent else weights[n]
                first, second = own[:15].reshape(5, 3), own[15:21].reshape(3, 2)
                hidden = np.tanh(x[n, t] ** order @ first)
                outputs += [hidden, hidden @ second]
            expected[n] += mask[n, t] * np.concatenate(outputs)
    close(layer(x, weights, mask=mask), expected)


@pytest.mark.parametrize("dynamic", [False, True])
def test_light_convolution_follows_its_equation(dynamic: bool) -> None:
    layer, x = LightConvolution(3, 2, dynamic), floats(2, 5, 4)
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    randomised(layer, x)
    dense = {name: arrays(*part.weights) for name, part in layer.dense.items()}
    inner = (x @ dense["value"][0] + dense["value"][1]) * sigmoid(x @ dense["gate"][0] + dense["gate"][1])
    expected = np.zeros((2, 5, 4))
    for n in range(2):
        for i in range(5):
            logits = (inner[n, i] @ dense["taps"][0]).reshape(2, 3) if dynamic else arrays(layer.taps)[0]
            weights, total = softmax(logits), np.zeros(4)
            for tap, at in enumerate((i - 1, i, i + 1)):
                if 0 <= at < 5 and mask[n, at]:
                    total += np.repeat(weights[:, tap], 2) * inner[n, at]
            expected[n, i] = mask[n, i] * (total @ dense["output"][0] + dense["output"][1])
    close(layer(x, mask=mask), expected)


def test_bridge_follows_its_equation() -> None:
    layer = randomised(PersonalizedBridge(3, code_units=2), X, Z)
    codes = relu(Z @ arrays(layer.generator.kernels[0])[0] + arrays(layer.generator.biases[0])[0])
    kernels, static = arrays(layer.bank.kernels, layer.bank.unmixed_kernel)
    close(layer(X, Z), [X[n] @ (np.tensordot(codes[n], kernels[0], 1) + static[0, 0]) for n in range(7)])


def test_personalised_attention_follows_its_equation() -> None:
    x, mask = floats(2, 4, 6), np.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool)
    layer = randomised(PersonalizedAttention(2, 3), x, Z[:2])
    w = {name: arrays(dense.kernel)[0] for name, dense in layer.projections.items()}
    gates = {name: gate(np.ones((2, 6), np.float32), Z[:2]).numpy() for name, gate in layer.gates.items()}
    mix = softmax(Z[:2] @ arrays(layer.generator.kernels[0])[0] + arrays(layer.generator.biases[0])[0])
    (kernels,) = arrays(layer.values.kernels)
    expected = np.zeros((2, 4, 6))
    for n in range(2):
        q, k = (gates[name][n] * (x[n] @ w[name]) for name in ("query", "key"))
        v = x[n] @ np.tensordot(mix[n], kernels[0], 1)
        heads = []
        for head in (slice(0, 3), slice(3, 6)):
            scores = np.where(mask[n], q[:, head] @ k[:, head].T / np.sqrt(3), -np.inf)
            heads.append(softmax(scores) @ v[:, head])
        y = np.concatenate(heads, axis=1) @ w["output"] + arrays(layer.projections["output"].bias)[0]
        expected[n] = mask[n][:, None] * y
    close(layer(x, Z[:2], mask=mask), expected)


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
        (lambda: PersonalizedMLP(()), "hidden_units"),
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
