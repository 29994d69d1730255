"""Rows as a file holds them, before the schema's columns are made of them; and which of them are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

import numpy as np
import pyarrow as pa

from dynctr_tf.datasets.bad_rows import FIX_OR_SKIP, BadRowError, Problem, refused_rows, usable_rows

_MANY_BAD = 0.3


class MalformedRow(NamedTuple):
    """A row that does not have the columns of the file.

    Attributes:
        number: Its number in the file.
        line: The 1-based line on which it starts.
        reason: The reason, as it is counted.
        detail: The error.
        advice: What helps if many rows are so; empty where nothing is known.
    """

    number: int
    line: int
    reason: str
    detail: str
    advice: str


class RawRows(NamedTuple):
    """Some consecutive rows of a file.

    Attributes:
        raw: The columns that are read.
        numbers: int64 `(rows,)`, the numbers of the rows in the file.
        malformed: The rows between them that have no columns. Default none.
        line_of: Returns the 1-based line of the row of a number. Default `None`: the format has no lines.
        problems: The rows that the reader of the format refuses. Default none.
    """

    raw: list[pa.Array]
    numbers: np.ndarray
    malformed: Sequence[MalformedRow] = ()
    line_of: Callable[[int], int] | None = None
    problems: Sequence[Problem] = ()

    def refuse(self, path: str, problems: Sequence[Problem]) -> NoReturn:
        """Raises the error of the bad row that comes first in the file.

        Args:
            path: The file.
            problems: The rows that are refused beside the malformed ones; there is one of either.

        Raises:
            BadRowError: Always.
        """
        first = min(problems, key=lambda problem: int(problem.rows[0]), default=None)
        number = int(self.numbers[first.rows[0]]) if first is not None else None
        num_bad = int(refused_rows(len(self.numbers), problems).sum()) + len(self.malformed)
        looked_at = len(self.numbers) + len(self.malformed)
        many = are_many(num_bad, looked_at)

        def advice(known: str) -> str:
            if many:
                return f"{num_bad:,} of {looked_at:,} rows looked at are bad, too many to leave out. {known}"
            return f"{known} {FIX_OR_SKIP}".strip()

        if self.malformed and (number is None or self.malformed[0].number < number):
            row = self.malformed[0]
            raise BadRowError(path, "line", row.line, None, row.reason, row.detail, advice(row.advice if many else ""))
        if first is None or number is None:
            raise RuntimeError("There is no bad row to report.")
        given = "nothing" if first.given is None else repr(first.given)
        raise BadRowError(
            path,
            "row" if self.line_of is None else "line",
            number + 1 if self.line_of is None else self.line_of(number),
            first.column,
            first.reason,
            first.detail or f"expected {first.expected}, got {given}",
            advice(first.advice),
        )

    def kept(self, problems: Sequence[Problem], skipped: Counter[str]) -> np.ndarray:
        """Marks the usable rows, bool `(rows,)`, and counts the others, each by its first error.

        Args:
            problems: The rows that are refused beside the malformed ones.
            skipped: Takes the counts, by reason.
        """
        skipped.update(row.reason for row in self.malformed)
        return usable_rows(len(self.numbers), problems, skipped)


def are_many(num_bad: int, looked_at: int) -> bool:
    """Whether too many of the rows that were looked at are bad to leave them out."""
    return num_bad > max(1.0, _MANY_BAD * looked_at)
