"""Judge exported models on labelled rows: the whole report, by day and by any column, and tests between several.

`dynctr evaluate today.csv --export saved_models/clicks/3 saved_models/clicks/4 --by country --by-day time`: the others
are tested against the first. The exported folders are enough.
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


def run(arguments: argparse.Namespace) -> Path:
    """Scores the rows, judges the exports and prints the results; returns the folder of the reports."""
    from dynctr_tf.export import ServedModel
    from dynctr_tf.export.versions_at_uris import versions_here

    with versions_here(*arguments.export) as folders:
        return _judge(arguments, [ServedModel(folder) for folder in folders])


def _judge(arguments: argparse.Namespace, exports: Sequence[ServedModel]) -> Path:
    from dynctr_tf.jobs.judging import judge_exports, own_folder_of, score_labelled

    by = [column for text in arguments.by for column in text.split(",") if column]
    scenario = next((feature.name for feature in exports[0].schema.features if feature.role == "scenario"), None)
    by = list(dict.fromkeys([*by, *([] if scenario is None else [scenario])]))
    further = [column for column in (arguments.by_day, arguments.group_by) if column is not None]
    columns = list(dict.fromkeys([*by, *further]))
    folder = arguments.output or own_folder_of(arguments.rows, exports, columns)
    scores = score_labelled(
        arguments.rows,
        exports,
        folder,
        columns=columns,
        reading=reading_arguments(arguments),
        on_bad_row=arguments.on_bad_row,
    )
    for reason, count in scores.skipped.items():
        print(f"skipped {count:,} rows: {reason}")
    judged = judge_exports(
        scores,
        by=by,
        by_day=arguments.by_day,
        group_by=arguments.group_by,
        replicates=arguments.replicates,
    )
    pictures = judged.save(folder)
    print(f"\n{judged.to_text()}")
    print(f"tables, JSON and pictures: {folder} ({', '.join(picture.name for picture in pictures)})")
    return Path(folder)


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and runs the job."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.evaluate", description=__doc__, allow_abbrev=False)
    add_rows(parser)
    parser.add_argument(
        "--export",
        type=path_or_uri,
        nargs="+",
        required=True,
        help="exports, also at URIs; the others are tested against the first",
    )
    parser.add_argument(
        "--by", nargs="+", default=[], help="columns whose values split the rows; a scenario always does"
    )
    parser.add_argument("--by-day", help="a column of times; its days split the rows, too")
    parser.add_argument("--group-by", help="the column of the groups of the grouped AUC, such as user_id")
    parser.add_argument("--replicates", type=int, default=1000, help="bootstrap resamples, %(default)s")
    parser.add_argument("--output", type=Path, help="folder of the reports; without it one under runs/")
    given = parser.parse_args(arguments)
    with errors_as_messages(parser):
        if given.replicates < 40:
            raise ValueError(f"--replicates must be at least 40 for 95 % intervals, got {given.replicates}.")
        run(given)


if __name__ == "__main__":
    main()
