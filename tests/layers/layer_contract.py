"""What every layer must do, checked by one function, and the cases that it is checked with."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn
from tensorflow import keras

from dynctr_tf import layers, stack

floats = Drawn(5).floats


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A layer, what it is called with, and a call that it must refuse."""

    make: Callable[..., Any]
    inputs: Any  # one array or a list
    wrong: Any
    condition: np.ndarray | None = None
    float32_output: bool = False
    # What else it is called with by name, such as a mask.
    keywords: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)


FIELD_MAP, OTHER_MAP, CONDITION = floats(5, 4, 6), floats(5, 4, 6), floats(5, 7)
IDS = np.array([[1, 2, 0], [3, 1, 9], [1, 9, 4], [5, 6, 7], [8, 8, 8]], np.int32)
VALUES = np.array([[3, 0], [0, 0], [3, 4], [9, 1], [2, 2]], np.int32)
POOLED_MAP = np.concatenate([floats(5, 3, 6), floats(5, 2, 6) * (VALUES != 0)[:, :, None]], axis=1)
PAIR, LAST = [OTHER_MAP, FIELD_MAP], [m.transpose(0, 2, 1).copy() for m in (OTHER_MAP, FIELD_MAP)]
VECTORS = [floats(5, 6), floats(5, 6)]


def of_known_keys(layer: Any) -> Any:
    """The layer with the ids of the cases among its keys: those that it does not know have no weights."""
    layer.build((None, 3))
    if isinstance(layer, layers.KeyEmbedding):
        layer.add_keys(np.arange(1, 10))
    return layer


CASES: dict[str, Case] = {
    "FieldEmbedding": Case(lambda **k: layers.FieldEmbedding(10, 6, **k), IDS, IDS[:, 0]),
    "FieldEmbedding, linear, penalty, list": Case(
        lambda **k: layers.FieldEmbedding(10, 6, linear=True, row_regularizer_l2=0.1, seed=1, **k),
        [IDS, VALUES],
        [IDS, VALUES[0]],
    ),
    "FieldEmbedding, not de-duplicated": Case(
        lambda **k: layers.FieldEmbedding(10, 6, deduplicate=False, **k), IDS, IDS[0]
    ),
    "BlockEmbedding": Case(lambda **k: layers.BlockEmbedding([(1, 3), (6, 4)], 6, columns=[2, 0], **k), IDS, IDS[:, 0]),
    "BlockEmbedding, one block, linear, list": Case(
        lambda **k: layers.BlockEmbedding([(3, 7)], 6, linear=True, seed=1, **k), [IDS, VALUES], [IDS, VALUES[0]]
    ),
    "KeyEmbedding": Case(lambda **k: of_known_keys(layers.KeyEmbedding(12, 6, **k)), IDS, IDS[:, 0]),
    "KeyEmbedding, linear, penalty, list": Case(
        lambda **k: of_known_keys(layers.KeyEmbedding(9, 6, linear=True, row_regularizer_l2=0.1, seed=1, **k)),
        [IDS, VALUES],
        [IDS, VALUES[0]],
    ),
    "KnownKeyEmbedding": Case(
        lambda **k: of_known_keys(layers.KnownKeyEmbedding(9, 6, linear=True, **k)), IDS, IDS[:, 0]
    ),
    "FieldProjection": Case(lambda **k: layers.FieldProjection(3, **k), FIELD_MAP, FIELD_MAP[0]),
    "ValuePooling": Case(lambda **k: layers.ValuePooling(**k), [POOLED_MAP, VALUES], [POOLED_MAP, VALUES[0]]),
    "ValuePooling, sum": Case(
        lambda **k: layers.ValuePooling("sum", **k), [POOLED_MAP, VALUES], [POOLED_MAP[0], VALUES]
    ),
    "Dense": Case(lambda **k: layers.Dense(3, activation="tanh", **k), FIELD_MAP[:, 0], FIELD_MAP[0, 0]),
    "BatchNormalization": Case(lambda **k: layers.BatchNormalization(**k), FIELD_MAP[:, 0], FIELD_MAP[0, 0]),
    "MLP": Case(lambda **k: layers.MLP((8, 3), activation="tanh", dropout=0.5, **k), FIELD_MAP[:, 0], FIELD_MAP),
    "MLP, batch norm": Case(
        lambda **k: layers.MLP((8, 3), activation="tanh", batch_norm=True, **k), FIELD_MAP[:, 0], FIELD_MAP
    ),
    "LogitSum": Case(
        lambda **k: layers.LogitSum(**k), [FIELD_MAP, VECTORS[0]], FIELD_MAP[:, 0, 0], float32_output=True
    ),
    "PolynomialInteraction": Case(lambda **k: layers.PolynomialInteraction(**k), PAIR, FIELD_MAP[0]),
    "PolynomialInteraction, other options": Case(
        lambda **k: layers.PolynomialInteraction(
            residual=False, activation="tanh", dropout=0.3, fields_last=True, kernel_regularizer="l2", **k
        ),
        LAST,
        PAIR[:1] + VECTORS[:1],
    ),
    "SplitSubspaces": Case(lambda **k: layers.SplitSubspaces(3, **k), FIELD_MAP, FIELD_MAP[0]),
    "MergeSubspaces": Case(lambda **k: layers.MergeSubspaces(2, fields_last=True, **k), LAST[0], FIELD_MAP[0]),
    "FieldSumOutput": Case(
        lambda **k: layers.FieldSumOutput(2, fields_last=True, **k), LAST[0], FIELD_MAP[0], float32_output=True
    ),
    "FactorizationMachine": Case(
        lambda **k: layers.FactorizationMachine(**k), FIELD_MAP, FIELD_MAP[0], float32_output=True
    ),
    "CrossLayer": Case(lambda **k: layers.CrossLayer(**k), VECTORS, FIELD_MAP),
    "CrossLayer, low rank": Case(lambda **k: layers.CrossLayer(rank=2, **k), VECTORS[0], FIELD_MAP),
    "ParameterGenerator": Case(
        lambda **k: layers.ParameterGenerator((2, 3), activation="tanh", output_activation="softmax", **k),
        CONDITION,
        FIELD_MAP,
    ),
    "DynamicActivation": Case(lambda **k: layers.DynamicActivation(**k), PAIR, FIELD_MAP[0], CONDITION),
    "DynamicActivation, other options": Case(
        lambda **k: layers.DynamicActivation(
            "element", residual=False, dropout=0.2, fields_last=True, depth=3, reduction_ratio=0.5, **k
        ),
        LAST,
        LAST[:1] + VECTORS[:1],
    ),
    "DynamicGeneratedParameters": Case(
        lambda **k: layers.DynamicGeneratedParameters(3, orthogonal_weight=0.1, **k), PAIR, FIELD_MAP[0], CONDITION
    ),
    "DynamicGeneratedParameters, other options": Case(
        lambda **k: layers.DynamicGeneratedParameters(2, "linear", fields_last=True, kernel_initializer="normal", **k),
        LAST[0],
        FIELD_MAP[0],
    ),
    "DynamicWeightedParameters": Case(
        lambda **k: layers.DynamicWeightedParameters(3, orthogonal_weight=0.1, **k), PAIR, FIELD_MAP[0], CONDITION
    ),
    "DynamicWeightedParameters, other options": Case(
        lambda **k: layers.DynamicWeightedParameters(2, "paper", fields_last=True, stop_gradient=False, **k),
        LAST[0],
        FIELD_MAP[0],
    ),
}


def listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def raw_call(layer: Any, case: Case, **more: Any) -> Any:
    inputs, keywords = tf.nest.map_structure(tf.constant, (case.inputs, case.keywords))
    conditions = [] if case.condition is None else [tf.constant(case.condition)]
    return layer(inputs, *conditions, **keywords, **more)


def call(layer: Any, case: Case) -> list[np.ndarray]:
    return [tf.cast(output, tf.float32).numpy() for output in listed(raw_call(layer, case))]


def as_model(layer: Any, case: Case) -> Any:
    """A functional model of the layer alone, with an open batch size."""

    def symbolic(array: np.ndarray) -> Any:
        return keras.Input(shape=array.shape[1:], dtype=array.dtype.name)

    inputs = [symbolic(array) for array in listed(case.inputs)]
    first = inputs if isinstance(case.inputs, list) else inputs[0]
    conditions = [] if case.condition is None else [symbolic(case.condition)]
    keywords = {key: symbolic(array) for key, array in case.keywords.items()}
    return keras.Model([*inputs, *conditions, *keywords.values()], layer(first, *conditions, **keywords))


def model_inputs(case: Case) -> list[np.ndarray]:
    conditions = [] if case.condition is None else [case.condition]
    return [*listed(case.inputs), *conditions, *case.keywords.values()]


POLICIES = {
    # The size of a rounding error beside the largest output, and the type of sub-layers' logits and norms.
    "float64": 1e-5,
    "float16": 0.02,
    "mixed_float16": 0.02,
    "bfloat16": 0.1,
    "mixed_bfloat16": 0.06,
}


def _changed(layer: Any, change: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
    """The weights of a layer, changed; those that are whole numbers, such as keys, are not numbers to compute with."""
    return [change(weight) if np.issubdtype(weight.dtype, np.floating) else weight for weight in layer.get_weights()]


def check_integers(case: Case) -> None:
    """Checks that inputs of whole numbers give the same in every dtype, and that they may have any mixture of them."""
    layer = case.make()
    call(layer, case)
    random = np.random.default_rng(1)
    layer.set_weights(_changed(layer, lambda weight: np.abs(random.normal(0, 0.5, weight.shape)) + 0.5))

    def whole(array: np.ndarray, dtype: str) -> np.ndarray:
        if array.dtype != np.float32:  # ids, or a mask
            return array if array.dtype == bool or dtype == "bool" else array.astype(dtype)
        numbers = array > 0 if dtype == "bool" else np.round(2 * np.abs(array))
        return numbers.astype(dtype)

    def with_arrays(convert: Callable[[np.ndarray], np.ndarray]) -> Case:
        inputs, condition, keywords = tf.nest.map_structure(
            lambda value: None if value is None else convert(value), (case.inputs, case.condition, case.keywords)
        )
        return dataclasses.replace(case, inputs=inputs, condition=condition, keywords=keywords)

    def same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)

    for dtype in ("int32", "int64", "uint8", "bool"):

        def floating(array: np.ndarray, dtype: str = dtype) -> np.ndarray:
            return whole(array, dtype).astype(np.float32) if array.dtype == np.float32 else array

        expected = call(layer, with_arrays(floating))
        same(call(layer, with_arrays(lambda array, dtype=dtype: whole(array, dtype))), expected)
        if dtype == "int64":
            # One input after the other.
            arrays = [array for array in model_inputs(case) if array.dtype != bool]
            for chosen in arrays:
                mixed = with_arrays(
                    lambda array, chosen=chosen: whole(array, "int64") if array is chosen else floating(array)
                )
                same(call(layer, mixed), expected)
            # In a graph, where nothing but the dtype is known.
            whole_case = with_arrays(lambda array: whole(array, "int64"))
            model = as_model(layer, whole_case)
            outputs = [output.numpy() for output in listed(model(model_inputs(whole_case)))]
            for one, other in zip(outputs, expected, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6 * np.abs(other).max())


@functools.cache
def _moved_weights_and_outputs(case: Case) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights of a layer in float32 and what it answers with them, once for all policies."""
    layer = case.make()
    call(layer, case)
    # Away from where an absolute value has no slope, such as the cosines of an orthogonal start.
    random = np.random.default_rng(3)
    layer.set_weights(_changed(layer, lambda weight: weight + np.abs(random.normal(0, 0.1, weight.shape))))
    return layer.get_weights(), call(layer, case)


def check_policy(case: Case, policy: str) -> None:
    """Checks that a layer computes in a policy: the same numbers up to its rounding, and gradients for all weights."""
    weights, expected = _moved_weights_and_outputs(case)
    other = case.make(dtype=policy)
    raw_call(other, case)
    other.set_weights(weights)
    compute_dtype = tf.as_dtype(other.compute_dtype)
    wide = tf.float64 if policy == "float64" else tf.float32
    outputs = listed(raw_call(other, case))
    for one, output in zip(expected, outputs, strict=True):
        assert output.dtype == (wide if case.float32_output else compute_dtype)
        np.testing.assert_allclose(
            one, tf.cast(output, tf.float32).numpy(), atol=POLICIES[policy] * max(np.abs(one).max(), 1e-3)
        )
    stored = tf.as_dtype("float32" if policy.startswith("mixed") else policy)
    kept = {tf.as_dtype(stack.storage_dtype(weight)) for weight in other.weights}
    kept = {dtype for dtype in kept if dtype.is_floating}  # keys are whole numbers in every policy
    assert kept <= {stored, tf.float32}, kept
    random = np.random.default_rng(2)
    factors = [random.normal(size=output.shape) for output in outputs]
    trains = "training" in inspect.signature(type(other).call).parameters

    def loss(training: bool) -> tf.Tensor:
        parts = listed(raw_call(other, case, **({"training": training} if trains else {})))
        total = [tf.reduce_sum(tf.cast(part, wide) * factor) for part, factor in zip(parts, factors, strict=True)]
        return tf.add_n([*total, *(tf.cast(extra, wide) for extra in other.losses)])

    variables = [stack.raw_variable(weight) for weight in other.trainable_weights]
    for training in (True, False):
        with tf.GradientTape() as tape:
            value = loss(training)
        gradients = tape.gradient(value, variables)
        assert np.isfinite(value.numpy())
        for weight, gradient in zip(other.trainable_weights, gradients, strict=True):
            assert gradient is not None, weight.name
            assert np.isfinite(tf.convert_to_tensor(gradient).numpy().astype(np.float32)).all(), weight.name
    if policy == "float64" and variables and kept == {tf.float64}:
        # Digits that a step through float32 would lose: the gradient is what a small move of all weights shows.
        directions = [random.normal(size=variable.shape) for variable in variables]
        slope = sum((tf.convert_to_tensor(g).numpy() * d).sum() for g, d in zip(gradients, directions, strict=True))
        values = []
        for step in (1e-6, -2e-6):
            for variable, direction in zip(variables, directions, strict=True):
                variable.assign_add(step * direction)
            values.append(loss(False).numpy())
        np.testing.assert_allclose((values[0] - values[1]) / 2e-6, slope, rtol=1e-4, atol=1e-6)


def check_layer(case: Case) -> None:
    """Checks one layer; policies are checked one by one, and saving and loading for all layers together."""
    layer = case.make()
    outputs = call(layer, case)
    assert all(np.isfinite(output).all() for output in outputs)

    # Shapes, with an open batch size too.
    shapes = [(None, *array.shape[1:]) for array in listed(case.inputs)]
    stated = layer.compute_output_shape(shapes if isinstance(case.inputs, list) else shapes[0])
    stated = stated if isinstance(stated[0], (tuple, list, tf.TensorShape)) else [stated]
    assert [tuple(shape) for shape in stated] == [(None, *output.shape[1:]) for output in outputs]
    model = as_model(case.make(), case)
    assert [tuple(shape.shape) for shape in model.outputs] == [(None, *output.shape[1:]) for output in outputs]
    # Compiled, where the layer can be, which is most of the time that this takes: two batches of one size.
    predicted = listed(model.predict([array[:2] for array in model_inputs(case)], batch_size=1, verbose=0))
    assert [array.shape for array in predicted] == [(2, *output.shape[1:]) for output in outputs]

    # The configuration holds every argument, is plain data and makes the same layer.
    config = layer.get_config()
    arguments = inspect.signature(type(layer).__init__).parameters
    assert {name for name in arguments if name not in ("self", "kwargs")} <= set(config)
    again = type(layer).from_config(json.loads(json.dumps(config)))
    call(again, case)
    again.set_weights(layer.get_weights())
    for one, other in zip(outputs, call(again, case), strict=True):
        np.testing.assert_array_equal(one, other)
    assert json.dumps(again.get_config()) == json.dumps(config)

    # Every weight learns.
    with tf.GradientTape() as tape:
        result = raw_call(layer, case)
        parts = [
            tf.reduce_sum(tf.sin(tf.reshape(tf.range(tf.size(part), dtype=tf.float32), tf.shape(part))) * part)
            for part in listed(result)
        ]
        loss = tf.add_n(parts + list(layer.losses))
    gradients = tape.gradient(loss, [stack.raw_variable(weight) for weight in layer.trainable_weights])
    for weight, gradient in zip(layer.trainable_weights, gradients, strict=True):
        assert gradient is not None, f"{weight.name} gets no gradient"
        dense = tf.convert_to_tensor(gradient).numpy()
        assert np.isfinite(dense).all(), weight.name
        assert np.abs(dense).max() > 0, f"{weight.name} gets a gradient of 0"

    # A wrong rank is refused with a message that says what came and what was expected.
    with pytest.raises(ValueError, match="takes") as refused:
        case.make()(tf.nest.map_structure(tf.constant, case.wrong))
    assert "got" in str(refused.value)
