"""Bad rows: the error that one is, the rows that a check refuses, and what is done with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa

from dynctr_tf.nearest import unknown_name_message

OnBadRow = Literal["error", "skip"]
ON_BAD_ROW: tuple[str, ...] = get_args(OnBadRow)

FIX_OR_SKIP = 'Fix the row, or give on_bad_row="skip" to leave such rows out and count them.'
"""The advice on a bad row."""


def checked_on_bad_row(on_bad_row: OnBadRow) -> OnBadRow:
    """Returns the argument if it is `"error"` or `"skip"`.

    Raises:
        ValueError: It is neither; the message names the nearest.
    """
    if on_bad_row not in ON_BAD_ROW:
        raise ValueError(unknown_name_message("value of on_bad_row", str(on_bad_row), ON_BAD_ROW))
    return on_bad_row


class BadRowError(ValueError):
    """A row that cannot be read.

    Attributes:
        path: The file.
        line: The 1-based line of the file on which the row starts; in a Parquet file its 1-based row.
        column: The wrong column; `None` where the row as a whole is wrong.
        reason: The reason by which it is counted when bad rows are skipped.
        given: The arguments that it was made of, and that another process makes it again of.
    """

    def __init__(
        self,
        path: str,
        place: str,
        line: int,
        column: str | None,
        reason: str,
        detail: str,
        advice: str | None = None,
    ) -> None:
        where = f"{path}, {place} {line}" + (f", column {column!r}" if column is not None else "")
        advice = FIX_OR_SKIP if advice is None else advice
        super().__init__(f"{where}: {detail}. {advice}")
        self.path = path
        self.line = line
        self.column = column
        self.reason = reason
        self.given = (path, place, line, column, reason, detail, advice)

    def __reduce__(self) -> tuple[type[BadRowError], tuple[Any, ...]]:
        # So that a process can send it to another.
        return type(self), self.given


class Problem(NamedTuple):
    """Rows of a batch that one check refuses.

    Attributes:
        column: The column.
        reason: The reason, as it is counted.
        expected: What was expected.
        rows: The rows' indices in the batch, ascending.
        given: The value in the first of them.
        detail: The error, in place of what was expected and given. Default `None`.
        advice: What helps if many rows have the problem, such as a line for the schema. Default `""`.
    """

    column: str
    reason: str
    expected: str
    rows: np.ndarray
    given: object
    detail: str | None = None
    advice: str = ""


def bad_values(
    column: str,
    reason: str,
    expected: str,
    bad: np.ndarray,
    given: pa.Array,
    *,
    detail: str | None = None,
    advice: Callable[[], str] | None = None,
) -> list[Problem]:
    """Returns the problem of the rows that are marked; none where no row is.

    Args:
        column: The column.
        reason: The reason, as it is counted.
        expected: What was expected.
        bad: bool `(rows,)`.
        given: The values of the rows.
        detail: The error, in place of what was expected and given. Default `None`.
        advice: A function that returns advice for many such rows. Default `None`: there is none.
    """
    rows = np.flatnonzero(bad)
    if not len(rows):
        return []
    first = given[int(rows[0])]
    try:
        shown = first.as_py()
    except UnicodeDecodeError:
        shown = first.as_buffer().to_pybytes()
    return [Problem(column, reason, expected, rows, shown, detail, advice() if advice is not None else "")]


def refused_rows(rows: int, problems: Sequence[Problem]) -> np.ndarray:
    """Marks the rows that have a problem: bool `(rows,)`."""
    refused = np.zeros(rows, bool)
    for problem in problems:
        refused[problem.rows] = True
    return refused


def usable_rows(rows: int, problems: Sequence[Problem], skipped: Counter[str]) -> np.ndarray:
    """Marks the rows that have no problem, bool `(rows,)`, and counts the others, each by its first one.

    Args:
        rows: How many rows there are.
        problems: The rows that are refused.
        skipped: Takes the counts, by reason.
    """
    usable = np.ones(rows, bool)
    for problem in problems:
        count = int(usable[problem.rows].sum())
        if count:
            skipped[problem.reason] += count
        usable[problem.rows] = False
    return usable
