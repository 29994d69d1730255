"""Measures where the time of a training step goes: the operations of TensorFlow's profiler, summed by kind.

`python -m pipelines.benchmark profile` runs this in a process of its own for each model.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dynctr_tf.durable_files import new_file
from pipelines.benchmarks import workload
from pipelines.benchmarks.model_speed import compiled_model

# Kind of work -> kinds of operations; all other operations are "other".
GROUPS: dict[str, tuple[str, ...]] = {
    "matrix products": ("Einsum",),  # and every other kind with MatMul in its name: plain, fused or of oneDNN
    "distinct ids": ("Unique", "UniqueV2"),
    "gathering rows": ("ResourceGather", "GatherV2", "GatherNd"),
    "summing gradients of rows": ("SparseTensorDenseMatMul", "UnsortedSegmentSum", "SegmentSum"),
    "updating rows": (
        "ResourceScatterAdd", "ResourceScatterSub", "ResourceScatterUpdate", "ResourceScatterNdUpdate",
        "ResourceScatterNdAdd",
    ),
    "updating kernels": ("AssignAddVariableOp", "AssignSubVariableOp", "AssignVariableOp"),
    "softmax": ("Softmax", "_MklSoftmax"),
    "sums over axes": ("Sum", "Mean", "BiasAddGrad", "AddN", "_MklAddN", "Cumsum"),
    "products and sums by entry": (
        "Mul", "AddV2", "Sub", "Square", "Sqrt", "Rsqrt", "RealDiv", "DivNoNan", "Exp", "Log", "Relu", "ReluGrad",
        "BiasAdd", "Tanh", "Sigmoid", "SquaredDifference", "Neg", "Add", "Log1p", "Abs", "Maximum", "Sign",
    ),
    "moving data": (
        "ConcatV2", "Split", "SplitV", "StridedSlice", "StridedSliceGrad", "Slice", "Pad", "PadV2", "Transpose",
        "Tile", "Pack", "Unpack", "Cast", "Fill", "ZerosLike", "OnesLike", "BroadcastTo",
    ),
}  # fmt: skip
# These operations run others, whose time is counted by itself.
_CALLS = ("PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "StatelessIf")


def operation_times(directory: str | Path) -> dict[str, float]:
    """Reads a trace of TensorFlow's profiler: kind of operation -> seconds, summed over the threads of the CPU."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    times: dict[str, float] = defaultdict(float)
    for path in Path(directory).rglob("*.xplane.pb"):
        space = xplane_pb2.XSpace()
        space.ParseFromString(path.read_bytes())
        for plane in space.planes:
            if plane.name != "/host:CPU":
                continue
            names = {key: value.name for key, value in plane.event_metadata.items()}
            for line in plane.lines:
                for event in line.events:
                    # Operations are named "name in the graph:kind".
                    place, _, kind = names[event.metadata_id].rpartition(":")
                    if place and not place.endswith(":") and kind.isidentifier() and kind not in _CALLS:
                        times[kind] += event.duration_ps * 1e-12
    return dict(times)


def grouped(times: dict[str, float]) -> dict[str, float]:
    """Sums the seconds of operations by kind of work, the largest first."""
    group_of = {kind: group for group, kinds in GROUPS.items() for kind in kinds}
    sums: dict[str, float] = defaultdict(float)
    for kind, seconds in times.items():
        sums[group_of.get(kind, "matrix products" if "MatMul" in kind else "other")] += seconds
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def profile_model(name: str, num_ids: int, batch_size: int, steps: int, precision: str = "float32") -> None:
    """Profiles training steps of a model on the workload and prints one line of JSON: milliseconds per step."""
    import tensorflow as tf
    from tensorflow import keras

    keras.mixed_precision.set_global_policy(precision)
    model, dataset, _ = compiled_model(name, num_ids, batch_size)
    model.fit(dataset, steps_per_epoch=workload.NUM_BATCHES, verbose=0)
    with tempfile.TemporaryDirectory() as directory:
        with tf.profiler.experimental.Profile(directory):
            model.fit(dataset, steps_per_epoch=steps, verbose=0)
        times = operation_times(directory)
    if not times:
        raise RuntimeError("The trace of TensorFlow's profiler holds no operations of the CPU.")

    def per_step(seconds: dict[str, float]) -> dict[str, float]:
        return {key: 1e3 * value / steps for key, value in seconds.items()}

    largest = dict(sorted(times.items(), key=lambda item: -item[1])[:12])
    print(
        json.dumps({"model": name, "num_ids": num_ids, "work": per_step(grouped(times)), "largest": per_step(largest)})
    )
    sys.stdout.flush()


def draw_profile(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws one bar per model, cut into kinds of work, as a PNG file.

    Args:
        results: What `profile_model` printed for each model.
        path: The file.
    """
    colours = ("#0969da", "#8250df", "#54aeff", "#1a7f37", "#bf8700", "#e16f24", "#cf222e", "#bf3989", "#9aa4af",
               "#57606a", "#d0d7de")  # fmt: skip
    figure = Figure(figsize=(11, 1.6 + 0.4 * len(results)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    left = [0.0] * len(results)
    for colour, group in zip(colours, [*GROUPS, "other"], strict=True):
        widths = [result["work"].get(group, 0.0) for result in results]
        axes.barh(range(len(results)), widths, left=left, color=colour, label=group)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(results)), [result["model"] for result in results])
    axes.invert_yaxis()
    axes.set_xlabel("ms per step, summed over threads")
    axes.grid(axis="x", color="#e6e8eb")
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    with new_file(path) as partial:
        figure.savefig(partial, dpi=130)
    print(f"picture: {path}")
