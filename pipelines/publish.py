"""Publish an exported version if it is not worse than the served one on given rows, or go back to an earlier one.

`dynctr publish candidates/clicks --to saved_models/clicks --rows today.csv` publishes under the next number, or ends
with status 1 and leaves everything as it is. `dynctr publish --to saved_models/clicks --rollback 3` serves version 3
again, under the next number.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipelines import errors_as_messages
from pipelines.rows_options import add_rows, reading_arguments


def run(arguments: argparse.Namespace) -> None:
    """Publishes, refuses or goes back, and prints which.

    Raises:
        RuntimeError: The version is worse, or not shown to be at most the margin worse.
    """
    from dynctr_tf.export import (
        ServedModel,
        newest_version,
        publication_test,
        publish,
        roll_back,
        serving_line,
        version_folder,
    )
    from dynctr_tf.jobs.judging import names_of, own_folder_of, score_labelled

    if arguments.rollback is not None:
        path = roll_back(arguments.to, arguments.rollback)
        print(f"served again: version {arguments.rollback}, as {path}")
        return
    newest = newest_version(arguments.to)
    test = None
    if newest is None:
        print(f"{arguments.to} has no version yet, so the new one is compared with none")
    elif arguments.rows is not None:
        exports = [ServedModel(arguments.candidate), ServedModel(newest)]
        names = names_of(exports)
        scores = score_labelled(
            arguments.rows,
            exports,
            own_folder_of(arguments.rows, exports, ()),
            reading=reading_arguments(arguments),
            on_bad_row=arguments.on_bad_row,
        )
        test = publication_test(
            scores.labels,
            scores.logits[names[0]],
            scores.logits[names[1]],
            weights=scores.weights,
            margin=arguments.margin,
            replicates=arguments.replicates,
            names=(names[0], names[1]),
        )
        print(test.to_text())
    else:
        print(f"published without a test against {newest}: no --rows were given")
    path_or_none = publish(version_folder(arguments.candidate), arguments.to, test=test)
    if path_or_none is None:
        raise RuntimeError(f"Nothing was published; {newest} stays the newest version.")
    print(f"published: {path_or_none}")
    print(f"serve it:  {serving_line(path_or_none)}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and runs the job."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.publish", description=__doc__, allow_abbrev=False)
    parser.add_argument("candidate", type=Path, nargs="?", help="the exported version, in another folder than --to")
    parser.add_argument("--to", type=Path, required=True, help="the served model's folder, such as saved_models/clicks")
    add_rows(parser, option=True)
    parser.add_argument(
        "--margin",
        type=float,
        help="a version must show that its log loss is at most this much worse; without it a version is refused if it "
        "is shown to be worse",
    )
    parser.add_argument("--replicates", type=int, default=1000, help="bootstrap resamples, %(default)s")
    parser.add_argument(
        "--rollback", type=int, metavar="VERSION", help="serve this version again, in place of a new one"
    )
    given = parser.parse_args(arguments)
    with errors_as_messages(parser):
        if (given.candidate is None) == (given.rollback is None):
            raise ValueError("Give either the exported version that is to be published, or --rollback VERSION.")
        run(given)


if __name__ == "__main__":
    main()
