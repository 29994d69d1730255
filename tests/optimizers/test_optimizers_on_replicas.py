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
    import gc
    import sys
    import weakref

    import numpy as np
    import tensorflow as tf
    from tensorflow import keras

    from dynctr_tf import stack
    from dynctr_tf.layers.embedding import FieldEmbedding
    from dynctr_tf.optimizers import CompositeOptimizer, GroupFtrl, LazyAdam, SparseAdagrad
    from dynctr_tf.optimizers import RowWiseAdagrad, row_wise_optimizer

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
        if kind == "row_wise":
            return row_wise_optimizer(0.1, dense_learning_rate=0.05, weight_decay=0.01)
        return {"row_wise_alone": RowWiseAdagrad, "ftrl": GroupFtrl, "lazy_adam": LazyAdam}[kind](0.1)

    def train(strategy, kind):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            inputs = keras.Input((2,), dtype="int32")
            fields, weights = FieldEmbedding(20, 4, linear=True, seed=1, name="embedding")(inputs)
            joined = keras.layers.Concatenate()([keras.layers.Flatten()(part) for part in (fields, weights)])
            model = keras.Model(inputs, keras.layers.Dense(1, name="output")(joined))
            model.compile(optimizer(kind), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
        rows = tf.data.Dataset.from_tensor_slices((ids, label)).batch(8, drop_remainder=True)
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        model.fit(rows.with_options(options), epochs=3, verbose=0)
        return [np.array(weight) for weight in model.get_weights()], int(np.array(model.optimizer.iterations))

    # One strategy for all: a second one in the same process would use its collectives' keys again.
    two_replicas = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    for kind in ("composite", "clipped", "ftrl", "lazy_adam", "row_wise", "row_wise_alone"):
        one, steps = train(tf.distribute.get_strategy(), kind)
        two, steps_of_two = train(two_replicas, kind)
        assert steps == steps_of_two == 12, (kind, steps, steps_of_two)
        for a, b in zip(one, two):
            np.testing.assert_allclose(a, b, atol=2e-5, err_msg=kind)
        assert np.all(np.isfinite(two[0])), kind
        print(kind, "equal")

    # Dense gradients alone: what a step leaves behind when its model is gone.
    def table_of_a_dropped_model():
        keras.utils.set_random_seed(0)
        with two_replicas.scope():
            model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(1)])
            model.compile(row_wise_optimizer(embedding_pattern="dense.*"), "mse", jit_compile=False)
        rows = tf.data.Dataset.from_tensor_slices((ids.astype(np.float32), label)).batch(8, drop_remainder=True)
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
        model.fit(rows.with_options(options), epochs=1, verbose=0)
        kernel = stack.raw_variable(model.trainable_variables[0])
        return weakref.ref(two_replicas.experimental_local_results(kernel)[0].handle)

    dropped = table_of_a_dropped_model()
    keras.backend.clear_session()
    gc.collect()
    print("memory", "free" if dropped() is None else "kept")
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
    kinds = ("composite", "clipped", "ftrl", "lazy_adam", "row_wise", "row_wise_alone")
    assert done.stdout.split("\n")[:-1] == [*(f"{kind} equal" for kind in kinds), "memory free"]
