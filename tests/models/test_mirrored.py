"""All models train on two replicas; in a process of its own, because devices are split before TensorFlow starts.

A step of each model on two replicas is compared with the same step on one, without batch normalisation and without
dropout, where they must agree: the gradient of a mean over a batch is the mean of those over its halves.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys

import numpy as np
import tensorflow as tf
from tensorflow import keras

device = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)

from small_models import FEATURES, SMALL, batch_of, labels_of

from dynctr_tf.models import CATALOGUE, build_model
from dynctr_tf.optimizers import LazyAdam

# What a batch does to these depends on which rows stand in it together: batch normalisation, Dice, drawn negatives.
OWN_BATCHES = {"afn", "afn_plus", "din", "din_heter", "dien", "dien_heter"}
# Some are normalised over the batch unless asked not to be.
WITHOUT = {
    name: {option: False for option in ("deep.batch_norm", "partitioned_norm") if option in entry.defaults}
    for name, entry in CATALOGUE.items()
}
batch = batch_of(32)
rows = tf.data.Dataset.from_tensor_slices((batch, labels_of(batch))).batch(16, drop_remainder=True)
options = tf.data.Options()
options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
rows = rows.with_options(options)
# One strategy for all: a second one in the same process would use its collectives' keys again.
two_replicas = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def train(strategy, name, start):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = build_model(name, FEATURES, **SMALL[name], **WITHOUT[name])
        model.compile(LazyAdam(0.01), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    before = model.get_weights() if start is None else start
    model.set_weights(before)
    loss = model.fit(rows, epochs=1, verbose=0).history["loss"][0]
    return before, loss, model.get_weights()


for name in sys.argv[1:]:
    start, loss, after = train(two_replicas, name, None)
    assert np.isfinite(loss), (name, loss)
    moved = max(float(np.abs(a - b).max()) for a, b in zip(after, start))
    assert moved > 1e-3, (name, moved)
    assert all(np.isfinite(weight).all() for weight in after), name
    if name not in OWN_BATCHES:
        _, loss_of_one, after_one = train(tf.distribute.get_strategy(), name, start)
        np.testing.assert_allclose(loss, loss_of_one, rtol=1e-4, err_msg=name)
    print(name, "trains", flush=True)
"""
QUICK = ("deepfm", "fibinet", "dynint_dwp", "din")
"""One of each way in which models differ: plain, with a perceptron, with a custom gradient, dynamic, with a history."""


def train_on_replicas(names: list[str], folder: Path) -> None:
    script = folder / "mirrored.py"
    script.write_text(SCRIPT)
    paths = [str(ROOT), str(ROOT / "tests" / "models"), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, str(script), *names], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split("\n")[:-1] == [f"{name} trains" for name in names]


def test_models_train_on_two_replicas(tmp_path: Path) -> None:
    train_on_replicas(list(QUICK), tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("DYNCTR_EVERY_MODEL"), reason="takes minutes; set DYNCTR_EVERY_MODEL to run it")
def test_every_other_model_trains_on_two_replicas(tmp_path: Path) -> None:
    from dynctr_tf.models import CATALOGUE

    train_on_replicas([name for name in CATALOGUE if name not in QUICK], tmp_path)
