"""The interaction layers of the baselines against loops, hand-computed numbers and each other."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import layers, stack
from dynctr_tf.layers.interaction import bilinear_dense

RANDOM = np.random.default_rng(11)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def with_random_weights(layer: Any, *inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Builds the layer on the inputs, gives it random weights and returns these by name."""
    layer(list(map(tf.constant, inputs)) if len(inputs) > 1 else tf.constant(inputs[0]))
    layer.set_weights([RANDOM.normal(0, 0.5, weight.shape) for weight in layer.get_weights()])
    names = [weight.name.split("/")[-1].split(":")[0] for weight in layer.weights]
    return dict(zip(names, layer.get_weights(), strict=True))


def set_weights(layer: Any, *values: Any) -> None:
    layer.set_weights([np.array(value, np.float32) for value in values])


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=2e-4, atol=2e-5)


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max())
    return powers / powers.sum()


def pairs_of(fields: int) -> list[tuple[int, int]]:
    return list(itertools.combinations(range(fields), 2))


def test_bi_interaction_is_the_sum_over_pairs() -> None:
    x = floats(3, 5, 4)
    output = layers.BiInteraction()(tf.constant(x)).numpy()
    close(output, sum(x[:, i] * x[:, j] for i, j in pairs_of(5)))
    close(output.sum(axis=1, keepdims=True), layers.FactorizationMachine()(tf.constant(x)))


def test_sums_over_pairs_by_hand() -> None:
    x = tf.constant([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    # 1 * 3 + 1 * 5 + 3 * 5 and 2 * 4 + 2 * 6 + 4 * 6
    assert layers.BiInteraction()(x).numpy().tolist() == [[23.0, 44.0]]
    assert layers.FactorizationMachine()(x).numpy().tolist() == [[67.0]]


def test_split_embedding_by_hand() -> None:
    left, right = layers.SplitEmbedding(2)(tf.constant([[[1.0, 2.0, 3.0, 4.0]]]))
    assert (left.numpy().tolist(), right.numpy().tolist()) == ([[[1.0, 2.0]]], [[[3.0, 4.0]]])


def test_field_sum_output_by_hand() -> None:
    layer, x = layers.FieldSumOutput(), tf.constant([[[1.0, 2.0], [3.0, 4.0]]])
    layer(x)
    set_weights(layer, [[10.0], [100.0]], [0.5])
    # 10 * (1 + 2) + 100 * (3 + 4) and the bias once for each of the two entries of an embedding
    assert layer(x).numpy().tolist() == [[731.0]]


@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_anova_kernel_is_the_sum_over_all_sets(order: int) -> None:
    x = floats(3, 6, 4)
    expected = np.zeros((3, 1))
    for chosen in itertools.combinations(range(6), order):
        expected += x[:, list(chosen)].prod(axis=1).sum(axis=1, keepdims=True)
    close(layers.AnovaKernel(order)(tf.constant(x)), expected)
    if order == 2:
        close(layers.FactorizationMachine()(tf.constant(x)), expected)


def test_anova_kernel_by_hand() -> None:
    # 1*2*3 + 1*2*4 + 1*3*4 + 2*3*4 = 6 + 8 + 12 + 24
    assert layers.AnovaKernel(3)(tf.constant([[[1.0], [2.0], [3.0], [4.0]]])).numpy().tolist() == [[50.0]]


def test_anova_kernel_keeps_small_terms_among_large_fields() -> None:
    """The formula by powers would subtract sums of cubes near 1e12 here, and lose the answer."""
    x = np.array([[[1e4], [1e-4], [1.0], [0.0]]], np.float32)
    close(layers.AnovaKernel(3)(tf.constant(x)), [[1.0]])


def test_vector_cross_network_is_its_recursion() -> None:
    x0 = floats(3, 5)
    layer = layers.VectorCrossNetwork(4)
    weights = with_random_weights(layer, x0)
    x = x0.copy()
    for k in range(1, 5):
        for n in range(3):
            dot = sum(weights[f"kernel_{k}"][i, 0] * x[n, i] for i in range(5))
            x[n] = x0[n] * dot + weights[f"bias_{k}"] + x[n]
    close(layer(tf.constant(x0)), x)


def test_vector_cross_network_by_hand() -> None:
    layer = layers.VectorCrossNetwork(2)
    layer(tf.ones((1, 2)))
    set_weights(layer, [[1.0], [0.0]], [[0.0], [1.0]], [10.0, 20.0], [0.0, 1.0])
    # x_1 = [1, 2] * 1 + [10, 20] + [1, 2] = [12, 24]; x_2 = [1, 2] * 24 + [0, 1] + [12, 24]
    assert layer(tf.constant([[1.0, 2.0]])).numpy().tolist() == [[36.0, 73.0]]


@pytest.mark.parametrize("gate", ["softmax", "sigmoid"])
def test_cross_mixture_is_its_equations(gate: str) -> None:
    x, x0 = floats(3, 5), floats(3, 5)
    layer = layers.CrossMixtureLayer(rank=2, num_experts=3, gate=gate)
    weights = with_random_weights(layer, x, x0)
    expected = x.astype(np.float64)
    for n in range(3):
        scores = weights["gate_kernel"].T @ x[n]
        gates = softmax(scores) if gate == "softmax" else 1 / (1 + np.exp(-scores))
        for k in range(3):
            inner = np.tanh(weights[f"down_{k + 1}"].T @ x[n])
            inner = np.tanh(weights[f"middle_{k + 1}"].T @ inner)
            expected[n] += gates[k] * x0[n] * (weights[f"up_{k + 1}"].T @ inner + weights["bias"])
    close(layer([tf.constant(x), tf.constant(x0)]), expected)


def test_one_linear_expert_is_the_low_rank_cross_layer() -> None:
    x, x0 = floats(3, 5), floats(3, 5)
    mixture = layers.CrossMixtureLayer(rank=2, num_experts=1, activation="linear")
    weights = with_random_weights(mixture, x, x0)
    single = layers.CrossLayer(rank=2)
    single([tf.constant(x), tf.constant(x0)])
    single.set_weights([weights["down_1"] @ weights["middle_1"], weights["up_1"], weights["bias"]])
    pair = [tf.constant(x), tf.constant(x0)]
    close(mixture(pair), single(pair).numpy())


def test_cross_mixture_by_hand() -> None:
    layer = layers.CrossMixtureLayer(rank=1, num_experts=2, activation="relu")
    x0 = tf.constant([[1.0, 2.0]])
    layer(x0)
    downs, middles, ups = ([[1.0], [1.0]], [[1.0], [0.0]]), ([[2.0]], [[3.0]]), ([[1.0, 1.0]], [[2.0, 0.0]])
    set_weights(layer, *downs, *middles, *ups, [5.0, 0.0], np.zeros((2, 2)))
    # Experts: 2 * 3 * [1, 1] = [6, 6] and 3 * 1 * [2, 0] = [6, 0], half of each: [6, 3]; x_0 * ([6, 3] + b) + x_0
    assert layer(x0).numpy().tolist() == [[12.0, 8.0]]


@pytest.mark.parametrize("sizes", [(3, 2), (8, 6, 2)])  # below and above the number of fields
@pytest.mark.parametrize("split_half", [False, True])
@pytest.mark.parametrize("activation", ["tanh", None])  # without one, the last layer goes another way
def test_compressed_interaction_is_its_equations(
    sizes: tuple[int, ...], split_half: bool, activation: str | None
) -> None:
    if split_half and sizes == (3, 2):
        sizes = (4, 2)
    x0 = floats(2, 5, 3)
    layer = layers.CompressedInteraction(sizes, activation=activation, split_half=split_half)
    weights = with_random_weights(layer, x0)
    x, sums = x0, []
    for k, size in enumerate(sizes, start=1):
        kernel = weights[f"kernel_{k}"].reshape(x.shape[1], 5, size)
        y = np.zeros((2, size, 3))
        for n, h, d in np.ndindex(2, size, 3):
            y[n, h, d] = weights[f"bias_{k}"][h]
            for i, j in np.ndindex(x.shape[1], 5):
                y[n, h, d] += kernel[i, j, h] * x[n, i, d] * x0[n, j, d]
        y = np.tanh(y) if activation else y
        halved = split_half and k < len(sizes)
        sums.append(y[:, : size // 2 if halved else size].sum(axis=2))
        x = y[:, size // 2 if halved else 0 :]
    close(layer(tf.constant(x0)), np.concatenate(sums, axis=1))


def test_compressed_interaction_by_hand() -> None:
    layer = layers.CompressedInteraction((1, 1), kernel_initializer="ones")
    # (1 + 2)^2 = 9 and (3 + 4)^2 = 49, then 9 * 3 = 27 and 49 * 7 = 343; sums over the two entries
    assert layer(tf.constant([[[1.0, 3.0], [2.0, 4.0]]])).numpy().tolist() == [[58.0, 370.0]]


@pytest.mark.parametrize(("residual", "scaled"), [(True, False), (False, True)])
def test_field_attention_is_its_equations(residual: bool, scaled: bool) -> None:
    x = floats(2, 4, 3)
    layer = layers.FieldAttention(2, 5, residual=residual, scaled=scaled)
    weights = with_random_weights(layer, x)
    expected = np.zeros((2, 4, 10))
    for n in range(2):
        for head in range(2):
            columns = slice(5 * head, 5 * head + 5)
            q, k, v = (x[n] @ weights[name][:, columns] for name in ("query", "key", "value"))
            for f in range(4):
                scores = np.array([q[f] @ k[g] for g in range(4)]) / (5**0.5 if scaled else 1)
                expected[n, f, columns] = sum(a * v[g] for g, a in enumerate(softmax(scores)))
        if residual:
            expected[n] += x[n] @ weights["residual_kernel"]
    close(layer(tf.constant(x)), np.maximum(expected, 0))


def test_field_attention_by_hand() -> None:
    layer = layers.FieldAttention(1, 1)
    layer(tf.ones((1, 2, 1)))
    set_weights(layer, [[1.0]], [[0.0]], [[2.0]], [[10.0]])
    # All scores are 0, so each field gets the mean of the values 2 and 6, and ten times itself.
    assert layer(tf.constant([[[1.0], [3.0]]])).numpy().tolist() == [[[14.0], [34.0]]]


def test_inner_product_and_its_gradient_are_those_of_loops() -> None:
    x, upstream = floats(2, 5, 3), floats(2, 10)
    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        output = layers.InnerProduct()(variable)
    gradient = np.zeros_like(x)
    for p, (i, j) in enumerate(pairs_of(5)):
        close(output[:, p], (x[:, i] * x[:, j]).sum(axis=1))
        gradient[:, i] += upstream[:, p : p + 1] * x[:, j]
        gradient[:, j] += upstream[:, p : p + 1] * x[:, i]
    close(tape.gradient(output, variable, tf.constant(upstream)), gradient)


def test_inner_products_by_hand() -> None:
    x = tf.constant([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
    assert layers.InnerProduct()(x).numpy().tolist() == [[11.0, 17.0, 39.0]]


def test_outer_products_are_their_equations() -> None:
    x = floats(2, 4, 3)
    total = x.sum(axis=1)
    flat = layers.OuterProduct()(tf.constant(x)).numpy()
    for n, a, b in np.ndindex(2, 3, 3):
        close(flat[n, 3 * a + b], total[n, a] * total[n, b])
    layer = layers.OuterProduct("kernel")
    kernel = with_random_weights(layer, x)["kernel"]
    for p, (i, j) in enumerate(pairs_of(4)):
        matrix = kernel[:, 3 * p : 3 * p + 3]
        expected = [sum(r[i, a] * matrix[a, b] * r[j, b] for a in range(3) for b in range(3)) for r in x]
        close(layer(tf.constant(x))[:, p], expected)


def test_outer_product_by_hand() -> None:
    x = tf.constant([[[1.0, 2.0], [3.0, 4.0]]])
    assert layers.OuterProduct()(x).numpy().tolist() == [[16.0, 24.0, 24.0, 36.0]]
    layer = layers.OuterProduct("kernel")
    layer(x)
    set_weights(layer, [[1.0, 10.0], [100.0, 1000.0]])  # 1*3 + 10*1*4 + 100*2*3 + 1000*2*4
    assert layer(x).numpy().tolist() == [[8643.0]]


def bilinear_loops(x: np.ndarray, kernel: np.ndarray, mode: str) -> np.ndarray:
    dim, outputs = x.shape[2], []
    for p, (i, j) in enumerate(pairs_of(x.shape[1])):
        which = {"all": 0, "each": i, "interaction": p}[mode]
        outputs.append((x[:, i] @ kernel[:, which * dim : (which + 1) * dim]) * x[:, j])
    return np.stack(outputs, axis=1)


@pytest.mark.parametrize("mode", ["all", "each", "interaction"])
def test_bilinear_interaction_is_its_equation(mode: str) -> None:
    x = floats(3, 5, 4)
    layer = layers.BilinearInteraction(mode)
    kernel = with_random_weights(layer, x)["kernel"]
    close(layer(tf.constant(x)), bilinear_loops(x, kernel, mode))


def test_bilinear_interaction_by_hand() -> None:
    layer = layers.BilinearInteraction("interaction")
    x = tf.constant([[[1.0, 2.0], [3.0, 4.0]]])
    layer(x)
    set_weights(layer, [[1.0, 10.0], [100.0, 1000.0]])
    assert layer(x).numpy().tolist() == [[[201.0 * 3, 2010.0 * 4]]]


def test_bilinear_dense_by_hand() -> None:
    layer, x = layers.BilinearDense(2), tf.constant([[[1.0, 2.0], [3.0, 4.0]]])
    layer(x)
    set_weights(layer, [[1.0, 10.0], [100.0, 1000.0]], [[1.0, 0.0], [0.5, -1.0]], [7.0, 0.0])
    # The one product is (603, 8040), as above: 603 + 0.5 * 8040 + 7 and -8040.
    assert layer(x).numpy().tolist() == [[4630.0, -8040.0]]


@pytest.mark.parametrize("mode", ["all", "each", "interaction"])
@pytest.mark.parametrize("columns", [1, 20, 10_000])  # a chunk for each left field, some, one chunk
def test_bilinear_dense_is_the_dense_layer_on_all_products(
    mode: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bilinear_dense, "_LEAST_COLUMNS", columns)
    x, upstream = floats(3, 6, 4), floats(3, 7)
    fused = layers.BilinearDense(7, mode)
    weights = with_random_weights(fused, x)
    products, dense = layers.BilinearInteraction(mode), keras.layers.Dense(7)
    sequence = keras.Sequential([products, keras.layers.Flatten(), dense])
    sequence(tf.constant(x))
    sequence.set_weights([weights["bilinear_kernel"], weights["kernel"], weights["bias"]])
    results = []
    for model in (fused, sequence):
        variable = tf.Variable(x)

        @tf.function
        def differentiate(model: Any = model, variable: Any = variable) -> Any:
            sources = [variable, *map(stack.raw_variable, model.trainable_weights)]
            with tf.GradientTape() as tape:
                output = model(tf.convert_to_tensor(variable))
            return [output, *tape.gradient(output, sources, tf.constant(upstream))]

        results.append(differentiate())
    assert len(results[0]) == 5
    for one, other in zip(*results, strict=True):
        close(one, other.numpy())


def test_every_pair_starts_with_a_matrix_of_its_own() -> None:
    layer = layers.BilinearInteraction("interaction", kernel_initializer=keras.initializers.GlorotUniform(seed=3))
    layer(tf.constant(floats(2, 6, 4)))
    matrices = np.split(layer.get_weights()[0], 15, axis=1)
    assert len({matrix.tobytes() for matrix in matrices}) == 15
    limit = (6 / 8) ** 0.5
    assert 0.8 * limit < np.abs(matrices).max() <= limit


def test_squeeze_excitation_is_its_equations() -> None:
    x = floats(3, 6, 4)
    layer = layers.SqueezeExcitation(3, activation="sigmoid")
    weights = with_random_weights(layer, x)
    assert weights["squeeze"].shape == (6, 2)
    for n in range(3):
        q = np.array([x[n, f].mean() for f in range(6)])
        a = 1 / (1 + np.exp(-(np.maximum(q @ weights["squeeze"], 0) @ weights["excite"])))
        for f in range(6):
            close(layer(tf.constant(x))[n, f], a[f] * x[n, f])


def test_squeeze_excitation_by_hand() -> None:
    layer = layers.SqueezeExcitation(2, kernel_initializer="ones")
    # Means 2 and 3, middle 5, weights 5 and 5.
    assert layer(tf.constant([[[1.0, 3.0], [2.0, 4.0]]])).numpy().tolist() == [[[5.0, 15.0], [10.0, 20.0]]]


# The second sizes are those that are computed unit by unit.
@pytest.mark.parametrize(("fields", "dim", "units"), [(5, 4, 6), (24, 6, 3)])
def test_attentional_pooling_is_its_equations(fields: int, dim: int, units: int) -> None:
    x = floats(3, fields, dim)
    layer = layers.AttentionalPooling(units)
    weights = with_random_weights(layer, x)
    for n in range(3):
        products = [x[n, i] * x[n, j] for i, j in pairs_of(fields)]
        scores = [np.maximum(p @ weights["kernel"] + weights["bias"], 0) @ weights["score"][:, 0] for p in products]
        expected = sum(a * p for a, p in zip(softmax(np.array(scores)), products, strict=True))
        close(layer(tf.constant(x))[n], expected)


def test_attentional_pooling_by_hand() -> None:
    layer = layers.AttentionalPooling(1)
    x = tf.constant([[[1.0], [2.0], [3.0]]])
    layer(x)
    set_weights(layer, [[1.0]], [-3.0], [[np.log(2.0)]])
    # Products 2, 3, 6; hidden 0, 0, 3; weights 1 : 1 : 8; (2 + 3 + 48) / 10
    close(layer(x), [[5.3]])


@pytest.mark.parametrize("training", [True, False])
def test_logarithmic_transformation_is_its_equation(training: bool) -> None:
    x = floats(6, 4, 3)
    x[0, 0, 0] = 0.0
    layer = layers.LogarithmicTransformation(5, epsilon=1e-3)
    with_random_weights(layer, x)
    layer.set_weights([np.abs(weight) + 0.1 for weight in layer.get_weights()])
    kernel = layer.kernel.numpy()

    def normalised(values: np.ndarray, norm: Any) -> np.ndarray:
        result = np.zeros_like(values)
        for f in range(values.shape[1]):
            mean = values[:, f].mean() if training else norm.moving_mean.numpy()[f]
            variance = values[:, f].var() if training else norm.moving_variance.numpy()[f]
            result[:, f] = (values[:, f] - mean) / np.sqrt(variance + 1e-5) * norm.gamma.numpy()[f]
            result[:, f] += norm.beta.numpy()[f] if norm.center else 0
        return result

    logs = normalised(np.log(np.maximum(np.abs(x), 1e-3)), layer.log_norm)
    products = np.zeros((6, 5, 3))
    for n, k, d in np.ndindex(6, 5, 3):
        products[n, k, d] = np.exp(sum(kernel[f, k] * logs[n, f, d] for f in range(4)))
    expected = normalised(products, layer.exp_norm)
    close(layer(tf.constant(x), training=training), expected)


def test_logarithmic_transformation_by_hand() -> None:
    layer = layers.LogarithmicTransformation(2, batch_norm=False)
    x = tf.constant([[[2.0], [-3.0], [0.0]]])
    layer(x)
    set_weights(layer, [[1.0, 2.0], [1.0, -1.0], [0.0, 0.0]])
    close(layer(x), [[[6.0], [4.0 / 3.0]]])


def test_residual_unit_is_its_equation() -> None:
    x = floats(3, 4)
    layer = layers.ResidualUnit(6)
    weights = with_random_weights(layer, x)
    hidden = np.maximum(x @ weights["kernel_1"] + weights["bias_1"], 0)
    close(layer(tf.constant(x)), np.maximum(x + hidden @ weights["kernel_2"] + weights["bias_2"], 0))


def test_residual_unit_by_hand() -> None:
    layer = layers.ResidualUnit(1, kernel_initializer="ones")
    # The middle is 6: each entry gets it added.
    assert layer(tf.constant([[1.0, 2.0, 3.0]])).numpy().tolist() == [[7.0, 8.0, 9.0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.AnovaKernel(1), "order"),
        (lambda: layers.AttentionalPooling(0), "attention_dim"),
        (lambda: layers.BilinearInteraction("eech"), "Did you mean 'each'"),
        (lambda: layers.BilinearDense(3, "al"), "Did you mean 'all'"),
        (lambda: layers.BilinearDense(0), "units"),
        (lambda: layers.CompressedInteraction(()), "layer_sizes"),
        (lambda: layers.CompressedInteraction((3, 2), split_half=True), "even"),
        (lambda: layers.CrossMixtureLayer(0), "rank"),
        (lambda: layers.CrossMixtureLayer(gate="soft_max"), "Did you mean 'softmax'"),
        (lambda: layers.FieldAttention(0), "num_heads"),
        (lambda: layers.LogarithmicTransformation(0), "num_neurons"),
        (lambda: layers.LogarithmicTransformation(epsilon=0.0), "epsilon"),
        (lambda: layers.OuterProduct("kernels"), "Did you mean 'kernel'"),
        (lambda: layers.ResidualUnit(0), "hidden_units"),
        (lambda: layers.SqueezeExcitation(0.5), "reduction_ratio"),
        (lambda: layers.VectorCrossNetwork(0), "num_layers"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
