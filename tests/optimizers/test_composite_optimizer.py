"""The optimizer of optimizers: assignment, the common factor, fit, saving, resuming."""

from __future__ import annotations

import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.evaluation import sparsity_report
from dynctr_tf.layers.embedding import FieldEmbedding
from dynctr_tf.models.dynamic.dynint import dynint
from dynctr_tf.models.parts import Embedding
from dynctr_tf.optimizers import CompositeOptimizer, GroupFtrl, LazyAdam, SparseAdagrad, dynint_optimizer

NUM_IDS, FIELDS, ROWS, BATCH = 50, 3, 64, 16


def tiny_model(seed=0):
    keras.utils.set_random_seed(seed)
    ids = keras.Input((FIELDS,), dtype="int32", name="fields")
    fields = FieldEmbedding(NUM_IDS, 4, seed=1, name="embedding")(ids)
    hidden = keras.layers.Dense(6, activation="relu", name="hidden")(keras.layers.Flatten()(fields))
    return keras.Model(ids, keras.layers.Dense(1, name="output", dtype="float32")(hidden))


def data():
    generator = np.random.default_rng(0)
    ids = generator.integers(1, NUM_IDS, size=(ROWS, FIELDS)).astype(np.int32)
    ids[:, 0] = 1 + ids[:, 0] % 4  # an id space with frequent values
    label = (ids[:, 0] % 2).astype(np.float32)
    return ids, label


def compiled(optimizer, seed=0):
    model = tiny_model(seed)
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    return model


def fit(model, epochs=1):
    return model.fit(*data(), batch_size=BATCH, epochs=epochs, shuffle=False, verbose=0).history["loss"]


def values(model):
    return [np.array(weight) for weight in model.get_weights()]


def mixed():
    return CompositeOptimizer(
        [("embedding/.*", GroupFtrl(0.1, l21=1e-3)), ("hidden/.*", LazyAdam(0.01)), (".*", "sgd")]
    )


def test_the_first_matching_pattern_gives_the_optimizer():
    optimizer = mixed()
    optimizer.build(tiny_model().trainable_variables)
    found = {row.path.split("/", 1)[0] + "/" + row.path.rsplit("/", 1)[1]: row for row in optimizer.assignment()}
    assert {path: row.optimizer for path, row in found.items()} == {
        "embedding/table": "GroupFtrl",
        "hidden/kernel": "LazyAdam",
        "hidden/bias": "LazyAdam",
        "output/kernel": "SGD",
        "output/bias": "SGD",
    }
    assert found["embedding/table"].shape == (NUM_IDS, 4)
    text = optimizer.assignment_text().splitlines()
    assert text[0].split() == ["variable", "shape", "optimizer", "pattern"]
    assert len(text) == 6
    assert text[1].split() == ["embedding/table", "50x4", "GroupFtrl", "embedding/.*"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CompositeOptimizer([]), "takes a list of pairs"),
        (lambda: CompositeOptimizer({".*": "sgd"}), "takes a list of pairs"),
        (lambda: CompositeOptimizer([("[", "sgd")]), "is not a regular expression"),
        (lambda: CompositeOptimizer([(".*", 3)]), "which is not an optimizer"),
        (lambda: CompositeOptimizer([(".*", "sgd"), (".*", "adam")]), "given twice"),
        (lambda: dynint_optimizer(batch_size=0), "batch_size must be the number of rows"),
        (lambda: CompositeOptimizer([(".*", "sgd")]).assignment(), "not built yet"),
    ],
)
def test_wrong_arguments_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_one_optimizer_cannot_have_two_patterns():
    shared = LazyAdam()
    with pytest.raises(ValueError, match="'lazy_adam' is given twice"):
        CompositeOptimizer([("a", shared), ("b", shared)])


def test_no_variable_goes_without_a_pattern_and_no_pattern_silently_without_a_variable():
    variables = tiny_model().trainable_variables
    with pytest.raises(ValueError, match=r"No pattern .* matches the variables \['hidden/kernel', 'hidden/bias'\]"):
        CompositeOptimizer([("embedding/.*", "sgd"), ("output/.*", "adam")]).build(variables)
    with pytest.warns(UserWarning, match=r"'embeding/table' .* matches no variable.*Did you mean 'embedding/table'"):
        CompositeOptimizer([("embeding/table", "sgd"), (".*", "adam")]).build(variables)


def test_an_optimizer_of_another_model_is_refused():
    optimizer = mixed()
    optimizer.build(tiny_model().trainable_variables)
    stranger = tf.Variable([1.0], name="stranger")
    with pytest.raises(ValueError, match="built without the variable 'stranger"):
        optimizer.apply_gradients([(tf.constant([1.0]), stranger)])


def test_each_member_does_what_it_does_alone():
    together = compiled(CompositeOptimizer([("embedding/.*", LazyAdam(0.02)), (".*", LazyAdam(0.02, name="other"))]))
    alone = compiled(LazyAdam(0.02))
    losses = fit(together, 3), fit(alone, 3)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    assert losses[0][-1] < losses[0][0]
    for one, other in zip(values(together), values(alone), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_fit_learns(policy):
    keras.mixed_precision.set_global_policy(policy)
    try:
        optimizer = dynint_optimizer(
            BATCH, learning_rate=0.1, l2=0.0, l21=0.005, dense_learning_rate=0.1, dense_l1=0.001, untouched_rows="keep"
        )
        losses = fit(compiled(optimizer), 30)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert np.all(np.isfinite(losses))
    assert losses[-1] < 0.5 < losses[0]
    assert int(np.array(optimizer.iterations)) == 30 * ROWS // BATCH


def test_untouched_rows_of_the_table_are_zero_after_fit():
    ids, _ = data()
    model = compiled(dynint_optimizer(BATCH, l21=0.0))
    fit(model)
    table = values(model)[0]
    untouched = np.setdiff1d(np.arange(1, NUM_IDS), ids)
    assert len(untouched) and np.all(table[untouched] == 0)
    assert np.any(table[np.unique(ids)] != 0)


@pytest.mark.parametrize("choice", ["keep", "forget"])
def test_layers_that_generate_outlive_the_first_steps_of_ftrl(choice):
    # Two layers one after the other, of small gradients: what FTRL forgets of both never comes back.
    model = dynint(EncodedFeatures.from_sizes([20, 30, 40]), embedding=Embedding(16, 0.05), kind="da", num_layers=2)
    optimizer = dynint_optimizer(128, l2=0.1, l21=0.0, dense_initial_weights=choice)
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    random = np.random.default_rng(0)
    fields = np.stack([first + random.integers(0, 20, 512) for first in (1, 21, 51)], 1).astype(np.int32)
    model.fit({"fields": fields}, (fields[:, 0] < 8).astype(np.float32), batch_size=128, epochs=4, verbose=0)
    generators = {f"da_{layer}/generator/kernel_{number}" for layer in (1, 2) for number in (1, 2)}
    assert generators & set(sparsity_report(model).removed) == (set() if choice == "keep" else generators)


@pytest.mark.parametrize("make", [mixed, lambda: LazyAdam(0.01), lambda: GroupFtrl(0.1), lambda: SparseAdagrad(0.1)])
def test_configuration_round_trip(make):
    optimizer = make()
    config = keras.saving.serialize_keras_object(optimizer)
    twin = keras.saving.deserialize_keras_object(config)
    assert type(twin) is type(optimizer)
    assert keras.saving.serialize_keras_object(twin) == config
    assert keras.optimizers.deserialize(keras.optimizers.serialize(optimizer)).get_config() == optimizer.get_config()


def test_every_argument_is_in_the_configuration():
    given = {
        "learning_rate": 0.5,
        "beta": 1.0,
        "l1": 2.0,
        "l2": 3.0,
        "l21": 4.0,
        "initial_accumulator_value": 0.25,
        "untouched_rows": "keep",
        "initial_weights": "keep",
        "batch_size": 64,
        "clipnorm": None,
        "clipvalue": 0.5,
        "global_clipnorm": None,
        "name": "mine",
    }
    assert GroupFtrl(**given).get_config() == given
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(LazyAdam(schedule)))
    assert twin.get_config() == LazyAdam(schedule).get_config()


def test_a_saved_model_continues_as_if_it_had_not_been_saved(tmp_path):
    model = compiled(mixed())
    fit(model, 2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.optimizer, CompositeOptimizer)
    np.testing.assert_allclose(fit(loaded, 2), fit(model, 2), rtol=1e-6)
    for one, other in zip(values(loaded), values(model), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)
    assert int(np.array(loaded.optimizer.iterations)) == 4 * ROWS // BATCH


@pytest.mark.parametrize("make", [mixed, lambda: GroupFtrl(0.1, l21=1e-3), lambda: LazyAdam(0.02)])
def test_a_checkpoint_resumes_the_same_trajectory(tmp_path, make):
    model = compiled(make())
    model.optimizer.build(model.trainable_variables)
    fit(model, 1)
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(str(tmp_path / "checkpoint"))
    expected = fit(model, 2)

    resumed = compiled(make(), seed=5)
    resumed.optimizer.build(resumed.trainable_variables)
    status = tf.train.Checkpoint(model=resumed, optimizer=resumed.optimizer).restore(path)
    status.assert_existing_objects_matched()
    np.testing.assert_array_equal(fit(resumed, 2), expected)
    for one, other in zip(values(resumed), values(model), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_state_is_saved_once(tmp_path):
    model = compiled(mixed())
    model.optimizer.build(model.trainable_variables)
    store = {}
    model.optimizer.save_own_variables(store)
    assert sum(value.size == NUM_IDS * 4 for value in store.values()) == 2  # the table's two slots
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive, archive.open("model.weights.h5") as weights:
        (tmp_path / "weights.h5").write_bytes(weights.read())
    shapes = []
    with h5py.File(tmp_path / "weights.h5") as file:
        file.visititems(lambda _, item: shapes.append(getattr(item, "shape", None)))
    assert shapes.count((NUM_IDS, 4)) == 3  # the table and its two slots


def test_the_learning_rate_is_a_common_factor():
    def one_step(factor, scale):
        table, kernel = tf.Variable([[1.0], [1.0]], name="table"), tf.Variable([1.0, 1.0], name="kernel")
        optimizer = CompositeOptimizer(
            [("table.*", SparseAdagrad(0.1 * scale)), ("kernel.*", keras.optimizers.SGD(0.2 * scale))]
        )
        optimizer.build([table, kernel])
        optimizer.learning_rate = factor
        for _ in range(2):
            optimizer.apply_gradients([(tf.constant([[1.0], [2.0]]), table), (tf.constant([1.0, 2.0]), kernel)])
        rates = [float(np.array(member.learning_rate)) for member in optimizer.members()]
        np.testing.assert_allclose(rates, [0.1 * scale, 0.2 * scale], rtol=1e-6)
        return table.numpy(), kernel.numpy()

    for one, other in zip(one_step(0.25, 1.0), one_step(1.0, 0.25), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    np.testing.assert_array_equal(one_step(0.0, 1.0)[1], [1.0, 1.0])


def test_reduce_on_plateau_slows_all_members_down():
    model = compiled(CompositeOptimizer([("embedding/.*", LazyAdam(0.01)), (".*", keras.optimizers.SGD(0.01))]))
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    ids, label = data()
    model.fit(ids, label, batch_size=BATCH, epochs=3, verbose=0, callbacks=[plateau])
    assert float(np.array(model.optimizer.learning_rate)) == 0.25
    before = values(model)
    for _ in range(11):
        model.optimizer.learning_rate = 0.1 * float(np.array(model.optimizer.learning_rate))
    fit(model)
    for one, other in zip(values(model), before, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_schedules_of_members_and_of_the_composite():
    def weight_after_two_steps(member_rate, common_rate):
        weight = tf.Variable([0.0], name="weight")
        optimizer = CompositeOptimizer([(".*", keras.optimizers.SGD(member_rate))], learning_rate=common_rate)
        for _ in range(2):
            optimizer.apply_gradients([(tf.constant([-1.0]), weight)])
        return float(weight.numpy()[0])

    def schedule(start):
        return keras.optimizers.schedules.PiecewiseConstantDecay([0], [start, start / 10])

    assert weight_after_two_steps(schedule(1.0), 1.0) == pytest.approx(1.1)
    assert weight_after_two_steps(0.5, schedule(1.0)) == pytest.approx(0.55)
    with pytest.raises(ValueError, match="either to the composite or to its members"):
        weight_after_two_steps(schedule(1.0), schedule(1.0))
    with pytest.raises(tf.errors.InvalidArgumentError, match="a member follows a schedule"):
        weight_after_two_steps(schedule(1.0), 0.5)


def test_variables_without_a_gradient():
    table, bias = tf.Variable([[1.0]], name="table"), tf.Variable([1.0], name="bias")
    optimizer = CompositeOptimizer([("table.*", LazyAdam(0.1)), ("bias.*", LazyAdam(0.1, name="other"))])
    with pytest.warns(UserWarning, match="No variable of the pattern 'bias"):
        optimizer.apply_gradients([(tf.constant([[1.0]]), table), (None, bias)])
    assert table.numpy()[0, 0] == pytest.approx(0.9, rel=1e-5) and bias.numpy()[0] == 1.0
    with pytest.raises(ValueError, match="No variable has a gradient"), pytest.warns(UserWarning):
        optimizer.apply_gradients([(None, table), (None, bias)])


def test_weights_can_be_set():
    optimizer = mixed()
    optimizer.build(tiny_model().trainable_variables)
    given = [np.full(variable.shape, 3) for variable in optimizer.variables]
    optimizer.set_weights(given)
    assert all(np.all(np.array(variable) == 3) for variable in optimizer.variables)
    with pytest.raises(ValueError, match="has variables of shapes"):
        optimizer.set_weights(given[:-1])


def test_ids_are_summed_once_in_a_step_of_fit():
    """The embedding layer's `tf.unique` is followed, so that the optimizer adds none."""
    model = compiled(CompositeOptimizer([("embedding/.*", GroupFtrl(0.1)), (".*", LazyAdam())]))
    model.optimizer.build(model.trainable_variables)
    ids, label = (tf.constant(array[:BATCH]) for array in data())

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.squeeze(model(ids), -1) - label))
        raw = [stack.raw_variable(variable) for variable in model.trainable_variables]
        gradients = tape.gradient(loss, raw)
        assert isinstance(gradients[0], tf.IndexedSlices)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    operations = [operation.type for operation in step.get_concrete_function().graph.get_operations()]
    assert sum(name.startswith("Unique") for name in operations) == 1


@pytest.mark.skipif(not stack.KERAS_3, reason="Keras 2 does not compile a step by itself")
def test_fit_with_the_embedding_of_keras_and_automatic_compilation():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Embedding(NUM_IDS, 4, name="embedding"), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    model.compile(mixed_for_keras(), keras.losses.BinaryCrossentropy(from_logits=True))
    losses = model.fit(*data(), batch_size=BATCH, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def mixed_for_keras():
    return CompositeOptimizer([("embedding/.*", LazyAdam(0.05)), (".*", LazyAdam(0.05, name="other"))])
