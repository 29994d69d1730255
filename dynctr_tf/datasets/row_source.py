"""What every source of raw rows gives: columnar batches, the split of each row, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from dynctr_tf.schema import Schema


class RowBatch(NamedTuple):
    """Some consecutive rows of a source.

    Attributes:
        columns: One column per name in `Schema.columns`. A categorical column is `string` (or a dictionary
            of strings), null where the value is missing; a numeric one `float64`, null where missing;
            a multi-valued or sequence one `string` with the feature's separator or `list<string>`; the label
            `float32`, 0 or 1, never null; weight and true probability `float64`, never null.
        splits: int8 `(rows,)`: for each row the index of its split in `RowSource.split_names`.
    """

    columns: pa.RecordBatch
    splits: np.ndarray


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
        """How many rows there are over all splits; `None` where only reading them tells."""

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many rows the last complete reading left out, by reason; empty where none was."""

    def batches(self) -> Iterator[RowBatch]:
        """Reads all rows once, in memory that does not depend on their number."""
