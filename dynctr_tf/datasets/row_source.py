"""The interface of all sources of raw rows: columnar batches, the split of each row, and counts of bad rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from dynctr_tf.datasets.row_files import RowFile
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import Schema


class RowBatch(NamedTuple):
    """Some consecutive rows of a source.

    Attributes:
        columns: One column per name in `Schema.columns`. A categorical column is `string` (or a dictionary
            of strings), null where the value is missing; a numeric one `float64`, null where missing;
            a multi-valued or sequence one `string` with the feature's separator or `list<string>`; the label
            `float32`, 0 or 1, or between where the schema's labels are soft, never null; weight (of several
            impressions: their number) and true probability `float64`, never null.
        splits: int8 `(rows,)`: for each row the index of its split in `RowSource.split_names`.
        rows: uint64 `(rows,)`: numbers of the rows, which do not depend on how they are read. Default `None`: they are
            counted from the first.
    """

    columns: pa.RecordBatch
    splits: np.ndarray
    rows: np.ndarray | None = None


class RowSource(Protocol):
    """A data set that can be read again and again, in the same order, in columnar batches."""

    @property
    def schema(self) -> Schema:
        """What the columns mean."""

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits, `"train"` first; vocabularies are fitted on that one alone."""

    @property
    def num_rows(self) -> int | None:
        """How many rows there are over all splits; `None` if they must be read to know it."""

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many rows the last complete reading left out, by reason; empty where none was."""

    @property
    def files(self) -> tuple[Path | RowFile, ...]:
        """The files that the rows are read from; empty where they are made."""

    def batches(self) -> Iterator[RowBatch]:
        """Reads all rows once, in memory that does not depend on their number."""


def first_rows(source: RowSource, split: str, count: int) -> pa.RecordBatch:
    """Reads the first rows of a split.

    Use it for the sample of raw rows that `dynctr_tf.export.export_model` compares the export on.

    Args:
        source: The rows.
        split: Name of the split.
        count: How many rows are read at the most.

    Returns:
        The rows, with the columns of `RowBatch.columns`.

    Raises:
        ValueError: The source has no such split, or the split has no row.

    Example:

    >>> from dynctr_tf.datasets import SyntheticCtrRows
    >>> first_rows(SyntheticCtrRows(num_train=100, num_validation=10, num_test=10), "test", 3).num_rows
    3
    """
    if split not in source.split_names:
        raise ValueError(unknown_name_message("split", split, source.split_names))
    wanted = source.split_names.index(split)
    parts: list[pa.RecordBatch] = []
    for batch in source.batches():
        parts.append(batch.columns.take(pa.array(np.flatnonzero(batch.splits == wanted)[:count])))
        count -= parts[-1].num_rows
        if count <= 0:
            break
    rows = pa.Table.from_batches(_of_one_type(parts)).combine_chunks().to_batches() if parts else []
    if not rows:
        raise ValueError(f"The split {split!r} has no row.")
    return rows[0]


def _of_one_type(parts: Sequence[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Casts an empty column of text to a column of lists, where other files have lists in the column."""
    fields = {field.name: field for part in parts for field in part.schema if pa.types.is_list(field.type)}
    made = []
    for part in parts:
        kinds = [fields.get(field.name, field).type for field in part.schema]
        columns = [
            column if column.type == kind else pa.nulls(part.num_rows, kind)
            for column, kind in zip(part.columns, kinds, strict=True)
        ]
        made.append(pa.RecordBatch.from_arrays(columns, part.schema.names))
    return made
