"""The DynInt layers against naive versions that build every matrix, loops, and the static layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers import (
    DynamicActivation,
    FieldEmbedding,
    GeneratedParameters,
    ParameterGenerator,
    PolynomialInteraction,
    SplitSubspaces,
    WeightedParameters,
)
from dynctr_tf.layers.dynamic.dynamic_crossing import sum_of_cosines

RANDOM = np.random.default_rng(11)
N, F, D, Z = 3, 4, 2, 5
DYNAMIC = [DynamicActivation, GeneratedParameters, WeightedParameters]


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


X, X0, CONDITION = floats(N, F, D), floats(N, F, D), floats(N, Z)


def randomised(layer: Any, *arguments: Any) -> dict[str, np.ndarray]:
    """Builds the layer, gives every weight random values, and returns these by their last name."""
    layer(*arguments)
    layer.set_weights([floats(*weight.shape) for weight in layer.get_weights()])
    names = [getattr(weight, "path", weight.name).split("/")[-1].split(":")[0] for weight in layer.weights]
    return dict(zip(names, layer.get_weights(), strict=True))


def generated_with_loops(weights: dict[str, np.ndarray], condition: np.ndarray) -> np.ndarray:
    """The output of a two-layer generator before its output activation."""
    hidden = np.zeros((len(condition), weights["bias_1"].size))
    for n, j in np.ndindex(hidden.shape):
        total = sum(condition[n, k] * weights["kernel_1"][k, j] for k in range(condition.shape[1]))
        hidden[n, j] = max(0.0, total + weights["bias_1"][j])
    return hidden @ weights["kernel_2"] + weights["bias_2"]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def crossed(matrices: np.ndarray, x: np.ndarray, x0: np.ndarray, gate: Any = 1.0) -> np.ndarray:
    """X * (W_i X_0) * gate + X with one matrix per instance, which the layers never build."""
    assert matrices.shape == (N, F, F)
    mixed = np.stack([matrices[n] @ x0[n] for n in range(len(x0))])
    return x * mixed * gate + x


def output_of(layer: Any, fields_last: bool) -> np.ndarray:
    pair = [m.transpose(0, 2, 1) for m in (X, X0)] if fields_last else [X, X0]
    output = layer([tf.constant(m) for m in pair], tf.constant(CONDITION)).numpy()
    return output.transpose(0, 2, 1) if fields_last else output


def built(layer: Any, fields_last: bool = False) -> dict[str, np.ndarray]:
    pair = [m.transpose(0, 2, 1) for m in (X, X0)] if fields_last else [X, X0]
    return randomised(layer, [tf.constant(m) for m in pair], tf.constant(CONDITION))


@pytest.mark.parametrize("fields_last", [True, False])
@pytest.mark.parametrize("gate", ["field", "element"])
def test_dynamic_activation_is_equation_4(gate: str, fields_last: bool) -> None:
    layer = DynamicActivation(gate, fields_last=fields_last, reduction_ratio=2.0)
    weights = built(layer, fields_last)
    g = 2 * sigmoid(generated_with_loops(weights, CONDITION))
    g = g[:, :, None] if gate == "field" else g.reshape(N, D, F).transpose(0, 2, 1)
    expected = crossed(np.stack([weights["kernel"].T] * N), X, X0, g)
    np.testing.assert_allclose(output_of(layer, fields_last), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fields_last", [True, False])
@pytest.mark.parametrize("sigma", ["two_sigmoid", "linear"])
def test_generated_parameters_are_equations_5_7_8(sigma: str, fields_last: bool) -> None:
    layer = GeneratedParameters(3, sigma, fields_last=fields_last, reduction_ratio=2.0)
    weights = built(layer, fields_last)
    raw = generated_with_loops(weights, CONDITION)
    values = 2 * sigmoid(raw) if sigma == "two_sigmoid" else 1 + raw
    matrices = np.stack([weights["u"] @ np.diag(values[n]) @ weights["v"].T for n in range(N)])
    expected = crossed(matrices, X, X0)
    np.testing.assert_allclose(output_of(layer, fields_last), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fields_last", [True, False])
@pytest.mark.parametrize(("offset", "rank"), [("unit", 1), ("unit", 3), ("paper", 3)])
def test_weighted_parameters_are_equations_6_9_10(offset: str, rank: int, fields_last: bool) -> None:
    layer = WeightedParameters(rank, offset, fields_last=fields_last, reduction_ratio=2.0)
    weights = built(layer, fields_last)
    added = 1 / math.sqrt(rank) if offset == "unit" else 1 / rank
    uv = generated_with_loops(weights, CONDITION).reshape(N, 2, rank, F) + added
    g = np.zeros((N, F, F))
    for n, p, i, j in np.ndindex(N, rank, F, F):
        g[n, i, j] += uv[n, 0, p, i] * uv[n, 1, p, j]
    expected = crossed(g * weights["kernel"].T, X, X0)
    np.testing.assert_allclose(output_of(layer, fields_last), expected, rtol=1e-3, atol=1e-4)


def test_generator_by_hand() -> None:
    layer = ParameterGenerator(2, hidden_units=2, scale=3.0, offset=1.0)
    layer(tf.ones((1, 2)))
    layer.set_weights([np.array([[1, -1], [1, -1]]), np.array([0, 0]), np.array([[1, 2], [5, 5]]), np.array([0, 1])])
    # relu([2, -2]) = [2, 0]; [2, 4] + [0, 1]; 3 * . + 1
    assert layer(tf.ones((1, 2))).numpy().tolist() == [[7.0, 16.0]]


def test_generator_sizes() -> None:
    layer = ParameterGenerator((2, 3), depth=3, reduction_ratio=4.0)
    assert layer(tf.ones((7, 10))).shape == (7, 2, 3)
    assert layer.count_params() == (10 * 3 + 3) + (3 * 3 + 3) + (3 * 6 + 6)  # ceil(10 / 4) = 3
    assert ParameterGenerator(4, depth=1)(tf.ones((7, 10))).shape == (7, 4)


@pytest.mark.parametrize(
    "layer",
    [
        DynamicActivation(),
        DynamicActivation("element"),
        WeightedParameters(1),
        WeightedParameters(4),
        WeightedParameters(1, "paper"),
    ],
    ids=lambda layer: layer.name,
)
def test_a_generator_that_gives_zero_leaves_the_static_layer(layer: Any) -> None:
    weights = built(layer)
    silent = [np.zeros_like(w) if "kernel_" in n or "bias_" in n else w for n, w in weights.items()]
    layer.set_weights(silent)
    static = PolynomialInteraction()
    static([X, X0])
    static.set_weights([weights["kernel"]])
    np.testing.assert_allclose(output_of(layer, False), static([X, X0]).numpy(), rtol=1e-4, atol=1e-5)


def test_printed_offset_starts_at_one_over_the_rank() -> None:
    layer = WeightedParameters(4, "paper")
    weights = built(layer)
    layer.set_weights([np.zeros_like(w) if "kernel_" in n or "bias_" in n else w for n, w in weights.items()])
    expected = crossed(np.stack([weights["kernel"].T / 4] * N), X, X0)
    np.testing.assert_allclose(output_of(layer, False), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sigma", ["two_sigmoid", "linear"])
def test_constant_sigma_is_the_static_layer_of_that_matrix(sigma: str) -> None:
    layer = GeneratedParameters(2, sigma)
    weights = built(layer)
    for name in ("kernel_1", "kernel_2", "bias_1"):
        weights[name] = np.zeros_like(weights[name])
    layer.set_weights(list(weights.values()))
    bias = weights["bias_2"]
    values = 2 * sigmoid(bias) if sigma == "two_sigmoid" else 1 + bias
    static = PolynomialInteraction()
    static([X, X0])
    static.set_weights([(weights["u"] @ np.diag(values) @ weights["v"].T).T])
    np.testing.assert_allclose(output_of(layer, False), static([X, X0]).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", DYNAMIC)
def test_layers_start_near_the_static_one(kind: Any) -> None:
    """With embeddings as small as they start, what is generated is within a few percent of 1."""
    small = tf.random.uniform((64, 39, 16), -0.05, 0.05, seed=1)
    stacked = SplitSubspaces(4, fields_last=True)(small)
    layer = kind(rank=1, fields_last=True) if kind is WeightedParameters else kind(fields_last=True)
    layer([stacked, stacked], tf.reshape(small, (64, -1)))
    generated = layer.generator(tf.reshape(small, (64, -1))).numpy()
    assert np.abs(generated - 1).max() < 0.2
    assert generated.std(axis=0).max() > 0  # and differs between instances


@pytest.mark.parametrize("kind", DYNAMIC)
def test_default_condition_is_the_flattened_first_map(kind: Any) -> None:
    layer = kind()
    first = layer([X, X0]).numpy()
    np.testing.assert_array_equal(first, layer([X, X0], tf.constant(X0.reshape(N, F * D))).numpy())


@pytest.mark.parametrize("stop_gradient", [True, False])
@pytest.mark.parametrize("kind", DYNAMIC)
def test_generators_send_no_gradient_into_embeddings(kind: Any, stop_gradient: bool) -> None:
    """The condition alone depends on the table here, so that its gradient is the generator's."""
    embedding = FieldEmbedding(10, D)
    ids = tf.constant([[1, 2, 3, 4], [5, 6, 7, 8], [9, 9, 1, 1]])
    embedding(ids)
    layer = kind(stop_gradient=stop_gradient)
    with tf.GradientTape(persistent=True) as tape:
        output = layer([tf.constant(X), tf.constant(X0)], tf.reshape(embedding(ids), (N, F * D)))
        loss = tf.reduce_sum(output * X0)
    gradient = tape.gradient(loss, stack.raw_variable(embedding.table))
    assert (gradient is None) == stop_gradient
    for weight in layer.generator.trainable_weights:
        assert tape.gradient(loss, stack.raw_variable(weight)) is not None


@pytest.mark.parametrize("kind", DYNAMIC)
def test_swapping_one_line_makes_a_chain_dynamic(kind: Any) -> None:
    for make in (PolynomialInteraction, kind):
        layers = [make() for _ in range(2)]
        x = layers[0](X0)
        assert layers[1]([x, X0]).shape == X0.shape


@pytest.mark.parametrize("kind", DYNAMIC)
def test_no_matrix_per_instance_is_built(kind: Any) -> None:
    """No tensor of the traced function, gradient included, has room for (batch, fields, fields)."""
    batch, fields, dim, rank = 8, 60, 2, 3
    layer = kind(fields_last=True) if kind is DynamicActivation else kind(rank=rank, fields_last=True)
    x0, z = tf.ones((batch, dim, fields)), tf.ones((batch, 5))
    layer([x0, x0], z)

    @tf.function
    def step(first: tf.Tensor, condition: tf.Tensor) -> list[Any]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer([first, first], condition))
        return tape.gradient(loss, [stack.raw_variable(weight) for weight in layer.trainable_weights])

    graph = step.get_concrete_function(x0, z).graph
    sizes = [t.shape.num_elements() or 0 for operation in graph.get_operations() for t in operation.outputs]
    assert max(sizes) < batch * fields * fields


def test_parameter_counts() -> None:
    x0, z = tf.ones((1, 39, 16)), tf.ones((1, 624))
    generator = 624 * 156 + 156
    counts = {
        "da": DynamicActivation(),
        "dgp": GeneratedParameters(4),
        "dwp": WeightedParameters(2),
    }
    for layer in counts.values():
        layer([x0, x0], z)
    assert counts["da"].count_params() == 39**2 + generator + 156 * 39 + 39
    assert counts["dgp"].count_params() == 2 * 39 * 4 + generator + 156 * 4 + 4
    assert counts["dwp"].count_params() == 39**2 + generator + (156 + 1) * 2 * 2 * 39


def test_sum_of_cosines_with_loops() -> None:
    vectors = floats(2, 4, 3)
    expected = np.zeros(2)
    for n, p in np.ndindex(2, 4):
        for q in range(p):
            a, b = vectors[n, p], vectors[n, q]
            expected[n] += abs(a @ b) / (np.linalg.norm(a) * np.linalg.norm(b))
    np.testing.assert_allclose(sum_of_cosines(tf.constant(vectors)).numpy(), expected, rtol=1e-5)


def test_penalty_of_equation_11_is_added_once_for_the_columns() -> None:
    layer = GeneratedParameters(3, orthogonal_weight=0.5)
    weights = built(layer)
    output_of(layer, False)
    expected = sum(float(sum_of_cosines(tf.constant(weights[name].T))) for name in ("u", "v"))
    np.testing.assert_allclose(float(layer.losses[-1]), 0.5 * expected, rtol=1e-5)


def test_orthogonal_start_has_no_penalty() -> None:
    layer = GeneratedParameters(3, orthogonal_weight=1.0)
    layer([tf.constant(X), tf.constant(X0)], tf.constant(CONDITION))
    assert float(layer.losses[-1]) < 1e-5
    assert np.abs(layer.u.numpy() - layer.v.numpy()).max() > 1e-3  # two starts, not one


def test_penalty_of_equation_12_is_averaged_over_the_batch() -> None:
    layer = WeightedParameters(3, orthogonal_weight=0.5, reduction_ratio=2.0)
    weights = built(layer)
    output_of(layer, False)
    uv = generated_with_loops(weights, CONDITION).reshape(N, 2, 3, F) + 1 / math.sqrt(3)
    cosines = sum_of_cosines(tf.constant(uv, tf.float32)).numpy()  # (N, 2)
    np.testing.assert_allclose(float(layer.losses[-1]), 0.5 * cosines.sum(axis=1).mean(), rtol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DynamicActivation("fields"), "Did you mean 'field'"),
        (lambda: GeneratedParameters(sigma="two-sigmoid"), "Did you mean 'two_sigmoid'"),
        (lambda: GeneratedParameters(rank=0), "rank"),
        (lambda: WeightedParameters(offset="units"), "Did you mean 'unit'"),
        (lambda: WeightedParameters(orthogonal_weight=-1.0), "orthogonal_weight"),
        (lambda: WeightedParameters(dropout=1.0), "dropout"),
        (lambda: ParameterGenerator((2, 0)), "output_size"),
        (lambda: ParameterGenerator(2, depth=0), "depth"),
        (lambda: ParameterGenerator(2, reduction_ratio=0.0), "reduction_ratio"),
        (lambda: GeneratedParameters()([X, X0], tf.ones((N, 2, 3))), "condition of shape"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
