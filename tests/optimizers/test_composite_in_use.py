"""Frozen layers, refused options, learning rates from callbacks, loss scales and Keras' optimizers on tables."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.embedding import FieldEmbedding
from dynctr_tf.optimizers import (
    CompositeOptimizer,
    GroupFtrl,
    LazyAdam,
    RowWiseAdagrad,
    SparseAdagrad,
    row_wise_optimizer,
)

NUM_IDS, BATCH = 40, 16
IDS = np.random.default_rng(0).integers(1, NUM_IDS, size=(64, 3)).astype(np.int32)
LABEL = (IDS[:, 0] % 2).astype(np.float32)


def composite(**options):
    return CompositeOptimizer([("embedding/.*", RowWiseAdagrad(0.1)), (".*", LazyAdam(0.01))], **options)


def compiled(optimizer, freeze=()):
    keras.utils.set_random_seed(0)
    ids = keras.Input((3,), dtype="int32")
    fields = FieldEmbedding(NUM_IDS, 4, seed=1, name="embedding")(ids)
    hidden = keras.layers.Dense(4, activation="relu", name="hidden")(keras.layers.Flatten()(fields))
    model = keras.Model(ids, keras.layers.Dense(1, name="output", dtype="float32")(hidden))
    for name in freeze:
        model.get_layer(name).trainable = False
    compile_with(model, optimizer)
    return model


def compile_with(model, optimizer):
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)


def fit(model, epochs=1, callbacks=()):
    rows = {"batch_size": BATCH, "epochs": epochs, "shuffle": False, "verbose": 0, "callbacks": list(callbacks)}
    return model.fit(IDS, LABEL, **rows).history["loss"]


def weights(model):
    return {layer.name: [np.array(weight) for weight in layer.weights] for layer in model.layers if layer.weights}


def changed(before, after):
    return {name for name in before if any(np.any(a != b) for a, b in zip(before[name], after[name], strict=True))}


def test_layers_that_are_frozen_before_the_optimizer_is_built():
    model = compiled(composite(), freeze=["embedding"])
    before = weights(model)
    with pytest.warns(UserWarning, match=r"'embedding/\.\*' .* matches no variable that trains"):
        fit(model)
    assert changed(before, weights(model)) == {"hidden", "output"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model = compiled(composite(), freeze=["hidden"])
        before = weights(model)
        fit(model)
    assert changed(before, weights(model)) == {"embedding", "output"}


def test_layers_that_are_frozen_after_it_and_thawed_again(tmp_path):
    optimizer = composite()
    model = compiled(optimizer)
    fit(model)
    before = weights(model)
    for frozen, moves in ((True, {"hidden", "output"}), (False, {"embedding", "hidden", "output"})):
        model.get_layer("embedding").trainable = not frozen
        compile_with(model, optimizer)
        fit(model)
        assert changed(before, weights(model)) == moves
        before = weights(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(fit(loaded), fit(model), rtol=1e-5)


def test_a_layer_that_thaws_unknown_to_the_optimizer_is_named():
    model = compiled(composite(), freeze=["hidden"])
    optimizer = model.optimizer
    fit(model)
    model.get_layer("hidden").trainable = True
    compile_with(model, optimizer)
    # Keras 3's own check of the model's variables may come first.
    with pytest.raises(ValueError, match=r"a layer trains that was frozen then|hidden"):
        fit(model)


REFUSED = {
    "use_ema": True,
    "gradient_accumulation_steps": 2,
    "loss_scale_factor": 128.0,
    "ema_momentum": 0.9,
}


@pytest.mark.parametrize("option", REFUSED)
@pytest.mark.parametrize("make", [LazyAdam, GroupFtrl, SparseAdagrad, RowWiseAdagrad, composite])
def test_options_that_would_touch_whole_tables_are_refused_with_what_to_use(make, option):
    with pytest.raises(ValueError, match=rf"has no {option} \(got .*\): \w+"):
        make(**{option: REFUSED[option]})
    make(**{option: None})


@pytest.mark.parametrize("option", ["weight_decay", "clipnorm", "clipvalue", "global_clipnorm"])
def test_what_is_the_members_is_refused_by_the_composite(option):
    with pytest.raises(ValueError, match=rf"has no {option} \(got 0.1\)"):
        composite(**{option: 0.1})
    with pytest.raises(ValueError, match=r"has no weight_decay \(got 0.1\): .*GroupFtrl its l2"):
        GroupFtrl(weight_decay=0.1)
    with pytest.raises(TypeError, match="no option 'clip_norm'"):
        LazyAdam(clip_norm=1.0)


@pytest.mark.parametrize("make", [LazyAdam, SparseAdagrad, RowWiseAdagrad])
def test_weight_decay_shrinks_touched_rows_alone(make):
    decayed, plain = make(0.1, weight_decay=0.5), make(0.1)
    tables = [tf.Variable(np.full((5, 2), 2.0, np.float32)) for _ in range(2)]
    slices = tf.IndexedSlices(tf.constant([[1.0, 2.0], [1.0, 0.0]]), tf.constant([3, 3]), tf.constant([5, 2]))
    decayed.apply_gradients([(slices, tables[0])])
    plain.apply_gradients([(slices, tables[1])])
    difference = tables[1].numpy() - tables[0].numpy()
    np.testing.assert_allclose(difference[3], 2.0 * 0.1 * 0.5, rtol=1e-5)
    assert np.all(np.delete(difference, 3, axis=0) == 0)
    bias = tf.Variable([2.0, 2.0], name="bias")
    excluded = make(0.1, weight_decay=0.5)
    excluded.exclude_from_weight_decay(var_names=["bias"])
    kept = tf.Variable([2.0, 2.0], name="bias")
    for optimizer, variable in ((excluded, bias), (make(0.1), kept)):
        optimizer.apply_gradients([(tf.constant([1.0, -1.0]), variable)])
    np.testing.assert_array_equal(bias.numpy(), kept.numpy())
    assert make(weight_decay=0.25).get_config()["weight_decay"] == 0.25


def test_an_absolute_learning_rate_is_an_error():
    model = compiled(composite())
    with pytest.raises(ValueError, match=r"from 1 to 0.001 at once: that looks like an absolute learning rate"):
        fit(model, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3)])
    with pytest.raises(ValueError, match="is a factor"):
        model.optimizer.learning_rate = 3.0
    assert float(np.array(model.optimizer.learning_rate)) == 1.0


def test_relative_rates_work_as_a_factor():
    model = compiled(composite())
    fit(model, 3, [keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * (0.5 if epoch else 1.0))])
    assert float(np.array(model.optimizer.learning_rate)) == 0.25
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=1e9, min_lr=1e-4)
    fit(model, 8, [plateau])
    assert float(np.array(model.optimizer.learning_rate)) == pytest.approx(1e-4)
    # What was saved is not a rate that somebody sets.
    saved = [np.array(variable) for variable in model.optimizer.variables]
    twin = compiled(composite())
    fit(twin)
    twin.optimizer.set_weights(saved)
    if stack.KERAS_3:  # on Keras 2 the learning rate is not among the variables of an optimizer
        assert float(np.array(twin.optimizer.learning_rate)) == pytest.approx(1e-4)


@pytest.mark.parametrize("options", [{"weight_decay": 0.01}, {"use_ema": True}])
def test_keras_optimizers_that_touch_a_whole_table_are_warned_of(options):
    if not stack.KERAS_3 and "weight_decay" in options and not hasattr(keras.optimizers, "AdamW"):
        pytest.skip("no weight decay here")
    optimizer = CompositeOptimizer([("embedding/.*", keras.optimizers.Adam(0.01, **options)), (".*", LazyAdam())])
    with pytest.warns(UserWarning, match=rf"has the table .*{next(iter(options))} reads and writes all of it"):
        fit(compiled(optimizer))


def test_a_member_with_a_loss_scale_is_refused():
    if stack.KERAS_3:
        with pytest.raises(ValueError, match="scales the loss"):
            CompositeOptimizer([(".*", keras.optimizers.Adam(loss_scale_factor=2.0))])
    with pytest.raises(ValueError, match="scales the loss"):
        CompositeOptimizer([(".*", keras.mixed_precision.LossScaleOptimizer(keras.optimizers.Adam()))])


@pytest.mark.parametrize("make", [composite, lambda: LazyAdam(0.01), row_wise_optimizer])
def test_a_loss_scale_around_it(make):
    keras.mixed_precision.set_global_policy("mixed_float16")  # compile puts the scale around by itself
    try:
        model = compiled(make())
        assert type(model.optimizer).__name__.startswith("LossScaleOptimizer")
        losses = fit(model, 20)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert losses[-1] < losses[0] and np.all(np.isfinite(losses))


@pytest.mark.parametrize("name", ["adam", "adagrad", "rmsprop", "sgd"])
def test_keras_optimizers_are_right_with_repeated_ids_as_members(name):
    results = []
    for sparse in (True, False):
        table = tf.Variable(np.ones((4, 2), np.float32), name="table")
        optimizer = CompositeOptimizer([(".*", name)])
        optimizer.build([table])
        for _ in range(2):
            slices = tf.IndexedSlices(tf.reshape(tf.range(8.0), (4, 2)), tf.constant([1, 1, 1, 2]), tf.constant([4, 2]))
            optimizer.apply_gradients([(slices if sparse else tf.convert_to_tensor(slices), table)])
        results.append(table.numpy())
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)
