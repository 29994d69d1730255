"""Batch normalisation whose moving averages are right from the first steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.layers import BatchNormalization

ROWS = np.random.default_rng(0).normal(3.0, 0.03, size=(20, 16, 5)).astype(np.float32)


def test_training_is_that_of_keras() -> None:
    ours, theirs = BatchNormalization(), keras.layers.BatchNormalization()
    for layer in (ours, theirs):
        layer.build((None, 5))
        layer.gamma.assign([1.0, 2.0, 0.5, 1.0, 1.0])
        layer.beta.assign([0.0, 1.0, 0.0, -1.0, 0.0])
    for rows in ROWS[:3]:
        np.testing.assert_allclose(ours(rows, training=True), theirs(rows, training=True), rtol=1e-3, atol=1e-3)
    assert [weight.shape for weight in ours.trainable_weights] == [(5,), (5,)]


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_moving_averages_are_plain_means_until_the_momentum_rules(steps: int) -> None:
    layer = BatchNormalization(momentum=0.9)
    mean, variance = np.zeros(5), np.ones(5)
    for step, rows in enumerate(ROWS[:steps].astype(np.float64)):
        layer(rows.astype(np.float32), training=True)
        keep = min(0.9, step / (step + 1))
        mean, variance = keep * mean + (1 - keep) * rows.mean(0), keep * variance + (1 - keep) * rows.var(0)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-3)
    if steps <= 10:
        np.testing.assert_allclose(layer.moving_mean, ROWS[:steps].mean((0, 1)), rtol=1e-5)
    served, trained = np.array(layer(ROWS[0])), np.array(layer(ROWS[0], training=True))
    assert np.abs(served - trained).max() < (1e-3 if steps == 1 else 1.0)
    assert 0.5 < served.std() < 1.5  # Keras serves 0.03 after these steps


def test_keras_averages_are_far_off_after_the_same_steps() -> None:
    layer = keras.layers.BatchNormalization()
    for rows in ROWS:
        layer(rows, training=True)
    assert np.array(layer(ROWS[0])).std() < 0.1


def test_a_frozen_layer_keeps_its_averages_and_other_axes_count_as_rows() -> None:
    layer = BatchNormalization(center=False, scale=False)
    layer(ROWS, training=True)  # (20, 16, 5): a field map
    np.testing.assert_allclose(layer.moving_mean, ROWS.mean((0, 1)), rtol=1e-5)
    layer.trainable = False
    before = np.array(layer.moving_mean)
    np.testing.assert_array_equal(layer(ROWS[1] + 9.0, training=True), layer(ROWS[1] + 9.0))
    np.testing.assert_array_equal(layer.moving_mean, before)


def test_it_is_saved_with_the_number_of_batches(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((5,)), BatchNormalization(name="norm")])
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(ROWS.reshape(-1, 5), ROWS.reshape(-1, 5), batch_size=32, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(ROWS[0]), model(ROWS[0]), rtol=1e-5)
    assert float(tf.convert_to_tensor(loaded.get_layer("norm").moving_count)) == 10


@pytest.mark.parametrize("given", [{"momentum": 1.0}, {"epsilon": 0.0}])
def test_wrong_numbers_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="momentum must lie in"):
        BatchNormalization(**given)
    with pytest.raises(ValueError, match="n known"):
        BatchNormalization().build((None, None))


def test_float64_stays_float64() -> None:
    layer = BatchNormalization(dtype="float64")
    assert layer(ROWS[0].astype(np.float64), training=True).dtype == tf.float64
