"""Keys without a vocabulary: rows come with new keys, in training alone, and go when they are dropped."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers import FieldEmbedding, KeyEmbedding

WITH_TFRA = pytest.param(
    "tfra",
    marks=pytest.mark.skipif(
        importlib.util.find_spec("tensorflow_recommenders_addons") is None,
        reason="tensorflow-recommenders-addons (extra dynamic_ids) is not installed",
    ),
)
KEYS = np.array([[-7, 2**62], [-7, 0], [3, 4]], np.int64)


def value(weight: Any) -> np.ndarray:
    return np.asarray(stack.raw_variable(weight).numpy())


@pytest.mark.parametrize("index_kind", ["tensorflow", WITH_TFRA])
@pytest.mark.parametrize("in_graph", [False, True])
def test_new_keys_take_rows_in_training_alone_and_rows_that_are_dropped_are_taken_again(
    index_kind: str, in_graph: bool
) -> None:
    layer = KeyEmbedding(5, 4, index_kind=index_kind)
    call = tf.function(layer) if in_graph else layer
    assert not call(tf.constant(KEYS)).numpy().any() and layer.num_used == 0
    found = call(tf.constant(KEYS), training=True).numpy()
    table = value(layer.table)
    np.testing.assert_array_equal(found, table[[[1, 2], [1, 0], [3, 4]]])  # in the order in which they came
    np.testing.assert_array_equal(call(tf.constant(KEYS)).numpy(), found)
    # One free row for two new keys.
    found = call(tf.constant([[1, 9], [3, 0]], tf.int64), training=True).numpy()
    np.testing.assert_array_equal(found, table[[[5, 0], [3, 0]]])
    assert (layer.num_used, value(layer.num_refused)) == (5, 1)
    weights = layer.get_weights()

    assert layer.stale_rows(1).tolist() == [1, 2, 4] and layer.stale_rows(2).tolist() == []
    assert layer.stale_rows(num_free=2).tolist() == [1, 2] and layer.stale_rows(1, num_free=4).tolist() == [1, 2, 3, 4]
    layer.drop_rows(np.array([1, 4]))
    assert layer.rows_of([-7, 2**62, 3, 4, 1]).tolist() == [0, 2, 3, 0, 5] and layer.num_used == 3
    moved = (value(layer.table) != table).all(axis=1)
    assert moved.tolist() == [False, True, False, False, True, False] and np.abs(value(layer.table)).max() <= 0.05
    assert not call(tf.constant([[-7, 4]], tf.int64)).numpy().any()
    call(tf.constant([[9, -7], [8, 1]], tf.int64), training=True)
    assert layer.rows_of([9, -7, 8, 1]).tolist() == [4, 1, 0, 5]

    # Weights that were loaded say which keys there are, whatever the hash table held.
    layer.set_weights(weights)
    assert layer.rows_of([-7, 2**62, 3, 4, 1, 9]).tolist() == [1, 2, 3, 4, 5, 0]
    other = KeyEmbedding(5, 4, index_kind=index_kind)
    other.build((None, 2))
    other.set_weights(weights)
    np.testing.assert_array_equal(other(tf.constant(KEYS)).numpy(), layer(tf.constant(KEYS)).numpy())


def test_it_gives_what_a_static_table_gives() -> None:
    keyed = KeyEmbedding(9, 4, linear=True, row_regularizer_l2=0.1)
    static = FieldEmbedding(10, 4, linear=True, row_regularizer_l2=0.1)
    ids = np.array([[1, 5, 0], [1, 7, 9], [5, 5, 1]], np.int64)
    for layer in (keyed, static):
        layer.build((None, 3))
    keyed.add_keys(np.arange(1, 10))
    stack.raw_variable(static.table).assign(value(keyed.table))
    results = []
    for layer in (keyed, static):
        with tf.GradientTape() as tape:
            field_map, weights = layer(tf.constant(ids), training=True)
            loss = tf.reduce_sum(field_map**2) + tf.reduce_sum(weights) + tf.add_n(layer.losses)
        gradient = tape.gradient(loss, stack.raw_variable(layer.table))
        assert isinstance(gradient, tf.IndexedSlices)
        slices = (gradient.indices.numpy(), gradient.values.numpy())
        results.append((field_map.numpy(), weights.numpy(), loss.numpy(), *slices))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_keys_can_have_rows_before_they_are_seen() -> None:
    layer = KeyEmbedding(4, 2)
    layer.build((None, 1))
    layer.add_keys([30, 10])
    layer.add_keys([10, 20])
    assert layer.rows_of([30, 10, 20, 5]).tolist() == [1, 2, 3, 0]
    with pytest.raises(ValueError, match="1 free rows and got 2 new keys; num_keys=4 must be larger"):
        layer.add_keys([10, 1, 2])
    for wrong in ([5, 5], [5, 0]):
        with pytest.raises(ValueError, match="takes each key once, and not 0"):
            layer.add_keys(wrong)
    for wrong in ([1, 1], [4]):
        with pytest.raises(ValueError, match="drops distinct rows that keys have"):
            layer.drop_rows(np.array(wrong))
    assert layer.num_used == 3


def test_no_key_takes_a_row_while_the_layer_does_not_train() -> None:
    layer = KeyEmbedding(4, 2, trainable=False)
    assert not layer(tf.constant(KEYS), training=True).numpy().any() and layer.num_used == 0


def test_a_package_that_is_absent_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_recommenders_addons", None)
    monkeypatch.setitem(sys.modules, "tensorflow_recommenders_addons.dynamic_embedding", None)
    with pytest.raises(ImportError, match=r"pip install 'dynctr_tf\[dynamic_ids\]'"):
        KeyEmbedding(5, 4, index_kind="tfra")


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="index_kind"):
        KeyEmbedding(5, 4, index_kind="tensorflow_")
    with pytest.raises(ValueError, match="num_ids"):
        KeyEmbedding(0, 4)
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope(), pytest.raises(ValueError, match="in the scope of MirroredStrategy"):
        KeyEmbedding(5, 4).build((None, 2))
