"""The rows of one Parquet file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from dynctr_tf.datasets.cell_values import is_list, is_text
from dynctr_tf.datasets.file_rows import FileOptions, FileRows
from dynctr_tf.datasets.raw_rows import RawRows
from dynctr_tf.datasets.row_checks import check_type
from dynctr_tf.datasets.row_files import RowFile
from dynctr_tf.datasets.row_pieces import Piece

MARK = b"PAR1"
"""The first bytes of a Parquet file."""

_BATCH_ROWS = 65_536


class ParquetRows(FileRows):
    """Reads a Parquet file.

    Args:
        file: The file.
        options: How it is read.

    Raises:
        ValueError: A file that is truncated or damaged.
    """

    format = "a Parquet file"

    def __init__(self, file: RowFile, options: FileOptions) -> None:
        super().__init__(file, options)
        try:
            with self._opened() as opened:
                fields = opened.schema_arrow
                self.num_records = opened.metadata.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(
                f"{file}: starts as a Parquet file but cannot be read as one: {_in_a_line(error)}. The file is "
                "truncated or damaged; write it again."
            ) from error
        self.names = tuple(fields.names)
        self.types = dict(zip(fields.names, fields.types, strict=True))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[pa.parquet.ParquetFile]:
        source = str(self.file.local) if self.file.local is not None else self.file.open()
        with pa.parquet.ParquetFile(source, page_checksum_verification=True) as opened:
            yield opened

    def check_types(self) -> None:
        """Refuses columns whose types cannot hold what the schema says.

        Raises:
            ValueError: Says which type came and which are expected.
        """
        schema = self.options.schema
        features = {feature.name: feature for feature in schema.features}
        for name in self.columns:
            if name in schema.file_columns:
                try:
                    check_type(name, self.types[name], features.get(name), schema)
                except ValueError as error:
                    raise ValueError(f"{self.file}: {error}") from error

    def follow(self, first: FileRows) -> None:
        """Refuses a file that cannot be read with the first one of several; takes over from that what is the same.

        Raises:
            ValueError: It has another format, or other types.
        """
        super().follow(first)
        for name in self.columns:
            kind, other = _kind_of(self.types[name]), _kind_of(first.types.get(name, self.types[name]))
            if not _are_alike(kind, other):
                raise ValueError(
                    f"{self.file}: its column {name!r} holds {kind}, and in {first.file} it holds {other}. Write the "
                    "files with one type for each column."
                )

    def _rows_of_file(self, piece: Piece | None) -> Iterator[RawRows]:
        number = 0 if piece is None else piece.first_row
        groups = None if piece is None or not piece.groups else piece.groups
        columns = list(self.columns)
        try:
            with self._opened() as opened:
                for batch in _batches(opened, columns, groups):
                    numbers = np.arange(number, number + batch.num_rows)
                    yield RawRows([batch.column(name) for name in columns], numbers)
                    number += batch.num_rows
        except FileNotFoundError:
            raise
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(
                f"{self.file}: cannot be read after row {number}: {_in_a_line(error)}. The file is damaged; write it "
                "again."
            ) from error

    def pieces(self, part: int) -> Iterator[Piece]:
        """Cuts the file into groups of rows of at least about a batch."""
        with self._opened() as opened:
            metadata = [opened.metadata.row_group(group) for group in range(opened.num_row_groups)]
            sizes = [(group.num_rows, group.total_byte_size) for group in metadata]
        first, row, groups, nbytes = 0, 0, [], 0
        for group, (size, size_bytes) in enumerate(sizes):
            groups.append(group)
            row, nbytes = row + size, nbytes + size_bytes
            if row - first >= _BATCH_ROWS or group == len(sizes) - 1:
                yield Piece(part, first, groups=tuple(groups), nbytes=nbytes)
                first, groups, nbytes = row, [], 0

    def shards(self, part: int, nbytes: int) -> Iterator[Piece]:
        """Cuts the file as `pieces` does, which hold no text."""
        yield from self.pieces(part)

    def count_records(self) -> int:
        """Returns the number of rows that the file states."""
        return self.num_records or 0


def _batches(
    opened: pa.parquet.ParquetFile, columns: Sequence[str], groups: Sequence[int] | None
) -> Iterator[pa.RecordBatch]:
    """Reads some columns, of all groups of rows or of some."""
    fields = opened.schema_arrow
    kinds = [fields.field(name).type for name in columns]
    own = list(range(opened.num_row_groups)) if groups is None else list(groups)
    # pyarrow cannot read lists of dictionaries in a batch of two groups of rows.
    alone = any(is_list(kind) and pa.types.is_dictionary(kind.value_type) for kind in kinds)
    for together in [[group] for group in own] if alone else [own]:
        yield from opened.iter_batches(batch_size=_BATCH_ROWS, columns=list(columns), row_groups=together)


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")


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
