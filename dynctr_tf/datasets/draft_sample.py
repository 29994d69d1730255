"""The first rows of a file, all columns, read as training reads them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from dynctr_tf.datasets.row_checks import valid_text
from dynctr_tf.datasets.tabular_file import TabularFile, json_object, named_twice
from dynctr_tf.schema import Feature, Schema

_DEFAULTS = {"delimiter": None, "quote": '"', "encoding": None, "column_names": None}
_NOTHING = Schema((Feature("\0feature", "categorical"),), label="\0label", missing_values=("",))


class Sample(NamedTuple):
    """Rows to look at.

    Attributes:
        names: The columns of the file, in its order.
        cells: The cells of each column that can be read.
        unreadable: Why the others cannot.
        num_rows: How many rows there are.
        num_left_out: How many were not taken, since they have too few or too many columns or the like.
        is_whole: Whether these are all rows of the file.
        header: The names of the first row, equal ones too; `None` where it has none.
        options: The options of `TabularFile` with which the file is read, those that are not its defaults.
    """

    names: tuple[str, ...]
    cells: dict[str, pa.ChunkedArray]
    unreadable: dict[str, str]
    num_rows: int
    num_left_out: int
    is_whole: bool
    header: tuple[str, ...] | None
    options: dict[str, Any]


class _AllColumns(TabularFile):
    """A file of which all columns are read, whatever they mean."""

    def __init__(self, path: Path, missing_values: Sequence[str], **options: Any) -> None:
        self.names: tuple[str, ...] = ()
        self.unreadable: dict[str, str] = {}
        self.recognised: str | None = None
        self.header: tuple[str, ...] | None = None
        super().__init__(path, _NOTHING, missing_values=missing_values, **options)

    def _columns_of_file(self) -> tuple[str, ...]:
        return ()

    def _recognised_delimiter(
        self, start: bytes, column_names: Sequence[str] | None, quote: str | None, usual: str
    ) -> str:
        found = super()._recognised_delimiter(start, column_names, quote, usual)
        self.recognised = found if found != usual else None
        return found

    def _check_columns(self, names: Sequence[str]) -> None:
        self.header = None if self._parquet or self._json or self._given_names else tuple(names)
        self.names = tuple(dict.fromkeys(names))
        self.unreadable = {name: named_twice([name]) for name, times in Counter(names).items() if times > 1}
        self._file_columns = tuple(name for name in self.names if name not in self.unreadable)

    def _open_json(self) -> None:
        super()._open_json()
        lists, block = set(), next(self._blocks())
        for record in self._dialect.records(block.data, block.first_line):
            row = json_object(block.data[record.start : record.end]) or {}
            for name, value in row.items():
                entries = value if isinstance(value, list) else [value]
                if any(isinstance(entry, (dict, list)) for entry in entries):
                    self.unreadable[name] = "holds objects or lists of lists; make columns of their entries"
                elif isinstance(value, list):
                    lists.add(name)
        self._file_columns = tuple(name for name in self.names if name not in self.unreadable)
        features = [Feature(name, "multi_valued") for name in self._file_columns if name in lists]
        self._schema = dataclasses.replace(self._schema, features=(*features, *self._schema.features))

    def sample(self, max_rows: int) -> tuple[dict[str, pa.ChunkedArray], int, int, bool]:
        """Reads the first rows: the cells, how many rows, how many were left out, and whether these are all."""
        chunks: dict[str, list[pa.Array]] = {name: [] for name in self._file_columns}
        num_rows = malformed = 0
        all_rows = self._raw_rows()
        for rows in all_rows:
            malformed += len(rows.malformed)
            if rows.malformed and self._are_many(malformed, num_rows + len(rows.numbers) + malformed):
                self._refuse(rows, [])
            for name, cells in zip(self._file_columns, rows.raw, strict=True):
                if pa.types.is_string(cells.type):
                    cells, problems = valid_text(name, cells)
                    if problems:
                        self._refuse(rows, problems)
                chunks[name].append(cells)
            num_rows += len(rows.numbers)
            if num_rows >= max_rows:
                break
        if not num_rows:
            raise ValueError(f"{self.path}: the file has no usable row. Give a file that has a header and rows.")
        cells = {name: pa.chunked_array(parts).slice(0, max_rows) for name, parts in chunks.items()}
        is_whole = num_rows <= max_rows and next(all_rows, None) is None
        return cells, min(num_rows, max_rows), malformed, is_whole


def read_sample(path: Path, max_rows: int, missing_values: Sequence[str], given: Mapping[str, Any]) -> Sample:
    """Reads the first rows of a file, as `TabularFile` reads them.

    Args:
        path: The file.
        max_rows: How many rows are read at most.
        missing_values: The texts that mean a missing value.
        given: Other options of `TabularFile`.

    Raises:
        ValueError: As `TabularFile` raises it.
    """
    file = _AllColumns(path, missing_values, **given)
    cells, num_rows, num_left_out, is_whole = file.sample(max_rows)
    options = {name: value for name, value in given.items() if value != _DEFAULTS[name]}
    if file.recognised is not None:
        options["delimiter"] = file.recognised
    return Sample(file.names, cells, file.unreadable, num_rows, num_left_out, is_whole, file.header, options)
