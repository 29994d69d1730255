"""From raw columns to the columns that a row source promises, and which rows cannot be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynctr_tf.schema import Feature, Schema

NUMBER = r"^([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?[nN][aA][nN])$"
"""What is read as a number: a decimal number, with an exponent or without, or NaN."""


class BadRowError(ValueError):
    """A row that cannot be read.

    Attributes:
        path: The file.
        line: The 1-based line of the file on which the row starts; in a Parquet file its 1-based row.
        column: The column in question; `None` where the row as a whole is wrong.
        reason: The reason as it is counted when bad rows are skipped.
    """

    def __init__(self, path: str, place: str, line: int, column: str | None, reason: str, detail: str) -> None:
        where = f"{path}, {place} {line}" + (f", column {column!r}" if column is not None else "")
        super().__init__(
            f'{where}: {detail}. Mend the row, or give on_bad_row="skip" to leave such rows out and count them.'
        )
        self.path = path
        self.line = line
        self.column = column
        self.reason = reason


class Problem(NamedTuple):
    """Rows of a batch that one check refuses.

    Attributes:
        column: The column.
        reason: The reason, as it is counted.
        expected: What was expected.
        rows: The rows' indices in the batch, ascending.
        given: What the first of them has.
    """

    column: str
    reason: str
    expected: str
    rows: np.ndarray
    given: object


def bad_values(column: str, reason: str, expected: str, bad: np.ndarray, given: pa.Array) -> list[Problem]:
    """Returns the problem of the rows that are marked; none where no row is.

    Args:
        column: The column.
        reason: The reason, as it is counted.
        expected: What was expected.
        bad: bool `(rows,)`.
        given: What the rows have.
    """
    rows = np.flatnonzero(bad)
    if not len(rows):
        return []
    first = given[int(rows[0])]
    try:
        shown = first.as_py()
    except UnicodeDecodeError:
        shown = first.as_buffer().to_pybytes()
    return [Problem(column, reason, expected, rows, shown)]


def _bools(array: pa.Array) -> np.ndarray:
    filled: np.ndarray = pc.fill_null(array, False).to_numpy(zero_copy_only=False)
    return filled


def valid_text(name: str, text: pa.Array) -> tuple[pa.Array, list[Problem]]:
    """Returns text with nulls where it is no UTF-8, and the rows in which it is not."""
    try:
        text.validate(full=True)
        return text, []
    except pa.ArrowInvalid:
        values = text.cast(pa.binary()).to_pylist()
    bad = np.zeros(len(values), bool)
    for row, value in enumerate(values):
        try:
            (value or b"").decode()
        except UnicodeDecodeError:
            bad[row] = True
    problems = bad_values(name, f"{name} is not UTF-8 text", "UTF-8 text", bad, text)
    kept = [None if wrong else value for value, wrong in zip(values, bad, strict=True)]
    return pa.array(kept, pa.binary()).cast(pa.string()), problems


def _numbers(name: str, values: pa.Array) -> tuple[pa.Array, list[Problem]]:
    """Casts text or numbers to float64; NaN becomes null. Refuses what is no number, and infinity."""
    reason, expected = f"{name} is not a number", "a finite number"
    problems: list[Problem] = []
    if pa.types.is_string(values.type):
        try:
            numbers = values.cast(pa.float64())
        except pa.ArrowInvalid:
            text, problems = valid_text(name, values)
            text = pc.utf8_trim_whitespace(text)
            fits = pc.match_substring_regex(text, NUMBER)
            problems += bad_values(name, reason, expected, _bools(pc.invert(fits)), values)
            numbers = pc.if_else(pc.fill_null(fits, False), text, pa.scalar(None, pa.string())).cast(pa.float64())
    else:
        numbers = values.cast(pa.float64(), safe=False)
    problems += bad_values(name, reason, expected, _bools(pc.is_inf(numbers)), values)
    nan = pc.is_nan(numbers)
    if pc.any(nan).as_py():
        numbers = pc.if_else(nan, pa.scalar(None, pa.float64()), numbers)
    return numbers, problems


def _required(name: str, values: pa.Array, low: float, high: float) -> tuple[pa.Array, list[Problem]]:
    numbers, problems = _numbers(name, values)
    expected = f"a number of at least {low:g}" + (f" and at most {high:g}" if np.isfinite(high) else "")
    refused = np.zeros(len(values), bool)
    for problem in problems:
        refused[problem.rows] = True
    null = numbers.is_null().to_numpy(zero_copy_only=False) & ~refused
    problems += bad_values(name, f"{name} is missing", expected, null, values)
    outside = _bools(pc.or_(pc.less(numbers, low), pc.greater(numbers, high))) & ~refused
    return numbers, problems + bad_values(name, f"{name} is out of range", expected, outside, values)


def _label(name: str, values: pa.Array) -> tuple[pa.Array, list[Problem]]:
    numbers, found = _numbers(name, values)
    reason, expected = f"{name} is not 0 or 1", "the label, 0 or 1"
    problems = [problem._replace(expected=expected, reason=reason) for problem in found]
    refused = np.zeros(len(values), bool)
    for problem in problems:
        refused[problem.rows] = True
    null = numbers.is_null().to_numpy(zero_copy_only=False) & ~refused
    problems += bad_values(name, f"{name} is missing", expected, null, values)
    neither = _bools(pc.and_(pc.not_equal(numbers, 0.0), pc.not_equal(numbers, 1.0))) & ~refused
    problems += bad_values(name, reason, expected, neither, values)
    return numbers.cast(pa.float32()), problems


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def check_type(name: str, kind: pa.DataType, feature: Feature | None) -> None:
    """Refuses a column whose type cannot hold the feature (`None`: a label, weight or probability).

    Raises:
        ValueError: Says which type came and which are expected.
    """
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    number = number or pa.types.is_boolean(kind) or pa.types.is_null(kind)
    if feature is None or feature.kind == "numeric":
        if not (number or _is_text(kind)):
            raise ValueError(f"Column {name!r} holds {kind}, expected numbers (or text that spells them).")
        return
    several = feature.kind in ("multi_valued", "sequence")
    if _is_list(kind):
        if not several:
            raise ValueError(
                f"Column {name!r} holds {kind}, but feature {name!r} is {feature.kind}, one value a row; declare its "
                'kind "multi_valued" or "sequence".'
            )
        kind = kind.value_type
        number = pa.types.is_integer(kind) or pa.types.is_boolean(kind)
        number = number or pa.types.is_floating(kind)
    plain = _is_text(kind) or number or pa.types.is_temporal(kind) or pa.types.is_binary(kind)
    if not plain or pa.types.is_duration(kind):
        raise ValueError(
            f"Column {name!r} holds {kind}, which cannot be read as a value of a {feature.kind} feature; expected "
            "text, whole numbers, booleans, dates" + (", or lists of them." if several else ".")
        )


def _text(name: str, values: pa.Array, missing: pa.Array | None) -> tuple[pa.Array, list[Problem]]:
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.dictionary_decode()
        kind = values.type
    if _is_list(kind):
        target = pa.list_(pa.string())
        try:
            return values.cast(target), []
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ValueError(f"Column {name!r} of type {kind} cannot be read as lists of text: {error}.") from error
    if pa.types.is_floating(kind):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, kind), values)
    if pa.types.is_binary(kind):
        values = pa.Array.from_buffers(pa.string(), len(values), values.buffers(), offset=values.offset)
    elif not pa.types.is_string(kind):
        values = values.cast(pa.string())
    text, problems = valid_text(name, values)
    if missing is not None:
        text = pc.if_else(pc.is_in(text, value_set=missing), pa.scalar(None, pa.string()), text)
    return text, problems


def typed_columns(
    raw: Sequence[pa.Array], schema: Schema, missing: pa.Array | None = None
) -> tuple[pa.RecordBatch, list[Problem]]:
    """Casts raw columns to the types that `RowBatch` promises.

    Args:
        raw: One array per name in `schema.columns`.
        schema: What they mean.
        missing: The texts that mean a missing value; `None` where they are null already. Default `None`.

    Returns:
        The columns, and the rows that must not be used, whose cells in the columns have no meaning.
    """
    numeric = {feature.name for feature in schema.features if feature.kind == "numeric"}
    columns: list[pa.Array] = []
    problems: list[Problem] = []
    for name, values in zip(schema.columns, raw, strict=True):
        if pa.types.is_dictionary(values.type) or pa.types.is_large_string(values.type):
            values = values.cast(pa.string())
        plain_number = name in numeric or name in (schema.label, schema.weight, schema.true_probability)
        if plain_number and missing is not None and pa.types.is_string(values.type):
            values = pc.if_else(pc.is_in(values, value_set=missing), pa.scalar(None, pa.string()), values)
        if name == schema.label:
            column, found = _label(name, values)
        elif name == schema.weight:
            column, found = _required(name, values, 0.0, np.inf)
        elif name == schema.true_probability:
            column, found = _required(name, values, 0.0, 1.0)
        elif name in numeric:
            column, found = _numbers(name, values)
        else:
            column, found = _text(name, values, missing)
        columns.append(column)
        problems += found
    return pa.RecordBatch.from_arrays(columns, names=list(schema.columns)), problems
