"""Times a DeepCTR model on the workload. Needs deepctr on TensorFlow 2.15.

`python -m pipelines.peers.deepctr_speed MODEL NUM_IDS BATCH_SIZE STEPS` prints one line of JSON.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import deepctr.models
import numpy as np
import tensorflow as tf
from deepctr.feature_column import SparseFeat

from pipelines import workload

# Model of our catalogue -> class, arguments. DeepCTR has no plain DNN: its Wide & Deep needs wide columns.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "deepfm": ("DeepFM", {}),
    "dcn_v2": ("DCN", {"cross_num": 3, "cross_parameterization": "matrix"}),
}


def main() -> None:
    """Times training, inference and latency."""
    name, num_ids, batch_size, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    rows = workload.make_rows(num_ids, batch_size)
    columns = [
        SparseFeat(f"f{i}", num_ids // workload.NUM_FIELDS, workload.EMBEDDING_DIM) for i in range(workload.NUM_FIELDS)
    ]
    class_name, arguments = MODELS[name]
    model = getattr(deepctr.models, class_name)(columns, columns, dnn_hidden_units=workload.HIDDEN_UNITS, **arguments)
    model.compile(tf.keras.optimizers.Adam(workload.LEARNING_RATE), "binary_crossentropy")
    inputs = {f"f{i}": rows.ids[:, i] for i in range(workload.NUM_FIELDS)}
    dataset = tf.data.Dataset.from_tensor_slices((inputs, rows.labels[:, None]))
    dataset = dataset.batch(batch_size).cache().repeat().prefetch(2)
    model.fit(dataset, steps_per_epoch=workload.NUM_BATCHES, verbose=0)
    start = time.perf_counter()
    model.fit(dataset, steps_per_epoch=steps, verbose=0)
    figures = {"train_rows_per_s": batch_size * steps / (time.perf_counter() - start)}

    predict = tf.function(lambda entries: model(entries, training=False), reduce_retracing=True)
    iterator = iter(dataset)
    predict(next(iterator)[0])
    start = time.perf_counter()
    for _ in range(steps):
        predict(next(iterator)[0])
    figures["inference_rows_per_s"] = batch_size * steps / (time.perf_counter() - start)
    for size, calls in workload.LATENCY_BATCHES:
        small = {key: tf.constant(value[:size]) for key, value in inputs.items()}
        seconds = []
        for _ in range(calls):
            start = time.perf_counter()
            predict(small)
            seconds.append(time.perf_counter() - start)
        figures[f"latency_ms_{size}"] = 1e3 * float(np.median(seconds[10:]))
    workload.print_figures("DeepCTR", name, num_ids, **figures)


if __name__ == "__main__":
    main()
