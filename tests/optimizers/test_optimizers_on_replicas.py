"""Two replicas give what one gives; in a process of its own, because devices are split before TensorFlow starts."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCRIPT = textwrap.dedent(
    """
    import sys

    import numpy as np
    import tensorflow as tf
    from tensorflow import keras

    from dynctr_tf import stack
    from dynctr_tf.layers.embedding import FieldEmbedding
    from dynctr_tf.optimizers import CompositeOptimizer, GroupFtrl, LazyAdam, SparseAdagrad

    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
    generator = np.random.default_rng(0)
    ids = generator.integers(1, 12, size=(32, 2)).astype(np.int32)  # few ids: both replicas have the same ones
    label = (ids[:, 0] % 2).astype(np.float32)

    def optimizer(kind):
        if kind == "composite":
            rest = keras.optimizers.SGD(0.1)
            if not stack.KERAS_3:
                rest = keras.optimizers.legacy.SGD(0.1)
            return CompositeOptimizer(
                [("embedding/.*", GroupFtrl(0.1, l1=1e-4, l21=1e-4)), ("output/kernel", LazyAdam(0.05)), (".*", rest)],
                learning_rate=0.5,
            )
        if kind == "clipped":
            return SparseAdagrad(0.1, global_clipnorm=0.05)
        return {"ftrl": GroupFtrl, "lazy_adam": LazyAdam}[kind](0.1)

    def train(strategy, kind):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            inputs = keras.Input((2,), dtype="int32")
            fields = FieldEmbedding(20, 4, seed=1, name="embedding")(inputs)
            model = keras.Model(inputs, keras.layers.Dense(1, name="output")(keras.layers.Flatten()(fields)))
            model.compile(optimizer(kind), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
        rows = tf.data.Dataset.from_tensor_slices((ids, label)).batch(8, drop_remainder=True)
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        model.fit(rows.with_options(options), epochs=3, verbose=0)
        return [np.array(weight) for weight in model.get_weights()], int(np.array(model.optimizer.iterations))

    # One strategy for all: a second one in the same process would use its collectives' keys again.
    two_replicas = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for kind in ("composite", "clipped", "ftrl", "lazy_adam"):
        one, steps = train(tf.distribute.get_strategy(), kind)
        two, steps_of_two = train(two_replicas, kind)
        assert steps == steps_of_two == 12, (kind, steps, steps_of_two)
        for a, b in zip(one, two):
            np.testing.assert_allclose(a, b, atol=2e-5, err_msg=kind)
        assert np.all(np.isfinite(two[0])), kind
        print(kind, "equal")
    """
)


@pytest.mark.slow
def test_two_replicas_equal_one(tmp_path):
    script = tmp_path / "replicas.py"
    script.write_text(SCRIPT)
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path]), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split("\n")[:-1] == ["composite equal", "clipped equal", "ftrl equal", "lazy_adam equal"]
