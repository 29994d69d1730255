"""Measures the rates of `predict`: reading and encoding, inference, and both together, on the same rows.

`python -m pipelines.benchmarks.scoring rows.csv --export saved_models/clicks`: on all cores, one after the other, the
two would reach `1 / (1 / encoding + 1 / inference)`; the last line says which share of that rate the whole job reaches.
Give some hundred thousand rows: of few, the start takes most of the time.
"""

from __future__ import annotations

import argparse
import collections
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines import errors_as_messages
from pipelines.rows_options import add_rows, reading_arguments

_KEPT_ROWS = 1_000_000


def run(arguments: argparse.Namespace) -> dict[str, float]:
    """Measures and prints the rates; returns them in rows/s."""
    from dynctr_tf.export import ServedModel
    from dynctr_tf.jobs.scoring import cores, in_parallel, open_files, reading_of_export, score_files

    served = ServedModel(arguments.export)
    workers = arguments.workers or cores()
    sources = open_files(
        arguments.rows,
        served,
        reading=reading_of_export(served, **reading_arguments(arguments)),
        on_bad_row=arguments.on_bad_row,
    )
    first = next(sources[0].batches_to_score({}))
    served.logits(first.columns)  # traced and loaded, as is what a job compares its first rows with
    served.check(first.columns)

    kept: list[dict[str, np.ndarray]] = []
    rows = 0
    start = time.perf_counter()
    for source in sources:

        def encoded(piece, source=source):  # type: ignore[no-untyped-def]
            batches = source.piece_to_score(piece, {}, collections.Counter())
            return [served.encode(batch.columns) for batch in batches]

        for _, found in in_parallel(source.pieces(), encoded, workers):
            rows += sum(len(next(iter(batch.values()))) for batch in found)
            kept += found if rows <= _KEPT_ROWS else []
    seconds = time.perf_counter() - start
    rates = {"reading and encoding": rows / seconds}

    start = time.perf_counter()
    answered = sum(len(logits) for _, logits in in_parallel(iter(kept), served.answer, workers))
    rates["inference"] = answered / (time.perf_counter() - start)

    with tempfile.TemporaryDirectory() as folder:
        scored = score_files(sources, served, Path(folder) / "scores", workers=workers, progress=False)
    rates["predict, with writing"] = scored.rows_per_second
    both = 1.0 / (1.0 / rates["reading and encoding"] + 1.0 / rates["inference"])
    print(f"{served.name}: {rows:,} rows, {workers} threads")
    for name, rate in rates.items():
        print(f"  {name:22} {rate:>12,.0f} rows/s")
    print(
        f"  one after another      {both:>12,.0f} rows/s; predict reaches {scored.rows_per_second / both:.0%} of that"
    )
    return rates


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and measures."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.benchmarks.scoring", description=__doc__, allow_abbrev=False
    )
    add_rows(parser)
    parser.add_argument("--export", type=Path, required=True, help="an export")
    parser.add_argument("--workers", type=int, help="threads; without it one for each core")
    given = parser.parse_args(arguments)
    with errors_as_messages(parser, goes_on=False):
        run(given)


if __name__ == "__main__":
    main()
