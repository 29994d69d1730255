"""Each rule against its equations: dense, sparse, with repeated ids, over several steps."""

from __future__ import annotations

import math

import numpy as np
import optimizer_rules_in_numpy as reference_rules
import pytest
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from tensorflow import keras

from dynctr_tf.optimizers import GroupFtrl, LazyAdam, RowWiseAdagrad, SparseAdagrad
from dynctr_tf.optimizers.sparse_optimizer import _ids_are_unique

SHAPE = (7, 3)
# Row 6 never comes; row 5 comes late; ids repeat inside a batch.
BATCHES = ([0, 1, 1, 1, 2], [1, 3, 0, 3], [5, 5, 1], [2, 0, 4, 2, 2], [1, 5, 0])

RULES = {
    "ftrl": (
        lambda: GroupFtrl(0.3, beta=0.5, l1=0.4, l2=0.2, initial_accumulator_value=0.1, untouched_rows="zero"),
        lambda: reference_rules.Ftrl(SHAPE, 0.3, beta=0.5, l1=0.4, l2=0.2, start=0.1),
    ),
    "g_ftrl": (
        lambda: GroupFtrl(0.2, beta=1.0, l2=0.1, l21=0.6, untouched_rows="zero"),
        lambda: reference_rules.Ftrl(SHAPE, 0.2, beta=1.0, l2=0.1, l21=0.6),
    ),
    "sparse_group": (
        lambda: GroupFtrl(0.2, l1=0.2, l21=0.3, untouched_rows="zero"),
        lambda: reference_rules.Ftrl(SHAPE, 0.2, l1=0.2, l21=0.3),
    ),
    "unregularised": (lambda: GroupFtrl(0.2, untouched_rows="zero"), lambda: reference_rules.Ftrl(SHAPE, 0.2)),
    "keep": (
        lambda: GroupFtrl(0.2, l21=0.6, untouched_rows="keep"),
        lambda: reference_rules.Ftrl(SHAPE, 0.2, l21=0.6),
    ),
    "lazy_adam": (
        lambda: LazyAdam(0.1, beta_1=0.8, beta_2=0.95, epsilon=1e-3),
        lambda: reference_rules.Adam(SHAPE, 0.1, 0.8, 0.95, 1e-3),
    ),
    "adagrad": (lambda: SparseAdagrad(0.1), lambda: reference_rules.Adagrad(SHAPE, 0.1)),
    "row_wise_adagrad": (
        lambda: RowWiseAdagrad(0.1, initial_accumulator_value=0.01, epsilon=1e-3),
        lambda: reference_rules.RowWiseAdagrad(SHAPE, 0.1, start=0.01, epsilon=1e-3),
    ),
    "row_wise_adagrad_from_0": (lambda: RowWiseAdagrad(0.1), lambda: reference_rules.RowWiseAdagrad(SHAPE, 0.1)),
}


def start_values(shape=SHAPE):
    return np.random.default_rng(0).normal(size=shape)


def batches(shape=SHAPE, scale=1.0):
    """For each batch the ids and the values of their slices."""
    generator = np.random.default_rng(1)
    return [(np.array(ids), scale * generator.normal(size=(len(ids), *shape[1:]))) for ids in BATCHES]


def slices(ids, values, shape=SHAPE, id_type=tf.int32, dtype=tf.float32):
    return tf.IndexedSlices(tf.constant(values, dtype), tf.constant(ids, id_type), tf.constant(shape, id_type))


@pytest.mark.parametrize("id_type", [tf.int32, tf.int64])
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_sparse_gradients_follow_the_equations(rule, graph, id_type):
    make, make_reference = RULES[rule]
    optimizer, reference = make(), make_reference()
    table = tf.Variable(start_values(), dtype=tf.float32)
    optimizer.build([table])
    expected = table.numpy().astype(np.float64)
    lazy = rule in ("keep", "lazy_adam")

    def step(ids, values):
        optimizer.apply_gradients([(tf.IndexedSlices(values, ids, tf.constant(SHAPE, ids.dtype)), table)])

    run = tf.function(step, reduce_retracing=True) if graph else step
    for ids, values in batches():
        run(tf.constant(ids, id_type), tf.constant(values, tf.float32))
        reference.apply(expected, reference_rules.dense(ids, values, SHAPE), only=ids if lazy else None)
        np.testing.assert_allclose(table.numpy(), expected, atol=1e-5)
    if rule == "keep":
        np.testing.assert_array_equal(table.numpy()[6], start_values()[6].astype(np.float32))
    if rule == "g_ftrl":
        zero = np.all(expected == 0, axis=1)
        assert zero.any() and not zero.all()
        np.testing.assert_array_equal(np.all(table.numpy() == 0, axis=1), zero)


@pytest.mark.parametrize("rule", RULES)
def test_dense_gradients_follow_the_equations(rule):
    make, make_reference = RULES[rule]
    optimizer, reference = make(), make_reference()
    kernel = tf.Variable(start_values(), dtype=tf.float32)
    expected = kernel.numpy().astype(np.float64)
    for ids, values in batches():
        gradient = reference_rules.dense(ids, values, SHAPE)
        optimizer.apply_gradients([(tf.constant(gradient, tf.float32), kernel)])
        reference.apply(expected, gradient)
        np.testing.assert_allclose(kernel.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("rule", [name for name in RULES if name not in ("keep", "lazy_adam")])
def test_sparse_equals_dense(rule):
    make, _ = RULES[rule]
    sparse, dense = make(), make()
    sparse_table = tf.Variable(start_values(), dtype=tf.float64)
    dense_table = tf.Variable(start_values(), dtype=tf.float64)
    for ids, values in batches():
        sparse.apply_gradients([(slices(ids, values, dtype=tf.float64), sparse_table)])
        gradient = tf.constant(reference_rules.dense(ids, values, SHAPE))
        dense.apply_gradients([(gradient, dense_table)])
        np.testing.assert_allclose(sparse_table.numpy(), dense_table.numpy(), rtol=1e-13, atol=1e-15)


def test_lazy_adam_equals_adam_on_rows_that_come_in_every_step():
    lazy, adam = LazyAdam(0.05), keras.optimizers.Adam(0.05, epsilon=1e-7)
    table, whole = (tf.Variable(start_values(), dtype=tf.float32) for _ in range(2))
    everything = np.tile(np.arange(SHAPE[0]), 2)
    for step in range(4):
        values = np.random.default_rng(step).normal(size=(len(everything), SHAPE[1]))
        lazy.apply_gradients([(slices(everything, values), table)])
        adam.apply_gradients([(tf.constant(reference_rules.dense(everything, values, SHAPE), tf.float32), whole)])
    np.testing.assert_allclose(table.numpy(), whole.numpy(), atol=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.7])
def test_ftrl_equals_that_of_keras_on_dense_gradients(beta):
    keras_ftrl = keras.optimizers.Ftrl(
        0.1, initial_accumulator_value=0.1, l1_regularization_strength=0.3, l2_regularization_strength=0.2, beta=beta
    )
    ours = GroupFtrl(0.1, beta=beta, l1=0.3, l2=0.4, initial_accumulator_value=0.1)
    theirs_kernel, our_kernel = (tf.Variable(start_values(), dtype=tf.float32) for _ in range(2))
    for ids, values in batches():
        gradient = tf.constant(reference_rules.dense(ids, values, SHAPE), tf.float32)
        keras_ftrl.apply_gradients([(gradient, theirs_kernel)])
        ours.apply_gradients([(gradient, our_kernel)])
    assert 0 < np.mean(our_kernel.numpy() == 0) < 1
    np.testing.assert_allclose(our_kernel.numpy(), theirs_kernel.numpy(), atol=1e-6)


def test_ftrl_maps_to_sparse_group_ftrl():
    alpha, beta, l1, l2, l21 = 0.2, 1.5, 0.1, 0.6, 0.4
    ours = GroupFtrl(alpha, beta=beta, l1=l1, l2=l2, l21=l21, untouched_rows="zero")
    theirs = reference_rules.SparseGroupFtrl(SHAPE, alpha, l1, l2 / 2 + beta / (2 * alpha), l21, 0.0)
    table = tf.Variable(start_values(), dtype=tf.float64)
    expected = start_values()
    for ids, values in batches():
        ours.apply_gradients([(slices(ids, values, dtype=tf.float64), table)])
        theirs.apply(expected, reference_rules.dense(ids, values, SHAPE))
    np.testing.assert_allclose(table.numpy(), expected, atol=1e-12)


def test_batch_size_converts_units_of_the_sum_to_the_mean():
    batch = 32
    strengths = {"beta": 1.0, "l1": 0.3, "l2": 2.0, "l21": 0.5, "initial_accumulator_value": 0.1}
    of_sum, of_mean = GroupFtrl(0.1, **strengths), GroupFtrl(0.1, **strengths, batch_size=batch)
    tables = [tf.Variable(start_values(), dtype=tf.float64) for _ in range(2)]
    for ids, values in batches():
        of_sum.apply_gradients([(slices(ids, values, dtype=tf.float64), tables[0])])
        of_mean.apply_gradients([(slices(ids, values / batch, dtype=tf.float64), tables[1])])
    np.testing.assert_allclose(tables[1].numpy(), tables[0].numpy(), rtol=1e-10)
    assert np.any(tables[0].numpy() != 0)


def test_a_row_exactly_at_the_threshold_is_removed():
    # ||z|| = ||(3, 4, 0, 0)|| = 5 and sqrt(d) = 2; the weights start at 0, so that z = g.
    gradient = tf.constant([[3.0, 4.0, 0.0, 0.0]])
    for l21, removed in ((2.5, True), (math.nextafter(2.5, 0) - 1e-6, False)):
        kernel = tf.Variable(tf.zeros((1, 4)))
        GroupFtrl(0.1, l21=l21).apply_gradients([(gradient, kernel)])
        assert np.all(kernel.numpy() == 0) == removed
    for l1, removed in ((3.0, True), (3.0 - 1e-6, False)):
        bias = tf.Variable(tf.zeros((1,)))
        GroupFtrl(0.1, l1=l1).apply_gradients([(tf.constant([3.0]), bias)])
        assert np.all(bias.numpy() == 0) == removed


def test_a_variable_without_rows_has_no_groups():
    grouped, plain = GroupFtrl(0.1, l1=0.2, l21=100.0), GroupFtrl(0.1, l1=0.2)
    biases = [tf.Variable([0.5, -0.5]) for _ in range(2)]
    grouped.apply_gradients([(tf.constant([1.0, 2.0]), biases[0])])
    plain.apply_gradients([(tf.constant([1.0, 2.0]), biases[1])])
    assert np.all(biases[0].numpy() != 0)
    np.testing.assert_array_equal(biases[0].numpy(), biases[1].numpy())


@pytest.mark.parametrize("strengths", [{}, {"beta": 1.0, "l1": 0.3, "l2": 0.5, "l21": 0.7}], ids=["plain", "strong"])
def test_initial_weights_are_kept_or_forgotten(strengths):
    start = {"kernel": start_values(), "bias": np.array([0.5, -0.25]), "scale": np.array(2.0), "zero": np.zeros(2)}
    for choice, kept in (("keep", True), ("forget", False)):
        variables = [tf.Variable(value, dtype=tf.float32) for value in start.values()]
        optimizer = GroupFtrl(0.1, initial_accumulator_value=0.1, initial_weights=choice, **strengths)
        optimizer.apply_gradients([(tf.zeros_like(variable), variable) for variable in variables])
        for variable, value in zip(variables, start.values(), strict=True):
            np.testing.assert_allclose(variable.numpy(), value if kept else 0.0 * value, rtol=1e-5, atol=1e-7)


def test_kept_weights_go_on_by_the_formula():
    start, gradient = np.array([0.4, -0.2, 0.0]), np.array([0.3, 0.3, 0.05])
    rate, beta, l1, l2, before = 0.1, 0.5, 0.1, 0.2, 0.04
    weights = tf.Variable(start, dtype=tf.float64)
    optimizer = GroupFtrl(rate, beta=beta, l1=l1, l2=l2, initial_accumulator_value=before, initial_weights="keep")
    z, n, w = -((beta + before**0.5) / rate + l2) * start, np.full(3, before), start
    z -= l1 * np.sign(start)
    for _ in range(3):
        optimizer.apply_gradients([(tf.constant(gradient), weights)])
        after = n + gradient**2
        z, n = z + gradient - (np.sqrt(after) - np.sqrt(n)) / rate * w, after
        w = -np.sign(z) * np.maximum(np.abs(z) - l1, 0.0) / ((beta + np.sqrt(n)) / rate + l2)
    np.testing.assert_allclose(weights.numpy(), w, rtol=1e-6)
    assert weights.numpy()[0] < 0.4 and weights.numpy()[2] <= 0.0


def test_an_untouched_row_is_set_to_zero_at_the_first_step_alone():
    table = tf.Variable(tf.ones((4, 2)))
    optimizer = GroupFtrl(0.1, untouched_rows="zero")
    optimizer.apply_gradients([(slices([1], [[1.0, 1.0]], (4, 2)), table)])
    assert np.all(table.numpy()[[0, 2, 3]] == 0) and np.all(table.numpy()[1] != 0)
    table.assign(tf.ones((4, 2)))
    optimizer.apply_gradients([(slices([1], [[1.0, 1.0]], (4, 2)), table)])
    np.testing.assert_array_equal(table.numpy()[[0, 2, 3]], 1.0)


@pytest.mark.parametrize("limits", [{"clipnorm": 0.5}, {"clipvalue": 0.1}, {"global_clipnorm": 0.5}])
def test_clipping_sees_the_dense_gradient(limits):
    results = []
    for sparse in (True, False):
        table, kernel = (tf.Variable(start_values(), dtype=tf.float32) for _ in range(2))
        optimizer = SparseAdagrad(1.0, **limits)
        for ids, values in batches():
            gradient = tf.constant(reference_rules.dense(ids, values, SHAPE), tf.float32)
            pair = (slices(ids, values) if sparse else gradient, table)
            optimizer.apply_gradients([pair, (2.0 * gradient, kernel)])
        results.append((table.numpy(), kernel.numpy()))
    np.testing.assert_allclose(results[0], results[1], atol=1e-5)
    unclipped = tf.Variable(start_values(), dtype=tf.float32)
    optimizer = SparseAdagrad(1.0)
    for ids, values in batches():
        optimizer.apply_gradients([(slices(ids, values), unclipped)])
    assert np.abs(results[0][0] - unclipped.numpy()).max() > 1e-3


def test_unique_ids_are_recognised_in_a_graph_alone():
    found = {}

    @tf.function
    def trace(ids):
        unique, positions = tf.unique(ids)
        found["unique"] = _ids_are_unique(tf.cast(tf.reshape(tf.identity(unique), [-1]), tf.int64))
        found["positions"] = _ids_are_unique(positions)
        found["given"] = _ids_are_unique(ids)
        found["narrowed"] = _ids_are_unique(tf.cast(unique, tf.int8))
        found["joined"] = _ids_are_unique(tf.concat([unique, unique], 0))
        return unique

    eager = trace(tf.constant([3, 3, 1]))
    found["eager"] = _ids_are_unique(eager)
    assert found == {
        "unique": True,
        "positions": False,
        "given": False,
        "narrowed": False,
        "joined": False,
        "eager": False,
    }


def nodes_of(part):
    """The operations of a graph and of the functions that it calls, wherever in its definition they stand."""
    if isinstance(part, dict):
        if "op" in part and "attr" in part:
            yield part
        for inner in part.values():
            yield from nodes_of(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from nodes_of(inner)


@pytest.mark.parametrize("rule", RULES)
def test_a_sparse_step_never_reads_or_writes_a_whole_table(rule):
    optimizer = RULES[rule][0]()
    table = tf.Variable(start_values(), dtype=tf.float64)  # the learning rate and the counter have other types
    optimizer.build([table])

    @tf.function
    def step(ids, values):
        optimizer.apply_gradients([(tf.IndexedSlices(values, ids, tf.constant(SHAPE)), table)])

    definition = step.get_concrete_function(
        tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, SHAPE[1]], tf.float64)
    ).graph.as_graph_def()
    nodes = list(nodes_of(MessageToDict(definition)))
    whole = [
        node["op"]
        for node in nodes
        if node["op"] in ("ReadVariableOp", "AssignVariableOp") and node["attr"]["dtype"]["type"] == "DT_DOUBLE"
    ]
    assert whole == []
    assert any(node["op"] == "ResourceScatterUpdate" for node in nodes)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GroupFtrl(-0.1), "learning_rate of 'group_ftrl' must be positive, got -0.1"),
        (lambda: GroupFtrl("fast"), "must be a number or a keras.optimizers.schedules"),
        (lambda: GroupFtrl(l21=-1.0), "l21 of GroupFtrl must be at least 0 and finite, got -1.0"),
        (lambda: GroupFtrl(untouched_rows="zeros"), "Did you mean 'zero'"),
        (lambda: GroupFtrl(initial_weights="kept"), "Did you mean 'keep'"),
        (lambda: GroupFtrl(batch_size=0), "batch_size of GroupFtrl must be a whole number of at least 1"),
        (lambda: GroupFtrl(clipnorm=1.0, clipvalue=1.0), "At most one positive"),
        (lambda: LazyAdam(beta_1=1.0), r"beta_1 of LazyAdam must be in \[0, 1\), got 1.0"),
        (lambda: LazyAdam(epsilon=0.0), "epsilon of LazyAdam must be positive"),
        (lambda: SparseAdagrad(epsilon=-1.0), "epsilon of SparseAdagrad must be positive"),
        (lambda: RowWiseAdagrad(epsilon=0.0), "epsilon of RowWiseAdagrad must be positive"),
        (lambda: RowWiseAdagrad(first_order_factor=0.0), "first_order_factor of RowWiseAdagrad must be positive"),
        (lambda: RowWiseAdagrad(initial_accumulator_value=-1.0), "must be at least 0 and finite, got -1.0"),
        (
            lambda: LazyAdam(weight_decay=float("nan")),
            "weight_decay of LazyAdam must be at least 0 and finite, got nan",
        ),
        (lambda: LazyAdam(epsilon=float("inf")), "epsilon of LazyAdam must be positive and finite, got inf"),
        (lambda: LazyAdam(weight_decay=-1.0), "weight_decay of LazyAdam must be at least 0 and finite, got -1.0"),
        (lambda: LazyAdam().build([tf.Variable([1.0], dtype=tf.bfloat16)]), "mixed_bfloat16"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
