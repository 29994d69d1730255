"""Reads the raw columns of a batch, whichever Arrow type they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynctr_tf.schema import Feature


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))


def strings(column: pa.Array, name: str) -> pa.Array:
    """Returns a categorical column as an array of strings, or a dictionary of them, as it came.

    Raises:
        ValueError: A column of another type.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not _is_string(kind):
        raise ValueError(
            f"Column {name!r} of a categorical feature must hold strings, got {column.type}; "
            "cast it to string in the source, or make the feature numeric in the schema."
        )
    return column.cast(pa.string()) if pa.types.is_null(column.type) else column


def is_missing(values: pa.Array, missing_values: Sequence[str]) -> pa.Array:
    """Marks the texts that mean a missing value: the empty one and the given ones; null stays null."""
    if all(not text for text in missing_values):
        return pc.equal(values, "")
    found = pc.is_in(values, value_set=pa.array(sorted({"", *missing_values}), values.type))
    return pc.if_else(values.is_null(), pa.scalar(None, pa.bool_()), found)


def numbers(column: pa.Array, name: str) -> np.ndarray:
    """Returns a numeric column as float32, NaN where it is null.

    Numbers are read as float32 because the serving signature takes float32: so a number has the same bin in both.

    Raises:
        ValueError: A column that does not hold numbers.
    """
    kind = column.type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise ValueError(
            f"Column {name!r} of a numeric feature must hold numbers, got {kind}; "
            "cast it to double in the source, or make the feature categorical in the schema."
        )
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float32)


class KeptValues(NamedTuple):
    """The encoded values of a multi-valued or sequence column.

    Attributes:
        values: All of them, row after row.
        rows: int64, the row of each.
        positions: int64, its place in the row's entry.
    """

    values: pa.Array
    rows: np.ndarray
    positions: np.ndarray


def kept_values(column: pa.Array, feature: Feature, missing_values: Sequence[str] = ()) -> KeptValues:
    """Splits a multi-valued or sequence column into values and keeps as many as `feature.max_length`.

    White space around values is stripped and missing values are dropped; then the first values of a set, or the last
    ones of a sequence, are kept.

    Args:
        column: Strings whose values are separated by the feature's separator, or lists of strings.
        feature: The feature.
        missing_values: The texts that mean a missing value, beside the empty one. Default `()`.

    Raises:
        ValueError: A column that holds neither strings nor lists of strings, or strings where `list_format` says
            that lists are written in brackets, which a source has to read.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = kind.value_type
    if _is_string(kind) and (feature.list_format == "separated" or pa.types.is_null(kind)):
        lists = pc.split_pattern(column.cast(pa.string()), feature.separator)
    elif (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and _is_string(kind.value_type):
        lists = column
    else:
        raise ValueError(
            f"Column {feature.name!r} of a {feature.kind} feature must hold strings whose values are separated "
            f"by {feature.separator!r}, or lists of strings, got {kind}"
            + (" where its list_format is 'brackets'; `TabularFile` reads those." if _is_string(kind) else ".")
        )
    values = lists.flatten().cast(pa.string())
    rows = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    # As `tf.strings.strip`, which the layer calls.
    values = pc.ascii_trim_whitespace(values)
    present = pc.fill_null(pc.invert(is_missing(values, missing_values)), False)
    values = values.filter(present)
    rows = rows[present.to_numpy(zero_copy_only=False)]

    counts = np.bincount(rows, minlength=len(column))
    positions = np.arange(len(rows)) - (np.cumsum(counts) - counts)[rows]
    if len(counts) and counts.max() > feature.max_length:
        if feature.kind == "sequence":
            positions = positions - np.maximum(counts - feature.max_length, 0)[rows]
            kept = positions >= 0
        else:
            kept = positions < feature.max_length
        values, rows, positions = values.filter(pa.array(kept)), rows[kept], positions[kept]
    return KeptValues(values, rows, positions)
