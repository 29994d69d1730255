"""Every dynamic layer tells what it generates, row by row, alone and as a part of a model."""

from __future__ import annotations

import adaptive_cases
import numpy as np
import operation_cases
import pytest
import scenario_cases
import tensorflow as tf
from layer_contract import CASES as FIRST_CASES
from layer_contract import Case, as_model, model_inputs
from tensorflow import keras

from dynctr_tf import layers
from dynctr_tf.evaluation import generated_weights
from dynctr_tf.layers import dynamic, scenario

# Those of the gates that weigh inputs by themselves are static layers to build with, and tell their gates.
TOLD = {*dynamic.__all__, *scenario.__all__, "EmbeddingGate", "HiddenGate"} - {"ScenarioFieldEmbedding"}

CASES = {**FIRST_CASES, **operation_cases.CASES, **adaptive_cases.CASES, **scenario_cases.CASES}
# Conditions and penalties, which generate nothing.
NOTHING = {"GroupCondition", "MixCondition", "OrthogonalSet", "ScenarioEmbedding"}


def moved(layer: keras.layers.Layer) -> None:
    """Weights that are not those of the start, where many a generator gives the same to all rows."""
    generator = np.random.default_rng(3)
    layer.set_weights([
        (weight + generator.normal(0.0, 0.3, weight.shape)).astype(weight.dtype) if weight.dtype.kind == "f" else weight
        for weight in layer.get_weights()
    ])  # fmt: skip


def dynamic_cases() -> list[str]:
    return sorted(name for name in CASES if name.split(",")[0] in TOLD)


@pytest.mark.parametrize("name", dynamic_cases())
def test_a_dynamic_layer_tells_what_it_generates(name: str) -> None:
    case: Case = CASES[name]
    layer = case.make()
    model = as_model(layer, case)
    moved(layer)
    inputs = [tf.constant(array) for array in model_inputs(case)]
    before = [output.numpy() for output in tf.nest.flatten(model(inputs))]
    found = generated_weights(model, [inputs])
    after = [output.numpy() for output in tf.nest.flatten(model(inputs))]
    for one, other in zip(before, after, strict=True):  # nothing of the watching stays
        np.testing.assert_array_equal(one, other)
    if name.split(",")[0] in NOTHING or not found:
        static = name.split(",")[0] in NOTHING or getattr(layer, "dynamic_kernel", True) is False
        static = static or getattr(layer, "kind", None) in ("select", "concatenate")
        assert static and not found, f"{name} generates, and nothing was found"
        return
    rows = model_inputs(case)[0].shape[0]
    for own in found:
        assert own.values.shape[0] == rows and own.values.size, own
        told = own.values[~np.isnan(own.values)]
        assert told.size and np.isfinite(told).all(), own
    assert any(np.nanstd(own.values, axis=0).max() > 1e-6 for own in found), f"{name}: all rows have the same"


def test_every_dynamic_layer_is_looked_at() -> None:
    assert set(TOLD) == {name.split(",")[0] for name in dynamic_cases()}


def test_gates_are_those_that_the_layer_applies() -> None:
    x = tf.constant(np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32))
    for granularity in ("field", "element"):
        layer = layers.EmbeddingGate(granularity)
        gate = generated_weights(as_model(layer, Case(None, x.numpy(), None)), [[x]])[0]
        applied = gate.values.reshape(4, 3, -1) * x.numpy()
        np.testing.assert_allclose(applied, layer(x).numpy(), rtol=1e-5)
    # An input of 0 does not tell its gate.
    hidden = layers.HiddenGate()
    inputs = tf.constant([[0.0, 1.0, -2.0]])
    model = as_model(hidden, Case(None, inputs.numpy(), None))
    assert np.isnan(generated_weights(model, [[inputs]])[0].values[0]).tolist() == [True, False, False]


def test_batches_are_put_together_and_large_tensors_thinned() -> None:
    layer = layers.MixtureOfKernels(4, num_kernels=30)
    x = np.random.default_rng(1).normal(size=(7, 6)).astype(np.float32)
    model = as_model(layer, Case(None, x, None))
    whole = generated_weights(model, [[tf.constant(x)]])[0]
    parts = generated_weights(model, [[tf.constant(x[:4])], [tf.constant(x[4:])]])[0]
    np.testing.assert_allclose(whole.values, parts.values, rtol=1e-5)
    some = generated_weights(model, [[tf.constant(x)]], max_numbers=3)[0]
    assert some.shape == (30,) and some.values.shape == (7, 3)
    np.testing.assert_allclose(some.values[:, [0, 2]], whole.values[:, [0, 29]], rtol=1e-5)


def test_a_layer_that_is_called_twice_generates_twice() -> None:
    x = keras.Input((6,))
    gate = layers.GateUnit()
    model = keras.Model(x, gate(gate(x, x), 2.0 * x))
    found = generated_weights(model, [np.ones((2, 6), np.float32)])
    assert [own.name for own in found] == ["weights", "weights, call 2"]


class Scaled(keras.layers.Layer):
    """A user's own layer that tells what it generates."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs * self.generated_weights(inputs)["scale"]

    def generated_weights(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scale": tf.reduce_sum(inputs, axis=1, keepdims=True)}


class Wrong(keras.layers.Layer):
    """One that tells something else."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return 2.0 * inputs

    def generated_weights(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scale": tf.ones((3, 1))}


def test_layers_of_ones_own_and_static_models() -> None:
    x = keras.Input((2,))
    rows = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    found = generated_weights(keras.Model(x, Scaled(name="own")(x)), [rows])
    assert [(own.layer, own.name, own.values.tolist()) for own in found] == [("own", "scale", [[3.0], [7.0]])]
    with pytest.raises(ValueError, match=r"own, scale must have 2 rows, those of the batch, got the shape \(3, 1\)"):
        generated_weights(keras.Model(x, Wrong(name="own")(x)), [rows])
    assert generated_weights(keras.Model(x, keras.layers.Dense(1)(x)), [rows]) == []
