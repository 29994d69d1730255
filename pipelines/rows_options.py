"""The options of jobs that read rows for an exported model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dynctr_tf.uris import is_uri


def path_or_uri(text: str) -> str | Path:
    """A value of an option that names a folder: a URI stays a text, of which a path would make another."""
    return text if is_uri(text) else Path(text)


def add_rows(parser: argparse.ArgumentParser, *, option: bool = False) -> None:
    """Adds options for the files of rows, and for reading them in another way than in the training.

    Args:
        parser: The job's parser.
        option: Whether the rows are given as `--rows` and may be left out. Default `False`.
    """
    parser.add_argument(
        "--rows" if option else "rows",
        nargs="+",
        help="files of rows (CSV, JSON lines, Parquet; compressed or not), folders or patterns",
    )
    parser.add_argument(
        "--on-bad-row", choices=("error", "skip"), default="error", help="stop at a bad row, or skip and count it"
    )
    how = parser.add_argument_group("how files of text are read, if not as in the training")
    how.add_argument("--delimiter", help="between the values")
    how.add_argument("--column-names", nargs="+", help="the columns of files that have no header")
    how.add_argument("--encoding", help="such as latin-1")


def reading_arguments(given: argparse.Namespace) -> dict[str, Any]:
    """The options of the command line about reading files; `None` for those that are not given."""
    names = tuple(given.column_names) if given.column_names else None
    return {"delimiter": given.delimiter, "column_names": names, "encoding": given.encoding}
