"""One registry behind settings, jobs and searches; learning rates that follow a schedule."""

from __future__ import annotations

import math
import warnings

import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.jobs.settings import job_settings
from dynctr_tf.jobs.stages import build_optimizer
from dynctr_tf.models.catalogue import CATALOGUE
from dynctr_tf.optimizers import (
    OPTIMIZERS,
    Adam,
    CompositeOptimizer,
    RateSchedule,
    describe_optimizers,
    dynint_optimizer,
    make_optimizer,
    optimizer_entry,
    optimizer_names,
)
from dynctr_tf.optimizers.registry import optimizer_of
from dynctr_tf.tuning import HyperModel


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_is_made_with_each_option_that_it_searches(name):
    entry = OPTIMIZERS[name]
    assert set(entry.search_space) <= set(entry.options) and "batch_size" not in entry.options
    low = {option: draw.low for option, draw in entry.search_space.items()}
    optimizer = make_optimizer(name, low, batch_size=32)
    optimizer.build([tf.Variable([[1.0]], name="embedding/table"), tf.Variable([1.0], name="bias")])
    assert name in describe_optimizers() and entry.description in describe_optimizers()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_slots_are_the_numbers_that_an_optimizer_keeps_for_each_weight_of_a_table(name):
    optimizer = make_optimizer(name, batch_size=32)
    table = tf.Variable(np.ones((50, 4), np.float32), name="embedding/table")
    optimizer.build([table, tf.Variable([1.0], name="bias")])
    members = optimizer.members() if isinstance(optimizer, CompositeOptimizer) else [optimizer]
    kept = [tuple(value.shape) for member in members for value in stack.optimizer_state(member)]
    assert kept.count((50, 4)) == OPTIMIZERS[name].slots, kept


def test_models_and_settings_name_what_there_is():
    assert {entry.optimizer for entry in CATALOGUE.values()} <= set(OPTIMIZERS)
    for model, entry in CATALOGUE.items():
        assert optimizer_of(model) is OPTIMIZERS[entry.optimizer] and optimizer_of(model, "adam").make is Adam
    given = {"name": "group_ftrl", "options": {"l21": 3.0}}
    made = build_optimizer(job_settings({"optimizer": given, "training": {"batch_size": 64}}))
    expected = dynint_optimizer(64, l21=3.0)
    assert made.get_config() == expected.get_config()
    with pytest.raises(ValueError, match="measured by the batch size: give training.batch_size"):
        build_optimizer(job_settings({"optimizer": given}))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lazy_adm", {}, "Did you mean 'lazy_adam'"),
        ("keras.adamm", {}, "Did you mean 'keras.adam"),
        ("adam", {"learning_rat": 1.0}, "'learning_rat'. Did you mean 'learning_rate'"),
        ("group_ftrl", {"batch_size": 3}, "Unknown option of the optimizer 'group_ftrl': 'batch_size'"),
        ("lazy_adam", {"use_ema": True}, "has no use_ema"),
    ],
)
def test_wrong_names_and_options_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        make_optimizer(name, options, batch_size=8)


def test_keras_own_come_with_a_warning_and_right_with_repeated_ids():
    assert {"keras.adam", "keras.adamw", "keras.sgd", "keras.rmsprop"} <= set(optimizer_names())
    assert optimizer_entry("keras.AdamW").name == "keras.adamw"
    with pytest.warns(UserWarning, match="keras.adagrad reads and writes the whole embedding table"):
        optimizer = make_optimizer("keras.adagrad", {"learning_rate": 0.1}, batch_size=8)
    assert isinstance(optimizer, CompositeOptimizer)
    tables = [tf.Variable(np.ones((3, 2), np.float32), name="table") for _ in range(2)]
    slices = tf.IndexedSlices(tf.constant([[1.0, 2.0], [3.0, 4.0]]), tf.constant([1, 1]), tf.constant([3, 2]))
    optimizer.apply_gradients([(slices, tables[0])])
    keras.optimizers.Adagrad(0.1).apply_gradients([(tf.convert_to_tensor(slices), tables[1])])
    np.testing.assert_allclose(tables[0].numpy(), tables[1].numpy(), rtol=1e-6)


@pytest.mark.skipif(stack.KERAS_3, reason="tensorflow-addons needs TensorFlow 2.15")
def test_addons_own_are_there_on_their_stack():
    pytest.importorskip("tensorflow_addons")
    assert "addons.lamb" in optimizer_names()
    with pytest.warns(UserWarning, match="addons.lamb reads"):
        assert isinstance(make_optimizer("addons.lamb", batch_size=8), CompositeOptimizer)
    entry = optimizer_entry("tfa:LazyAdam")
    assert entry.name == "addons.lazyadam" == optimizer_entry("TFA:lazyadam").name
    assert entry.make.__module__.startswith("tensorflow_addons.")
    with pytest.raises(ValueError, match="Unknown optimizer: 'addons.LazyAdm'. Did you mean 'addons.lazyadam'"):
        optimizer_entry("tfa:LazyAdm")


@pytest.mark.skipif(stack.KERAS_3, reason="tensorflow-addons needs TensorFlow 2.15")
def test_lazy_adam_of_addons_touches_the_rows_of_the_batch_alone():
    pytest.importorskip("tensorflow_addons")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is none of those that are warned of
        optimizer = make_optimizer("tfa:LazyAdam", {"learning_rate": 0.1}, batch_size=8)
    table = tf.Variable(np.ones((4, 2), np.float32), name="embedding/table")
    ids = ([1, 1], [2])
    for step in ids:
        rows = tf.ones((len(step), 2))
        optimizer.apply_gradients([(tf.IndexedSlices(rows, tf.constant(step), tf.constant([4, 2])), table)])
    # Adam's first step is as long as the rate; momentum would move row 1 in the second step too.
    np.testing.assert_allclose(table.numpy()[1], 0.9, rtol=1e-5)
    assert (table.numpy()[[0, 3]] == 1.0).all() and (table.numpy()[2] < 1.0).all()


@pytest.mark.skipif(not stack.KERAS_3, reason="on the other stacks tensorflow-addons may be there")
@pytest.mark.parametrize("name", ["tfa:LazyAdam", "addons.lazyadam"])
def test_optimizers_of_addons_say_where_they_run(name):
    with pytest.raises(ValueError, match=f"'{name}' is of tensorflow-addons, which runs on TensorFlow 2.15 alone"):
        optimizer_entry(name)


def test_a_search_trains_with_what_a_training_trains_with():
    class NoData:
        features = None

    model = HyperModel("dnn", NoData(), optimizer="adam", space={}, batch_size=8)
    assert model.kind == "adam"
    hyperparameters = keras_tuner.HyperParameters()
    from dynctr_tf.encoding.encoded_features import EncodedFeatures

    model.data.features = EncodedFeatures.from_sizes([5, 6])
    model.options = {"embedding.dim": 2, "deep.units": (3,)}
    assert type(model.build(hyperparameters).optimizer) is Adam


def rates(schedule, steps):
    return [float(schedule(tf.constant(step, tf.int64))) for step in steps]


def test_rate_schedules_by_hand():
    assert rates(RateSchedule(0.5, warmup_steps=5), (0, 1, 4, 5, 100)) == pytest.approx([0.1, 0.2, 0.5, 0.5, 0.5])
    cosine = RateSchedule(2.0, "cosine", warmup_steps=2, decay_steps=8, end=0.1)
    middle = 2.0 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert rates(cosine, (0, 2, 4, 10, 99)) == pytest.approx([1.0, 2.0, middle, 0.2, 0.2])
    assert rates(RateSchedule(1.0, "step", decay_steps=3, end=0.5), (0, 2, 3, 6)) == pytest.approx([1, 1, 0.5, 0.25])
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cosine))
    assert twin.get_config() == cosine.get_config()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"shape": "cosin"}, "Did you mean 'cosine'"),
        ({"shape": "cosine"}, "needs decay_steps"),
        ({"peak": 0.0}, "peak .* must be positive"),
        ({"warmup_steps": -1}, "warmup_steps must be at least 0"),
        ({"end": 1.0}, "end must be"),
    ],
)
def test_wrong_schedules_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        RateSchedule(**given)


@pytest.mark.parametrize("name", ["row_wise_adagrad", "sparse_adagrad", "adam"])
def test_a_schedule_from_settings_reaches_every_optimizer(name):
    given = {"name": name, "schedule": "cosine", "warmup_steps": 2, "options": {"learning_rate": 0.1}}
    settings = job_settings({"optimizer": given})
    optimizer = build_optimizer(settings, steps=12)
    peak = 1.0 if isinstance(optimizer, CompositeOptimizer) else 0.1
    schedule = keras.saving.deserialize_keras_object(optimizer.get_config()["learning_rate"])
    assert rates(schedule, (0, 2, 7, 12)) == pytest.approx([peak / 2, peak, peak / 2, 0.0], abs=1e-7)
    weight = tf.Variable([[1.0]], name="embedding/table")
    optimizer.build([weight, tf.Variable([1.0], name="bias")])
    before = weight.numpy().item()
    optimizer.apply_gradients([(tf.constant([[1.0]]), weight)])
    plain = make_optimizer(name, {"learning_rate": 0.05}, batch_size=1)
    other = tf.Variable([[1.0]], name="embedding/table")
    plain.build([other, tf.Variable([1.0], name="bias")])
    plain.apply_gradients([(tf.constant([[1.0]]), other)])
    assert before - weight.numpy().item() == pytest.approx(before - other.numpy().item(), rel=1e-4)
