"""The rows of one file of delimited text: its delimiter and header are recognised, and pyarrow parses its blocks."""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from dynctr_tf.datasets.cell_values import NUMBER, null_where_missing
from dynctr_tf.datasets.csv_blocks import DELIMITERS, Block, Dialect, Record, blocks, recognised_delimiter
from dynctr_tf.datasets.file_rows import FileOptions
from dynctr_tf.datasets.raw_rows import MalformedRow, RawRows
from dynctr_tf.datasets.row_files import RowFile
from dynctr_tf.datasets.row_pieces import Piece
from dynctr_tf.datasets.text_rows import START_BYTES, TextRows

# A label, perhaps a query, and features with their values, perhaps after their field: 1 qid:7 3:1 0:12:0.5
_SPARSE_ROW = re.compile(r"[-+]?[0-9][0-9.eE+-]*(\s+qid:[0-9]+)?(\s+([0-9]+:)?[0-9]+:[-+]?[0-9.][0-9.eE+-]*)+\s*(#.*)?")
_MOST_SHOWN = 60

_LOG = logging.getLogger(__name__)


class CsvRows(TextRows):
    """Reads a file of delimited text.

    Args:
        file: The file.
        options: How it is read.
        start: The first bytes of its text.

    Attributes:
        has_header: Whether the first row holds the names of the columns.
        delimiter: The character between the values.
        recognised: The delimiter, where the first row shows another than the usual one; else `None`.

    Raises:
        ValueError: Rows of another form; a header that is absent or not UTF-8.
    """

    format = "delimited text"

    def __init__(self, file: RowFile, options: FileOptions, start: bytes) -> None:
        self.recognised: str | None = None
        delimiter = options.delimiter
        if delimiter is None:
            name = file.name.lower()
            usual = "\t" if name.endswith(".tsv") or name.rpartition(".")[0].endswith(".tsv") else ","
            delimiter = _delimiter_of(file, options, start, usual)
            self.recognised = delimiter if delimiter != usual else None
        super().__init__(file, options, Dialect(delimiter, options.quote))
        self.delimiter = delimiter
        self.has_header = options.column_names is None
        header = self._header() if options.column_names is None else options.column_names
        # A name is stripped, unless the schema has it with its blanks.
        self.names = tuple(name if name in self.wanted else name.strip() for name in header)
        # If the header has a blank after each delimiter, the rows have it too.
        self._blanks = (
            self.has_header
            and len(header) > 1
            and all(name[:1] == " " for name in header[1:] if name)
            and self.names != header
        )
        if self._blanks and options.quote is not None and any(name.startswith(options.quote) for name in self.names):
            self._refuse_blanks_before_quotes()

    def _header(self) -> tuple[str, ...]:
        for block in blocks(self.file, self.dialect, START_BYTES, self.options.encoding):
            record = self.dialect.first_record(block.data, block.first_line)
            if record is not None:
                try:
                    return tuple(self.dialect.values(block.data[record.start : record.end]))
                except UnicodeDecodeError as error:
                    raise ValueError(
                        f"{self.file}, line {record.line}: the header is not UTF-8 text: {error}. Is it a text file? "
                        'If it is in another encoding, name it: encoding="latin-1".'
                    ) from error
        raise ValueError(f"{self.file}: the file is empty. Give a file that has a header and rows.")

    @property
    def _place_of_names(self) -> str:
        return f"{self.file}, line 1" if self.has_header else str(self.file)

    def _hint_on_absent(self) -> str:
        if self.has_header and len(self.names) == 1:
            return " Does it have another delimiter? Give delimiter=..."
        if self.has_header and not set(self.names).intersection(self.columns):
            return " If the file has no header, give column_names=[...], the names of all its columns."
        return ""

    def _hint_on_further(self) -> str:
        if not self.has_header:
            return ""
        return " Each file needs its header; if only the first has one, remove it and give column_names=[...]."

    @property
    def missing(self) -> None:
        """The parser has made them null already."""
        return None

    @property
    def text_options(self) -> dict[str, Any]:
        """How the text of the file is read, as JSON has it."""
        return {**super().text_options, "columns": [list(self.names), not self.has_header]}

    def blocks(self) -> Iterator[Block]:
        """Reads blocks of rows without the header."""
        found = super().blocks()
        if self.has_header:
            for block in found:
                record = self.dialect.first_record(block.data, block.first_line)
                if record is None:
                    continue
                end = record.end + (2 if block.data[record.end : record.end + 2] == b"\r\n" else 1)
                first_line = block.first_line + len(block.data[:end].splitlines())
                if block.data[end:]:
                    yield Block(block.data[end:], first_line)
                break
        yield from found

    def num_rows_of(self, block: Block) -> int:
        """Counts the rows of a block."""
        return self.dialect.num_records(block.data)

    # The rows

    def _rows_of_file(self, piece: Piece | None) -> Iterator[RawRows]:
        number = 0 if piece is None else piece.first_row
        for block in self.blocks_of(piece):
            try:
                table = self._parsed(block.data)
                numbers = np.arange(number, number + table.num_rows)
                end = number + table.num_rows
                malformed: list[MalformedRow] = []
            except (pa.ArrowInvalid, UnicodeDecodeError):
                records = self.dialect.records(block.data, block.first_line)
                fits = np.array([record.num_values == len(self.names) for record in records], bool)
                malformed = self._malformed(records, number)
                end = number + len(records)
                numbers = number + np.flatnonzero(fits)
                table = self._table_of(block, [record for record, fit in zip(records, fits, strict=True) if fit])
            if table.num_rows or malformed:
                raw = [_whole(table.column(name)) for name in self.columns]

                def line_of(row: int, block: Block = block, end: int = end) -> int:
                    # The row's index in the block: its number in the file minus that of the block's first row.
                    records = self.dialect.records(block.data, block.first_line)
                    return records[row - (end - len(records))].line

                yield RawRows(raw, numbers, malformed, line_of)
            number = end

    def _malformed(self, records: Sequence[Record], first: int) -> list[MalformedRow]:
        """Lists the rows that have another number of values than there are columns."""
        width = len(self.names)
        advice = self._advice_on_width({record.num_values for record in records})
        return [
            MalformedRow(
                number,
                record.line,
                "too few columns" if record.num_values < width else "too many columns",
                f"the row has {record.num_values} columns, expected {width}",
                advice,
            )
            for number, record in enumerate(records, first)
            if record.num_values != width
        ]

    def _advice_on_width(self, widths: set[int]) -> str:
        """Says what helps where many rows have another number of values than there are columns."""
        advice = "Is the delimiter another one (delimiter=...), or have quotes no meaning (quote=None)?"
        if len(widths) == 1 and min(widths) > len(self.names):
            where = "in the header" if self.has_header else "in column_names=[...]"
            advice = (
                f"All have {min(widths)}: name each column {where}, also one of row numbers, and the empty one after "
                f"a delimiter at the end of each row. Or else: {advice[0].lower()}{advice[1:]}"
            )
        return advice

    def _table_of(self, block: Block, records: Sequence[Record]) -> pa.Table:
        """Parses some rows of a block."""
        if not records:
            return pa.table({name: pa.array([], pa.string()) for name in self.columns})
        data = b"\n".join(block.data[record.start : record.end] for record in records) + b"\n"
        try:
            table = self._parsed(data)
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"{self.file}: the rows from line {block.first_line} on cannot be parsed: {error}."
            ) from error
        if table.num_rows != len(records):
            raise ValueError(
                f"{self.file}: {len(records)} rows from line {block.first_line} on were parsed as {table.num_rows}; "
                "the quotes in them are ambiguous. Give quote=None if quotes have no meaning in this file."
            )
        return table

    def _parsed(self, data: bytes) -> pa.Table:
        columns = list(self.columns)
        missing_values = self.options.schema.missing_values
        if self._blanks:
            self._refuse_quotes_after_blanks(data)
        if data.startswith(codecs.BOM_UTF8):
            # The parser would drop this mark; the file's own mark has been removed.
            data = b"\n" + data
        # Columns that are not read are numbered, because their names may be given twice.
        names = [name if name in self.columns else f"\0{index}" for index, name in enumerate(self.names)]
        table = pa.csv.read_csv(
            pa.BufferReader(data),
            read_options=pa.csv.ReadOptions(column_names=names, block_size=len(data) + 1, use_threads=False),
            parse_options=pa.csv.ParseOptions(
                delimiter=self.dialect.delimiter,
                quote_char=self.dialect.quote or False,
                newlines_in_values=self.dialect.quote is not None,
            ),
            convert_options=pa.csv.ConvertOptions(
                include_columns=columns,
                column_types={name: pa.string() for name in columns},
                null_values=list(missing_values),
                strings_can_be_null=True,
                check_utf8=False,
            ),
        )
        return _without_leading_blanks(table, missing_values) if self._blanks else table

    def _refuse_quotes_after_blanks(self, data: bytes) -> None:
        if self.dialect.quote is None:
            return
        mark = re.escape(self.dialect.delimiter) + " +" + re.escape(self.dialect.quote)
        quotes = counted = 0
        for found in re.finditer(mark.encode(), data):
            quotes += data.count(self.dialect.quote.encode(), counted, found.start())
            counted = found.start()
            if quotes % 2 == 0:  # else it is inside quotes, where blanks are letters
                self._refuse_blanks_before_quotes()

    def _refuse_blanks_before_quotes(self) -> None:
        delimiter, quote = self.dialect.delimiter, self.dialect.quote
        swap = f"sed -E 's/{re.escape(delimiter)} +{quote}/{delimiter}{quote}/g'"
        raise ValueError(
            f"{self.file}: there are blanks between a delimiter and a quote; the quote would then count as a letter. "
            f"Take the blanks away, such as with {swap}, or give quote=None if quotes have no meaning."
        )


def _delimiter_of(file: RowFile, options: FileOptions, start: bytes, usual: str) -> str:
    """Recognises the delimiter by the names of the columns, or by how many there are."""
    row = next((line for line in start.decode(errors="replace").splitlines() if line), "")
    _refuse_sparse_rows(file, row)
    if options.column_names is None:
        found = recognised_delimiter(start, options.quote, options.wanted, usual)
        # No column is called 7, so this row is not a header.
        no_header = found == ":" and any(re.match(NUMBER, text) for text in row.split("::"))
        _refuse_double_colons(file, row, no_header)
    else:
        width = len(options.column_names)
        found = ""
        for delimiter in (usual, *DELIMITERS):
            record = Dialect(delimiter, options.quote).first_record(start) if delimiter != options.quote else None
            if record is not None and record.num_values == width:
                found = delimiter
                break
        _refuse_double_colons(file, row, not found and row.count("::") + 1 == width)
        found = found or usual
    if found != usual:
        _LOG.warning(
            "%s: its first line shows that %r separates the values; give delimiter=... if that is wrong.", file, found
        )
    return found


def _refuse_sparse_rows(file: RowFile, row: str) -> None:
    if _SPARSE_ROW.fullmatch(row):
        raise ValueError(
            f"{file}: holds rows as libFM and LIBSVM write them ({row[:_MOST_SHOWN]!r}): numbers of features with "
            "their values, and no columns. sed -E 's/:1( |$)/\\1/g; s/ /,/; s/ /|/g' makes two columns of it: a label, "
            "and a multi-valued feature of the numbers, with the value after those where it is not 1. Give names to "
            "both (column_names=[...]). If each row has the same fields in the same places, name all of them, and "
            'give delimiter=" ".'
        )


def _refuse_double_colons(file: RowFile, row: str, stand_between_values: bool) -> None:
    if "::" in row and stand_between_values:
        raise ValueError(
            f"{file}: '::' separates the values ({row[:_MOST_SHOWN]!r}), but a delimiter is one character. "
            "sed 's/::/\\t/g' writes tabs in its place; give the names of the columns (column_names=[...]) if there is "
            "no header."
        )


def _whole(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _without_leading_blanks(table: pa.Table, missing_values: Sequence[str]) -> pa.Table:
    """Strips the blanks that stand after the delimiters of a file."""
    missing = pa.array(list(missing_values), pa.string())
    return pa.table(
        {
            name: null_where_missing(pc.ascii_ltrim(_whole(table.column(name)), " "), missing)
            for name in table.column_names
        }
    )
