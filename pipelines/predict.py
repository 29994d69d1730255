"""Score files of rows with an exported model, into Parquet or CSV; killed and started again, it goes on.

`dynctr predict today/*.csv --export saved_models/clicks --keys id session --output scores` needs nothing but the
exported folder. The rows need no label, and a label is ignored.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import errors_as_messages
from pipelines.rows_options import add_rows, path_or_uri, reading_arguments

if TYPE_CHECKING:
    from dynctr_tf.export import ServedModel


def run(arguments: argparse.Namespace) -> None:
    """Scores the rows and prints how many, and how fast."""
    from dynctr_tf.export import ServedModel
    from dynctr_tf.export.versions_at_uris import versions_here

    with versions_here(arguments.export) as (folder,):
        _score(arguments, ServedModel(folder))


def _score(arguments: argparse.Namespace, served: ServedModel) -> None:
    from dynctr_tf.jobs.scoring import open_files, reading_of_export, score_files

    sources = open_files(
        arguments.rows,
        served,
        keys=arguments.keys,
        reading=reading_of_export(served, **reading_arguments(arguments)),
        on_bad_row=arguments.on_bad_row,
    )
    scored = score_files(
        sources,
        served,
        arguments.output,
        file_format=arguments.format,
        rows_per_part=arguments.rows_per_part,
        workers=arguments.workers,
    )
    for reason, count in scored.skipped.items():
        print(f"skipped {count:,} rows: {reason}")
    earlier = scored.rows - scored.new_rows
    kept = f", {earlier:,} of them by an earlier start" if earlier else ""
    print(f"{scored.rows:,} rows of {len(sources):,} files scored by {served.name}{kept}: {scored.output}")
    if scored.new_rows:
        print(f"{scored.rows_per_second:,.0f} rows/s, {scored.seconds:.1f} s without loading the model")


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and runs the job."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.predict", description=__doc__, allow_abbrev=False)
    add_rows(parser)
    parser.add_argument(
        "--export",
        type=path_or_uri,
        required=True,
        help="an export: saved_models/NAME, for its newest version, or .../NAME/3; also at a URI",
    )
    parser.add_argument(
        "--output", type=Path, required=True, help="a folder of parts, or a file that ends in .parquet or .csv"
    )
    parser.add_argument(
        "--keys", nargs="+", default=[], help="columns that are carried along with each row, such as its id"
    )
    parser.add_argument("--format", choices=("parquet", "csv"), help="of the parts of a folder; without it parquet")
    parser.add_argument("--rows-per-part", type=int, default=500_000, help="rows of a part, %(default)s")
    parser.add_argument("--workers", type=int, help="threads; without it one for each core")
    given = parser.parse_args(arguments)
    with errors_as_messages(parser):
        run(given)


if __name__ == "__main__":
    main()
