"""Tables that were loaded or trained before are not erased by the first step of an FTRL."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.embedding import FieldEmbedding
from dynctr_tf.optimizers import CompositeOptimizer, GroupFtrl, LazyAdam, dynint_optimizer

NUM_IDS, BATCH = 1525, 16


def model_with(optimizer, num_ids=NUM_IDS):
    keras.utils.set_random_seed(0)
    ids = keras.Input((3,), dtype="int32")
    fields = FieldEmbedding(num_ids, 4, seed=1, name="embedding")(ids)
    model = keras.Model(ids, keras.layers.Dense(1, name="output")(keras.layers.Flatten()(fields)))
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    return model


def table_of(model):
    return np.array(model.trainable_variables[0])


def one_step(model, ids=None):
    ids = np.arange(1, 1 + 3 * BATCH, dtype=np.int32).reshape(BATCH, 3) if ids is None else ids
    model.fit(ids, np.ones(len(ids), np.float32), batch_size=BATCH, epochs=1, shuffle=False, verbose=0)


def pretrained(num_ids=NUM_IDS):
    table = np.random.default_rng(3).normal(scale=0.1, size=(num_ids, 4)).astype(np.float32)
    table[0] = 0.0
    return table


def test_a_random_start_is_erased_where_the_formula_erases_it():
    model = model_with(dynint_optimizer(BATCH, l21=0.0))
    one_step(model)
    table = table_of(model)
    assert np.all(table[1 + 3 * BATCH :] == 0) and np.any(table[1 : 1 + 3 * BATCH] != 0)


@pytest.mark.parametrize("strengths", [{}, {"l2": 0.0, "l21": 0.0, "beta": 0.0}])
def test_loaded_rows_stay_and_train_on(strengths):
    model = model_with(dynint_optimizer(BATCH, **strengths))
    loaded = pretrained()
    model.trainable_variables[0].assign(loaded)
    one_step(model)
    table = table_of(model)
    np.testing.assert_array_equal(table[1 + 3 * BATCH :], loaded[1 + 3 * BATCH :])
    moved = table[1 : 1 + 3 * BATCH] - loaded[1 : 1 + 3 * BATCH]
    assert np.abs(moved).max() > 0 and np.all(np.any(table[1 : 1 + 3 * BATCH] != 0, axis=1))
    # The direction of the gradient, and no pull towards 0: rows of both signs move by the same gradient.
    assert np.abs(moved).max() < 0.05
    one_step(model, np.arange(100, 100 + 3 * BATCH, dtype=np.int32).reshape(BATCH, 3))
    np.testing.assert_array_equal(table_of(model)[200:], loaded[200:])


def test_rows_that_were_trained_before_stay_under_a_new_optimizer(tmp_path):
    model = model_with(LazyAdam(0.01))
    one_step(model)
    trained = table_of(model)
    model.save_weights(tmp_path / "model.weights.h5")
    for again in (model, model_with(GroupFtrl(0.02))):
        again.load_weights(tmp_path / "model.weights.h5")
        again.compile(GroupFtrl(0.02), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
        one_step(again)
        np.testing.assert_array_equal(table_of(again)[1 + 3 * BATCH :], trained[1 + 3 * BATCH :])


def test_a_model_that_is_loaded_with_its_optimizer_goes_on(tmp_path):
    model = model_with(dynint_optimizer(BATCH, l21=0.0))
    one_step(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for each in (model, loaded):
        one_step(each)
    np.testing.assert_allclose(table_of(loaded), table_of(model), atol=1e-7)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("strengths", [{"beta": 0.5, "l1": 0.3, "l2": 0.2, "l21": 0.4}, {"l21": 0.4}, {"beta": 1.0}])
def test_the_first_step_from_loaded_weights_by_hand(strengths, dense):
    """z is what the formula turns into the weights; a row without a gradient comes out as it was."""
    layer = FieldEmbedding(6, 2, seed=1)
    layer.build((None, 1))
    start = np.array([[0, 0], [0.3, -0.4], [0.6, 0.8], [0, 0], [1, 0], [-0.5, 0.5]], np.float32)
    layer.table.assign(start)
    optimizer = GroupFtrl(0.1, initial_accumulator_value=0.04, **strengths)
    gradient = np.zeros((6, 2), np.float32)
    gradient[1] = (0.05, 0.02)
    given = tf.constant(gradient) if dense else tf.IndexedSlices(gradient[1:2], tf.constant([1]), tf.constant([6, 2]))
    optimizer.apply_gradients([(given, layer.table)])

    beta, l1, l2, l21 = (strengths.get(name, 0.0) for name in ("beta", "l1", "l2", "l21"))
    w, g, threshold = start[1].astype(float), gradient[1].astype(float), l21 * 2**0.5
    before = (beta + 0.2) / 0.1 + l2
    u = -before * w - threshold * w / np.linalg.norm(w)
    z = u + np.sign(u) * l1
    n = 0.04 + g**2
    z = z + g - (np.sqrt(n) - 0.2) / 0.1 * w
    u = np.sign(z) * np.maximum(np.abs(z) - l1, 0)
    expected = -u * max(1 - threshold / np.linalg.norm(u), 0) / ((beta + np.sqrt(n)) / 0.1 + l2)
    table = np.array(layer.table)
    np.testing.assert_allclose(table[1], expected, rtol=1e-5)
    assert np.all(np.sign(table[1] - w) == -np.sign(g)) or l1  # against the gradient
    np.testing.assert_allclose(table[2:], start[2:], rtol=1e-5, atol=1e-7)


def test_a_table_of_unknown_origin_is_not_erased_and_can_be():
    for rows, erased in (("auto", False), ("zero", True), ("keep", False)):
        table = tf.Variable(np.ones((200_000, 2), np.float32))  # more rows than are computed at a time
        slices = tf.IndexedSlices(tf.ones((1, 2)), tf.constant([7]), tf.constant([200_000, 2]))
        optimizer = GroupFtrl(0.1, beta=1.0, l2=0.5, untouched_rows=rows)
        optimizer.apply_gradients([(slices, table)])
        assert np.all(np.delete(table.numpy(), 7, axis=0) == (0.0 if erased else 1.0))
        slices = tf.IndexedSlices(tf.zeros((1, 2)), tf.constant([199_999]), tf.constant([200_000, 2]))
        optimizer.apply_gradients([(slices, table)])
        shown = table.numpy()[199_999, 0]
        assert shown == pytest.approx({"auto": 1.0, "zero": 0.0, "keep": 0.0}[rows])


def test_ftrl_of_keras_on_a_table_is_warned_of():
    ftrl = keras.optimizers.Ftrl(0.1)
    model = model_with(CompositeOptimizer([("embedding/.*", ftrl), (".*", LazyAdam())]))
    with pytest.warns(UserWarning, match=r"Ftrl of Keras has the table .*embedding/table.* sets to 0 every row"):
        one_step(model)


def test_a_model_that_is_built_when_it_is_first_trained_has_a_random_start():
    class Lazy(keras.Model):
        def __init__(self):
            super().__init__()
            self.fields = FieldEmbedding(NUM_IDS, 4, seed=1, name="embedding")
            self.output_layer = keras.layers.Dense(1)

        def call(self, ids):
            return self.output_layer(tf.reshape(self.fields(ids), (-1, 12)))

    model = Lazy()
    model.compile(GroupFtrl(0.1), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    one_step(model)
    table = np.array(stack.raw_variable(model.fields.table))
    assert np.all(table[1 + 3 * BATCH :] == 0) and np.any(table[1 : 1 + 3 * BATCH] != 0)
