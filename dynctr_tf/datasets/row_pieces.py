"""Pieces of the rows of files that are read separately, and what each reading finds."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynctr_tf.datasets.csv_blocks import Block
from dynctr_tf.datasets.label_columns import label_advice
from dynctr_tf.schema import Schema

_LABELS_KEPT = 10_000


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

    def add_rows(self, columns: pa.RecordBatch, splits: np.ndarray, schema: Schema) -> None:
        """Adds usable rows.

        Args:
            columns: The schema's columns.
            splits: int8 `(rows,)`, the split of each row.
            schema: What the columns mean.
        """
        self.rows += columns.num_rows
        self.clicks += pc.sum(columns.column(schema.label)).as_py()
        if schema.row_weight is not None:
            own = columns.column(schema.row_weight).to_numpy(zero_copy_only=False)[splits == 0]
            self.weight += float(own.astype(np.float32).sum(dtype=np.float64))

    def keep_labels(self, labels: pa.Array) -> None:
        """Keeps the first labels of a file."""
        if self.labels is None:
            # A copy, which does not keep the whole column.
            self.labels = labels.take(pa.array(np.arange(min(_LABELS_KEPT, len(labels)))))

    def refuse_unusable(self, schema: Schema, name: str, *, several: bool) -> None:
        """Refuses rows with which no model can be trained.

        Args:
            schema: What the columns mean.
            name: The name of the file or files.
            several: Whether there are several files.

        Raises:
            ValueError: No usable row at all, no click, or weights that are all 0.
        """
        if not self.rows:
            left_out = f"; left out: {dict(self.skipped)}" if self.skipped else ""
            what = "the files have" if several else "the file has"
            raise ValueError(f"{name}: {what} no usable row{left_out}. Give a file that has rows.")
        if schema.positive is not None and not self.clicks and self.labels is not None:
            raise ValueError(
                f"{name}: no row's label {schema.label!r} is {schema.positive!r}, which counts as a click in the "
                f'schema ("positive"). {label_advice(self.labels)}'
            )
        if schema.row_weight is not None and not self.weight:
            raise ValueError(
                f"{name}: the weights {schema.row_weight!r} of the training rows are all 0 (in float32), so no row "
                "counts. Give weights above 0, or take the column out of the schema."
            )
