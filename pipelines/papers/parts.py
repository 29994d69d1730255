"""Parts of the test rows, by how often the training rows have a value, and by whether the history has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dynctr_tf.nearest import unknown_name_message
from pipelines.papers.descriptions import Column

if TYPE_CHECKING:
    from dynctr_tf.encoding import EncodedDataset


def part_of_rows(data: EncodedDataset, column: Column, split: str = "test") -> np.ndarray:
    """Returns which rows of a split a column measures.

    Args:
        data: The encoded rows.
        column: The column; its rule says which rows.
        split: The split. Default `"test"`.

    Returns:
        bool `(rows,)`.

    Raises:
        ValueError: A field that the data does not have, or that is not a field or sequence of that kind.
    """
    if not column.field:
        return np.ones(data.num_rows(split), bool)
    if column.rule == "=0":
        return _not_in_history(data, column, split)
    known = [field.name for field in data.features.single_valued]
    if column.field not in known:
        raise ValueError(unknown_name_message(f"field of the column {column.text!r}", column.field, known))
    counts, values = _counts(data, column.field, split)
    limit = float(column.rule.strip("<%"))
    if not column.rule.endswith("%"):
        # A value that is absent from the training rows shares the unknown id, whose count includes other values.
        return counts[values] < limit
    order = np.argsort(counts, kind="stable")
    share = np.cumsum(counts[order]) / max(counts.sum(), 1)
    rare = np.zeros(len(counts), bool)
    rare[order[share <= limit / 100.0]] = True
    return rare[values]


def _counts(data: EncodedDataset, field: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """How often each value of a field is in the training rows, 0 for the unknown bucket; and the rows' values."""
    entry = next(entry for entry in data.features.single_valued if entry.name == field)
    counts = np.bincount(data.column("train", feature=field) - entry.first_id, minlength=entry.num_ids)
    counts[1] = 0
    return counts, data.column(split, feature=field) - entry.first_id


def _not_in_history(data: EncodedDataset, column: Column, split: str) -> np.ndarray:
    sequences = {sequence.name: sequence for sequence in data.features.sequences}
    if column.field not in sequences or sequences[column.field].field is None:
        what = f"history of the column {column.text!r}"
        raise ValueError(unknown_name_message(what, column.field, [name for name, s in sequences.items() if s.field]))
    target = data.column(split, feature=sequences[column.field].field)
    history = data.column(split, feature=column.field)
    new: np.ndarray = ~(history == target[:, None]).any(axis=1)
    return new
