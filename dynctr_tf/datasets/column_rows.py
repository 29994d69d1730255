"""A row source that keeps rows as numbers in memory and makes columns of some rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from dynctr_tf.datasets.key_features import VocabularyRules
from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.schema import Schema

_ROWS_PER_BATCH = 16_384


class ColumnRows(VocabularyRules):
    """Rows that a function makes from their positions.

    When to use: data sets whose rows are joined from several files, or drawn, and are not lines of one file.

    Args:
        schema: What the columns mean.
        split_names: The splits, `"train"` first.
        splits: int8 `(rows,)`, the index of each row's split.
        columns: A function from int64 row numbers to a dict of arrays, one per name in `schema.columns`.
        skipped: How many rows of the files were left out, by reason. Default none.
        files: The files that the rows were joined from. Default none.

    Raises:
        ValueError: No row at all.

    Example:

    >>> from dynctr_tf.schema import Feature, Schema
    >>> schema = Schema((Feature("parity", "categorical"),), label="y")
    >>> def columns(rows):
    ...     return {"y": pa.array((rows % 2).astype("float32")), "parity": pa.array([str(row % 2) for row in rows])}
    >>> source = ColumnRows(schema, ("train", "test"), np.array([0, 1, 0], np.int8), columns)
    >>> [batch.columns.num_rows for batch in source.batches()]
    [3]
    """

    def __init__(
        self,
        schema: Schema,
        split_names: Sequence[str],
        splits: np.ndarray,
        columns: Callable[[np.ndarray], Mapping[str, pa.Array]],
        skipped: Mapping[str, int] | None = None,
        files: Sequence[Path] = (),
    ) -> None:
        if not len(splits):
            raise ValueError("There is no row. Give files that have rows.")
        self._schema = schema
        self._split_names = tuple(split_names)
        self._splits = splits
        self._columns = columns
        self._skipped = dict(skipped or {})
        self._files = tuple(files)

    @property
    def schema(self) -> Schema:
        """What the columns mean."""
        return self._schema

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits, `"train"` first."""
        return self._split_names

    @property
    def num_rows(self) -> int:
        """How many rows there are over all splits."""
        return len(self._splits)

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many rows of the files were left out, by reason."""
        return dict(self._skipped)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the rows were joined from."""
        return self._files

    def batches(self) -> Iterator[RowBatch]:
        """Makes all rows once."""
        names = list(self._schema.columns)
        for start in range(0, self.num_rows, _ROWS_PER_BATCH):
            rows = np.arange(start, min(start + _ROWS_PER_BATCH, self.num_rows))
            columns = self._columns(rows)
            batch = pa.RecordBatch.from_arrays([columns[name] for name in names], names)
            yield RowBatch(batch, self._splits[rows])


def dictionary_column(numbers: np.ndarray, texts: pa.Array) -> pa.DictionaryArray:
    """Makes a categorical column from the numbers of its texts."""
    return pa.DictionaryArray.from_arrays(pa.array(numbers.astype(np.int32)), texts)


def history_column(values: np.ndarray, texts: pa.Array, starts: np.ndarray, stops: np.ndarray, length: int) -> pa.Array:
    """Makes a sequence column: for each row the last `length` of the values from `starts` to before `stops`.

    Args:
        values: int64, the numbers of the texts; those of one history are neighbours in time order.
        texts: The texts.
        starts: int64 `(rows,)`, where each row's history starts.
        stops: int64 `(rows,)`, the place after its last value.
        length: How many values are kept.

    Example:

    >>> texts = pa.array(["a", "b", "c"])
    >>> history_column(np.array([2, 0, 1]), texts, np.array([0, 0]), np.array([0, 3]), 2).to_pylist()
    [[], ['a', 'b']]
    """
    counts = np.minimum(stops - starts, length)
    ends = np.cumsum(counts)
    places = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(stops - ends, counts)
    offsets = np.concatenate([[0], ends])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), texts.take(pa.array(values[places])))
