"""Reads the small text files of research data sets, and checks every cell."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from dynctr_tf.datasets.bad_rows import BadRowError, OnBadRow, checked_on_bad_row
from dynctr_tf.datasets.cell_values import NUMBER
from dynctr_tf.datasets.csv_blocks import Dialect, blocks
from dynctr_tf.nearest import unknown_name_message

CellKind = Literal["text", "optional", "whole", "number"]

_BLOCK_BYTES = 4 << 20
_EXPECTED = {"text": "a value", "whole": "a whole number of at least 0", "number": "a finite number"}
_REASONS = {"text": "is missing", "whole": "is not a whole number", "number": "is not a number"}


class BadRows:
    """Refuses bad rows, or leaves them out and counts them.

    Args:
        on_bad_row: `"error"` or `"skip"`.

    Raises:
        ValueError: Another value.
    """

    def __init__(self, on_bad_row: OnBadRow) -> None:
        self.on_bad_row = checked_on_bad_row(on_bad_row)
        self.skipped: Counter[str] = Counter()

    def add(self, path: Path, line: int, column: str | None, reason: str, detail: str) -> None:
        """Takes note of one bad row.

        Raises:
            BadRowError: With `on_bad_row="error"`.
        """
        if self.on_bad_row == "error":
            raise BadRowError(str(path), "line", line, column, reason, detail)
        self.skipped[reason] += 1


class OriginalColumns(NamedTuple):
    """The usable rows of a file.

    Attributes:
        columns: By name: a list of texts, or float64 or int64 numbers.
        lines: int64, the 1-based line of each row.
    """

    columns: dict[str, Any]
    lines: np.ndarray


def text_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields the lines of a plain or gzip-compressed file that are not blank, with their 1-based numbers.

    Raises:
        ValueError: The file is not there or damaged.
    """
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file. Give the path of the original file.")
    # Without quotes, the ends of rows do not depend on the delimiter.
    for block in blocks(path, Dialect("\t", None), _BLOCK_BYTES):
        for offset, text in enumerate(block.data.splitlines()):
            if text.strip():
                yield block.first_line + offset, text


def _csv_records(path: Path) -> Iterator[tuple[int, list[str] | None]]:
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file. Give the path of the original file.")
    dialect = Dialect(",", '"')
    for block in blocks(path, dialect, _BLOCK_BYTES):
        for record in dialect.records(block.data, block.first_line):
            try:
                yield record.line, dialect.values(block.data[record.start : record.end])
            except UnicodeDecodeError:
                yield record.line, None


def _delimited_records(path: Path, delimiter: str, encoding: str) -> Iterator[tuple[int, list[str] | None]]:
    for line, text in text_lines(path):
        try:
            yield line, text.decode(encoding).split(delimiter)
        except UnicodeDecodeError:
            yield line, None


def _cell(kind: CellKind, text: str) -> Any:
    """Reads a cell; `None` where it is not of the kind."""
    if kind == "optional":
        return text
    if kind == "text":
        return text or None
    if kind == "whole":
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
    number = float(text) if re.match(NUMBER, text) else math.nan
    return number if math.isfinite(number) else None


def read_columns(
    path: Path, kinds: Mapping[str, CellKind], bad_rows: BadRows, *, encoding: str = "utf-8"
) -> OriginalColumns:
    """Reads a file of MovieLens: `.dat` with `::` between its cells and no header, or `.csv` with commas and a header.

    Args:
        path: The file, plain or gzip-compressed; it has a header if its name ends in `.csv` or `.csv.gz`.
        kinds: The columns and what they hold: `"text"` that is not empty, `"optional"` text, `"whole"` numbers of at
            least 0, or finite `"number"`s. A file without header has just these, in this order.
        bad_rows: What to do with bad rows.
        encoding: Of a file that is not CSV. Default `"utf-8"`.

    Raises:
        BadRowError: A row with more or fewer columns, an empty or wrong cell, or text that cannot be decoded.
        ValueError: The file is not there, damaged or empty, or lacks a column.

    Cost: about two microseconds per row and column; the rows are kept in memory.
    """
    names = list(kinds)
    records: Iterator[tuple[int, list[str] | None]]
    if path.name.removesuffix(".gz").endswith(".csv"):
        records = _csv_records(path)
        header: Sequence[str] | None = next(records, (1, []))[1]
        for name in names:
            if header is None or name not in header:
                raise ValueError(f"{path}, line 1: " + unknown_name_message("column", name, header or ()))
        places = [list(header or ()).index(name) for name in names]
        width = len(header or ())
    else:
        records = _delimited_records(path, "::", encoding)
        places, width = list(range(len(names))), len(names)
    wanted = [(name, kinds[name], place) for name, place in zip(names, places, strict=True)]
    found: list[list[Any]] = [[] for _ in names]
    lines: list[int] = []
    for line, values in records:
        if values is None:
            bad_rows.add(path, line, None, "the row is not text", f"the row is not {encoding.upper()} text")
            continue
        if len(values) != width:
            reason = "too few columns" if len(values) < width else "too many columns"
            bad_rows.add(path, line, None, reason, f"the row has {len(values)} columns, expected {width}")
            continue
        row: list[Any] = []
        for name, kind, place in wanted:
            cell = _cell(kind, values[place])
            if cell is None:
                reason = f"{name} {_REASONS[kind] if values[place] else 'is missing'}"
                bad_rows.add(path, line, name, reason, f"expected {_EXPECTED[kind]}, got {values[place]!r}")
                break
            row.append(cell)
        else:
            for column, cell in zip(found, row, strict=True):
                column.append(cell)
            lines.append(line)
    if not lines:
        raise ValueError(f"{path}: the file has no usable row. Give a file that has rows.")
    types = {"whole": np.int64, "number": np.float64}
    columns = {
        name: np.array(column, types[kinds[name]]) if kinds[name] in types else column
        for name, column in zip(names, found, strict=True)
    }
    return OriginalColumns(columns, np.array(lines, np.int64))


def codes(values: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Numbers distinct texts in the order in which they come first.

    Returns:
        int64, the number of each text, and the distinct texts.

    Example:

    >>> codes(["b", "a", "b"])
    (array([0, 1, 0]), ['b', 'a'])
    """
    known: dict[str, int] = {}
    numbers = np.fromiter((known.setdefault(value, len(known)) for value in values), np.int64, len(values))
    return numbers, list(known)


def find_file(directory: str | Path, names: Sequence[str], instructions: str) -> Path:
    """Returns the first of some files that a directory has, plain or with `.gz` after its name.

    Raises:
        ValueError: It has none of them.
    """
    for name in names:
        for path in (Path(directory) / name, Path(directory) / f"{name}.gz"):
            if path.is_file():
                return path
    raise ValueError(f"There is no {' or '.join(names)} (also with .gz) in {directory}. {instructions}")
