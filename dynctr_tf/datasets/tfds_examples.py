"""The rows of a row source as TFDS examples of few tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynctr_tf.datasets.row_source import RowSource


def examples(
    source: RowSource, split: str, categorical: Sequence[str], numeric: Sequence[str], lists: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the rows of one split with their numbers, for `_generate_examples` of a TFDS builder.

    The time that TFDS takes grows with the number of tensors, so a row is one tensor of texts and one of numbers.

    Args:
        source: The rows.
        split: The name of the split.
        categorical: The columns of the entry `"categorical"`, "" where missing.
        numeric: The columns of the entry `"numeric"`, float32, NaN where missing.
        lists: The multi-valued and sequence columns, each an entry of its own, of any length. Default none.

    Yields:
        The row's number over all splits, and a dict of `"categorical"`, `"numeric"`, the label and, where
        the schema has them, the weight and the true probability, and the lists, under their columns' names.
    """
    wanted = source.split_names.index(split)
    schema = source.schema
    scalars = [name for name in (schema.label, schema.row_weight, schema.true_probability) if name is not None]
    start = 0
    for columns, splits, _ in source.batches():
        rows = np.flatnonzero(splits == wanted)
        if len(rows):
            kept = columns.take(rows)
            texts = np.empty((len(rows), len(categorical)), object)
            for position, name in enumerate(categorical):
                text = pc.fill_null(kept.column(name).cast("string"), "").cast("binary")
                texts[:, position] = text.to_numpy(zero_copy_only=False)
            numbers = np.empty((len(rows), len(numeric)), np.float32)
            for position, name in enumerate(numeric):
                numbers[:, position] = pc.fill_null(kept.column(name), np.nan).to_numpy()
            several = {name: _lists(kept.column(name), source.schema.feature(name).separator) for name in lists}
            single = {name: kept.column(name).to_numpy() for name in scalars}
            for index, row in enumerate(rows):
                example = {"categorical": texts[index], "numeric": numbers[index]}
                example.update({name: values[index] for name, values in single.items()})
                example.update({name: values[index] for name, values in several.items()})
                yield start + int(row), example
        start += len(splits)


def _lists(column: pa.Array, separator: str) -> list[np.ndarray]:
    """Splits a multi-valued or sequence column into values; empty values are dropped, as by the encoder."""
    values = column if pa.types.is_list(column.type) else pc.split_pattern(column, separator)
    return [
        np.array([value for value in row or [] if value], object)
        for row in values.cast(pa.list_(pa.binary())).to_pylist()
    ]
