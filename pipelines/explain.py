"""Explain a trained run: how much it depends on each field, and what its dynamic part generates.

`python -m pipelines.explain runs/NAME` writes `importance` and `dynamic` (`.txt`, `.json`, `.png`) into
`runs/NAME/explain/`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from pipelines import errors_as_messages
from pipelines.rows_options import path_or_uri


def run(options: argparse.Namespace) -> Path:
    """Explains the run and prints the results; returns the folder of the reports."""
    from dynctr_tf.jobs.run_places import place_of, run_to_read

    with (run_to_read if options.output else place_of)(options.run) as place:
        return _explain(options, place.folder)


def _explain(options: argparse.Namespace, run: Path) -> Path:
    from dynctr_tf.durable_files import write_text
    from dynctr_tf.evaluation import plot_dynamic_part, plot_importance
    from dynctr_tf.jobs.explain import explain_generated, explain_importance, open_run, sampled_rows

    start = time.perf_counter()
    trained = open_run(run)
    folder = Path(options.output or trained.directory / "explain")
    rows = sampled_rows(trained, options.split, options.rows, options.seed)
    name, total = trained.settings.model.name, trained.data.num_rows(options.split)
    print(f"{name}, weights of step {trained.step:,}; {len(rows.labels):,} of {total:,} {options.split} rows")

    some = sampled_rows(trained, options.split, min(options.rows, options.generated_rows), options.seed)
    report = explain_generated(trained, some, options.split, by=options.by)
    importance = explain_importance(
        trained,
        rows,
        folder,
        permutations=options.permutations,
        replicates=options.replicates,
        seed=options.seed,
    )
    for what, text in (("importance", importance.to_text()), ("dynamic", report.to_text())):
        write_text(folder / f"{what}.txt", text)
        print(f"\n{text}", end="")
    importance.save(folder / "importance.json")
    report.save(folder / "dynamic.json")
    plot_importance(folder / "importance.png", importance)
    plot_dynamic_part(folder / "dynamic.png", report)
    print(f"\ntables and pictures: {folder}")
    print(f"done in {time.perf_counter() - start:.0f} s")
    return folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.explain", description=__doc__)
    parser.add_argument("run", type=path_or_uri, help="the folder or URI of a run of train, such as runs/NAME")
    parser.add_argument("--split", default="test", help="the rows that are looked at (default %(default)s)")
    parser.add_argument("--rows", type=int, default=50_000, help="how many of them, at random (default %(default)s)")
    parser.add_argument(
        "--generated-rows",
        type=int,
        default=20_000,
        help="how many rows the report on generated weights takes; they are kept in memory (default %(default)s)",
    )
    parser.add_argument(
        "--permutations", type=int, default=5, help="how often each field is exchanged (default %(default)s)"
    )
    parser.add_argument(
        "--replicates", type=int, default=200, help="bootstrap resamples for every interval (default %(default)s)"
    )
    parser.add_argument(
        "--by",
        metavar="FIELD",
        help="the field whose values group the generated weights; by default the scenario or group, or else the one "
        "that explains most of their differences",
    )
    parser.add_argument("--seed", type=int, default=0, help="of rows, permutations and resamples (default %(default)s)")
    parser.add_argument("--output", type=Path, help="folder of the reports; by default explain/ in the run's folder")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and runs the job."""
    parser = _parser()
    options = parser.parse_args(arguments)
    with errors_as_messages(parser):
        run(options)


if __name__ == "__main__":
    main()
