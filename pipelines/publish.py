"""Publish an exported version if it is not worse than the served one on given rows, or go back to an earlier one.

`dynctr publish candidates/clicks --to saved_models/clicks --rows today.csv` publishes under the next number, or ends
with status 1 and leaves everything as it is. `dynctr publish --to saved_models/clicks --rollback 3` serves version 3
again, under the next number.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dynctr_tf.uris import is_uri
from pipelines import errors_as_messages
from pipelines.rows_options import add_rows, path_or_uri, reading_arguments

if TYPE_CHECKING:
    from dynctr_tf.export import PublicationTest, ServedModel


def run(arguments: argparse.Namespace) -> None:
    """Publishes, refuses or goes back, and prints which.

    Raises:
        RuntimeError: The version is worse, or not shown to be at most the margin worse.
    """
    from dynctr_tf.export import ServedModel, newest_version, publish, roll_back, serving_line
    from dynctr_tf.export.publication import publish_at_uri, roll_back_at_uri
    from dynctr_tf.export.versions_at_uris import newest_at_uri, uri_of_version, versions_here

    to, candidate = arguments.to, arguments.candidate
    if arguments.rollback is not None:
        again = roll_back_at_uri(to, arguments.rollback) if is_uri(to) else roll_back(to, arguments.rollback)
        print(f"served again: version {arguments.rollback}, as {again}")
        return
    newest = newest_at_uri(to) if is_uri(to) else newest_version(to)
    about = {}
    if is_uri(candidate):
        candidate = uri_of_version(candidate)
        about = {"published_from": candidate}
    compared = [newest] if newest is not None and arguments.rows is not None else []
    with versions_here(candidate, *compared) as folders:
        test = None
        if newest is None:
            print(f"{to} has no version yet, so the new one is compared with none")
        elif compared:
            test = _test(arguments, [ServedModel(folder) for folder in folders])
            print(test.to_text())
        else:
            print(f"published without a test against {newest}: no --rows were given")
        published = (publish_at_uri if is_uri(to) else publish)(folders[0], to, test=test, about=about)
    if published is None:
        raise RuntimeError(f"Nothing was published; {newest} stays the newest version.")
    print(f"published: {published}")
    print(f"serve it:  {serving_line(published)}")


def _test(arguments: argparse.Namespace, exports: Sequence[ServedModel]) -> PublicationTest:
    from dynctr_tf.export import publication_test
    from dynctr_tf.jobs.judging import names_of, own_folder_of, score_labelled

    names = names_of(exports)
    scores = score_labelled(
        arguments.rows,
        exports,
        own_folder_of(arguments.rows, exports, ()),
        reading=reading_arguments(arguments),
        on_bad_row=arguments.on_bad_row,
    )
    return publication_test(
        scores.labels,
        scores.logits[names[0]],
        scores.logits[names[1]],
        weights=scores.weights,
        margin=arguments.margin,
        replicates=arguments.replicates,
        names=(names[0], names[1]),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and runs the job."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.publish", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "candidate", type=path_or_uri, nargs="?", help="the exported version, in another place than --to"
    )
    parser.add_argument(
        "--to", type=path_or_uri, required=True, help="the served model's folder or URI, such as saved_models/clicks"
    )
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
