"""What the three layers of DynInt share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from crossed_maps import X0, D, F, N, X, built, output_of
from equations import Drawn

from dynctr_tf import stack
from dynctr_tf.layers import (
    DynamicActivation,
    DynamicGeneratedParameters,
    DynamicWeightedParameters,
    FieldEmbedding,
    ParameterGenerator,
    PolynomialInteraction,
    SplitSubspaces,
)
from dynctr_tf.stack import variable_path

DRAWN = Drawn(12)
floats = DRAWN.floats
DYNAMIC = [DynamicActivation, DynamicGeneratedParameters, DynamicWeightedParameters]


@pytest.mark.parametrize(
    "layer",
    [
        DynamicActivation(),
        DynamicActivation("element"),
        DynamicWeightedParameters(1),
        DynamicWeightedParameters(4),
        DynamicWeightedParameters(1, "paper"),
    ],
    ids=lambda layer: layer.name,
)
def test_a_generator_that_gives_zero_leaves_the_static_layer(layer: Any) -> None:
    weights = built(DRAWN, layer)
    silent = [np.zeros_like(w) if "kernel_" in n or "bias_" in n else w for n, w in weights.items()]
    layer.set_weights(silent)
    static = PolynomialInteraction()
    static([X, X0])
    static.set_weights([weights["kernel"]])
    np.testing.assert_allclose(output_of(layer, False), static([X, X0]).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", DYNAMIC)
def test_layers_start_near_the_static_one(kind: Any) -> None:
    """With embeddings as small as they start, what is generated is within a few percent of 1."""
    small = tf.random.uniform((64, 39, 16), -0.05, 0.05, seed=1)
    stacked = SplitSubspaces(4, fields_last=True)(small)
    layer = kind(rank=1, fields_last=True) if kind is DynamicWeightedParameters else kind(fields_last=True)
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
    """With generators that give zero the chain is the static one; with others its matrices differ from row to row."""

    def chain(layers: list[Any]) -> np.ndarray:
        x = tf.constant(X0)
        for layer in layers:
            x = layer([x, tf.constant(X0)])
        return x.numpy()

    static, dynamic = ([make() for _ in range(2)] for make in (PolynomialInteraction, kind))
    chain(static), chain(dynamic)
    loud = []
    for plain, layer in zip(static, dynamic, strict=True):
        names = [variable_path(weight).split("/")[-1] for weight in layer.weights]
        weights = dict(zip(names, layer.get_weights(), strict=True))
        matrix = weights["v"] @ weights["u"].T if "v" in weights else weights["kernel"]
        plain.set_weights([matrix])
        generates = [name.startswith(("kernel_", "bias_")) for name in weights]
        assert any(generates)
        loud.append([floats(*w.shape) if own else w for w, own in zip(weights.values(), generates, strict=True)])
        layer.set_weights([np.zeros_like(w) if own else w for w, own in zip(weights.values(), generates, strict=True)])
    expected = chain(static)
    np.testing.assert_allclose(chain(dynamic), expected, rtol=1e-4, atol=1e-5)
    for layer, weights in zip(dynamic, loud, strict=True):
        layer.set_weights(weights)
    assert (np.abs(chain(dynamic) - expected).max(axis=(1, 2)) > 1e-3).all()


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
        "dgp": DynamicGeneratedParameters(4),
        "dwp": DynamicWeightedParameters(2),
    }
    for layer in counts.values():
        layer([x0, x0], z)
    assert counts["da"].count_params() == 39**2 + generator + 156 * 39 + 39
    assert counts["dgp"].count_params() == 2 * 39 * 4 + generator + 156 * 4 + 4
    assert counts["dwp"].count_params() == 39**2 + generator + (156 + 1) * 2 * 2 * 39


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DynamicActivation("fields"), "Did you mean 'field'"),
        (lambda: DynamicGeneratedParameters(sigma_kind="two-sigmoid"), "Did you mean 'two_sigmoid'"),
        (lambda: DynamicGeneratedParameters(rank=0), "rank"),
        (lambda: DynamicWeightedParameters(offset_kind="units"), "Did you mean 'unit'"),
        (lambda: DynamicWeightedParameters(orthogonal_weight=-1.0), "orthogonal_weight"),
        (lambda: DynamicWeightedParameters(dropout=1.0), "dropout"),
        (lambda: ParameterGenerator((2, 0)), "output_size"),
        (lambda: ParameterGenerator(2, depth=0), "depth"),
        (lambda: ParameterGenerator(2, reduction_ratio=0.0), "reduction_ratio"),
        (lambda: DynamicGeneratedParameters()([X, X0], tf.ones((N, 2, 3))), "condition of shape"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
