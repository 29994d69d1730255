"""The rows of one file of JSON lines, an object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dynctr_tf.datasets.bad_rows import Problem
from dynctr_tf.datasets.bracketed_lists import parse_list
from dynctr_tf.datasets.csv_blocks import Block, Dialect, Record
from dynctr_tf.datasets.file_rows import FileOptions
from dynctr_tf.datasets.raw_rows import MalformedRow, RawRows
from dynctr_tf.datasets.row_checks import stray_brackets
from dynctr_tf.datasets.row_files import RowFile
from dynctr_tf.datasets.row_pieces import Piece
from dynctr_tf.datasets.text_rows import TextRows
from dynctr_tf.schema import Feature

_NO_OBJECT = "the line is not a JSON object"


class JsonRows(TextRows):
    """Reads a file of JSON lines; its columns are those of the first rows.

    Args:
        file: The file.
        options: How it is read.
    """

    format = "JSON lines"

    def __init__(self, file: RowFile, options: FileOptions) -> None:
        super().__init__(file, options, Dialect("\t", None))
        names: dict[str, None] = {}
        for row in self.first_objects():
            names.update(dict.fromkeys(row))
        self.names = tuple(names)

    def first_objects(self) -> Iterator[dict[str, Any]]:
        """Reads the objects of the first rows."""
        for block in self.blocks():
            for record in self.dialect.records(block.data, block.first_line):
                yield _object(block.data[record.start : record.end]) or {}
            return

    def _hint_on_absent(self) -> str:
        return " It is looked for in the first rows; does one of them have it?"

    def num_rows_of(self, block: Block) -> int:
        """Counts the rows of a block."""
        return sum(1 for _ in self._records(block))

    def _records(self, block: Block) -> Iterator[tuple[Record, bytes]]:
        """The lines of a block that are not blank."""
        for record in self.dialect.records(block.data, block.first_line):
            text = block.data[record.start : record.end]
            if text.strip():
                yield record, text

    def _rows_of_file(self, piece: Piece | None) -> Iterator[RawRows]:
        features = {feature.name: feature for feature in self.options.schema.features}
        number = 0 if piece is None else piece.first_row
        for block in self.blocks_of(piece):
            cells: dict[str, list[Any]] = {name: [] for name in self.columns}
            malformed: list[MalformedRow] = []
            lines: dict[int, int] = {}
            for record, text in self._records(block):
                try:
                    own = self._cells_of(text, features)
                except ValueError as error:
                    problem = str(error)
                    reason = "no JSON object" if problem == _NO_OBJECT else problem
                    malformed.append(MalformedRow(number, record.line, reason, problem, ""))
                else:
                    for name, cell in own.items():
                        cells[name].append(cell)
                    lines[number] = record.line
                number += 1
            raw: list[pa.Array] = []
            problems: list[Problem] = []
            for name in self.columns:
                column, found = _column(cells[name], features.get(name))
                raw.append(column)
                problems += found
            numbers = np.fromiter(lines, np.int64, len(lines))
            yield RawRows(raw, numbers, malformed, lines.__getitem__, problems)

    def _cells_of(self, text: bytes, features: Mapping[str, Feature]) -> dict[str, Any]:
        """Reads the cells of a line, `None` where one is missing.

        Raises:
            ValueError: The row is malformed; the message says why.
        """
        row = _object(text)
        if row is None:
            raise ValueError(_NO_OBJECT)
        cells, missing_values = {}, self.options.schema.missing_values
        for name in self.columns:
            cell = row.get(name)
            missing = isinstance(cell, str) and cell in missing_values
            try:
                cells[name] = None if missing else _cell(cell, features.get(name))
            except ValueError as error:
                raise ValueError(f"column {name!r} {error}") from error
        return cells


def is_json_lines(start: bytes, file: RowFile) -> bool:
    """Whether a text is JSON lines.

    Args:
        start: The first bytes of the text.
        file: The file, for the message.

    Raises:
        ValueError: It is JSON of another form.
    """
    line = start.lstrip().splitlines()[0] if start.strip() else b""
    if line[:1] == b"{":
        if _object(line) is not None or len(start) == len(line):
            return True
        if start.lstrip()[1:].lstrip()[:1] == b'"':
            raise ValueError(f"{file}: is JSON, but not with one object a line. Write JSON lines: a row a line.")
    if line[:1] == b"[" and start.lstrip()[1:].lstrip()[:1] in (b"{", b"["):
        raise ValueError(f"{file}: is one JSON array. Write JSON lines: an object a line, without commas between.")
    return False


def _object(text: bytes) -> dict[str, Any] | None:
    """Reads one line; `None` where it is not an object."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _cell(value: Any, feature: Feature | None) -> Any:
    """A cell as the text of a CSV file, which may have separators in it, or as a list of texts.

    Raises:
        ValueError: The cell holds something that it cannot; the message says what.
    """
    if feature is not None and feature.kind in ("multi_valued", "sequence"):
        if isinstance(value, str):
            _text(value)  # is it a text that UTF-8 holds?
            if feature.list_format == "separated":
                return value
            try:
                return parse_list(value) if value.strip() else None
            except ValueError as error:
                raise ValueError("is not a list in brackets") from error
        if not isinstance(value, list):
            value = None if value is None else [value]
        return value and [_text(entry) for entry in value]
    return _text(value)


def _column(cells: Sequence[Any], feature: Feature | None) -> tuple[pa.Array, list[Problem]]:
    """A column of texts, or of lists, and its bad rows."""
    if feature is None or feature.kind not in ("multi_valued", "sequence"):
        return pa.array(cells, pa.string()), []
    problems: list[Problem] = []
    if not any(isinstance(cell, list) for cell in cells):
        problems = stray_brackets(feature, pa.array(cells, pa.string()))
    lists = [cell.split(feature.separator) if isinstance(cell, str) else cell for cell in cells]
    return pa.array(lists, pa.list_(pa.string())), problems


def _text(value: Any) -> str | None:
    if value is None or value != value:
        return None
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError("holds half a letter") from error
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    raise ValueError("holds a list" if isinstance(value, list) else "holds an object")
