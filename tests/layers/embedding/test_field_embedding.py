"""The table: look-up, padding, one gradient row per id, penalties, pooling."""

from __future__ import annotations

import gc
import warnings
import weakref

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers import FieldEmbedding
from dynctr_tf.layers.embedding.field_embedding import expand_rows

IDS = np.array([[1, 5, 0], [1, 7, 9], [5, 5, 1]], np.int32)


def built(**options: object) -> FieldEmbedding:
    layer = FieldEmbedding(10, 4, **options)
    layer(tf.constant(IDS))
    return layer


def gradient_of(layer: FieldEmbedding, ids: np.ndarray, upstream: np.ndarray) -> tf.IndexedSlices:
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.constant(ids), training=True) * upstream)
    return tape.gradient(loss, stack.raw_variable(layer.table))


@pytest.mark.parametrize("training", [None, False, True])
@pytest.mark.parametrize("deduplicate", [True, False])
def test_looks_up_rows_and_gives_zeros_for_padding(deduplicate: bool, training: bool | None) -> None:
    layer = built(deduplicate=deduplicate)
    table = np.arange(40, dtype=np.float32).reshape(10, 4) + 1  # the padding row is not 0 here, on purpose
    layer.set_weights([table])
    for ids in (IDS, IDS + 1 - IDS // 9):  # with padding and without
        output = layer(tf.constant(ids), training=training).numpy()
        for row, column in np.ndindex(ids.shape):
            expected = table[ids[row, column]] if ids[row, column] else np.zeros(4)
            np.testing.assert_array_equal(output[row, column], expected)


def test_gradient_has_each_row_once_already_summed() -> None:
    layer = built()
    upstream = np.random.default_rng(0).normal(size=(3, 3, 4)).astype(np.float32)
    slices = gradient_of(layer, IDS, upstream)
    assert isinstance(slices, tf.IndexedSlices)
    assert sorted(slices.indices.numpy()) == sorted(set(IDS.ravel()))
    expected = np.zeros((10, 4))
    for row, column in np.ndindex(IDS.shape):
        if IDS[row, column]:
            expected[IDS[row, column]] += upstream[row, column]
    np.testing.assert_allclose(tf.convert_to_tensor(slices).numpy(), expected, rtol=1e-6)
    repeated = gradient_of(built(deduplicate=False), IDS, upstream)
    assert len(repeated.indices) == IDS.size
    np.testing.assert_allclose(tf.convert_to_tensor(repeated).numpy(), expected, rtol=1e-6)


def test_a_step_that_is_gone_leaves_no_graph_behind() -> None:
    layer = built()

    @tf.function
    def step(ids: tf.Tensor) -> tf.IndexedSlices:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(ids, training=True))
        return tape.gradient(loss, stack.raw_variable(layer.table))

    graph = weakref.ref(step.get_concrete_function(tf.constant(IDS)).graph)
    assert graph() is not None
    del step
    gc.collect()
    assert graph() is None


@pytest.mark.parametrize("linear", [False, True])
def test_reading_alone_finds_no_distinct_rows_and_gives_the_same(linear: bool) -> None:
    layer = built(linear=linear)
    kinds = {}
    for training in (True, False, None):
        graph = (
            tf.function(lambda ids, training=training: layer(ids, training=training)).get_concrete_function(IDS).graph
        )
        kinds[training] = {operation.type for operation in graph.get_operations()}
    assert "Unique" in kinds[True] and not {"Unique", "SparseTensorDenseMatMul"} & (kinds[False] | kinds[None])
    for one, other in zip(
        tf.nest.flatten(layer(tf.constant(IDS), training=True)),
        tf.nest.flatten(layer(tf.constant(IDS), training=False)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_gradient_indices_come_straight_out_of_unique_and_nothing_is_made_dense() -> None:
    layer = built(linear=True)
    operations = []

    @tf.function
    def slices(ids: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            field_map, weights = layer(ids, training=True)
            loss = tf.reduce_sum(field_map) + tf.reduce_sum(weights)
        gradient = tape.gradient(loss, stack.raw_variable(layer.table))
        assert isinstance(gradient, tf.IndexedSlices)
        operation = gradient.indices.op
        while operation.type in ("Identity", "Reshape"):
            operation = operation.inputs[0].op
        operations.append(operation.type)
        return gradient.values

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "Converting sparse IndexedSlices to a dense Tensor" is one
        slices(tf.constant(IDS))
    assert operations[-1] in ("Unique", "UniqueV2")


def test_padding_row_starts_at_zero_and_never_trains() -> None:
    model = keras.Sequential([keras.Input((3,), dtype="int32"), FieldEmbedding(10, 4, name="embedding")])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    before = model.get_weights()[0]
    assert not before[0].any()
    assert np.abs(before[1:]).min() > 0
    model.fit(IDS, np.ones((3, 3, 4), np.float32), epochs=2, verbose=0)
    after = model.get_weights()[0]
    assert not after[0].any()
    assert (after[1] != before[1]).all()


def test_linear_weights_live_in_the_last_column() -> None:
    layer = FieldEmbedding(10, 4, linear=True)
    field_map, weights = layer(tf.constant(IDS))
    assert not weights.numpy().any()  # they start at 0
    table = np.arange(50, dtype=np.float32).reshape(10, 5)
    layer.set_weights([table])
    field_map, weights = layer(tf.constant(IDS))
    np.testing.assert_array_equal(field_map.numpy()[1, 2], table[9, :4])
    assert weights.numpy()[:, :, 0].tolist() == [[9, 29, 0], [9, 39, 49], [29, 29, 9]]


def test_penalty_counts_each_row_of_the_batch_once() -> None:
    layer = built(row_regularizer_l2=0.5)
    layer.set_weights([np.full((10, 4), 2.0)])
    layer(tf.constant(IDS), training=True)
    assert float(layer.losses[-1]) == 0.5 * 4 * (4 * 2.0**2)  # ids 1, 5, 7, 9


def test_several_inputs_are_gathered_as_one() -> None:
    layer = built()
    parts = [IDS[:, :1], IDS[:, 1:].astype(np.int64)]
    np.testing.assert_array_equal(layer(IDS).numpy(), layer([tf.constant(part) for part in parts]).numpy())


def test_table_stays_float32_and_gradients_are_summed_in_float32() -> None:
    layer = FieldEmbedding(10, 4, dtype="mixed_bfloat16")
    ids = np.full((1, 1000), 3, np.int32)
    assert layer(tf.constant(ids)).dtype == tf.bfloat16
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.cast(layer(tf.constant(ids), training=True), tf.float32))
    gradient = tape.gradient(loss, stack.raw_variable(layer.table))
    assert gradient.values.dtype == tf.float32
    assert gradient.values.numpy().tolist() == [[1000.0] * 4]  # bfloat16 would stop counting at 256


def test_expanded_rows_have_the_gradient_of_a_gather() -> None:
    random = np.random.default_rng(1)
    rows = tf.constant(random.normal(size=(50, 3)).astype(np.float32))
    positions = tf.constant(random.integers(0, 50, 400).astype(np.int32))
    upstream = random.normal(size=(400, 3)).astype(np.float32)
    gradients = []
    for gather in (lambda rows, positions: expand_rows(rows, positions, tf.ones(400)), tf.gather):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            loss = tf.reduce_sum(gather(rows, positions) * upstream)
        gradients.append(tf.convert_to_tensor(tape.gradient(loss, rows)).numpy())
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-5, atol=1e-6)


def test_seed_decides_the_start() -> None:
    one, same, other = (FieldEmbedding(10, 4, seed=seed) for seed in (1, 1, 2))
    for layer in (one, same, other):
        layer(tf.constant(IDS))
    np.testing.assert_array_equal(one.get_weights()[0], same.get_weights()[0])
    assert (one.get_weights()[0][1:] != other.get_weights()[0][1:]).all()
    assert np.abs(one.get_weights()[0]).max() <= 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_ids": 1}, "num_ids"),
        ({"num_ids": 2**31}, "num_ids"),
        ({"output_dim": 0}, "output_dim"),
        ({"initial_scale": -1.0}, "initial_scale"),
        ({"row_regularizer_l2": 0.1, "deduplicate": False}, "deduplicate"),
    ],
)
def test_wrong_arguments_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FieldEmbedding(**{"num_ids": 10, "output_dim": 4, **options})


def test_ids_that_are_not_whole_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"integer dtype, got float32.*dynctr_tf\.encoding"):
        built()(tf.constant([[1.0, 2.0]]))


def test_ids_of_any_integer_dtype_ragged_and_sparse_are_looked_up() -> None:
    layer = built()
    expected = layer(tf.constant(IDS)).numpy()
    for dtype in (np.int8, np.uint8, np.int16, np.uint16, np.uint32, np.int64, np.uint64):
        for training in (True, False):
            np.testing.assert_array_equal(layer(tf.constant(IDS.astype(dtype)), training=training).numpy(), expected)
    for ids in (tf.constant([[2**32 + 5]], tf.int64), tf.constant([[2**63 + 5]], tf.uint64), tf.constant([[-1]])):
        for training in (True, False):
            with pytest.raises(tf.errors.InvalidArgumentError):
                layer(ids, training=training)
    ragged = tf.ragged.constant([[1, 5], [], [5, 5, 1]], dtype=tf.int32)
    padded = layer(tf.constant([[1, 5, 0], [0, 0, 0], [5, 5, 1]])).numpy()
    np.testing.assert_array_equal(layer(ragged).numpy(), padded)
    np.testing.assert_array_equal(layer(ragged, training=True).numpy(), padded)
    np.testing.assert_array_equal(tf.function(lambda ids: layer(ids))(ragged).numpy(), padded)
    np.testing.assert_array_equal(layer([ragged, tf.constant(IDS)]).numpy(), np.concatenate([padded, expected], axis=1))
    sparse = tf.sparse.from_dense(tf.constant([[1, 5, 0], [0, 0, 0], [0, 9, 1]]))
    np.testing.assert_array_equal(layer(sparse).numpy(), layer(tf.sparse.to_dense(sparse)).numpy())
    fresh = FieldEmbedding(10, 4)
    assert tuple(fresh(ragged).shape) == (3, 3, 4)
    assert layer(tf.zeros((0, 3), tf.int32)).shape == (0, 3, 4)


def test_ids_that_count_from_0_in_each_field() -> None:
    layer = FieldEmbedding(10, 4, num_ids_per_field=[2, 3, 4])
    own = np.array([[0, 0, 0], [1, 2, 3]], np.int32)
    shared = FieldEmbedding(10, 4)
    shared(tf.constant(own))
    layer(tf.constant(own))
    shared.set_weights(layer.get_weights())
    expected = shared(tf.constant([[1, 3, 6], [2, 5, 9]])).numpy()
    for training in (True, False):
        np.testing.assert_array_equal(layer(tf.constant(own), training=training).numpy(), expected)
    run = tf.function(lambda ids: layer(ids))
    np.testing.assert_array_equal(run(tf.constant(own)).numpy(), expected)
    assert layer(tf.zeros((0, 3), tf.int32)).shape == (0, 3, 4)
    for wrong in ([[2, 0, 0]], [[0, 0, -1]], [[0, 3, 0]]):
        for call in (layer, run):
            with pytest.raises(tf.errors.InvalidArgumentError, match=r"num_ids_per_field=\[2, 3, 4\] and got an id"):
                call(tf.constant(wrong, tf.int32))
    again = FieldEmbedding.from_config(layer.get_config())
    assert again.num_ids_per_field == [2, 3, 4]
    with pytest.raises(ValueError, match="3 fields and got ids of shapes"):
        again(tf.constant([[0, 0]]))
    for sizes in ([2, 3], [], [9, 0]):
        with pytest.raises(ValueError, match="num_ids is their sum and 1"):
            FieldEmbedding(10, 4, num_ids_per_field=sizes)


def test_a_penalty_is_for_training() -> None:
    layer = FieldEmbedding(10, 4, row_regularizer_l2=0.1)
    for training, count in ((True, 1), (False, 0), (None, 0)):
        layer(tf.constant(IDS), training=training)
        assert len(layer.losses) == count
