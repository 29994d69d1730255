"""Legacy and tensorflow-addons optimizers inside the composite, and tensorflow-addons' rules beside ours."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.embedding import FieldEmbedding
from dynctr_tf.optimizers import CompositeOptimizer, GroupFtrl, LazyAdam

if stack.KERAS_3:
    pytest.skip("Keras 3 has no legacy optimizers", allow_module_level=True)

NUM_IDS = 30


def addons():
    return pytest.importorskip("tensorflow_addons", reason="tensorflow-addons needs TensorFlow 2.15").optimizers


def members(kind):
    legacy = keras.optimizers.legacy
    makers = {
        "legacy_adam": lambda: legacy.Adam(0.02),
        "legacy_ftrl": lambda: legacy.Ftrl(0.1),
        "lazy_adam": lambda: addons().LazyAdam(0.02),
        "lamb": lambda: addons().LAMB(0.02),
        "adamw": lambda: addons().AdamW(weight_decay=1e-4, learning_rate=0.02),
        "moving_average": lambda: addons().MovingAverage(legacy.Adam(0.02)),
        "lookahead": lambda: addons().Lookahead(legacy.Adam(0.02)),
    }
    return makers[kind]()


KINDS = ("legacy_adam", "legacy_ftrl", "lazy_adam", "lamb", "adamw", "moving_average", "lookahead")


def compiled(optimizer):
    keras.utils.set_random_seed(0)
    ids = keras.Input((2,), dtype="int32")
    fields = FieldEmbedding(NUM_IDS, 4, seed=1, name="embedding")(ids)
    model = keras.Model(ids, keras.layers.Dense(1, name="output")(keras.layers.Flatten()(fields)))
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def fit(model, epochs):
    ids = 1 + np.arange(64).reshape(32, 2) % (NUM_IDS - 1)
    label = (ids[:, 0] % 2).astype(np.float32)
    return model.fit(ids, label, batch_size=8, epochs=epochs, shuffle=False, verbose=0).history["loss"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_legacy_member_does_what_it_does_alone(kind):
    together = compiled(CompositeOptimizer([(".*", members(kind))]))
    alone = compiled(members(kind))
    losses = fit(together, 3), fit(alone, 3)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert losses[0][-1] < losses[0][0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_legacy_member_beside_group_ftrl_is_saved_and_resumed(kind, tmp_path):
    def make():
        return CompositeOptimizer([("embedding/.*", GroupFtrl(0.1, l21=1e-4)), (".*", members(kind))])

    model = compiled(make())
    model.optimizer.build(model.trainable_variables)
    fit(model, 1)
    model.save(tmp_path / "model.keras")
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).save(str(tmp_path / "checkpoint"))
    expected = fit(model, 2)

    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [type(member) for member in loaded.optimizer.members()] == [type(member) for member in make().members()]
    np.testing.assert_allclose(fit(loaded, 2), expected, rtol=1e-6)

    resumed = compiled(make())
    resumed.optimizer.build(resumed.trainable_variables)
    tf.train.Checkpoint(model=resumed, optimizer=resumed.optimizer).restore(path).assert_existing_objects_matched()
    np.testing.assert_allclose(fit(resumed, 2), expected, rtol=1e-6)


def test_the_common_factor_reaches_a_legacy_member():
    def weight(factor, rate):
        variable = tf.Variable([1.0], name="weight")
        optimizer = CompositeOptimizer([(".*", keras.optimizers.legacy.SGD(rate))], learning_rate=factor)
        optimizer.apply_gradients([(tf.constant([1.0]), variable)])
        assert float(optimizer.members()[0].learning_rate) == pytest.approx(rate)
        return variable.numpy()[0]

    assert weight(0.5, 0.2) == pytest.approx(weight(1.0, 0.1)) == pytest.approx(0.9)


def test_lazy_adam_has_the_rule_of_addons():
    ours, theirs = LazyAdam(0.05), addons().LazyAdam(0.05)
    tables = [tf.Variable(np.random.default_rng(0).normal(size=(6, 3)), dtype=tf.float32) for _ in range(2)]
    for step, ids in enumerate(([0, 1, 1], [2, 0, 2, 2], [1, 5], [0, 0])):
        values = tf.constant(np.random.default_rng(step).normal(size=(len(ids), 3)), tf.float32)
        for optimizer, table in zip((ours, theirs), tables, strict=True):
            optimizer.apply_gradients([(tf.IndexedSlices(values, tf.constant(ids), tf.constant([6, 3])), table)])
        np.testing.assert_allclose(tables[0].numpy(), tables[1].numpy(), atol=1e-6)
