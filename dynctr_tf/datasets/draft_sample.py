"""The first rows of a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from dynctr_tf.datasets.csv_blocks import Dialect, blocks


def _csv_tables(path: Path, dialect: Dialect, missing: Sequence[str], left_out: list[int]) -> Iterator[pa.Table]:
    names: list[str] = []

    def skip(_: Any) -> str:
        left_out.append(1)
        return "skip"

    for block in blocks(path, dialect, 2 << 20):
        data = block.data
        if not names:
            records = dialect.records(data, block.first_line)
            if not records:
                continue
            try:
                names = dialect.values(data[records[0].start : records[0].end])
            except UnicodeDecodeError as error:
                raise ValueError(f"{path}, line {records[0].line}: the header is not UTF-8 text: {error}.") from error
            if len(names) != len(set(names)):
                twice = sorted({name for name in names if names.count(name) > 1})
                raise ValueError(f"{path}, line {records[0].line}: columns named more than once: {twice}.")
            data = data[records[0].end :].lstrip(b"\r\n")
        if not data:
            continue
        try:
            yield pa.csv.read_csv(
                pa.BufferReader(data),
                read_options=pa.csv.ReadOptions(column_names=names, block_size=len(data) + 1, use_threads=False),
                parse_options=pa.csv.ParseOptions(
                    delimiter=dialect.delimiter,
                    quote_char=dialect.quote or False,
                    newlines_in_values=dialect.quote is not None,
                    invalid_row_handler=skip,
                ),
                convert_options=pa.csv.ConvertOptions(
                    column_types={name: pa.string() for name in names},
                    null_values=list(missing),
                    strings_can_be_null=True,
                ),
            )
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: the rows from line {block.first_line} on cannot be read: {error}") from error


def read_sample(
    path: Path, max_rows: int, delimiter: str | None, quote: str | None, missing: Sequence[str]
) -> tuple[pa.Table, int]:
    """Returns the first rows and how many rows were left out, since they have too few or too many columns."""
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file. Give the path of a CSV or Parquet file.")
    left_out: list[int] = []
    with path.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    tables: list[pa.Table] = []
    num_rows = 0
    if parquet:
        with pa.parquet.ParquetFile(path) as file:
            source: Iterator[pa.Table] = (pa.Table.from_batches([batch]) for batch in file.iter_batches())
            for table in source:
                tables.append(table)
                num_rows += table.num_rows
                if num_rows >= max_rows:
                    break
    else:
        if delimiter is None:
            delimiter = "\t" if path.name.lower().removesuffix(".gz").endswith(".tsv") else ","
        for table in _csv_tables(path, Dialect(delimiter, quote), missing, left_out):
            tables.append(table)
            num_rows += table.num_rows
            if num_rows >= max_rows:
                break
    if not num_rows:
        raise ValueError(f"{path}: the file has no usable row. Give a file that has a header and rows.")
    return pa.concat_tables(tables).slice(0, max_rows).combine_chunks(), len(left_out)
