"""Our side of the speed comparison: one model of the catalogue on the workload, trained and served.

`python -m pipelines.benchmark one` runs this in a process of its own. It measures training through `fit`;
inference from the SavedModel on encoded ids; latency of small requests; peak memory; and how many multiply-adds
of matrix products a row takes, which with the machine's rate of such products gives a limit to compare with.
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

import numpy as np

from pipelines import allow_xla_on_cpu
from pipelines.benchmarks import workload

OURS = "dynctr_tf"
_DENSE = {"deep.units": workload.HIDDEN_UNITS}
OPTIONS: dict[str, dict[str, Any]] = {
    "lr": {},
    "fm": {},
    "dnn": _DENSE,
    "wide_deep": _DENSE,
    "deepfm": _DENSE,
    "nfm": _DENSE,
    "afm": {"attention_dim": 8},
    "deep_crossing": _DENSE,
    "dcn": {**_DENSE, "num_layers": 3},
    "dcn_v2": {**_DENSE, "num_layers": 3},
    "dcn_v2_mix": {**_DENSE, "num_layers": 3, "rank": 32, "num_experts": 4},
    "pnn": {**_DENSE, "product": "inner"},
    "xdeepfm": {**_DENSE, "cin_units": (16, 16, 16)},
    "autoint_plus": {**_DENSE, "num_layers": 2, "num_heads": 2, "head_dim": 8},
    "fibinet": _DENSE,
    "afn_plus": {**_DENSE, "dnn_units": workload.HIDDEN_UNITS, "num_neurons": 64},
    "apg_deepfm": {
        **_DENSE,
        "adaptive.rank": 32,
        "adaptive.over_parameterisation": 64,
        "adaptive.dynamic_bias": True,
    },
    "xdeepint": {"num_layers": 3},
    "dynint_da": {"num_layers": 3},
    "dynint_dgp": {"num_layers": 3},
    "dynint_dwp": {"num_layers": 3},
}
"""The networks of the comparison: models of the catalogue, with the options that make them the peers' networks."""

PRECISIONS = ("float32", "mixed_bfloat16")


def matmul_rate(dtype: str = "float32") -> float:
    """Floating-point operations per second of the product 4096 x 624 by 624 x 400 in TensorFlow."""
    import tensorflow as tf

    left = tf.cast(tf.random.normal((4096, 624)), dtype)
    right = tf.cast(tf.random.normal((624, 400)), dtype)
    product = tf.function(lambda: tf.matmul(left, right))
    return 2 * 4096 * 624 * 400 / workload.seconds_of(product, 20)


def matmul_multiply_adds(model: Any, inputs: dict[str, np.ndarray]) -> float:
    """Counts the multiply-adds of matrix products that a row costs in the forward pass, by running the graph.

    Costs of a whole batch, such as multiplying out factors of shared kernels, do not belong to a row. So the count is
    the difference between all rows and half of them.

    Args:
        model: Any model.
        inputs: A small batch of at least two rows, whose products are counted.
    """
    import tensorflow as tf

    names = sorted(inputs)
    # Kind of product -> the attribute that says whether its left operand is transposed.
    kinds = {"MatMul": "transpose_a", "BatchMatMulV2": "adj_x", "BatchMatMul": "adj_x"}
    specification = [tf.TensorSpec((None, *inputs[name].shape[1:]), inputs[name].dtype) for name in names]
    forward = tf.compat.v1.wrap_function(
        lambda *tensors: model(dict(zip(names, tensors, strict=True)), training=False), specification
    )
    products = [node for node in forward.graph.get_operations() if node.type in kinds]
    if not products:
        return 0.0
    with forward.graph.as_default():
        wanted = [[tf.shape(node.outputs[0]), tf.shape(node.inputs[0])] for node in products]
    counted = forward.prune(forward.inputs[: len(names)], wanted)

    def count(rows: int) -> int:
        shapes = counted(*(tf.constant(inputs[name][:rows]) for name in names))
        total = 0
        for node, (output, left) in zip(products, shapes, strict=True):
            inner = left[-2] if node.get_attr(kinds[node.type]) else left[-1]
            total += int(np.prod(output)) * int(inner)
        return total

    rows = len(inputs[names[0]])
    return (count(rows) - count(rows // 2)) / (rows - rows // 2)


def save_for_serving(model: Any, directory: str) -> None:
    """Writes a SavedModel whose one signature, `"encoded"`, takes encoded ids and gives the click probability.

    Kernels are constants of its graph, as in what `dynctr_tf.export.export_model` writes.
    """
    import tensorflow as tf
    from tensorflow import keras

    from dynctr_tf.export import with_constant_weights
    from dynctr_tf.stack import track_for_export, write_quietly

    signature = tf.TensorSpec((None, workload.NUM_FIELDS), tf.int32, name="fields")
    answer = with_constant_weights(
        lambda fields: {"ctr": tf.sigmoid(model({"fields": fields}, training=False))}, signature
    )
    archive = keras.export.ExportArchive()
    track_for_export(archive, model)
    archive.add_endpoint("encoded", answer, input_signature=[signature])
    write_quietly(archive, directory)


def time_serving(directory: str, ids: np.ndarray, batch_size: int, steps: int) -> dict[str, float]:
    """Times a SavedModel of `save_for_serving` as TF Serving runs it, in a session.

    Operations run one after another, each on all cores: passing them between threads takes a quarter of the time of the
    DNN's request of one row. Models with many small independent operations, such as a mixture of cross experts, may
    answer faster with TensorFlow's usual executor. TF Serving does so if its platform configuration has
    `session_config { experimental { executor_type: "SINGLE_THREADED_EXECUTOR" } }`.

    Args:
        directory: The SavedModel.
        ids: Encoded ids, int32 `(rows, 39)`.
        batch_size: Rows of a large batch.
        steps: Timed large batches.

    Returns:
        Rows/s of large batches and the median latency of small ones, ms.
    """
    import tensorflow as tf

    batches = [ids[first : first + batch_size] for first in range(0, len(ids), batch_size)]
    config = tf.compat.v1.ConfigProto()
    config.experimental.executor_type = "SINGLE_THREADED_EXECUTOR"
    with tf.Graph().as_default(), tf.compat.v1.Session(config=config) as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], directory).signature_def["encoded"]
        feeds = [entry.name for entry in signature.inputs.values()]
        answer = session.make_callable(signature.outputs["ctr"].name, feeds)
        for batch in batches[:2]:
            answer(batch)
        start = time.perf_counter()
        for step in range(steps):
            answer(batches[step % len(batches)])
        figures = {"inference_rows_per_s": batch_size * steps / (time.perf_counter() - start)}
        for size, calls in workload.LATENCY_BATCHES:
            small = ids[:size]
            figures[f"latency_ms_{size}"] = 1e3 * workload.latency_of(lambda small=small: answer(small), calls)  # type: ignore[misc]
    return figures


def compiled_model(name: str, num_ids: int, batch_size: int) -> tuple[Any, Any, np.ndarray]:
    """Builds and compiles a model for the workload, with endless training data, and the encoded ids of this data."""
    from tensorflow import keras

    from dynctr_tf.encoding.encoded_features import EncodedFeatures
    from dynctr_tf.models.catalogue import build_model, model_entry
    from dynctr_tf.optimizers import LazyAdam

    keras.utils.set_random_seed(0)
    rows = workload.make_rows(num_ids, batch_size)
    features = EncodedFeatures.from_sizes([num_ids // workload.NUM_FIELDS] * workload.NUM_FIELDS)
    ids = rows.ids + np.array([field.first_id for field in features.fields], np.int32)
    # Logistic regression has no embeddings.
    size = {"embedding.dim": workload.EMBEDDING_DIM} if "embedding.dim" in model_entry(name).defaults else {}
    model = build_model(name, features, **size, **OPTIONS[name])
    model.compile(
        LazyAdam(workload.LEARNING_RATE), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False
    )
    return model, workload.endless_batches({"fields": ids}, rows.labels, batch_size), ids


def time_model(
    name: str, num_ids: int, batch_size: int, steps: int, precision: str = "float32", jit: bool = False
) -> None:
    """Trains a model on the workload, serves it, and prints one line of JSON.

    Args:
        name: One of `OPTIONS`.
        num_ids: Number of ids of all fields.
        batch_size: Rows of a training step and of a large inference batch.
        steps: Timed steps.
        precision: `"float32"` or `"mixed_bfloat16"`: matrix products in bfloat16. Default `"float32"`.
        jit: Whether XLA compiles what it can. Default `False`.
    """
    if jit:
        allow_xla_on_cpu()
    import tensorflow as tf
    from tensorflow import keras

    keras.mixed_precision.set_global_policy(precision)
    model, dataset, ids = compiled_model(name, num_ids, batch_size)
    if jit:
        tf.config.optimizer.set_jit("autoclustering")
    # Each batch once first: the first access to a row of the slots is a page fault, which a long run has only once.
    model.fit(dataset, steps_per_epoch=workload.NUM_BATCHES, verbose=0)
    start = time.perf_counter()
    model.fit(dataset, steps_per_epoch=steps, verbose=0)
    figures = {"train_rows_per_s": batch_size * steps / (time.perf_counter() - start)}
    # The peak of training, as for the peers: the server below holds a second copy of the table.
    figures["peak_memory_mib"] = workload.peak_memory_mib()

    with tempfile.TemporaryDirectory() as directory:
        save_for_serving(model, directory)
        figures.update(time_serving(directory, ids, batch_size, steps))
    forward = matmul_multiply_adds(model, {"fields": ids[:2]})
    figures["multiply_adds_per_row"] = forward
    if forward:
        # Forward, gradient by the weights, gradient by the inputs: three products, two operations each.
        figures["matmul_limit_rows_per_s"] = matmul_rate() / (6 * forward)
    workload.print_figures(OURS, name, num_ids, figures, variant_name(precision, jit))


def variant_name(precision: str, jit: bool) -> str:
    """The name of a variant of ours in tables."""
    words = [word for word, used in (("bfloat16", precision != "float32"), ("XLA", jit)) if used]
    return " + ".join(words) or "float32"
