"""The rows of a source, all of them in one split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from dynctr_tf.datasets.row_files import RowFile
from dynctr_tf.datasets.row_source import RowBatch, RowSource
from dynctr_tf.schema import Schema


class OneSplit:
    """A source whose rows are all in the split `"train"`, whatever split they were in.

    Use it where all rows of a file are trained on, such as those of a new day.

    Args:
        source: The source.

    Example:

    >>> from dynctr_tf.datasets import SyntheticCtrRows
    >>> source = OneSplit(SyntheticCtrRows(num_train=30, num_validation=10, num_test=10))
    >>> sum(len(batch.splits) for batch in source.batches()), source.split_names
    (50, ('train',))
    """

    def __init__(self, source: RowSource) -> None:
        self._source = source

    @property
    def schema(self) -> Schema:
        """What the columns mean."""
        return self._source.schema

    @property
    def split_names(self) -> tuple[str, ...]:
        """The one split."""
        return ("train",)

    @property
    def num_rows(self) -> int | None:
        """How many rows there are; `None` if they must be read to know it."""
        return self._source.num_rows

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many rows the last complete reading left out, by reason."""
        return self._source.skipped

    @property
    def files(self) -> tuple[Path | RowFile, ...]:
        """The files that the rows are read from."""
        return self._source.files

    def batches(self) -> Iterator[RowBatch]:
        """Reads all rows once."""
        for batch in self._source.batches():
            yield RowBatch(batch.columns, np.zeros(len(batch.splits), np.int8))
