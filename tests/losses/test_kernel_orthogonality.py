"""The regularizer of kernels, on layers of Keras and of this library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import layers
from dynctr_tf.losses import KernelOrthogonality, orthogonality

KERNEL = np.array([[3.0, 0.0, -1.0], [4.0, 2.0, 0.0]], np.float32)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # Columns (3, 4), (0, 2), (-1, 0): cosines 0.8, 0.6, 0.
        ({}, 0.014),
        ({"factor": 0.5, "kind": "frobenius"}, 1.0),
        # Rows (3, 0, -1) and (4, 2, 0): 12 / sqrt(10 * 20).
        ({"factor": 1.0, "mode": "rows"}, 12 / 200**0.5),
    ],
)
def test_of_a_matrix_by_hand(options: dict[str, Any], expected: float) -> None:
    assert float(KernelOrthogonality(**options)(KERNEL)) == pytest.approx(expected, rel=1e-5)


def test_it_is_the_sum_where_keras_has_the_mean() -> None:
    # Of positive numbers: Keras 2 adds the cosines with their signs.
    kernel = np.random.default_rng(0).uniform(size=(4, 5)).astype(np.float32)
    for mode in ("rows", "columns"):
        ours = float(KernelOrthogonality(0.1, mode)(kernel))
        pairs = kernel.shape[0 if mode == "rows" else 1] * (kernel.shape[0 if mode == "rows" else 1] - 1) / 2
        theirs = float(keras.regularizers.OrthogonalRegularizer(0.1, mode)(tf.constant(kernel)))
        assert ours == pytest.approx(theirs * pairs, rel=1e-5)


LAYERS = {
    "Dense": (lambda r: keras.layers.Dense(5, kernel_regularizer=r), (2, 4)),
    "Conv1D": (lambda r: keras.layers.Conv1D(5, 3, kernel_regularizer=r), (2, 6, 4)),
    "MixtureOfKernels": (lambda r: layers.MixtureOfKernels(5, kernel_regularizer=r), (2, 4)),
    "PolynomialInteraction": (lambda r: layers.PolynomialInteraction(kernel_regularizer=r), (2, 3, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_it_fits_the_kernels_of_any_layer(name: str) -> None:
    make, shape = LAYERS[name]
    layer = make(KernelOrthogonality(0.1))
    layer(tf.ones(shape))
    with tf.GradientTape() as tape:
        loss = tf.add_n([tf.convert_to_tensor(part) for part in layer.losses])
    # A bias has none. Of Keras 3's variables a tape cannot give zeros in place of these.
    gradients = [gradient for gradient in tape.gradient(loss, layer.trainable_variables) if gradient is not None]
    assert float(loss) > 0 and all(np.isfinite(gradient.numpy()).all() for gradient in gradients)
    assert any(np.abs(gradient.numpy()).max() > 0 for gradient in gradients)


def test_of_a_convolution_the_filters_are_the_vectors() -> None:
    kernel = np.random.default_rng(1).normal(size=(3, 4, 5)).astype(np.float32)
    expected = orthogonality(tf.constant(kernel.reshape(12, 5).T))
    np.testing.assert_allclose(float(KernelOrthogonality(1.0)(kernel)), float(expected), rtol=1e-6)
    rows = orthogonality(tf.constant(kernel.reshape(3, 20)), "frobenius")
    np.testing.assert_allclose(float(KernelOrthogonality(1.0, "rows", "frobenius")(kernel)), float(rows), rtol=1e-6)


def test_it_is_saved_with_a_model(tmp_path: Path) -> None:
    x = keras.Input((4,))
    regularizer = KernelOrthogonality(0.2, "rows", "frobenius")
    model = keras.Model(x, keras.layers.Dense(3, kernel_regularizer=regularizer)(x))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    found = loaded.layers[-1].kernel_regularizer
    assert isinstance(found, KernelOrthogonality) and found.get_config() == regularizer.get_config()
    np.testing.assert_allclose(float(loaded.losses[0]), float(model.losses[0]), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KernelOrthogonality(-1.0), "factor must not be negative"),
        (lambda: KernelOrthogonality(mode="column"), "Did you mean 'columns'"),
        (lambda: KernelOrthogonality(kind="frobenious"), "Did you mean 'frobenius'"),
        (lambda: KernelOrthogonality()(tf.ones(3)), "two or more axes"),
    ],
)
def test_what_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
