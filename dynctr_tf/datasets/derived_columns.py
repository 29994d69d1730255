"""Delimited files whose features are made of cells, such as the hour of a time, or a scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynctr_tf.datasets.bad_rows import Problem, bad_values, refused_rows
from dynctr_tf.datasets.cell_values import as_text, null_where_missing, valid_text
from dynctr_tf.datasets.row_checks import typed_columns
from dynctr_tf.datasets.row_files import RowPaths
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.schema import Schema

Derive = Callable[[Mapping[str, pa.Array]], tuple[Mapping[str, pa.Array], list[Problem]]]
"""A function from the cells of the file, text with null where missing, to further columns and the bad rows."""


class DerivedTabularFile(TabularFile):
    """Reads a file as `TabularFile` does, and makes columns of the schema from other columns of the file.

    When to use: an original file in which a feature is a part of a cell, such as the hour in a time. A row that the
    function refuses is a bad row like others: an error names line and column, or it is left out and counted.

    Args:
        path: As in `TabularFile`.
        schema: What the columns mean, the derived ones included.
        read: The columns of the file that are read; those that the schema names too are taken as they are.
        derive: Makes the other columns of the schema.
        **options: The other arguments of `TabularFile`.

    Raises:
        ValueError: As `TabularFile`.

    Cost: as `TabularFile`, and the function, which works on whole columns.

    Example:

    >>> import pathlib, tempfile
    >>> from dynctr_tf.schema import Feature
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "clicks.csv"
    >>> _ = path.write_text("time,click\\n14102107,1\\n")
    >>> schema = Schema((Feature("hour_of_day", "categorical"),), label="click")
    >>> def derive(cells):
    ...     return {"hour_of_day": pc.utf8_slice_codeunits(cells["time"], 6, 8)}, []
    >>> source = DerivedTabularFile(path, schema, read=("time", "click"), derive=derive)
    >>> next(source.batches()).columns.to_pylist()
    [{'click': 1.0, 'hour_of_day': '07'}]
    """

    def __init__(self, path: RowPaths, schema: Schema, *, read: Sequence[str], derive: Derive, **options: Any) -> None:
        self._read = tuple(read)
        self._derive = derive
        super().__init__(path, schema, **options)

    def _columns_of_file(self) -> tuple[str, ...]:
        return self._read

    def _typed(self, raw: list[pa.Array]) -> tuple[pa.RecordBatch, list[Problem]]:
        cells, problems = text_cells(dict(zip(self._read, raw, strict=True)), self._missing)
        derived, found = self._derive(cells)
        columns, typed = typed_columns(
            [derived[name] if name in derived else cells[name] for name in self._schema.file_columns], self._schema
        )
        return columns, [*problems, *found, *typed]


def text_cells(raw: Mapping[str, pa.Array], missing: pa.Array | None) -> tuple[dict[str, pa.Array], list[Problem]]:
    """Writes raw columns as text, null where a cell is missing or not UTF-8; also returns the rows where it is not."""
    cells: dict[str, pa.Array] = {}
    problems: list[Problem] = []
    for name, values in raw.items():
        text, found = valid_text(name, as_text(values))
        cells[name] = null_where_missing(text, missing)
        problems += found
    return cells, problems


def refuse_unlike(name: str, cells: pa.Array, pattern: str, expected: str, *, optional: bool = False) -> list[Problem]:
    """Refuses the rows whose cell is missing or does not match a regular expression as a whole.

    Args:
        name: The column.
        cells: Its cells.
        pattern: The expression.
        expected: What is expected, for the message.
        optional: Whether a cell may be missing. Default `False`.
    """
    like = pc.match_substring_regex(cells, f"^(?:{pattern})$")
    bad = ~pc.fill_null(like, optional).to_numpy(zero_copy_only=False)
    missing = cells.is_null().to_numpy(zero_copy_only=False)
    return [
        *bad_values(name, f"{name} is missing", expected, bad & missing, cells),
        *bad_values(name, f"{name} is not {expected}", expected, bad & ~missing, cells),
    ]


def whole_numbers(name: str, cells: pa.Array, pattern: str, expected: str) -> tuple[np.ndarray, list[Problem]]:
    """Returns the numbers that cells hold, int64 `(rows,)`, 0 in the rows that are refused as `refuse_unlike` does.

    Args:
        name: The column.
        cells: Its cells.
        pattern: The expression that a cell matches as a whole, of at most 18 digits.
        expected: What is expected, for the message.
    """
    problems = refuse_unlike(name, cells, pattern, expected)
    bad = pa.array(refused_rows(len(cells), problems))
    return pc.if_else(bad, "0", cells).cast(pa.int64()).to_numpy(), problems


def day_of_week(days: np.ndarray) -> np.ndarray:
    """Returns the day of the week of `datetime64[D]`, 0 for Monday; int64, -1 where it is not a time."""
    numbers = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    weekdays: np.ndarray = np.where(np.isnat(days), -1, numbers)
    return weekdays
