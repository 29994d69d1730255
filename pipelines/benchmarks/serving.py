"""Measures requests to an exported model: raw features, tf.Example messages, ids, and one user with many items.

`python -m pipelines.benchmarks.serving` exports an untrained model on rows of 13 numbers and 26 texts, like Criteo's,
and sends it 1, 64 and 512 rows through each signature, in a Python session and in a C program on TensorFlow's C API,
with one thread, operations one after another. It prints medians, ratios to the latency of ids alone, the bytes of each
request by gRPC, and the number of operations that TensorFlow runs for it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dynctr_tf.durable_files import make_folder
from pipelines import errors_as_messages
from pipelines.benchmarks.contenders import write_json

NUMBERS, TEXTS = 13, 26
_OF_ITEMS = 11  # The last texts are of items.


def made_rows(num_rows: int, num_values: int, seed: int = 0) -> tuple[Any, pa.RecordBatch]:
    """An encoder with invented vocabularies, and rows whose values it mostly knows.

    Args:
        num_rows: How many rows.
        num_values: Known values of each text.
        seed: Seed of the rows. Default 0.
    """
    from dynctr_tf.encoding import Encoder
    from dynctr_tf.encoding.vocabulary import FittedBins, FittedVocabulary
    from dynctr_tf.schema import Feature, Schema

    draw = np.random.default_rng(seed)
    roles = ["item" if place >= TEXTS - _OF_ITEMS else "user" for place in range(TEXTS)]
    numbers = [Feature(f"I{place + 1}", "numeric", role="user") for place in range(NUMBERS)]
    texts = [Feature(f"C{place + 1}", "categorical", role=roles[place]) for place in range(TEXTS)]  # type: ignore[arg-type]
    schema = Schema((*numbers, *texts), label="click")
    known = np.char.mod("%08x", draw.choice(2**32, num_values, replace=False))
    vocabulary = FittedVocabulary(pa.array(known, pa.large_string()), np.ones(num_values, np.int64))
    bins = FittedBins(tuple(range(60)))
    encoder = Encoder(schema, {one.name: vocabulary for one in texts}, {one.name: bins for one in numbers})
    columns: dict[str, pa.Array] = {one.name: pa.array(draw.lognormal(2, 2, num_rows)) for one in numbers}
    for one in texts:
        values = known[draw.integers(0, num_values, num_rows)]
        columns[one.name] = pa.array(np.where(draw.random(num_rows) < 0.05, "unknown", values))
    return encoder, pa.RecordBatch.from_pydict(columns)


def requests_of(encoder: Any, model: Any, rows: pa.RecordBatch) -> dict[str, tuple[str, dict[str, np.ndarray]]]:
    """The ways to ask for some rows: each a signature and its inputs."""
    from dynctr_tf.datasets.row_source import RowBatch
    from dynctr_tf.export.raw_requests import item_features, raw_tensors, serialized_examples

    encoded = encoder.encode_batch(RowBatch(rows, np.zeros(rows.num_rows, np.int8)))
    raw = {name: value.numpy() for name, value in raw_tensors(rows, encoder.schema).items()}
    examples = {"examples": np.array(serialized_examples(rows, encoder.schema), object)}
    items = item_features(encoder.schema)
    count = rows.num_rows
    repeated = {name: value if name in items else np.repeat(value[:1], count, axis=0) for name, value in raw.items()}
    once = {name: value if name in items else value[:1] for name, value in raw.items()}
    return {
        "ids": ("encoded", {name: encoded[name] for name in model.input}),
        "raw": ("serving_default", raw),
        "tf.Example": ("examples", examples),
        "one user, repeated": ("serving_default", repeated),
        "one user, once": ("candidates", once),
    }


def request_bytes(signature: str, inputs: Mapping[str, np.ndarray]) -> int:
    """The bytes of a request as gRPC sends it."""
    import tensorflow as tf

    from dynctr_tf.export.warm_up import predict_request

    return len(predict_request("clicks", signature, {name: tf.constant(value) for name, value in inputs.items()}))


class PythonClient:
    """A session of Python on a SavedModel, one thread, operations one after another."""

    def __init__(self, path: Path) -> None:
        import tensorflow as tf

        config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
        config.experimental.executor_type = "SINGLE_THREADED_EXECUTOR"
        with tf.Graph().as_default():
            self.session = tf.compat.v1.Session(config=config)
            loaded = tf.compat.v1.saved_model.load(self.session, ["serve"], str(path))
        self.signatures = loaded.signature_def

    def microseconds(self, signature: str, inputs: Mapping[str, np.ndarray], repeats: int) -> list[float]:
        """How long each of some calls takes."""
        described = self.signatures[signature]
        names = [described.inputs[name].name for name in inputs]
        ask = self.session.make_callable(described.outputs["logit"].name, names)
        taken = []
        for turn in range(repeats + 3):
            before = time.perf_counter()
            ask(*inputs.values())
            if turn >= 3:
                taken.append(1e6 * (time.perf_counter() - before))
        return taken

    def operations(self, signature: str, inputs: Mapping[str, np.ndarray]) -> int:
        """How many operations TensorFlow runs for a request, without constants, after its optimizations."""
        import tensorflow as tf

        described = self.signatures[signature]
        feed = {described.inputs[name].name: value for name, value in inputs.items()}
        options = tf.compat.v1.RunOptions(output_partition_graphs=True)
        metadata = tf.compat.v1.RunMetadata()
        self.session.run(described.outputs["logit"].name, feed, options=options, run_metadata=metadata)
        left_alone = {"Const", "NoOp", "_Arg", "_Retval", "_Recv", "_Send"}
        return sum(node.op not in left_alone for graph in metadata.partition_graphs for node in graph.node)


def measure(
    path: Path, encoder: Any, model: Any, rows: pa.RecordBatch, sizes: Sequence[int], repeats: int, rounds: int
) -> list[Any]:
    """Asks for each number of rows in each way.

    Args:
        path: The SavedModel.
        encoder: Its encoder.
        model: The model.
        rows: The rows.
        sizes: Numbers of rows.
        repeats: Timed calls of each; fewer where there are many rows.
        rounds: How often all ways take turns.
    """
    from pipelines.benchmarks import saved_model_client

    client = PythonClient(path)
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        program = saved_model_client.build(folder) if saved_model_client.can_build() else None
        if program is None:
            print("gcc is not installed: the program in C is not measured.")
        for size in sizes:
            turns = max(10, repeats // (1 + size // 16))
            asked = requests_of(encoder, model, rows.slice(0, size))
            taken: dict[str, dict[str, list[float]]] = {way: {"python": [], "c": []} for way in asked}
            for _ in range(rounds):  # in turns, because the speed of a machine changes
                for way, (signature, inputs) in asked.items():
                    if signature not in client.signatures:
                        continue
                    taken[way]["python"] += client.microseconds(signature, inputs, turns)
                    if program is not None:
                        timed = saved_model_client.ask(program, path, signature, inputs, folder, repeats=turns + 5)[1]
                        taken[way]["c"] += timed[5:].tolist()
            for way, (signature, inputs) in asked.items():
                if signature not in client.signatures:
                    continue
                figure: dict[str, Any] = {"rows": size, "way": way, "bytes": request_bytes(signature, inputs)}
                figure["operations"] = client.operations(signature, inputs)
                for loader, times in taken[way].items():
                    if times:
                        figure[loader] = statistics.median(times)
                        figure[f"{loader} / ids"] = figure[loader] / statistics.median(taken["ids"][loader])
                figures.append(figure)
    return figures


def shown(figures: Sequence[Mapping[str, Any]]) -> str:
    """The figures as a table of Markdown."""
    loaders = [loader for loader in ("c", "python") if any(loader in figure for figure in figures)]
    head = [
        "rows",
        "request",
        "bytes",
        "operations",
        *(word for loader in loaders for word in (f"{loader}, us", "x ids")),
    ]
    lines = [head, ["---"] * len(head)]
    for figure in figures:
        cells = [str(figure["rows"]), figure["way"], f"{figure['bytes']:,}", str(figure["operations"])]
        for loader in loaders:
            cells += [f"{figure[loader]:,.0f}", f"{figure[f'{loader} / ids']:.2f}"]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(words: Sequence[str] | None = None) -> None:
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.benchmarks.serving", description=__doc__)
    parser.add_argument("--model", default="dnn", help="a model of the catalogue")
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 64, 512], help="rows of a request")
    parser.add_argument("--values", type=int, default=10_000, help="known values of each of the 26 texts")
    parser.add_argument("--repeats", type=int, default=300, help="timed calls of one row; fewer of more rows")
    parser.add_argument("--rounds", type=int, default=3, help="how often all ways take turns")
    parser.add_argument("--output", type=Path, default=Path("runs/benchmarks"), help="folder of the figures")
    options = parser.parse_args(words)
    with errors_as_messages(parser, goes_on=False):
        from dynctr_tf.export import export_model
        from dynctr_tf.models.catalogue import build_model

        encoder, rows = made_rows(max(options.rows), options.values)
        model = build_model(options.model, encoder.features)
        with tempfile.TemporaryDirectory() as folder:
            path = export_model(model, encoder, Path(folder) / "clicks", rows.slice(0, 64))
            figures = measure(path, encoder, model, rows, options.rows, options.repeats, options.rounds)
        print(shown(figures))
        make_folder(options.output)
        write_json(options.output / "serving.json", figures)
        print(f"figures: {options.output / 'serving.json'}")


if __name__ == "__main__":
    main()
