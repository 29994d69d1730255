"""Rows from the user's own CSV, JSON lines or Parquet files."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from dynctr_tf.datasets.bracketed_lists import parse_list
from dynctr_tf.datasets.column_splits import ColumnSplit, TimeCounts, TimeReader, TimeSplit, UserSplit, given_begins
from dynctr_tf.datasets.csv_blocks import DELIMITERS, Block, Dialect, blocks, opened, recognised_delimiter
from dynctr_tf.datasets.row_checks import (
    NUMBER,
    BadRowError,
    Problem,
    check_type,
    is_list,
    is_text,
    label_advice,
    refused_rows,
    stray_brackets,
    typed_columns,
)
from dynctr_tf.datasets.row_files import (
    RowFile,
    RowPaths,
    file_states,
    list_row_files,
    refuse_changed_files,
    row_paths,
)
from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.datasets.splits import (
    DEFAULT_SHARES,
    OrderSplit,
    RandomSplit,
    split_rule,
    whole_splits,
)
from dynctr_tf.datasets.text_streams import checked_encoding
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import Feature, Schema

_Split = RandomSplit | OrderSplit | ColumnSplit
OnBadRow = Literal["error", "skip"]
ON_BAD_ROW: tuple[str, ...] = get_args(OnBadRow)

_BLOCK_BYTES = 2 << 20
_PARQUET_ROWS = 65_536
# So many files are read one by a process, those that are small; of fewer or larger ones, parts of each.
_MANY_FILES = 16
_WHOLE_BYTES = 32 << 20
_LABELS_KEPT = 10_000
_START_BYTES = 1 << 16
_MANY_BAD = 0.3
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# A label, perhaps a query, and features with their values, perhaps after their field: 1 qid:7 3:1 0:12:0.5
_SPARSE_ROW = re.compile(r"[-+]?[0-9][0-9.eE+-]*(\s+qid:[0-9]+)?(\s+([0-9]+:)?[0-9]+:[-+]?[0-9.][0-9.eE+-]*)+\s*(#.*)?")
_MOST_SHOWN = 60

_LOG = logging.getLogger(__name__)


class _Malformed(NamedTuple):
    """A row that does not have the columns of the file."""

    number: int
    line: int
    reason: str
    detail: str
    advice: str


class _Rows(NamedTuple):
    """A batch of raw columns, the numbers of its rows in the file, the rows that were not parsed, and the bad rows."""

    raw: list[pa.Array]
    numbers: np.ndarray
    end: int
    malformed: Sequence[_Malformed] = ()
    line_of: Callable[[int], int] | None = None
    problems: Sequence[Problem] = ()


class Piece(NamedTuple):
    """Consecutive rows of one file that can be read separately; the whole file where no part is named.

    Attributes:
        part: Which file of the source it is.
        first_row: The number of its first row in the file.
        block: The text that holds the rows. Default `None`.
        groups: The groups of rows of a Parquet file. Default none.
        nbytes: How large it is about; compressed where the file is and the piece is all of it. Default 0: not known.
    """

    part: int
    first_row: int
    block: Block | None = None
    groups: tuple[int, ...] = ()
    nbytes: int = 0


@dataclasses.dataclass
class Findings:
    """Sums over all rows that the end of a reading needs, also when rows were read in pieces.

    Args:
        rows: How many were usable. Default 0.
        clicks: The sum of their labels. Default 0.0.
        weight: The sum of the weights of the training rows. Default 0.0.
        skipped: How many were left out, by reason. Default none.
        labels: The first labels, as they are in the file. Default `None`.
    """

    rows: int = 0
    clicks: float = 0.0
    weight: float = 0.0
    skipped: Counter[str] = dataclasses.field(default_factory=Counter)
    labels: pa.Array | None = None

    def add(self, other: Findings) -> None:
        """Adds those of further rows, in the order of the rows."""
        self.rows += other.rows
        self.clicks += other.clicks
        self.weight += other.weight
        self.skipped.update(other.skipped)
        self.labels = other.labels if self.labels is None else self.labels


class TabularFile:
    """Reads CSV, JSON lines or Parquet files in columnar batches, in memory that does not depend on their size.

    When to use: training on your own rows. The files stay as they are; the schema says what the columns mean, and other
    columns are ignored. Cells are never guessed: a row that does not fit the schema is an error that names file, line
    and column, or is left out and counted. A value means the same in every format: its text is that of a CSV file,
    whole numbers in full and without a fraction.

    What is a bad row: too few or too many columns; a numeric cell, weight or probability that is not a finite number; a
    label that is missing or that the schema does not allow; a weight or probability that is missing or out of range; a
    list in brackets that cannot be read; a cell that is not UTF-8. A blank line is not a row. An error of the file as a
    whole always stops the reading: an absent or empty file, a missing column, a quote that is never closed, a damaged
    file, no click at all where the schema says what counts as one, weights that are all 0.

    Several files are read one after another, as `list_row_files` orders them. All are of one format, and each has all
    columns that are read; where the folders of a file are called `name=value`, that is a column too, unless the file
    has it. The random split goes by a row's number within its file, so that files can be read separately.

    Args:
        path: A CSV file, JSON lines (an object a line) or a Parquet file; text may be compressed with gzip, bz2,
            zstd, xz, lz4 or as the only file of a zip archive. The content decides which it is. Or a folder, a
            pattern, a URI or a list of these, as `list_row_files` takes them.
        schema: What the columns mean.
        splits: Split name to share, `"train"` first, summing to 1. Default: 70 % train, 10 % validation,
            20 % test.
        on_bad_row: `"error"`, or `"skip"` to leave bad rows out and count them in `skipped`.
            Default `"error"`.
        split_by: `"random"` (by seed and row number), `"order"` (first rows train, last ones test; counts
            the rows first, in one more pass over a file of text), `"time:COLUMN"` (earliest times train, latest ones
            test; looks at the column first, in one more pass), `"time:COLUMN@BEGIN,BEGIN"` (the times at which the
            splits after the first begin, in place of their shares), `"user:COLUMN"` (all rows of a user in one
            split), `"file"` (whole files, the first ones train) or `"partition:COLUMN"` (whole folders `COLUMN=...`,
            in the order of their values). A column need not be in the schema. Default `"random"`.
        seed: Of the random split and of that by user. Default 0.
        column_names: The columns of a CSV file that has no header. Default `None`: the first row is the header; blanks
            around its names are stripped.
        delimiter: Between the values of a CSV file. Default `None`: recognised from the first row, which has to hold
            the schema's columns.
        quote: Encloses values of a CSV file in which delimiters or line ends stand; `None` where it has no
            meaning. Default `'"'`.
        missing_values: Texts that mean a missing value, in place of the schema's. NaN is always one.
            Default `None`: those of the schema.
        encoding: The encoding of a file of text, such as `"latin-1"`. Default `None`: UTF-8, or UTF-16 or UTF-32
            where the file starts with their mark.

    Raises:
        ValueError: An unknown argument value; a file that is absent, empty, damaged or lacks a column; on
            reading, a bad row (`BadRowError`, with its `line` and `column`), or no row left over.

    Cost: 270 000 rows/s for gzip-compressed rows of 40 columns on one core; a block that has a bad row costs
    several times as much, JSON lines about ten times.

    Example:

    >>> from dynctr_tf.schema import Feature, Schema
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "clicks.csv"
    >>> _ = path.write_text("user,age,click\\nanna,31,1\\nbert,,0\\n")
    >>> schema = Schema((Feature("user", "categorical", role="user"), Feature("age", "numeric")), label="click")
    >>> [batch.columns.to_pydict() for batch in TabularFile(path, schema).batches()]
    [{'click': [1.0, 0.0], 'user': ['anna', 'bert'], 'age': [31.0, None]}]
    """

    def __init__(
        self,
        path: RowPaths,
        schema: Schema,
        *,
        splits: Mapping[str, float] = DEFAULT_SHARES,
        on_bad_row: OnBadRow = "error",
        split_by: str = "random",
        seed: int = 0,
        column_names: Sequence[str] | None = None,
        delimiter: str | None = None,
        quote: str | None = '"',
        missing_values: Sequence[str] | None = None,
        encoding: str | None = None,
    ) -> None:
        if on_bad_row not in ON_BAD_ROW:
            raise ValueError(unknown_name_message("value of on_bad_row", str(on_bad_row), ON_BAD_ROW))
        if isinstance(missing_values, str):
            raise ValueError(f"missing_values must be a sequence of texts, got the text {missing_values!r}.")
        if isinstance(column_names, str):
            raise ValueError(f"column_names must be a sequence of names, got the text {column_names!r}.")
        self.on_bad_row = on_bad_row
        self.split_by = split_by
        self._rule = split_rule(split_by)
        self._paths = path
        self._all_files = list_row_files(path)
        self._states = file_states(self._all_files)
        self.path = self._all_files[0]
        if missing_values is not None:
            schema = dataclasses.replace(schema, missing_values=tuple(missing_values))
        self.missing_values = schema.missing_values
        self.encoding = None if encoding is None else checked_encoding(encoding)
        self._schema = schema
        self._wanted = self._columns_of_file()
        needed = self._rule.column if self._rule.way in ("time", "user") else None
        if needed is not None and needed not in self._wanted:
            self._wanted = (*self._wanted, needed)
        self._file_columns = self._wanted
        self._folder_columns: dict[str, str | None] = {}
        self._kinds: dict[str, str] = {}
        self._random = RandomSplit(dict(splits), seed)
        self._column_split: ColumnSplit | None = None
        self._num_rows: int | None = None
        self._num_records: int | None = None
        self._skipped: dict[str, int] = {}
        self._first: TabularFile | None = None
        self._given_names = column_names is not None
        self._open(column_names, delimiter, quote)
        self._parts = [self, *(self._another(file, column_names, quote) for file in self._all_files[1:])]
        self._part_splits = self._splits_of_parts()

    def _open(self, column_names: Sequence[str] | None, delimiter: str | None, quote: str | None) -> None:
        """Finds the format of the file, and checks that it has the columns."""
        if not self._states[self.path.path].size:
            advice = "Give a file that has rows." if len(self._all_files) == 1 else "Delete it, or leave it out."
            raise ValueError(f"{self.path}: the file is empty. {advice}")
        try:
            with self.path.open() as file:
                self._parquet = bytes(file.read(4)) == b"PAR1"
        except OSError as error:
            raise ValueError(f"{self.path}: cannot be read: {' '.join(str(error).split())}.") from error
        self._json = False
        if self._parquet:
            self._open_parquet()
        else:
            start = self._start()
            self._json = not self._given_names and _is_json_line(start, self.path)
            if self._json:
                self._dialect = Dialect("\t", None)
                self._open_json()
            else:
                self._open_csv(start, column_names, delimiter, quote)

    def _another(self, file: RowFile, column_names: Sequence[str] | None, quote: str | None) -> TabularFile:
        """Opens a further file, which must have the format and the columns of the first."""
        part = copy.copy(self)
        part.path, part._first, part._file_columns, part._folder_columns = file, self, self._wanted, {}
        part._num_records, part._kinds = None, {}
        part._open(column_names, None if self._parquet or self._json else self._dialect.delimiter, quote)
        if part._format != self._format:
            raise ValueError(
                f"{file}: is {part._format}, and {self.path} is {self._format}. Give files of one format, or one after "
                "the other."
            )
        for name, kind in part._kinds.items():
            other = self._kinds.get(name, kind)
            if not _are_alike(kind, other):
                raise ValueError(
                    f"{file}: its column {name!r} holds {kind}, and in {self.path} it holds {other}. Write the files "
                    "with one type for each column."
                )
        return part

    @property
    def _format(self) -> str:
        return "a Parquet file" if self._parquet else "JSON lines" if self._json else "delimited text"

    def _splits_of_parts(self) -> list[int] | None:
        """The split of each file, where whole files or folders are split; `None` where rows are."""
        if self._rule.way == "file":
            return whole_splits([str(place) for place in range(len(self._parts))], self._random.shares, "files")
        if self._rule.way != "partition":
            return None
        names = [name for name, _ in self.path.partitions]
        column = self._rule.column or (names[0] if names else "")
        if column not in names:
            raise ValueError(
                f"{self.path}: split_by={self.split_by!r} needs folders called {column or 'COLUMN'}=...; those of the "
                f"files give the columns {names}."
            )
        values = [dict(part.path.partitions)[column] or "" for part in self._parts]
        return whole_splits(values, self._random.shares, f"values of {column!r}")

    def _columns_of_file(self) -> tuple[str, ...]:
        """The columns that are read from the file; a subclass may read others and make the schema's columns of them."""
        return self._schema.file_columns

    def _typed(self, raw: list[pa.Array]) -> tuple[pa.RecordBatch, list[Problem]]:
        """Makes the schema's columns of those that were read."""
        return typed_columns(raw, self._schema, self._missing())

    @property
    def schema(self) -> Schema:
        """What the columns mean."""
        return self._schema

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits, `"train"` first."""
        return self._random.names

    @property
    def num_rows(self) -> int | None:
        """How many usable rows there are, where that is known before or after a reading."""
        if self._num_rows is None and self.on_bad_row == "error":
            counts = [part._num_records for part in self._parts]
            known = [count for count in counts if count is not None]
            return sum(known) if len(known) == len(counts) else None
        return self._num_rows

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many rows the last complete reading left out, by reason."""
        return dict(self._skipped)

    @property
    def files(self) -> tuple[Path | RowFile, ...]:
        """The files that are read; a file of this machine without partitions is given as its path."""
        return tuple(file if file.partitions or file.local is None else file.local for file in self._all_files)

    @property
    def all_files(self) -> tuple[RowFile, ...]:
        """The files that are read, with the columns that their folders give."""
        return self._all_files

    @property
    def options_of_rows(self) -> dict[str, Any]:
        """All that decides which rows are read of the files, in which splits, as JSON has it."""
        dialect = [self._dialect.delimiter, self._dialect.quote] if not self._parquet else None
        return {
            "schema": self._schema.to_json(),
            "missing_values": list(self.missing_values),
            "splits": [dict(self._random.shares), self.split_by, self._random.seed],
            "on_bad_row": self.on_bad_row,
            "encoding": self.encoding,
            "dialect": dialect,
            "columns": None if self._parquet or self._json else [list(self.column_names), self._given_names],
            "partitions": [list(file.partitions) for file in self._all_files],
        }

    @property
    def _name(self) -> str:
        """The name of the source in messages about all rows."""
        if len(self._parts) == 1:
            return str(self.path)
        return f"{self.path} and {len(self._parts) - 1} more"

    def batches(self) -> Iterator[RowBatch]:
        """Reads all rows once.

        Raises:
            BadRowError: A bad row, with `on_bad_row="error"`.
            ValueError: Damaged data, or no usable row at all.
        """
        split, found = self._split(), Findings()
        for number, part in enumerate(self._parts):
            for rows in part._raw_rows():
                batch = self._usable(number, rows, split, found)
                if batch is not None:
                    yield batch
        self.finish(found)

    def pieces(self) -> Iterator[Piece]:
        """Cuts the rows into pieces that can be read separately, also by other processes with a copy of this source.

        Text is cut here, so that numbers and lines of rows are known; of many files a small one is one piece, and
        groups of rows are of a Parquet file. Where rows are split by a column or by their order, that is looked at
        first; copies of the source are to be made after the first piece has been given.
        """
        self._split()
        many = len(self._parts) >= _MANY_FILES
        for number, part in enumerate(self._parts):
            size = self._states[part.path.path].size
            if many and size <= _WHOLE_BYTES:
                yield Piece(number, 0, nbytes=size)
            elif part._parquet:
                yield from part._groups(number)
            else:
                row = 0
                for block in part._blocks():
                    yield Piece(number, row, block, nbytes=len(block.data))
                    row += part._num_rows_of(block)

    def shards(self) -> Iterator[Piece]:
        """Cuts the rows into pieces that hold no text, for machines that read the files themselves.

        A file of text is one, and so are groups of rows of a Parquet file.
        """
        self._split()
        for number, part in enumerate(self._parts):
            if part._parquet:
                yield from part._groups(number)
            else:
                yield Piece(number, 0, nbytes=self._states[part.path.path].size)

    def read_piece(self, piece: Piece, found: Findings) -> Iterator[RowBatch]:
        """Reads the rows of a piece.

        Args:
            piece: One that `pieces` gave.
            found: Takes what `finish` needs.

        Raises:
            ValueError: As `batches`, but not for errors that only all rows together show.
        """
        split, part = self._split(), self._parts[piece.part]
        for rows in part._raw_rows(piece):
            batch = self._usable(piece.part, rows, split, found)
            if batch is not None:
                yield batch

    def _usable(self, number: int, rows: _Rows, split: _Split, found: Findings) -> RowBatch | None:
        """Makes the schema's columns of raw rows and assigns each row to its split."""
        part = self._parts[number]
        if found.labels is None and self._schema.label in self._wanted:
            labels = rows.raw[self._wanted.index(self._schema.label)]
            # A copy, which does not keep the whole column.
            found.labels = labels.take(pa.array(np.arange(min(_LABELS_KEPT, len(labels)))))
        columns, problems = self._typed(rows.raw[: len(self._columns_of_file())])
        problems += rows.problems
        numbers = rows.numbers.astype(np.uint64) + (np.uint64(number) << np.uint64(40))
        splits, unsplit = self._assigned(number, split, rows)
        problems += unsplit
        if problems or rows.malformed:
            if self.on_bad_row == "error":
                part._refuse(rows, problems)
            kept = self._kept(rows, problems, found.skipped)
            columns, splits, numbers = columns.filter(pa.array(kept)), splits[kept], numbers[kept]
        if not columns.num_rows:
            return None
        found.rows += columns.num_rows
        found.clicks += pc.sum(columns.column(self._schema.label)).as_py()
        if self._schema.row_weight is not None:
            own = columns.column(self._schema.row_weight).to_numpy(zero_copy_only=False)[splits == 0]
            found.weight += float(own.astype(np.float32).sum(dtype=np.float64))
        return RowBatch(columns, splits, numbers)

    def finish(self, found: Findings) -> None:
        """Ends a reading of all rows: raises the errors that only all rows together show, and keeps their number.

        Args:
            found: What was found in them.

        Raises:
            ValueError: No usable row at all, no click, or weights that are all 0.
            RuntimeError: A file that appeared, went away or changed while several were read.
        """
        if len(self._all_files) > 1 or list(row_paths(self._paths)) != [self.path.path]:
            refuse_changed_files(self._paths, self._states)
        if not found.rows:
            left_out = f"; left out: {dict(found.skipped)}" if found.skipped else ""
            what = "the file has" if len(self._parts) == 1 else "the files have"
            raise ValueError(f"{self._name}: {what} no usable row{left_out}. Give a file that has rows.")
        if self._schema.positive is not None and not found.clicks and found.labels is not None:
            raise ValueError(
                f"{self._name}: no row's label {self._schema.label!r} is {self._schema.positive!r}, which counts as a "
                f'click in the schema ("positive"). {label_advice(found.labels)}'
            )
        if self._schema.row_weight is not None and not found.weight:
            raise ValueError(
                f"{self._name}: the weights {self._schema.row_weight!r} of the training rows are all 0 (in float32), "
                "so no row counts. Give weights above 0, or take the column out of the schema."
            )
        self._num_rows, self._skipped = found.rows, dict(found.skipped)

    def _raw_rows(self, piece: Piece | None = None) -> Iterator[_Rows]:
        """Reads the columns of this file, all rows or those of a piece, with those that its folders give."""
        if self._parquet:
            reader = self._parquet_rows(piece)
        else:
            reader = self._json_rows(piece) if self._json else self._csv_rows(piece)
        try:
            if not self._folder_columns:
                yield from reader
                return
            for rows in reader:
                raw = dict(zip(self._file_columns, rows.raw, strict=True))
                for name, value in self._folder_columns.items():
                    raw[name] = pa.repeat(pa.scalar(value, pa.string()), len(rows.numbers))
                yield rows._replace(raw=[raw[name] for name in self._wanted])
        except FileNotFoundError as error:
            raise RuntimeError(
                f"{self.path} went away while the rows were read. Start again when nothing is written there any more."
            ) from error

    def _blocks_of(self, piece: Piece | None) -> Iterator[Block]:
        return self._blocks() if piece is None or piece.block is None else iter((piece.block,))

    def _num_rows_of(self, block: Block) -> int:
        """The number of rows of a block of text, as the reader of its format counts them."""
        if not self._json:
            return self._dialect.num_records(block.data)
        records = self._dialect.records(block.data, block.first_line)
        return sum(bool(block.data[record.start : record.end].strip()) for record in records)

    def _groups(self, number: int) -> Iterator[Piece]:
        """Cuts a Parquet file into groups of rows of at least about a batch."""
        with self._opened_parquet() as file:
            metadata = [file.metadata.row_group(group) for group in range(file.num_row_groups)]
            sizes = [(group.num_rows, group.total_byte_size) for group in metadata]
        first, row, groups, nbytes = 0, 0, [], 0
        for group, (size, size_bytes) in enumerate(sizes):
            groups.append(group)
            row, nbytes = row + size, nbytes + size_bytes
            if row - first >= _PARQUET_ROWS or group == len(sizes) - 1:
                yield Piece(number, first, groups=tuple(groups), nbytes=nbytes)
                first, groups, nbytes = row, [], 0

    def _split(self) -> _Split:
        if self._part_splits is not None or self.split_by == "random":
            return self._random
        if self._rule.column is not None:
            if self._column_split is None:
                self._column_split = self._split_of(self._rule.column)
            return self._column_split
        for part in self._parts:
            if part._num_records is None:
                part._num_records = sum(part._num_rows_of(block) for block in part._blocks())
        total = sum(part._num_records or 0 for part in self._parts)
        if total < len(self.split_names):
            raise ValueError(
                f"{self._name}: {total} rows cannot be cut into {len(self.split_names)} splits. "
                "Give a file that has more rows."
            )
        return OrderSplit(total, self._random.shares)

    def _split_of(self, column: str) -> ColumnSplit:
        if self._rule.way == "user":
            return UserSplit(column, self._random.shares, self._random.seed)
        reader = TimeReader(column)
        counts = TimeCounts()
        for values, missing in self.cells(column):
            counts.add(reader.read(values, missing)[0])
            if self._rule.begins:
                break  # the first rows show how times are written
        if self._rule.begins:
            return TimeSplit(reader, given_begins(self._rule, reader, self.split_names))
        try:
            return TimeSplit(reader, counts.begins(self._random.shares, column))
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error

    def _assigned(self, number: int, split: _Split, rows: _Rows) -> tuple[np.ndarray, list[Problem]]:
        """The split of each row of a file, and the rows that have no split."""
        if self._part_splits is not None:
            return np.full(len(rows.numbers), self._part_splits[number], np.int8), []
        if isinstance(split, RandomSplit):
            return split.assign(rows.numbers, stream=number), []
        if isinstance(split, OrderSplit):
            before = sum(part._num_records or 0 for part in self._parts[:number])
            return split.assign(before + rows.numbers), []
        values = rows.raw[self._wanted.index(str(self._rule.column))]
        # Rows without a user are numbered over all files.
        return split.assign(values, (number << 40) + rows.numbers, self._missing())

    def cells(self, column: str) -> Iterator[tuple[pa.Array, pa.Array | None]]:
        """Reads one raw column of the files, with the texts that mean a missing value.

        Args:
            column: The column; rows that have too few or too many are left out.

        Raises:
            ValueError: A file has no such column.
        """
        for part in self._parts:
            reader = copy.copy(part)
            names = part._names_in_file()
            reader._folder_columns = part._of_folders([column], names)
            if reader._folder_columns:
                reader._wanted = (*part._file_columns, column)
            else:
                part._refuse_absent(column, names)
                reader._file_columns = reader._wanted = (column,)
            for rows in reader._raw_rows():
                yield rows.raw[reader._wanted.index(column)], self._missing()

    def _names_in_file(self) -> list[str]:
        if self._parquet:
            with self._opened_parquet() as file:
                return list(file.schema_arrow.names)
        return self._json_names() if self._json else list(self.column_names)

    def _of_folders(self, wanted: Sequence[str], names: Sequence[str]) -> dict[str, str | None]:
        """The columns that the folders give, where the file itself has none of the name."""
        folders = dict(self.path.partitions)
        given = {name: folders[name] for name in wanted if name in folders and name not in names}
        return {name: None if value in self.missing_values else value for name, value in given.items()}

    def _refuse_absent(self, column: str, names: Sequence[str]) -> None:
        if column not in names:
            raise ValueError(
                f"{self.path}: the column {column!r} that decides the split is not in the file. "
                + unknown_name_message("column", column, [*names, *dict(self.path.partitions)])
            )

    @property
    def split_notes(self) -> tuple[str, ...]:
        """The times at which the splits begin, if times decide and have been read."""
        if not isinstance(self._column_split, TimeSplit):
            return ()
        spelt = map(self._column_split.reader.spelt, self._column_split.begins)
        begins = [f"{name} from {time}" for name, time in zip(self.split_names[1:], spelt, strict=True)]
        return (f"split by {self._rule.column!r}: {', '.join(begins)}",) if begins else ()

    def _missing(self) -> pa.Array | None:
        # The CSV parser has made them null already.
        if not self._parquet and not self._json:
            return None
        return pa.array(self.missing_values, pa.string()) if self.missing_values else None

    # Bad rows

    @staticmethod
    def _are_many(num_bad: int, looked_at: int) -> bool:
        """Whether too many rows are bad to leave them out."""
        return num_bad > max(1.0, _MANY_BAD * looked_at)

    def _refuse(self, rows: _Rows, problems: Sequence[Problem]) -> None:
        """Raises the error of the bad row that comes first in the file."""
        first = min(problems, key=lambda problem: int(problem.rows[0]), default=None)
        number = int(rows.numbers[first.rows[0]]) if first is not None else None
        num_bad = int(refused_rows(len(rows.numbers), problems).sum()) + len(rows.malformed)
        looked_at = len(rows.numbers) + len(rows.malformed)
        many = self._are_many(num_bad, looked_at)

        def advice(known: str) -> str:
            if many:
                return f"{num_bad:,} of {looked_at:,} rows looked at are bad, too many to leave out. {known}"
            return f'{known} Fix the row, or give on_bad_row="skip" to leave such rows out and count them.'.strip()

        if rows.malformed and (number is None or rows.malformed[0].number < number):
            row = rows.malformed[0]
            raise BadRowError(
                str(self.path), "line", row.line, None, row.reason, row.detail, advice(row.advice if many else "")
            )
        if first is None or number is None:
            raise RuntimeError("There is no bad row to report.")
        given = "nothing" if first.given is None else repr(first.given)
        raise BadRowError(
            str(self.path),
            "row" if self._parquet else "line",
            number + 1 if rows.line_of is None else rows.line_of(number),
            first.column,
            first.reason,
            first.detail or f"expected {first.expected}, got {given}",
            advice(first.advice),
        )

    def _kept(self, rows: _Rows, problems: Sequence[Problem], skipped: Counter[str]) -> np.ndarray:
        """Marks the usable rows and counts the others, each by its first error."""
        skipped.update(row.reason for row in rows.malformed)
        kept = np.ones(len(rows.numbers), bool)
        for problem in problems:
            count = int(kept[problem.rows].sum())
            if count:
                skipped[problem.reason] += count
            kept[problem.rows] = False
        return kept

    def _check_columns(self, names: Sequence[str]) -> None:
        folders = dict(self.path.partitions)
        self._folder_columns = self._of_folders(self._wanted, names)
        self._file_columns = tuple(name for name in self._wanted if name not in self._folder_columns)
        place = str(self.path) if self._parquet or self._json or self._given_names else f"{self.path}, line 1"
        twice = sorted({name for name in names if list(names).count(name) > 1 and name in self._file_columns})
        if twice:
            raise ValueError(f"{place}: {named_twice(twice)}.")
        for name in self._file_columns:
            if name not in names:
                hint = " It is looked for in the first rows; does one of them have it?" if self._json else ""
                if not self._parquet and not self._json and not self._given_names:
                    if len(names) == 1:
                        hint = " Does it have another delimiter? Give delimiter=..."
                    elif not set(names).intersection(self._file_columns):
                        hint = " If the file has no header, give column_names=[...], the names of all its columns."
                if self._first is not None:
                    hint = f" The first file, {self._first.path}, has it.{hint}"
                    if not self._parquet and not self._json and not self._given_names:
                        hint += (
                            " Each file needs its header; if only the first has one, remove it and give "
                            "column_names=[...]."
                        )
                whose = "column that decides the split," if name == self._rule.column else "schema's column"
                raise ValueError(
                    f"{place}: the {whose} {name!r} is not in the file. "
                    + unknown_name_message("column", name, [*names, *folders])
                    + hint
                )

    # Text

    def _start(self) -> bytes:
        """The first bytes of a file of text, in UTF-8."""
        try:
            with opened(self.path, self.encoding) as stream:
                start = stream.read(_START_BYTES)
                if self.encoding is None and stream.encoding != "utf-8":
                    _LOG.warning("%s is read as %s, by the mark that it starts with.", self.path, stream.encoding)
        except OSError as error:
            raise ValueError(
                f"{self.path}: cannot be read: {error}. The file is truncated or damaged; fetch it again."
            ) from error
        start = start.removeprefix(_BYTE_ORDER_MARK)
        if not start:
            raise ValueError(f"{self.path}: the file is empty. Give a file that has a header and rows.")
        if b"\0" in start[:64] and self.encoding is None:
            order = "utf-16-be" if start[:1] == b"\0" else "utf-16-le"
            raise ValueError(
                f"{self.path}: is not UTF-8 text, it has bytes of 0. If it is UTF-16 without a mark, give "
                f'encoding="{order}".'
            )
        return start

    # CSV

    def _open_csv(
        self, start: bytes, column_names: Sequence[str] | None, delimiter: str | None, quote: str | None
    ) -> None:
        if delimiter is None:
            name = self.path.name.lower()
            usual = "\t" if name.endswith(".tsv") or name.rpartition(".")[0].endswith(".tsv") else ","
            delimiter = self._recognised_delimiter(start, column_names, quote, usual)
        self._dialect = Dialect(delimiter, quote)
        header = tuple(column_names or ()) if self._given_names else self._header()
        # A name is stripped, unless the schema has it with its blanks.
        self.column_names = tuple(name if name in self._file_columns else name.strip() for name in header)
        # If the header has a blank after each delimiter, the rows have it too.
        self._blanks = (
            not self._given_names and len(header) > 1 and all(name[:1] == " " for name in header[1:] if name)
        ) and self.column_names != header
        if self._blanks and quote is not None and any(name.startswith(quote) for name in self.column_names):
            self._refuse_blanks_before_quotes()
        self._check_columns(self.column_names)

    def _refuse_blanks_before_quotes(self) -> None:
        delimiter, quote = self._dialect.delimiter, self._dialect.quote
        swap = f"sed -E 's/{re.escape(delimiter)} +{quote}/{delimiter}{quote}/g'"
        raise ValueError(
            f"{self.path}: there are blanks between a delimiter and a quote; the quote would then count as a "
            "letter. Take the "
            f"blanks away, such as with {swap}, or give quote=None if quotes have no meaning."
        )

    def _recognised_delimiter(
        self, start: bytes, column_names: Sequence[str] | None, quote: str | None, usual: str
    ) -> str:
        row = next((line for line in start.decode(errors="replace").splitlines() if line), "")
        self._refuse_sparse_rows(row)
        if column_names is None:
            found = recognised_delimiter(start, quote, self._file_columns, usual)
            # No column is called 7, so this row is not a header.
            self._refuse_double_colons(row, found == ":" and any(re.match(NUMBER, text) for text in row.split("::")))
        else:
            found = ""
            for delimiter in (usual, *DELIMITERS):
                record = Dialect(delimiter, quote).first_record(start) if delimiter != quote else None
                if record is not None and record.num_values == len(column_names):
                    found = delimiter
                    break
            self._refuse_double_colons(row, not found and row.count("::") + 1 == len(column_names))
            found = found or usual
        if found != usual:
            _LOG.warning(
                "%s: its first line shows that %r separates the values; give delimiter=... if that is wrong.",
                self.path,
                found,
            )
        return found

    def _refuse_sparse_rows(self, row: str) -> None:
        if _SPARSE_ROW.fullmatch(row):
            raise ValueError(
                f"{self.path}: holds rows as libFM and LIBSVM write them ({row[:_MOST_SHOWN]!r}): numbers of features "
                "with their values, and no columns. sed -E 's/:1( |$)/\\1/g; s/ /,/; s/ /|/g' makes two columns of it: "
                "a label, and a multi-valued feature of the numbers, with the value after those where it is not 1. "
                "Give names to both (column_names=[...]). If each row has the same fields in the same places, name all "
                'of them, and give delimiter=" ".'
            )

    def _refuse_double_colons(self, row: str, stand_between_values: bool) -> None:
        if "::" in row and stand_between_values:
            raise ValueError(
                f"{self.path}: '::' separates the values ({row[:_MOST_SHOWN]!r}), but a delimiter is one "
                "character. sed 's/::/\\t/g' writes tabs in its place; give the names of the columns "
                "(column_names=[...]) if there is no header."
            )

    def _blocks(self) -> Iterator[Block]:
        """Reads blocks of rows without the header."""
        header = not self._given_names and not self._json
        for block in blocks(self.path, self._dialect, _BLOCK_BYTES, self.encoding):
            if header:
                record = self._dialect.first_record(block.data, block.first_line)
                if record is None:
                    continue
                header = False
                end = record.end
                end += 2 if block.data[end : end + 2] == b"\r\n" else 1
                first_line = block.first_line + len(block.data[:end].splitlines())
                block = Block(block.data[end:], first_line)
            if block.data:
                yield block

    def _header(self) -> tuple[str, ...]:
        for block in blocks(self.path, self._dialect, _START_BYTES, self.encoding):
            record = self._dialect.first_record(block.data, block.first_line)
            if record is not None:
                try:
                    return tuple(self._dialect.values(block.data[record.start : record.end]))
                except UnicodeDecodeError as error:
                    raise ValueError(
                        f"{self.path}, line {record.line}: the header is not UTF-8 text: {error}. Is it a text file? "
                        'If it is in another encoding, name it: encoding="latin-1".'
                    ) from error
        raise ValueError(f"{self.path}: the file is empty. Give a file that has a header and rows.")

    def _parsed(self, data: bytes) -> pa.Table:
        columns = list(self._file_columns)
        if self._blanks and self._dialect.quote is not None:
            mark = re.escape(self._dialect.delimiter) + " +" + re.escape(self._dialect.quote)
            quotes = counted = 0
            for found in re.finditer(mark.encode(), data):
                quotes += data.count(self._dialect.quote.encode(), counted, found.start())
                counted = found.start()
                if quotes % 2 == 0:  # else it is inside quotes, where blanks are letters
                    self._refuse_blanks_before_quotes()
        if data.startswith(_BYTE_ORDER_MARK):
            # The parser would drop this mark; the file's own mark has been removed.
            data = b"\n" + data
        table = pa.csv.read_csv(
            pa.BufferReader(data),
            read_options=pa.csv.ReadOptions(
                column_names=list(self._unique_names()), block_size=len(data) + 1, use_threads=False
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=self._dialect.delimiter,
                quote_char=self._dialect.quote or False,
                newlines_in_values=self._dialect.quote is not None,
            ),
            convert_options=pa.csv.ConvertOptions(
                include_columns=columns,
                column_types={name: pa.string() for name in columns},
                null_values=list(self.missing_values),
                strings_can_be_null=True,
                check_utf8=False,
            ),
        )
        return _without_leading_blanks(table, self.missing_values) if self._blanks else table

    def _unique_names(self) -> Iterator[str]:
        """The columns' names; those that the schema does not name are numbered, because they may be given twice."""
        for index, name in enumerate(self.column_names):
            yield name if name in self._file_columns else f"\0{index}"

    def _csv_rows(self, piece: Piece | None = None) -> Iterator[_Rows]:
        number = 0 if piece is None else piece.first_row
        for block in self._blocks_of(piece):
            try:
                table = self._parsed(block.data)
                numbers = np.arange(number, number + table.num_rows)
                end = number + table.num_rows
                malformed: list[_Malformed] = []
            except (pa.ArrowInvalid, UnicodeDecodeError):
                records = self._dialect.records(block.data, block.first_line)
                width = len(self.column_names)
                fits = np.array([record.num_values == width for record in records], bool)
                advice = self._advice_on_width({record.num_values for record in records})
                malformed = [
                    _Malformed(
                        number + i,
                        record.line,
                        "too few columns" if record.num_values < width else "too many columns",
                        f"the row has {record.num_values} columns, expected {width}",
                        advice,
                    )
                    for i, record in enumerate(records)
                    if not fits[i]
                ]
                end = number + len(records)
                numbers = number + np.flatnonzero(fits)
                table = self._table_of(block, [record for record in records if record.num_values == width])
            if table.num_rows or malformed:
                raw = [_whole(table.column(name)) for name in self._file_columns]

                def line_of(row: int, block: Block = block, end: int = end) -> int:
                    # The row's index in the block: its number in the file minus that of the block's first row.
                    records = self._dialect.records(block.data, block.first_line)
                    return records[row - (end - len(records))].line

                yield _Rows(raw, numbers, end, malformed, line_of)
            number = end

    def _advice_on_width(self, widths: set[int]) -> str:
        """Says what helps where many rows have another number of values than there are columns."""
        advice = "Is the delimiter another one (delimiter=...), or have quotes no meaning (quote=None)?"
        if len(widths) == 1 and min(widths) > len(self.column_names):
            where = "in column_names=[...]" if self._given_names else "in the header"
            advice = (
                f"All have {min(widths)}: name each column {where}, also one of row numbers, and the empty one after "
                f"a delimiter at the end of each row. Or else: {advice[0].lower()}{advice[1:]}"
            )
        return advice

    def _table_of(self, block: Block, records: Sequence[Any]) -> pa.Table:
        """Parses some rows of a block."""
        if not records:
            return pa.table({name: pa.array([], pa.string()) for name in self._file_columns})
        data = b"\n".join(block.data[record.start : record.end] for record in records) + b"\n"
        try:
            table = self._parsed(data)
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"{self.path}: the rows from line {block.first_line} on cannot be parsed: {error}."
            ) from error
        if table.num_rows != len(records):
            raise ValueError(
                f"{self.path}: {len(records)} rows from line {block.first_line} on were parsed as {table.num_rows}; "
                "the quotes in them are ambiguous. Give quote=None if quotes have no meaning in this file."
            )
        return table

    # JSON lines

    def _open_json(self) -> None:
        self._check_columns(self._json_names())

    def _json_names(self) -> list[str]:
        names: dict[str, None] = {}
        for block in self._blocks():
            for record in self._dialect.records(block.data, block.first_line):
                row = json_object(block.data[record.start : record.end])
                names.update(dict.fromkeys(row or {}))
            break
        return list(names)

    def _json_rows(self, piece: Piece | None = None) -> Iterator[_Rows]:
        features = {feature.name: feature for feature in self._schema.features}
        number = 0 if piece is None else piece.first_row
        for block in self._blocks_of(piece):
            cells: dict[str, list[Any]] = {name: [] for name in self._file_columns}
            malformed: list[_Malformed] = []
            numbers, lines = [], []
            for record in self._dialect.records(block.data, block.first_line):
                text = block.data[record.start : record.end]
                if not text.strip():
                    continue
                row, problem = json_object(text), "the line is not a JSON object"
                own = {}
                if row is not None:
                    for name in self._file_columns:
                        try:
                            cell = row.get(name)
                            missing = isinstance(cell, str) and cell in self.missing_values
                            own[name] = None if missing else _json_cell(cell, features.get(name))
                        except ValueError as error:
                            row, problem = None, f"column {name!r} {error}"
                            break
                if row is None:
                    reason = "no JSON object" if problem.startswith("the line") else problem
                    malformed.append(_Malformed(number, record.line, reason, problem, ""))
                else:
                    for name, cell in own.items():
                        cells[name].append(cell)
                    numbers.append(number)
                    lines.append(record.line)
                number += 1
            raw, problems = [], []
            for name in self._file_columns:
                column, found = _json_column(cells[name], features.get(name))
                raw.append(column)
                problems += found
            first, all_lines = number, dict(zip(numbers, lines, strict=True))
            yield _Rows(raw, np.array(numbers, np.int64), first, malformed, all_lines.__getitem__, problems)

    # Parquet

    @contextlib.contextmanager
    def _opened_parquet(self) -> Iterator[pa.parquet.ParquetFile]:
        source = str(self.path.local) if self.path.local is not None else self.path.open()
        with pa.parquet.ParquetFile(source, page_checksum_verification=True) as file:
            yield file

    def _open_parquet(self) -> None:
        try:
            with self._opened_parquet() as file:
                fields = file.schema_arrow
                self._num_records = file.metadata.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(
                f"{self.path}: starts as a Parquet file but cannot be read as one: {_in_a_line(error)}. The file is "
                "truncated or damaged; write it again."
            ) from error
        self._check_columns(fields.names)
        self._kinds = {name: _kind_of(fields.field(name).type) for name in self._file_columns}
        for name in self._file_columns:
            if name not in self._schema.file_columns:
                continue
            features = [feature for feature in self._schema.features if feature.name == name]
            try:
                check_type(name, fields.field(name).type, features[0] if features else None, self._schema)
            except ValueError as error:
                raise ValueError(f"{self.path}: {error}") from error

    def _parquet_rows(self, piece: Piece | None = None) -> Iterator[_Rows]:
        number = 0 if piece is None else piece.first_row
        groups = None if piece is None or not piece.groups else piece.groups
        columns = list(self._file_columns)
        try:
            with self._opened_parquet() as file:
                for batch in parquet_batches(file, _PARQUET_ROWS, columns, groups):
                    end = number + batch.num_rows
                    yield _Rows([batch.column(name) for name in columns], np.arange(number, end), end)
                    number = end
        except FileNotFoundError:
            raise
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(
                f"{self.path}: cannot be read after row {number}: {_in_a_line(error)}. The file is damaged; write it "
                "again."
            ) from error


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


def named_twice(names: Sequence[str]) -> str:
    """Says that several columns of a file have one name, so none of them can be read."""
    return f"columns named more than once: {list(names)}. Rename all but one of each"


def parquet_batches(
    file: pa.parquet.ParquetFile, rows: int, columns: Sequence[str], groups: Sequence[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """Reads some columns of a Parquet file in batches.

    Args:
        file: The file.
        rows: How many rows a batch has at the most.
        columns: The columns.
        groups: The groups of rows that are read. Default `None`: all.
    """
    fields = file.schema_arrow
    kinds = [fields.field(name).type for name in columns]
    own = list(range(file.num_row_groups)) if groups is None else list(groups)
    if any(is_list(kind) and pa.types.is_dictionary(kind.value_type) for kind in kinds):
        # pyarrow cannot read lists of dictionaries in a batch of two groups of rows.
        for group in own:
            yield from file.iter_batches(batch_size=rows, columns=list(columns), row_groups=[group])
    else:
        yield from file.iter_batches(batch_size=rows, columns=list(columns), row_groups=own)


def _kind_of(kind: pa.DataType) -> str:
    """The types of a column that may be mixed, because their values are written as the same text."""
    if pa.types.is_dictionary(kind):
        return _kind_of(kind.value_type)
    if is_list(kind):
        return f"lists of {_kind_of(kind.value_type)}"
    if pa.types.is_null(kind):
        return "nothing"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "numbers"
    return "text" if is_text(kind) else "truth values" if pa.types.is_boolean(kind) else str(kind)


def _are_alike(kind: str, other: str) -> bool:
    """Whether columns of these types may be mixed; empty lists have no type."""
    both_lists = kind.startswith("lists of ") and other.startswith("lists of ")
    return kind == other or "nothing" in (kind, other) or (both_lists and "lists of nothing" in (kind, other))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _without_leading_blanks(table: pa.Table, missing_values: Sequence[str]) -> pa.Table:
    """Strips the blanks that stand after the delimiters of a file."""
    missing = pa.array(list(missing_values), pa.string())
    stripped = {}
    for name in table.column_names:
        text = _whole(table.column(name))
        text = pc.ascii_ltrim(text, " ")
        stripped[name] = pc.if_else(pc.is_in(text, value_set=missing), pa.scalar(None, pa.string()), text)
    return pa.table(stripped)


def _is_json_line(start: bytes, path: RowFile) -> bool:
    """Whether a text is JSON lines.

    Raises:
        ValueError: It is JSON of another form.
    """
    line = start.lstrip().splitlines()[0] if start.strip() else b""
    if line[:1] == b"{":
        if json_object(line) is not None or len(start) == len(line):
            return True
        if start.lstrip()[1:].lstrip()[:1] == b'"':
            raise ValueError(f"{path}: is JSON, but not with one object a line. Write JSON lines: a row a line.")
    if line[:1] == b"[" and start.lstrip()[1:].lstrip()[:1] in (b"{", b"["):
        raise ValueError(f"{path}: is one JSON array. Write JSON lines: an object a line, without commas between.")
    return False


def json_object(text: bytes) -> dict[str, Any] | None:
    """Reads one line of JSON lines; `None` where it is not an object."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _json_cell(value: Any, feature: Feature | None) -> Any:
    """A cell as the text of a CSV file, which may have separators in it, or as a list of texts.

    Raises:
        ValueError: The cell holds something that it cannot; the message says what.
    """
    if feature is not None and feature.kind in ("multi_valued", "sequence"):
        if isinstance(value, str):
            _json_text(value)  # is it a text that UTF-8 holds?
            if feature.list_format == "separated":
                return value
            try:
                return parse_list(value) if value.strip() else None
            except ValueError as error:
                raise ValueError("is not a list in brackets") from error
        if not isinstance(value, list):
            value = None if value is None else [value]
        return value and [_json_text(entry) for entry in value]
    return _json_text(value)


def _json_column(cells: Sequence[Any], feature: Feature | None) -> tuple[pa.Array, list[Problem]]:
    """A column of texts, or of lists, and its bad rows."""
    if feature is None or feature.kind not in ("multi_valued", "sequence"):
        return pa.array(cells, pa.string()), []
    problems: list[Problem] = []
    if not any(isinstance(cell, list) for cell in cells):
        problems = stray_brackets(feature, pa.array(cells, pa.string()))
    lists = [cell.split(feature.separator) if isinstance(cell, str) else cell for cell in cells]
    return pa.array(lists, pa.list_(pa.string())), problems


def _json_text(value: Any) -> str | None:
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
