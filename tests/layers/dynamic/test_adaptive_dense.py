"""APG's dense layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn

from dynctr_tf.layers import AdaptiveDense
from dynctr_tf.layers.dynamic.adaptive_dense import affordable_rank

floats = Drawn(4).floats
X, Z = floats(4, 6), floats(4, 5)


def built(**options: Any) -> Any:
    layer = AdaptiveDense(3, **{"rank": 2, **options})
    layer(X, Z)
    layer.set_weights([floats(*weight.shape) for weight in layer.get_weights()])
    return layer


def by_name(layer: Any) -> dict[str, np.ndarray]:
    names = [getattr(weight, "path", weight.name).split("/")[-1].split(":")[0] for weight in layer.weights]
    return dict(zip(names, layer.get_weights(), strict=True))


@pytest.mark.parametrize("inner", [None, 4])
@pytest.mark.parametrize("bias", ["static", "dynamic", "none"])
@pytest.mark.parametrize("identity_start", [False, True])
def test_shared_factors_follow_the_equation(inner: int | None, bias: str, identity_start: bool) -> None:
    layer = built(over_parameterisation=inner, bias_kind=bias, identity_start=identity_start, activation="tanh")
    w = by_name(layer)
    v = w["down"].T if inner is None else w["down_left"].T @ w["down_right"].T  # V = V^l V^r, (K, m)
    u = w["up"].T if inner is None else w["up_left"].T @ w["up_right"].T  # U = U^l U^r, (units, K)
    expected = np.zeros((4, 3))
    for row in range(4):
        generated = Z[row] @ w["kernel_1"] + w["bias_1"]
        core = generated[:4].reshape(2, 2) + (np.eye(2) if identity_start else 0)
        shift = {"static": w.get("bias"), "dynamic": generated[4:], "none": np.zeros(3)}[bias]
        expected[row] = np.tanh(u @ (core @ (v @ X[row])) + shift)
    np.testing.assert_allclose(layer(X, Z).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_whole_kernel_follows_the_equation() -> None:
    layer = built(rank=None, bias_kind="dynamic")
    w = by_name(layer)
    generated = Z @ w["kernel_1"] + w["bias_1"]
    expected = [X[row] @ generated[row, :18].reshape(6, 3) + generated[row, 18:] for row in range(4)]
    np.testing.assert_allclose(layer(X, Z).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_order_of_products_changes_nothing() -> None:
    third = built(factor_kind="generated", bias_kind="dynamic", depth=2)
    second = AdaptiveDense.from_config({**third.get_config(), "materialise": True})
    second(X, Z)
    second.set_weights(third.get_weights())
    np.testing.assert_allclose(second(X, Z).numpy(), third(X, Z).numpy(), rtol=1e-4, atol=1e-5)
    w = third.generate(tf.constant(Z))
    kernel = w["up"].numpy()[1].T @ w["core"].numpy()[1] @ w["down"].numpy()[1].T  # U S V
    np.testing.assert_allclose(third(X, Z).numpy()[1], kernel @ X[1] + w["bias"].numpy()[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bias", ["static", "dynamic", "none"])
@pytest.mark.parametrize("inner", [4, 1.0, None])
def test_folded_layer_gives_the_same(bias: str, inner: int | float | None) -> None:
    layer = built(over_parameterisation=inner, bias_kind=bias, rank=0.6)
    folded = AdaptiveDense.from_config(layer.folded_config())
    folded(X, Z)
    folded.set_weights(layer.folded_weights())
    np.testing.assert_allclose(folded(X, Z).numpy(), layer(X, Z).numpy(), rtol=1e-5, atol=1e-5)
    assert "down_left" not in by_name(folded)


def test_silent_generator_with_identity_is_the_static_layer_of_that_rank() -> None:
    layer = built(identity_start=True)
    w = by_name(layer)
    layer.set_weights([w["down"], w["up"], w["bias"], 0 * w["kernel_1"], 0 * w["bias_1"]])
    np.testing.assert_allclose(layer(X, Z).numpy(), X @ w["down"] @ w["up"] + w["bias"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [{"rank": None}, {}, {"factor_kind": "generated"}, {"over_parameterisation": 5}, {"bias_kind": "dynamic"}],
)
def test_constant_condition_gives_a_dense_layer(options: dict[str, Any]) -> None:
    layer = built(**options)
    constant = np.repeat(Z[:1], 6, axis=0)
    zeros, unit = np.zeros((6, 6), np.float32), np.eye(6, dtype=np.float32)
    bias = layer(zeros, constant).numpy()[0]
    kernel = layer(unit, constant).numpy() - bias
    np.testing.assert_allclose(layer(X, constant[:4]).numpy(), X @ kernel + bias, rtol=1e-3, atol=1e-4)


def test_batch_of_one_and_self_wise() -> None:
    layer = built()
    assert layer(X[:1], Z[:1]).shape == (1, 3)
    np.testing.assert_allclose(layer(X[:1], Z[:1]).numpy(), layer(X, Z).numpy()[:1], rtol=1e-4, atol=1e-5)
    own = AdaptiveDense(3, 2)
    np.testing.assert_array_equal(own(X).numpy(), own(X, X).numpy())


def test_several_conditions_average_what_they_generate() -> None:
    several = floats(4, 3, 5)
    for aggregation in ("mean", "attention"):
        layer = AdaptiveDense(3, 2, aggregator=aggregation, depth=2)
        layer(X, several)
        cores = np.stack([layer.generate(tf.constant(several[:, c]))["core"].numpy() for c in range(3)], axis=1)
        scores = several @ by_name(layer)["attention"] if aggregation == "attention" else np.zeros((4, 3, 1))
        weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        expected = (weights[..., None] * cores).sum(axis=1)
        np.testing.assert_allclose(layer.generate(tf.constant(several))["core"].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_stop_gradient_cuts_the_condition_off() -> None:
    for stop in (False, True):
        layer, z = AdaptiveDense(3, 2, stop_gradient=stop), tf.constant(Z)
        with tf.GradientTape() as tape:
            tape.watch(z)
            loss = tf.reduce_sum(layer(X, z) ** 2)
        assert (tape.gradient(loss, z) is None) is stop


def test_parameter_counts() -> None:
    x, z = np.zeros((1, 512), np.float32), np.zeros((1, 32), np.float32)
    counts = {}
    for name, options in {"v4": {}, "v5": {"over_parameterisation": 16}, "v3": {"factor_kind": "generated"}}.items():
        layer = AdaptiveDense(1024, 4, bias_kind="none", **options)
        layer(x, z)
        counts[name] = layer.count_params()
    assert counts["v4"] == 1024 * 4 + 512 * 4 + 33 * 16
    assert counts["v5"] == (1024 + 512 + 8) * 16 + 33 * 16
    assert counts["v3"] == 33 * (1024 * 4 + 512 * 4 + 16)  # 6 656 numbers per instance, as the paper counts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 0}, "units"),
        ({"rank": 0}, "rank must be a whole number"),
        ({"rank": 1.5}, "rank must be a whole number"),
        ({"over_parameterisation": True}, "over_parameterisation must be"),
        ({"factor_kind": "share"}, "Did you mean 'shared'"),
        ({"bias_kind": "dynamik"}, "Did you mean 'dynamic'"),
        ({"aggregator": "means"}, "Did you mean 'mean'"),
        ({"rank": "most"}, "or 'auto'; got 'most'"),
        ({"rank": None, "over_parameterisation": 3}, "generates the whole kernel"),
        ({"factor_kind": "generated", "over_parameterisation": 3}, "shared factors"),
        ({"materialise": True}, "generated factors"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptiveDense(**{"units": 3, **options})


@pytest.mark.parametrize("shape", [(400, 400, 400), (64, 400, 64), (64, 400, 8), (30, 20, 0), (7, 9, 2)])
def test_the_rank_by_default_is_the_largest_that_costs_less_than_a_static_layer(shape: tuple[int, int, int]) -> None:
    inputs, units, condition = shape

    def cost(rank: int) -> int:
        return (inputs + units) * rank + (condition + 1) * rank**2

    rank = affordable_rank(inputs, units, condition)
    assert cost(rank) <= 0.75 * inputs * units < cost(rank + 1)
    if condition:
        layer = AdaptiveDense(units)
        layer.build((None, inputs), (None, condition))
        assert layer.core_width == rank
        assert layer.count_params() == cost(rank) + units < (inputs + 1) * units


def test_a_table_of_groups_keeps_the_rank_that_the_condition_gave() -> None:
    layer = AdaptiveDense(40)
    layer.build((None, 30), (None, 6))
    table = AdaptiveDense.from_config(layer.folded_config(num_groups=3))
    table.build((None, 30), (None,))
    assert table.core_width == layer.core_width == affordable_rank(30, 40, 6)
    table.set_weights(layer.folded_weights(np.ones((3, 6), np.float32)))


def test_table_of_groups_gives_what_was_generated() -> None:
    groups = np.array([2, 0, 2, 1], np.int32)
    for options in ({}, {"over_parameterisation": 5}, {"factor_kind": "generated"}, {"rank": None}):
        layer = built(bias_kind="dynamic", **options)
        table = AdaptiveDense.from_config(layer.folded_config(num_groups=3))
        table(X, groups)
        table.set_weights(layer.folded_weights(Z[:3]))
        np.testing.assert_allclose(table(X, groups).numpy(), layer(X, Z[groups]).numpy(), rtol=1e-4, atol=1e-5)
