"""Rows from the user's own CSV or Parquet file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from dynctr_tf.datasets.csv_blocks import Block, Dialect, Record, blocks
from dynctr_tf.datasets.row_checks import BadRowError, Problem, check_type, typed_columns
from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.datasets.splits import (
    DEFAULT_SHARES,
    OrderSplit,
    RandomSplit,
    SplitBy,
    checked_split_by,
)
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import Schema

OnBadRow = Literal["error", "skip"]
ON_BAD_ROW: tuple[str, ...] = get_args(OnBadRow)

_BLOCK_BYTES = 2 << 20
_PARQUET_ROWS = 65_536


class _Rows:
    """A batch of raw columns, which rows of the file they are, and which rows in between were not parsed."""

    def __init__(
        self,
        raw: list[pa.Array],
        numbers: np.ndarray,
        end: int,
        malformed: Sequence[tuple[int, Record]] = (),
        block: Block | None = None,
    ) -> None:
        self.raw = raw
        self.numbers = numbers
        self.end = end
        self.malformed = malformed
        self.block = block


class TabularFile:
    """Reads a CSV or Parquet file in columnar batches, in memory that does not depend on its size.

    When to use: training on rows of one's own. The file stays as it is; the schema says what its columns
    mean, and columns that it does not name are left alone. Cells are never guessed at: a row that does not
    fit the schema is an error that names file, line and column, or is left out and counted.

    What is a bad row: too few or too many columns; a numeric cell, weight or probability that is no finite
    number; a label other than 0 and 1 or none; a weight or probability that is missing or out of range;
    a cell that is not UTF-8. A blank line is no row. What no row can be blamed for is always an error:
    no such file, an empty one, a column that is missing, a quote that is never closed, a damaged gzip file.

    Args:
        path: A CSV file, plain or gzip-compressed, or a Parquet file; told apart by its first bytes.
        schema: What the columns mean.
        splits: Split name to share, `"train"` first, summing to 1. Default: 70 % train, 10 % validation,
            20 % test.
        on_bad_row: `"error"`, or `"skip"` to leave bad rows out and count them in `skipped`.
            Default `"error"`.
        split_by: `"random"` (by seed and row number) or `"order"` (first rows train, last ones test; counts
            the rows first, in one more pass over a CSV file). Default `"random"`.
        seed: Of the random split. Default 0.
        column_names: The columns of a CSV file that has no header. Default `None`: the first row is one.
        delimiter: Between the values of a CSV file. Default `None`: a tab if the name ends in `.tsv`
            (`.tsv.gz`), else a comma.
        quote: Encloses values of a CSV file in which delimiters or line ends stand; `None` where it has no
            meaning. Default `'"'`.
        missing_values: Cells that mean a missing value. NaN is always one. Default `("",)`.

    Raises:
        ValueError: An unknown argument value; a file that is absent, empty, damaged or lacks a column; on
            reading, a bad row (`BadRowError`, with its `line` and `column`), or no row left over.

    Cost: 270 000 rows/s for gzip-compressed rows of 40 columns on one core; a block that has a bad row costs
    several times as much.

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
        path: str | Path,
        schema: Schema,
        *,
        splits: Mapping[str, float] = DEFAULT_SHARES,
        on_bad_row: OnBadRow = "error",
        split_by: SplitBy = "random",
        seed: int = 0,
        column_names: Sequence[str] | None = None,
        delimiter: str | None = None,
        quote: str | None = '"',
        missing_values: Sequence[str] = ("",),
    ) -> None:
        if on_bad_row not in ON_BAD_ROW:
            raise ValueError(unknown_name_message("value of on_bad_row", str(on_bad_row), ON_BAD_ROW))
        if isinstance(missing_values, str):
            raise ValueError(f"missing_values must be a sequence of texts, got the text {missing_values!r}.")
        self.path = Path(path)
        self.on_bad_row = on_bad_row
        self.split_by = checked_split_by(split_by)
        self.missing_values = tuple(missing_values)
        self._schema = schema
        self._file_columns = self._columns_of_file()
        self._random = RandomSplit(dict(splits), seed)
        self._num_rows: int | None = None
        self._num_records: int | None = None
        self._skipped: dict[str, int] = {}
        if not self.path.is_file():
            raise ValueError(f"{self.path}: there is no such file. Give the path of a CSV or Parquet file.")
        if not self.path.stat().st_size:
            raise ValueError(f"{self.path}: the file is empty. Give a file that has rows.")
        with self.path.open("rb") as file:
            self._parquet = file.read(4) == b"PAR1"
        if self._parquet:
            self._open_parquet()
        else:
            if delimiter is None:
                delimiter = "\t" if self.path.name.lower().removesuffix(".gz").endswith(".tsv") else ","
            self._dialect = Dialect(delimiter, quote)
            self._given_names = column_names is not None
            self.column_names = tuple(column_names or ()) if self._given_names else self._header()
            self._check_columns(self.column_names)

    def _columns_of_file(self) -> tuple[str, ...]:
        """The columns that are read from the file; a subclass may read others and make the schema's of them."""
        return self._schema.columns

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
            return self._num_records
        return self._num_rows

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many rows the last complete reading left out, by reason."""
        return dict(self._skipped)

    @property
    def files(self) -> tuple[Path, ...]:
        """The file that is read."""
        return (self.path,)

    def batches(self) -> Iterator[RowBatch]:
        """Reads all rows once.

        Raises:
            BadRowError: A bad row, with `on_bad_row="error"`.
            ValueError: Damaged data, or no usable row at all.
        """
        split = self._split()
        skipped: Counter[str] = Counter()
        total = 0
        for rows in self._parquet_rows() if self._parquet else self._csv_rows():
            columns, problems = self._typed(rows.raw)
            if problems or rows.malformed:
                if self.on_bad_row == "error":
                    self._refuse(rows, problems)
                kept = self._kept(rows, problems, skipped)
                columns, numbers = columns.filter(pa.array(kept)), rows.numbers[kept]
            else:
                numbers = rows.numbers
            if columns.num_rows:
                total += columns.num_rows
                yield RowBatch(columns, split.assign(numbers))
        if not total:
            left_out = f"; left out: {dict(skipped)}" if skipped else ""
            raise ValueError(f"{self.path}: the file has no usable row{left_out}. Give a file that has rows.")
        self._num_rows, self._skipped = total, dict(skipped)

    def _split(self) -> RandomSplit | OrderSplit:
        if self.split_by == "random":
            return self._random
        if self._num_records is None:
            self._num_records = sum(self._dialect.num_records(block.data) for block in self._blocks())
        if self._num_records < len(self.split_names):
            raise ValueError(
                f"{self.path}: {self._num_records} rows cannot be cut into {len(self.split_names)} splits. "
                "Give a file that has more rows."
            )
        return OrderSplit(self._num_records, self._random.shares)

    def _missing(self) -> pa.Array | None:
        # The CSV parser has made them null already.
        return pa.array(self.missing_values, pa.string()) if self._parquet and self.missing_values else None

    # Bad rows

    def _refuse(self, rows: _Rows, problems: Sequence[Problem]) -> None:
        """Raises the error of the bad row that comes first in the file."""
        first = min(problems, key=lambda problem: int(problem.rows[0]), default=None)
        number = int(rows.numbers[first.rows[0]]) if first is not None else None
        if rows.malformed and (number is None or rows.malformed[0][0] < number):
            record = rows.malformed[0][1]
            raise BadRowError(
                str(self.path),
                "line",
                record.line,
                None,
                self._count_reason(record),
                f"the row has {record.num_values} columns, expected {len(self.column_names)}",
            )
        if first is None or number is None:
            raise RuntimeError("There is no bad row to report.")
        line = number + 1
        if rows.block is not None:
            # The number of the row in the file less that of the block's first row finds it in the block.
            index = number - (rows.end - self._dialect.num_records(rows.block.data))
            line = self._dialect.records(rows.block.data, rows.block.first_line)[index].line
        given = "nothing" if first.given is None else repr(first.given)
        raise BadRowError(
            str(self.path),
            "row" if self._parquet else "line",
            line,
            first.column,
            first.reason,
            f"expected {first.expected}, got {given}",
        )

    def _kept(self, rows: _Rows, problems: Sequence[Problem], skipped: Counter[str]) -> np.ndarray:
        """Marks the usable rows and counts the others, each under the first thing wrong with it."""
        for _, record in rows.malformed:
            skipped[self._count_reason(record)] += 1
        kept = np.ones(len(rows.numbers), bool)
        for problem in problems:
            count = int(kept[problem.rows].sum())
            if count:
                skipped[problem.reason] += count
            kept[problem.rows] = False
        return kept

    def _count_reason(self, record: Record) -> str:
        return "too few columns" if record.num_values < len(self.column_names) else "too many columns"

    def _check_columns(self, names: Sequence[str]) -> None:
        place = str(self.path) if self._parquet or self._given_names else f"{self.path}, line 1"
        twice = sorted({name for name in names if list(names).count(name) > 1 and name in self._file_columns})
        if twice:
            raise ValueError(f"{place}: columns named more than once: {twice}. Rename all but one of each.")
        for name in self._file_columns:
            if name not in names:
                hint = "" if self._parquet or len(names) > 1 else " Is it delimited otherwise? Give delimiter=..."
                raise ValueError(
                    f"{place}: the schema's column {name!r} is not in the file. "
                    + unknown_name_message("column", name, names)
                    + hint
                )

    # CSV

    def _blocks(self) -> Iterator[Block]:
        """Reads blocks of rows, the header taken off."""
        header = not self._given_names
        for block in blocks(self.path, self._dialect, _BLOCK_BYTES):
            if header:
                records = self._dialect.records(block.data, block.first_line)
                if not records:
                    continue
                header = False
                end = records[0].end
                end += 2 if block.data[end : end + 2] == b"\r\n" else 1
                first_line = block.first_line + len(block.data[:end].splitlines())
                block = Block(block.data[end:], first_line)
            if block.data:
                yield block

    def _header(self) -> tuple[str, ...]:
        for block in blocks(self.path, self._dialect, 1 << 16):
            for record in self._dialect.records(block.data, block.first_line):
                try:
                    return tuple(self._dialect.values(block.data[record.start : record.end]))
                except UnicodeDecodeError as error:
                    raise ValueError(
                        f"{self.path}, line {record.line}: the header is not UTF-8 text: {error}. Is it a text file?"
                    ) from error
        raise ValueError(f"{self.path}: the file is empty. Give a file that has a header and rows.")

    def _parsed(self, data: bytes) -> pa.Table:
        columns = list(self._file_columns)
        return pa.csv.read_csv(
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

    def _unique_names(self) -> Iterator[str]:
        """The columns' names, those that the schema does not name numbered: they may be given twice."""
        for index, name in enumerate(self.column_names):
            yield name if name in self._file_columns else f"\0{index}"

    def _csv_rows(self) -> Iterator[_Rows]:
        number = 0
        for block in self._blocks():
            try:
                table = self._parsed(block.data)
                numbers = np.arange(number, number + table.num_rows)
                end = number + table.num_rows
                malformed: list[tuple[int, Record]] = []
            except (pa.ArrowInvalid, UnicodeDecodeError):
                records = self._dialect.records(block.data, block.first_line)
                width = len(self.column_names)
                fits = np.array([record.num_values == width for record in records], bool)
                malformed = [(number + i, record) for i, record in enumerate(records) if not fits[i]]
                end = number + len(records)
                numbers = number + np.flatnonzero(fits)
                table = self._table_of(block, [record for record in records if record.num_values == width])
            if table.num_rows or malformed:
                raw = [_whole(table.column(name)) for name in self._file_columns]
                yield _Rows(raw, numbers, end, malformed, block)
            number = end

    def _table_of(self, block: Block, records: Sequence[Record]) -> pa.Table:
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

    # Parquet

    def _open_parquet(self) -> None:
        try:
            with pa.parquet.ParquetFile(self.path) as file:
                fields = file.schema_arrow
                self._num_records = file.metadata.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(
                f"{self.path}: starts as a Parquet file but cannot be read as one: {error}. The file is cut off or "
                "damaged; write it again."
            ) from error
        self._check_columns(fields.names)
        for name in self._file_columns:
            if name not in self._schema.columns:
                continue
            features = [feature for feature in self._schema.features if feature.name == name]
            try:
                check_type(name, fields.field(name).type, features[0] if features else None)
            except ValueError as error:
                raise ValueError(f"{self.path}: {error}") from error

    def _parquet_rows(self) -> Iterator[_Rows]:
        number = 0
        columns = list(self._file_columns)
        try:
            with pa.parquet.ParquetFile(self.path) as file:
                for batch in file.iter_batches(batch_size=_PARQUET_ROWS, columns=columns):
                    end = number + batch.num_rows
                    yield _Rows([batch.column(name) for name in columns], np.arange(number, end), end)
                    number = end
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(
                f"{self.path}: cannot be read on after row {number}: {error}. The file is damaged; write it again."
            ) from error


def _whole(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
