"""Speed and memory, measured: ours against the peers, against the machine's limit, against the number of ids.

`python -m pipelines.benchmark speed` repeats one workload (`pipelines/workload.py`) for every contender, each
in a process of its own, in alternation, and prints medians and ratios. `growth` shows what a step costs as the
number of ids grows, `memory` what parameters per instance cost with and without the low-rank forms, `reading`
how fast encoded rows are read. Each writes its figures as JSON beside a table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from dynctr_tf.evaluation.text_table import align
from pipelines import workload

ROOT = Path(__file__).parent.parent
OURS = "dynctr_tf"
# What each contender calls the same network.
OPTIONS: dict[str, dict[str, Any]] = {
    "dnn": {"hidden_units": workload.HIDDEN_UNITS},
    "fm": {},
    "lr": {},
    "deepfm": {"hidden_units": workload.HIDDEN_UNITS},
    "dcn_v2": {"hidden_units": workload.HIDDEN_UNITS, "num_layers": 3},
    "xdeepint": {"num_layers": 3},
    "dynint-da": {"num_layers": 3},
    "dynint-dgp": {"num_layers": 3},
    "dynint-dwp": {"num_layers": 3},
}
PEER_MODELS = {"FuxiCTR": ("dnn", "deepfm", "dcn_v2"), "DeepCTR": ("deepfm", "dcn_v2")}


def matmul_rate(dtype: str = "float32") -> float:
    """Floating-point operations per second of the product 4096 x 624 by 624 x 400 in TensorFlow."""
    import tensorflow as tf

    left = tf.cast(tf.random.normal((4096, 624)), dtype)
    right = tf.cast(tf.random.normal((624, 400)), dtype)
    product = tf.function(lambda: tf.matmul(left, right))
    return 2 * 4096 * 624 * 400 / workload.seconds_of(product, 20)


def time_ours(name: str, num_ids: int, batch_size: int, steps: int, mixed_precision: bool) -> None:
    """Trains and predicts one of our models on the workload and prints one line of JSON."""
    import tensorflow as tf
    from tensorflow import keras

    from dynctr_tf.encoding.encoded_features import EncodedFeatures
    from dynctr_tf.models.catalogue import build_model
    from dynctr_tf.optimizers import LazyAdam

    if mixed_precision:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    keras.utils.set_random_seed(0)
    rows = workload.make_rows(num_ids, batch_size)
    features = EncodedFeatures.from_sizes([num_ids // workload.NUM_FIELDS] * workload.NUM_FIELDS)
    ids = rows.ids + np.array([field.first_id for field in features.fields], np.int32)
    model = build_model(name, features, embedding_dim=workload.EMBEDDING_DIM, **OPTIONS[name])
    model.compile(
        LazyAdam(workload.LEARNING_RATE), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False
    )
    dataset = tf.data.Dataset.from_tensor_slices(({"fields": ids}, rows.labels))
    dataset = dataset.batch(batch_size).cache().repeat().prefetch(2)
    # Each batch once: the first touch of a row of the slots is a page fault, which a long run pays once.
    model.fit(dataset, steps_per_epoch=workload.NUM_BATCHES, verbose=0)
    start = time.perf_counter()
    model.fit(dataset, steps_per_epoch=steps, verbose=0)
    figures = {"train_rows_per_s": batch_size * steps / (time.perf_counter() - start)}

    predict = tf.function(
        lambda entries: model(entries, training=False),
        input_signature=[{"fields": tf.TensorSpec((None, workload.NUM_FIELDS), tf.int32)}],
    )
    iterator = iter(dataset)
    predict(next(iterator)[0])
    start = time.perf_counter()
    for _ in range(steps):
        predict(next(iterator)[0])
    figures["inference_rows_per_s"] = batch_size * steps / (time.perf_counter() - start)
    for size, calls in workload.LATENCY_BATCHES:
        small = {"fields": tf.constant(ids[:size])}
        figures[f"latency_ms_{size}"] = 1e3 * workload.seconds_of(lambda small=small: predict(small), calls)  # type: ignore[misc]
    if name == "dnn":
        # Forward, gradient by the weights, gradient by the inputs: three products per layer.
        widths = (workload.NUM_FIELDS * workload.EMBEDDING_DIM, *workload.HIDDEN_UNITS, 1)
        per_row = 6 * sum(a * b for a, b in zip(widths, widths[1:], strict=False))
        figures["matmul_limit_rows_per_s"] = matmul_rate() / per_row
    workload.print_figures(OURS, name, num_ids, **figures)


def run_contender(command: Sequence[str], environment: dict[str, str]) -> dict[str, Any]:
    """Runs one contender in its own process and reads the line that it prints.

    Raises:
        RuntimeError: The process failed; the end of what it said is in the message.
    """
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(lines[-1])
    return figures


def medians(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median of every figure over the runs of one contender."""
    return {
        key: statistics.median(run[key] for run in runs) if isinstance(value, (int, float)) else value
        for key, value in runs[0].items()
    }


def table(rows: Sequence[Sequence[Any]], head: Sequence[str]) -> str:
    """An aligned plain table."""

    def cell(value: Any) -> str:
        return str(value) if not isinstance(value, float) else f"{value:,.0f}" if value >= 100 else f"{value:.2f}"

    return "\n".join(align([list(head), *([cell(value) for value in row] for row in rows)]))


def write_result(path: Path, result: Any) -> None:
    """Writes the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"figures: {path}")


def speed(arguments: argparse.Namespace) -> None:
    """Every contender on the same workload, in alternation."""
    contenders: list[tuple[str, str, int]] = []
    interpreters = {OURS: sys.executable, "FuxiCTR": arguments.fuxictr_python, "DeepCTR": arguments.deepctr_python}
    modules = {"FuxiCTR": "pipelines.peers.fuxictr_speed", "DeepCTR": "pipelines.peers.deepctr_speed"}
    for num_ids in arguments.ids:
        for model in arguments.models:
            for library, interpreter in interpreters.items():
                if interpreter and (library == OURS or model in PEER_MODELS[library]):
                    contenders.append((library, model, num_ids))
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "FUXICTR_ZOO": arguments.fuxictr_zoo or ""}
    runs: dict[tuple[str, str, int], list[dict[str, Any]]] = {contender: [] for contender in contenders}
    for contender in tqdm(contenders * arguments.rounds, desc="contenders", unit="run"):
        library, model, num_ids = contender
        words = [model, str(num_ids), str(arguments.batch_size), str(arguments.steps)]
        if library == OURS:
            flags = ["--mixed-precision"] if arguments.mixed_precision else []
            command = [sys.executable, "-m", "pipelines.benchmark", "one", *words, *flags]
        else:
            command = [interpreters[library], "-m", modules[library], *words]
        runs[contender].append(run_contender(command, environment))
    result = [medians(of) for of in runs.values()]
    rows = []
    for figures in result:
        peers = [
            other
            for other in result
            if other["library"] != OURS and (other["model"], other["num_ids"]) == (figures["model"], figures["num_ids"])
        ]
        best = max((peer["train_rows_per_s"] for peer in peers), default=float("nan"))
        ratio = figures["train_rows_per_s"] / best if figures["library"] == OURS and peers else ""
        limit = figures.get("matmul_limit_rows_per_s")
        rows.append([
            figures["library"], figures["model"], f"{figures['num_ids']:,}", figures["train_rows_per_s"], ratio,
            figures["train_rows_per_s"] / limit if limit else "", figures["inference_rows_per_s"],
            *(figures[f"latency_ms_{size}"] for size, _ in workload.LATENCY_BATCHES), figures["peak_memory_mib"],
        ])  # fmt: skip
    head = [
        "library",
        "model",
        "ids",
        "train rows/s",
        "x best peer",
        "x matmul limit",
        "inference rows/s",
        *(f"ms at {size}" for size, _ in workload.LATENCY_BATCHES),
        "peak MiB",
    ]
    print(f"medians of {arguments.rounds} runs, batch {arguments.batch_size}")
    print(table(rows, head))
    write_result(arguments.output / "speed.json", result)


def growth(arguments: argparse.Namespace) -> None:
    """What a training step costs as the number of ids grows."""
    runs: dict[int, list[dict[str, Any]]] = {num_ids: [] for num_ids in arguments.ids}
    for num_ids in tqdm(arguments.ids * arguments.rounds, desc="sizes", unit="run"):
        words = [arguments.models[0], str(num_ids), str(arguments.batch_size), str(arguments.steps)]
        command = [sys.executable, "-m", "pipelines.benchmark", "one", *words]
        runs[num_ids].append(run_contender(command, {"TF_CPP_MIN_LOG_LEVEL": "3"}))
    result = [medians(of) for of in runs.values()]
    first = result[0]["train_rows_per_s"]
    rows = [
        [
            f"{r['num_ids']:,}",
            r["train_rows_per_s"],
            1e3 * arguments.batch_size / r["train_rows_per_s"],
            first / r["train_rows_per_s"],
            r["peak_memory_mib"],
        ]
        for r in result
    ]
    print(table(rows, ["ids", "train rows/s", "ms per step", "x the first", "peak MiB"]))
    write_result(arguments.output / "growth.json", result)


def memory(arguments: argparse.Namespace) -> None:
    """Parameters per instance, as whole matrices and in the low-rank order of products."""
    cases = [(mode, form, subspaces, batch) for subspaces, batch in ((1, arguments.batch_size), (16, 256))
             for mode in ("dgp", "dwp") for form in ("naive", "low_rank")]  # fmt: skip
    result = []
    for mode, form, subspaces, batch in tqdm(cases, desc="cases", unit="run"):
        words = [mode, form, str(subspaces), str(batch), str(arguments.steps)]
        command = [sys.executable, "-m", "pipelines.benchmark", "one-layer", *words]
        result.append({"mode": mode, "form": form, **run_contender(command, {"TF_CPP_MIN_LOG_LEVEL": "3"})})
    rows = []
    for figures in result:
        naive = next(r for r in result if (r["mode"], r["fields"]) == (figures["mode"], figures["fields"]))
        rows.append([
            f"{figures['mode']} {figures['form']}", figures["fields"], figures["rank"], figures["batch"],
            figures["instance_mib"], f"{figures['instance_mib'] / naive['instance_mib'] - 1:+.1%}",
            figures["added_peak_mib"], f"{figures['added_peak_mib'] / naive['added_peak_mib'] - 1:+.1%}",
            figures["step_ms"], naive["step_ms"] / figures["step_ms"],
        ])  # fmt: skip
    head = [
        "layer",
        "F'",
        "K",
        "batch",
        "MiB per-instance parameters",
        "change",
        "MiB peak of a step",
        "change",
        "ms per step",
        "x naive speed",
    ]
    print(table(rows, head))
    write_result(arguments.output / "memory.json", result)


def print_one_layer(arguments: argparse.Namespace) -> None:
    """Measures one layer and prints one line of JSON."""
    from pipelines.instance_parameters import measure

    print(
        json.dumps(
            measure(
                arguments.mode,
                arguments.form,
                workload.NUM_FIELDS,
                arguments.num_subspaces,
                arguments.batch_size,
                arguments.steps,
            )
        )
    )


def reading(arguments: argparse.Namespace) -> None:
    """How fast encoded rows are written and read, shuffled."""
    import pyarrow as pa

    from dynctr_tf.datasets.row_source import RowBatch
    from dynctr_tf.encoding import Encoder, write_encoded_dataset
    from dynctr_tf.schema import Feature, Schema

    class Rows:
        """Random rows of 39 categorical columns."""

        schema = Schema(tuple(Feature(f"f{i}", "categorical") for i in range(workload.NUM_FIELDS)), label="label")
        split_names = ("train",)
        num_rows = arguments.rows
        skipped: dict[str, int] = {}

        def batches(self) -> Any:
            rng = np.random.default_rng(0)
            for start in range(0, self.num_rows, 65536):
                size = min(65536, self.num_rows - start)
                values = pa.array([f"{value:x}" for value in range(1000)])
                columns: list[Any] = [pa.array(rng.integers(0, 2, size).astype(np.float32))]
                columns += [
                    pa.DictionaryArray.from_arrays(pa.array(rng.integers(0, 1000, size, np.int32)), values)
                    for _ in range(workload.NUM_FIELDS)
                ]
                yield RowBatch(
                    pa.RecordBatch.from_arrays(columns, names=list(self.schema.columns)), np.zeros(size, np.int8)
                )

    with tempfile.TemporaryDirectory() as directory:
        source = Rows()
        encoder = Encoder.fit(source)
        data = write_encoded_dataset(source, encoder, Path(directory) / "encoded")
        rates = []
        for epoch in range(arguments.rounds + 1):
            start = time.perf_counter()
            count = 0
            for inputs, _ in data.batches("train", arguments.batch_size, shuffle=True, seed=epoch):
                count += int(inputs["fields"].shape[0])
            rates.append(count / (time.perf_counter() - start))
    print(
        f"{arguments.rows:,} rows of {workload.NUM_FIELDS} fields, batch {arguments.batch_size}, shuffled: "
        f"{statistics.median(rates[1:]):,.0f} rows/s (median of {arguments.rounds} epochs)"
    )


def main(words: Sequence[str] | None = None) -> None:
    """Reads the command line and runs one benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.benchmark", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(
        name: str, job: Callable[[argparse.Namespace], None], ids: list[int], models: list[str], steps: int = 10
    ) -> Any:
        sub = commands.add_parser(name, help=job.__doc__)
        sub.set_defaults(job=job)
        sub.add_argument("--ids", type=lambda text: int(float(text)), nargs="+", default=ids, help="numbers of ids")
        sub.add_argument("--models", nargs="+", default=models, choices=sorted(OPTIONS), help="models")
        sub.add_argument("--batch-size", type=int, default=4096, help="rows per step (default 4096)")
        sub.add_argument("--steps", type=int, default=steps, help=f"timed steps per run (default {steps})")
        sub.add_argument("--rounds", type=int, default=3, help="runs behind each median (default 3)")
        sub.add_argument("--output", type=Path, default=Path("runs/benchmark"), help="folder of the JSON figures")
        return sub

    sub = command("speed", speed, [1_000_000, 10_000_000], ["dnn", "dcn_v2"])
    sub.add_argument("--fuxictr-python", help="interpreter that has torch and fuxictr")
    sub.add_argument("--fuxictr-zoo", help="the model_zoo folder of a FuxiCTR checkout")
    sub.add_argument("--deepctr-python", help="interpreter that has deepctr on TensorFlow 2.15")
    sub.add_argument("--mixed-precision", action="store_true", help="our matrix products in bfloat16")
    command("growth", growth, [100_000, 1_000_000, 10_000_000], ["dnn"], steps=40)
    command("reading", reading, [0], ["dnn"]).add_argument(
        "--rows", type=int, default=4_000_000, help="rows to write and read (default 4 000 000)"
    )
    command("memory", memory, [0], ["dynint-dgp"])
    layer = commands.add_parser("one-layer", help="one DynInt layer in one form, one line of JSON")
    layer.add_argument("mode", choices=("dgp", "dwp"))
    layer.add_argument("form", choices=("naive", "low_rank"))
    for name in ("num_subspaces", "batch_size", "steps"):
        layer.add_argument(name, type=int)
    layer.set_defaults(job=print_one_layer)
    one = commands.add_parser("one", help="one of our models on the workload, one line of JSON")
    one.add_argument("model", choices=sorted(OPTIONS))
    one.add_argument("num_ids", type=int)
    one.add_argument("batch_size", type=int)
    one.add_argument("steps", type=int)
    one.add_argument("--mixed-precision", action="store_true")
    one.set_defaults(job=lambda a: time_ours(a.model, a.num_ids, a.batch_size, a.steps, a.mixed_precision))
    arguments = parser.parse_args(words)
    arguments.job(arguments)


if __name__ == "__main__":
    main()
