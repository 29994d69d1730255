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
import tensorflow as tf
from deepctr.feature_column import SparseFeat

from pipelines.benchmarks import workload

_DENSE = {"dnn_hidden_units": workload.HIDDEN_UNITS}
# Model of our comparison -> class, whether it takes columns of the linear part, arguments. DeepCTR has no plain DNN.
MODELS: dict[str, tuple[str, bool, dict[str, Any]]] = {
    "wide_deep": ("WDL", True, _DENSE),
    "deepfm": ("DeepFM", True, _DENSE),
    "nfm": ("NFM", True, _DENSE),
    "afm": ("AFM", True, {"attention_factor": 8}),
    "dcn": ("DCN", True, {**_DENSE, "cross_num": 3, "cross_parameterization": "vector"}),
    "dcn_v2": ("DCN", True, {**_DENSE, "cross_num": 3, "cross_parameterization": "matrix"}),
    "dcn_v2_mix": ("DCNMix", True, {**_DENSE, "cross_num": 3, "low_rank": 32, "num_experts": 4}),
    "pnn": ("PNN", False, _DENSE),
    "xdeepfm": ("xDeepFM", True, {**_DENSE, "cin_layer_size": (16, 16, 16)}),
    "autoint_plus": ("AutoInt", True, {**_DENSE, "att_layer_num": 2, "att_embedding_size": 8, "att_head_num": 2}),
    "fibinet": ("FiBiNET", True, _DENSE),
}


def main() -> None:
    """Times training, inference and latency."""
    name, num_ids, batch_size, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    rows = workload.make_rows(num_ids, batch_size)
    columns = [
        SparseFeat(f"f{i}", num_ids // workload.NUM_FIELDS, workload.EMBEDDING_DIM) for i in range(workload.NUM_FIELDS)
    ]
    class_name, linear, arguments = MODELS[name]
    model = getattr(deepctr.models, class_name)(*[columns] * (1 + linear), **arguments)
    model.compile(tf.keras.optimizers.Adam(workload.LEARNING_RATE), "binary_crossentropy")
    inputs = {f"f{i}": rows.ids[:, i] for i in range(workload.NUM_FIELDS)}
    dataset = workload.endless_batches(inputs, rows.labels.reshape(-1, 1), batch_size)
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
        figures[f"latency_ms_{size}"] = 1e3 * workload.latency_of(lambda small=small: predict(small), calls)  # type: ignore[misc]
    workload.print_figures("DeepCTR", name, num_ids, figures)


if __name__ == "__main__":
    main()
