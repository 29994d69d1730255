"""DPN's dynamic convolution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, softmax
from tensorflow import keras

from dynctr_tf.layers.dynamic import DynamicConvolution, QueryOperation
from dynctr_tf.layers.sequence import SequenceContext

DRAWN = Drawn(9)
randomise = DRAWN.randomise
X = DRAWN.floats(4, 5, 3)
Q = DRAWN.floats(4, 6)
LENGTHS = np.array([5, 1, 0, 3])
MASK = np.arange(5) < LENGTHS[:, None]


@pytest.mark.parametrize("form", ["full", "depthwise", "separable"])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("static_kernel", [False, True])
@pytest.mark.parametrize("mix", ["kernels", "outputs"])
def test_dynamic_convolution_is_equations_6_and_7(form: str, shared: bool, static_kernel: bool, mix: str) -> None:
    filters = None if form == "depthwise" else 4
    layer = DynamicConvolution(
        filters, 3, form, num_kernels=2, shared_gate=shared, static_kernel=static_kernel, mixed=mix
    )
    layer(X, mask=MASK)
    w = randomise(layer)
    units = filters or 3
    expected = np.zeros((4, 5, units))
    for b in range(4):
        mean = sum((X[b, j] for j in range(LENGTHS[b])), np.zeros(3)) / max(LENGTHS[b], 1)
        logits = (mean @ w["kernel_1"] + w["bias_1"]).reshape(-1, 2)
        for i in range(LENGTHS[b]):
            channels = np.zeros(3)
            for tap in range(3):
                s = softmax(logits[0 if shared else tap])
                generated = sum(s[e] * w["experts"][e, tap] for e in range(2))
                if static_kernel:
                    generated = generated + w["experts"][2, tap]
                j = i + tap - 1
                if not 0 <= j < LENGTHS[b]:
                    continue
                if form == "full":
                    expected[b, i] += generated.T @ X[b, j]
                else:
                    channels += generated[:, 0] * X[b, j]
            if form == "depthwise":
                expected[b, i] = channels
            elif form == "separable":
                expected[b, i] = channels @ w["kernel"]
    np.testing.assert_allclose(layer(X, mask=MASK), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kernel_size", [1, 3, 7])  # 7 is longer than the sequence
def test_a_constant_selector_gives_conv1d(kernel_size: int) -> None:
    layer = DynamicConvolution(4, kernel_size, static_kernel=False, gate_initializer="zeros")
    layer(X)
    convolution = keras.layers.Conv1D(4, kernel_size, padding="same", use_bias=False)
    convolution(X)
    convolution.set_weights([np.array(layer.experts).mean(axis=0)])
    np.testing.assert_allclose(layer(X), convolution(X), atol=1e-5)


@pytest.mark.parametrize("kernel_size", [3, 7])
@pytest.mark.parametrize("form", ["depthwise", "separable"])
def test_a_constant_selector_gives_keras_own_convolution_of_that_form(form: str, kernel_size: int) -> None:
    filters = None if form == "depthwise" else 4
    layer = DynamicConvolution(filters, kernel_size, form, static_kernel=False, gate_initializer="zeros")
    layer(X)
    kernels = [np.array(layer.experts).mean(axis=0)]
    convolution = keras.layers.DepthwiseConv1D(kernel_size, padding="same", use_bias=False)
    if form == "separable":
        convolution = keras.layers.SeparableConv1D(4, kernel_size, padding="same", use_bias=False)
        kernels.append(np.array(layer.pointwise.kernel)[None])
    convolution(X)
    convolution.set_weights(kernels)
    np.testing.assert_allclose(layer(X), convolution(X), atol=1e-5)


def test_by_hand() -> None:
    layer = DynamicConvolution(1, 3, num_kernels=1, static_kernel=False)
    x = np.array([[[1.0], [2.0], [4.0]]], np.float32)
    layer(x)
    layer.experts.assign(np.array([100.0, 10.0, 1.0]).reshape(1, 3, 1, 1))
    # Taps on the left neighbour 100, the middle 10, the right 1; one expert has all the weight.
    assert np.array(layer(x)).ravel().tolist() == [12.0, 124.0, 240.0]


@pytest.mark.parametrize("stop", [False, True])
def test_gradient_of_a_convolution_condition_flows_unless_stopped(stop: bool) -> None:
    layer, z = DynamicConvolution(4, stop_gradient=stop), tf.constant(Q)
    with tf.GradientTape() as tape:
        tape.watch(z)
        total = tf.reduce_sum(tf.square(layer(tf.constant(X), z)))
    gradient = tape.gradient(total, z)
    assert (gradient is None or not np.abs(gradient).max()) if stop else np.abs(gradient).max() > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DynamicConvolution(4, 2), "odd"),
        (lambda: DynamicConvolution(4, kind="fully"), "'full'"),
        (lambda: DynamicConvolution(4, mixed="kernel"), "'kernels'"),
        (lambda: DynamicConvolution(4, kind="depthwise")(X), "separable"),
        (lambda: SequenceContext("seperable"), "'separable'"),
        (lambda: QueryOperation(4)(Q), "takes"),
    ],
)
def test_bad_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
