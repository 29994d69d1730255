"""Rows from the user's own CSV, JSON lines or Parquet files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dynctr_tf.datasets.bad_rows import OnBadRow, Problem, checked_on_bad_row
from dynctr_tf.datasets.csv_rows import CsvRows
from dynctr_tf.datasets.file_rows import FileOptions, FileRows
from dynctr_tf.datasets.file_splits import FileSplits
from dynctr_tf.datasets.json_rows import JsonRows, is_json_lines
from dynctr_tf.datasets.key_features import VocabularyRules
from dynctr_tf.datasets.parquet_rows import MARK, ParquetRows
from dynctr_tf.datasets.raw_rows import RawRows
from dynctr_tf.datasets.row_checks import typed_columns
from dynctr_tf.datasets.row_files import RowFile, RowPaths, file_states, list_row_files, refuse_changed_files, row_paths
from dynctr_tf.datasets.row_pieces import Findings, Piece
from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.datasets.splits import DEFAULT_SHARES, RandomSplit, split_rule
from dynctr_tf.datasets.text_rows import text_start
from dynctr_tf.datasets.text_streams import checked_encoding
from dynctr_tf.schema import Schema

# So many files are read one by a process, those that are small; of fewer or larger ones, parts of each.
_MANY_FILES = 16
_WHOLE_BYTES = 32 << 20


class TabularFile(VocabularyRules):
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
        self.on_bad_row = checked_on_bad_row(on_bad_row)
        if isinstance(missing_values, str):
            raise ValueError(f"missing_values must be a sequence of texts, got the text {missing_values!r}.")
        if isinstance(column_names, str):
            raise ValueError(f"column_names must be a sequence of names, got the text {column_names!r}.")
        self.split_by = split_by
        rule = split_rule(split_by)
        self._paths = path
        self._all_files = list_row_files(path)
        self._states = file_states(self._all_files)
        self.path = self._all_files[0]
        if missing_values is not None:
            schema = dataclasses.replace(schema, missing_values=tuple(missing_values))
        self.missing_values = schema.missing_values
        self.encoding = None if encoding is None else checked_encoding(encoding)
        self._schema = schema
        wanted = self._columns_of_file()
        if rule.way in ("time", "user") and rule.column not in wanted:
            wanted = (*wanted, str(rule.column))
        self._options = FileOptions(
            schema=schema,
            wanted=wanted,
            split_column=rule.column,
            column_names=None if column_names is None else tuple(column_names),
            delimiter=delimiter,
            quote=quote,
            encoding=self.encoding,
        )
        self._random = RandomSplit(dict(splits), seed)
        self._num_rows: int | None = None
        self._skipped: dict[str, int] = {}
        first = self._opened(self.path, None)
        self._parts = [first, *(self._opened(file, first) for file in self._all_files[1:])]
        self._splits = FileSplits(split_by, self._random, self._parts, self._name)

    def _opened(self, file: RowFile, first: FileRows | None) -> FileRows:
        """Opens a file in the format that its first bytes show, and checks that it has the columns.

        Args:
            file: The file.
            first: The first file, whose format and columns it must have; `None` for itself.
        """
        options = self._options
        if first is not None:
            options = dataclasses.replace(options, wanted=first.wanted, delimiter=first.delimiter)
        rows = self._of_format(file, options)
        self._find_columns(rows, first)
        rows.check_types()
        if first is not None:
            rows.follow(first)
        return rows

    def _of_format(self, file: RowFile, options: FileOptions) -> FileRows:
        if not self._states[file.path].size:
            advice = "Give a file that has rows." if len(self._all_files) == 1 else "Delete it, or leave it out."
            raise ValueError(f"{file}: the file is empty. {advice}")
        try:
            with file.open() as opened:
                mark = bytes(opened.read(len(MARK)))
        except OSError as error:
            raise ValueError(f"{file}: cannot be read: {' '.join(str(error).split())}.") from error
        if mark == MARK:
            return ParquetRows(file, options)
        start = text_start(file, options.encoding)
        if options.column_names is None and is_json_lines(start, file):
            return JsonRows(file, options)
        return CsvRows(file, self._options_of_csv(start, options), start)

    def _options_of_csv(self, start: bytes, options: FileOptions) -> FileOptions:
        """How a file of delimited text is read; a subclass may look at its start."""
        del start
        return options

    def _find_columns(self, rows: FileRows, first: FileRows | None) -> None:
        """Finds the wanted columns in a file; a subclass may want others."""
        rows.find_columns(first)

    def _columns_of_file(self) -> tuple[str, ...]:
        """The columns that are read from the file; a subclass may read others and make the schema's columns of them."""
        return self._schema.file_columns

    def _typed(self, raw: list[pa.Array]) -> tuple[pa.RecordBatch, list[Problem]]:
        """Makes the schema's columns of those that were read."""
        return typed_columns(raw, self._schema, self._missing)

    @property
    def _missing(self) -> pa.Array | None:
        """The texts that mean a missing value in the columns that were read."""
        return self._parts[0].missing

    @property
    def schema(self) -> Schema:
        """What the columns mean."""
        return self._schema

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits, `"train"` first."""
        return self._random.names

    @property
    def split_notes(self) -> tuple[str, ...]:
        """The times at which the splits begin, if times decide and have been read."""
        return self._splits.notes

    @property
    def num_rows(self) -> int | None:
        """How many usable rows there are, where that is known before or after a reading."""
        if self._num_rows is None and self.on_bad_row == "error":
            counts = [part.num_records for part in self._parts]
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
        return {
            "schema": self._schema.to_json(),
            "missing_values": list(self.missing_values),
            "splits": [dict(self._random.shares), self.split_by, self._random.seed],
            "on_bad_row": self.on_bad_row,
            "encoding": self.encoding,
            **self._parts[0].text_options,
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
        found = Findings()
        for number in range(len(self._parts)):
            yield from self._batches_of(number, None, found)
        self.finish(found)

    def pieces(self) -> Iterator[Piece]:
        """Cuts the rows into pieces that can be read separately, also by other processes with a copy of this source.

        Text is cut here, so that numbers and lines of rows are known; of many files a small one is one piece, and
        groups of rows are of a Parquet file. Where rows are split by a column or by their order, that is looked at
        first; copies of the source are to be made after the first piece has been given.
        """
        self._splits.prepare()
        many = len(self._parts) >= _MANY_FILES
        for number, part in enumerate(self._parts):
            size = self._states[part.file.path].size
            if many and size <= _WHOLE_BYTES:
                yield Piece(number, 0, nbytes=size)
            else:
                yield from part.pieces(number)

    def shards(self) -> Iterator[Piece]:
        """Cuts the rows into pieces that hold no text, for machines that read the files themselves.

        A file of text is one, and so are groups of rows of a Parquet file.
        """
        self._splits.prepare()
        for number, part in enumerate(self._parts):
            yield from part.shards(number, self._states[part.file.path].size)

    def read_piece(self, piece: Piece, found: Findings) -> Iterator[RowBatch]:
        """Reads the rows of a piece.

        Args:
            piece: One that `pieces` gave.
            found: Takes what `finish` needs.

        Raises:
            ValueError: As `batches`, but not for errors that only all rows together show.
        """
        yield from self._batches_of(piece.part, piece, found)

    def _batches_of(self, number: int, piece: Piece | None, found: Findings) -> Iterator[RowBatch]:
        """Reads the usable rows of a file, or of a piece of it."""
        self._splits.prepare()
        for rows in self._parts[number].rows(piece):
            batch = self._usable(number, rows, found)
            if batch is not None:
                yield batch

    def _usable(self, number: int, rows: RawRows, found: Findings) -> RowBatch | None:
        """Makes the schema's columns of raw rows and assigns each row to its split."""
        part = self._parts[number]
        if self._schema.label in part.wanted:
            found.keep_labels(rows.raw[part.wanted.index(self._schema.label)])
        columns, problems = self._typed(rows.raw[: len(self._columns_of_file())])
        problems += rows.problems
        numbers = rows.numbers.astype(np.uint64) + (np.uint64(number) << np.uint64(40))
        splits, unsplit = self._splits.assign(number, rows)
        problems += unsplit
        if problems or rows.malformed:
            if self.on_bad_row == "error":
                rows.refuse(str(part.file), problems)
            kept = rows.kept(problems, found.skipped)
            columns, splits, numbers = columns.filter(pa.array(kept)), splits[kept], numbers[kept]
        if not columns.num_rows:
            return None
        found.add_rows(columns, splits, self._schema)
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
        found.refuse_unusable(self._schema, self._name, several=len(self._parts) > 1)
        self._num_rows, self._skipped = found.rows, dict(found.skipped)

    def cells(self, column: str) -> Iterator[tuple[pa.Array, pa.Array | None]]:
        """Reads one raw column of the files, with the texts that mean a missing value.

        Args:
            column: The column; rows that have too few or too many are left out.

        Raises:
            ValueError: A file has no such column.
        """
        for part in self._parts:
            yield from part.cells(column)
