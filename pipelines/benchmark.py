"""Measures speed and memory: beside the peers, beside the machine's limit, and as the number of ids grows.

`python -m pipelines.benchmark speed` repeats one workload (`pipelines/benchmarks/workload.py`) for every contender,
each in a process of its own, in alternation, and prints medians and ratios. `growth` shows what a step costs as the
number of ids grows, `memory` what parameters per instance cost with and without the low-rank forms, `reading`
how fast encoded rows are read. Each writes its figures as JSON beside a table. The results are in
`pipelines/benchmarks/README.md`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pipelines import errors_as_messages
from pipelines.benchmarks import workload
from pipelines.benchmarks.contenders import (
    PEER_ENVIRONMENT,
    medians,
    run_contender,
    run_step_case,
    table,
    write_json,
    write_result,
)
from pipelines.benchmarks.model_speed import OPTIONS, OURS, PRECISIONS, time_model
from pipelines.benchmarks.speed_picture import draw_speed
from pipelines.peers import PEER_MODELS
from pipelines.peers.installed import check_peer

# A peer needs seconds for a step of these models; all contenders time this many times fewer steps.
FEWER_STEPS = {"fibinet": 4, "xdeepfm": 2}


def speed(arguments: argparse.Namespace) -> None:
    """Every contender on the same workload, in alternation; what a contender lacks is an error before the first run."""
    interpreters = {OURS: sys.executable, "FuxiCTR": arguments.fuxictr_python, "DeepCTR": arguments.deepctr_python}
    modules = {"FuxiCTR": "pipelines.peers.fuxictr_speed", "DeepCTR": "pipelines.peers.deepctr_speed"}
    jits = {"off": (False,), "on": (True,), "both": (False, True)}[arguments.jit]
    variants = [(precision, jit) for precision in arguments.precision for jit in jits]
    contenders: list[tuple[str, str, int, tuple[str, bool]]] = []
    for num_ids in arguments.ids:
        for model in arguments.models:
            contenders += [(OURS, model, num_ids, variant) for variant in variants]
            for library, models in PEER_MODELS.items():
                if interpreters[library] and model in models:
                    contenders.append((library, model, num_ids, ("float32", False)))
    for library, models in PEER_MODELS.items():
        own = [model for model in arguments.models if model in models]
        if interpreters[library] and own:
            check_peer(library, interpreters[library], own, arguments.fuxictr_zoo)
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "FUXICTR_ZOO": arguments.fuxictr_zoo or ""}
    runs: dict[Any, list[dict[str, Any]]] = {contender: [] for contender in contenders}
    for contender in tqdm(contenders * arguments.rounds, desc="contenders", unit="run"):
        library, model, num_ids, (precision, jit) = contender
        steps = max(2, arguments.steps // FEWER_STEPS.get(model, 1))
        words = [model, str(num_ids), str(arguments.batch_size), str(steps)]
        if library == OURS:
            flags = ["--precision", precision, *(["--jit"] if jit else [])]
            command = [sys.executable, "-m", "pipelines.benchmark", "one", *words, *flags]
        else:
            command = [interpreters[library], "-m", modules[library], *words]
        settings = environment if library == OURS else {**environment, **PEER_ENVIRONMENT}
        runs[contender].append(run_contender(command, settings))
        # Written after each run, so that a run that fails loses no figures.
        write_json(arguments.output / "speed.json", [medians(of) for of in runs.values() if of])
    result = [medians(of) for of in runs.values()]
    print(f"medians of {arguments.rounds} runs, batch {arguments.batch_size}")
    print(speed_table(result))
    print(f"figures: {arguments.output / 'speed.json'}")
    for num_ids in arguments.ids:
        draw_speed(result, num_ids, arguments.output / f"speed_{num_ids}.png")


def speed_table(result: Sequence[dict[str, Any]]) -> str:
    """The medians of all contenders; a ratio compares with the best peer of the same model and number of ids."""
    rows = []
    for figures in result:
        same = [other for other in result if all(other[key] == figures[key] for key in ("model", "num_ids"))]
        peers = [other for other in same if other["library"] != OURS]

        def ratio(key: str, best: Callable[..., float], figures: Any = figures, peers: Any = peers) -> float | str:
            known = [peer[key] for peer in peers if key in peer]
            return float(figures[key] / best(known)) if figures["library"] == OURS and known else ""

        limit = figures.get("matmul_limit_rows_per_s")
        latencies = []
        for size, _ in workload.LATENCY_BATCHES:
            latencies += [figures.get(f"latency_ms_{size}", ""), ratio(f"latency_ms_{size}", min)]
        rows.append([
            figures["library"], figures["variant"], figures["model"], f"{figures['num_ids']:,}",
            figures["train_rows_per_s"], ratio("train_rows_per_s", max),
            figures["train_rows_per_s"] / limit if limit else "",
            figures["inference_rows_per_s"], ratio("inference_rows_per_s", max), *latencies, figures["peak_memory_mib"],
        ])  # fmt: skip
    latency_head = [title for size, _ in workload.LATENCY_BATCHES for title in (f"ms at {size}", "x")]
    head = ["library", "variant", "model", "ids", "train rows/s", "x best peer", "x matmul limit",
            "inference rows/s", "x best peer", *latency_head, "peak MiB"]  # fmt: skip
    return table(rows, head)


def profile(arguments: argparse.Namespace) -> None:
    """Where the time of a training step goes, by kind of operation."""
    from pipelines.benchmarks.step_profile import draw_profile

    result = []
    for model in tqdm(arguments.models, desc="models", unit="run"):
        words = [model, str(arguments.ids[0]), str(arguments.batch_size), str(arguments.steps)]
        words += ["--precision", arguments.precision]
        command = [sys.executable, "-m", "pipelines.benchmark", "one-profile", *words]
        result.append(run_contender(command, {"TF_CPP_MIN_LOG_LEVEL": "3"}))
    rows = []
    for figures in result:
        total = sum(figures["work"].values())
        shares = {group: ms for group, ms in figures["work"].items() if ms >= 0.01 * total}
        rows += [[figures["model"], group, ms, f"{ms / total:.0%}"] for group, ms in shares.items()]
    print(table(rows, ["model", "work", "ms per step", "share"]))
    write_result(arguments.output / "profile.json", result)
    draw_profile(result, arguments.output / "profile.png")


def print_one_profile(arguments: argparse.Namespace) -> None:
    """Profiles one model and prints one line of JSON."""
    from pipelines.benchmarks.step_profile import profile_model

    profile_model(arguments.model, arguments.num_ids, arguments.batch_size, arguments.steps, arguments.precision)


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
        result.append({"mode": mode, "form": form, **run_step_case(command)})
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
    from pipelines.benchmarks.instance_parameters import measure

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
        files: tuple[Path, ...] = ()

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
        sub.add_argument("--rounds", type=int, default=3, help="runs for each median (default 3)")
        sub.add_argument("--output", type=Path, default=Path("runs/benchmark"), help="folder of the JSON figures")
        return sub

    sub = command("speed", speed, [1_000_000, 10_000_000], list(PEER_MODELS["FuxiCTR"]))
    sub.add_argument("--fuxictr-python", help="interpreter that has torch and fuxictr")
    sub.add_argument("--fuxictr-zoo", help="the model_zoo folder of a FuxiCTR checkout")
    sub.add_argument("--deepctr-python", help="interpreter that has deepctr on TensorFlow 2.15")
    sub.add_argument(
        "--precision",
        nargs="+",
        choices=PRECISIONS,
        default=["float32"],
        help="of our matrix products, one run for each",
    )
    sub.add_argument(
        "--jit",
        choices=("off", "on", "both"),
        default="off",
        help="whether XLA compiles what it can of ours (default off)",
    )
    sub = command("profile", profile, [1_000_000], ["dnn", "deepfm", "dcn_v2", "xdeepfm", "autoint_plus", "fibinet"])
    sub.add_argument("--precision", choices=PRECISIONS, default="float32", help="of matrix products")
    command("growth", growth, [100_000, 1_000_000, 10_000_000], ["dnn"], steps=40)
    command("reading", reading, [0], ["dnn"]).add_argument(
        "--rows", type=int, default=4_000_000, help="rows to write and read (default 4 000 000)"
    )
    command("memory", memory, [0], ["dynint_dgp"])
    layer = commands.add_parser("one-layer", help="one DynInt layer in one form, one line of JSON")
    layer.add_argument("mode", choices=("dgp", "dwp"))
    layer.add_argument("form", choices=("naive", "low_rank"))
    for name in ("num_subspaces", "batch_size", "steps"):
        layer.add_argument(name, type=int)
    layer.set_defaults(job=print_one_layer)
    one = commands.add_parser("one", help="one of our models on the workload, one line of JSON")
    one_profile = commands.add_parser("one-profile", help="the profile of one of our models, one line of JSON")
    for single in (one, one_profile):
        single.add_argument("model", choices=sorted(OPTIONS))
        for size in ("num_ids", "batch_size", "steps"):
            single.add_argument(size, type=int)
        single.add_argument("--precision", choices=PRECISIONS, default="float32")
    one_profile.set_defaults(job=print_one_profile)
    one.add_argument("--jit", action="store_true")
    one.set_defaults(job=lambda a: time_model(a.model, a.num_ids, a.batch_size, a.steps, a.precision, a.jit))
    arguments = parser.parse_args(words)
    for name in ("batch_size", "steps", "rounds"):
        if getattr(arguments, name, 1) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1, got {getattr(arguments, name)}")
    with errors_as_messages(parser, goes_on=False):
        arguments.job(arguments)


if __name__ == "__main__":
    main()
