"""The first rows of a file, or of several, all columns, read as training reads them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from dynctr_tf.datasets.cell_values import as_text, is_list, valid_text
from dynctr_tf.datasets.csv_rows import CsvRows
from dynctr_tf.datasets.file_rows import FileRows, named_twice
from dynctr_tf.datasets.json_rows import JsonRows
from dynctr_tf.datasets.raw_rows import are_many
from dynctr_tf.datasets.row_files import RowPaths
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.schema import Feature, Schema

# Rows of this many files, from the first to the last, are looked at.
_FILES = 8
_DEFAULTS = {"delimiter": None, "quote": '"', "encoding": None, "column_names": None}
_NOTHING = Schema((Feature("\0feature", "categorical"),), label="\0label", missing_values=("",))


class Sample(NamedTuple):
    """Rows to look at.

    Attributes:
        names: The columns of the file, in its order.
        cells: The cells of each column that can be read.
        unreadable: Why the other columns cannot be read.
        num_rows: How many rows there are.
        num_left_out: How many rows were left out, because they have too few or too many columns or the like.
        is_whole: Whether these are all rows of the file.
        header: The names of the first row, equal ones too; `None` where it has none.
        options: The options of `TabularFile` with which the file is read; defaults are left out.
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
    """Files of which all columns are read, whatever they mean."""

    def __init__(self, path: RowPaths, missing_values: Sequence[str], **options: Any) -> None:
        self.names: tuple[str, ...] = ()
        self.unreadable: dict[str, str] = {}
        super().__init__(path, _NOTHING, missing_values=missing_values, **options)
        first = self._parts[0]
        csv = first if isinstance(first, CsvRows) else None
        self.recognised = csv.recognised if csv is not None else None
        self.header = csv.names if csv is not None and csv.has_header else None

    def _columns_of_file(self) -> tuple[str, ...]:
        return ()

    def _find_columns(self, rows: FileRows, first: FileRows | None) -> None:
        """Takes all columns that can be read, and those of the folders; for a further file those of the first."""
        unreadable = {name: named_twice([name]) for name, times in Counter(rows.names).items() if times > 1}
        lists: set[str] = set()
        if isinstance(rows, JsonRows):
            lists, nested = _lists_and_nested(rows)
            unreadable.update(dict.fromkeys(nested, "holds objects or lists of lists; make columns of their entries"))
        names = tuple(dict.fromkeys(rows.names))
        if first is None:
            rows.columns = tuple(name for name in names if name not in unreadable)
        else:
            rows.columns = first.columns
            absent = [name for name in rows.columns if name not in names]
            if absent and not isinstance(rows, JsonRows):
                raise ValueError(
                    f"{rows.file}: has no column {absent[0]!r}, which the first file, {first.file}, has. Write the "
                    "files with the same columns; each file of delimited text needs its header."
                )
        rows.folder_columns = {name: value for name, value in rows.file.partitions if name not in names}
        rows.wanted = (*rows.columns, *rows.folder_columns)
        # A column of lists in one file is read as lists in later files too.
        schema = rows.options.schema if first is None else first.options.schema
        lists -= {feature.name for feature in schema.features}
        features = [Feature(name, "multi_valued") for name in rows.columns if name in lists]
        schema = dataclasses.replace(schema, features=(*features, *schema.features))
        rows.options = dataclasses.replace(rows.options, schema=schema)
        if first is None:
            self.names, self.unreadable = (*names, *rows.folder_columns), unreadable

    def sample(self, max_rows: int) -> tuple[dict[str, pa.ChunkedArray], int, int, bool]:
        """Reads the first rows of the file, or of some of several.

        Returns:
            The cells, how many rows, how many were left out, and whether these are all rows.
        """
        wanted = self._parts[0].wanted
        chunks: dict[str, list[pa.Array]] = {name: [] for name in wanted}
        num_rows = malformed = 0
        places = sorted({place * (len(self._parts) - 1) // max(1, _FILES - 1) for place in range(_FILES)})
        is_whole = len(places) == len(self._parts)
        for turn, place in enumerate(places):
            part, taken = self._parts[place], 0
            own = (max_rows - num_rows) // (len(places) - turn)
            all_rows = part.rows()
            for rows in all_rows:
                malformed += len(rows.malformed)
                if rows.malformed and are_many(malformed, num_rows + taken + len(rows.numbers) + malformed):
                    rows.refuse(str(part.file), [])
                for name, cells in zip(wanted, rows.raw, strict=True):
                    if pa.types.is_string(cells.type):
                        cells, problems = valid_text(name, cells)
                        if problems:
                            rows.refuse(str(part.file), problems)
                    chunks[name].append(cells.slice(0, own - taken))
                is_whole &= taken + len(rows.numbers) <= own
                taken += min(len(rows.numbers), own - taken)
                if taken >= own:
                    break
            num_rows += taken
            is_whole = is_whole and next(all_rows, None) is None
        if not num_rows:
            raise ValueError(f"{self._name}: there is no usable row. Give a file that has a header and rows.")
        return {name: _one_type(cells) for name, cells in chunks.items()}, num_rows, malformed, is_whole


def _lists_and_nested(rows: JsonRows) -> tuple[set[str], set[str]]:
    """The columns that hold lists in the first rows, and those that hold objects or lists of lists."""
    lists, nested = set(), set()
    for row in rows.first_objects():
        for name, value in row.items():
            entries = value if isinstance(value, list) else [value]
            if any(isinstance(entry, (dict, list)) for entry in entries):
                nested.add(name)
            elif isinstance(value, list):
                lists.add(name)
    return lists, nested


def _one_type(cells: list[pa.Array]) -> pa.ChunkedArray:
    """The cells of several files, as text or lists of text where their types differ."""
    if len({cell.type for cell in cells}) > 1:
        are_lists = any(is_list(cell.type) for cell in cells)
        cells = [_lists_of_text(cell) if are_lists else as_text(cell) for cell in cells]
    return pa.chunked_array(cells)


def _lists_of_text(cells: pa.Array) -> pa.Array:
    kind = pa.list_(pa.string())
    if is_list(cells.type) or pa.types.is_null(cells.type):
        return cells.cast(kind)
    return pa.array([None if text is None else [text] for text in as_text(cells).to_pylist()], kind)


def read_sample(path: RowPaths, max_rows: int, missing_values: Sequence[str], given: Mapping[str, Any]) -> Sample:
    """Reads the first rows of a file, as `TabularFile` reads them.

    Args:
        path: The file, or several, of which some are looked at.
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
