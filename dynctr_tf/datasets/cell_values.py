"""The cells of a column as text or as numbers, which mean the same in every format."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynctr_tf.datasets.bad_rows import Problem, bad_values, refused_rows

NUMBER = r"^([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?[nN][aA][nN])$"
"""The texts that are read as a number: a decimal number, with an exponent or without, or NaN."""

LARGEST = float(np.finfo(np.float32).max)
"""The largest number that float32 holds."""

_LONG_FLOAT = r"^-?[1-9](\.[0-9]+)?e\+(1[6-9])$"
_MOST_SHOWN = 5


def as_bools(array: pa.Array) -> np.ndarray:
    """Returns a column of booleans as bool `(rows,)`, `False` where one is null."""
    filled: np.ndarray = pc.fill_null(array, False).to_numpy(zero_copy_only=False)
    return filled


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts or bytes, in whatever form."""
    views = [getattr(pa.types, name) for name in ("is_string_view", "is_binary_view") if hasattr(pa.types, name)]
    own = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in (*own, pa.types.is_fixed_size_binary, *views))


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type holds lists, in whatever form."""
    names = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
    return any(getattr(pa.types, name)(kind) for name in names if hasattr(pa.types, name))


def decoded(values: pa.Array) -> pa.Array:
    """Removes dictionaries, and casts all types of text to string, which may then hold bytes that are not UTF-8."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string(values.type) and values.offset:
        # Up to version 21, pyarrow's if_else cuts the texts of a slice at wrong places.
        values = values.take(pa.array(np.arange(len(values))))
    if pa.types.is_string(values.type) or not is_text(values.type):
        return values
    raw = values if pa.types.is_binary(values.type) else values.cast(pa.binary())
    return pa.Array.from_buffers(pa.string(), len(raw), raw.buffers(), offset=raw.offset)


def valid_text(name: str, text: pa.Array) -> tuple[pa.Array, list[Problem]]:
    """Returns text with nulls where it is not UTF-8, and the rows in which it is not."""
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
    problems = bad_values(
        name,
        f"{name} is not UTF-8 text",
        "UTF-8 text",
        bad,
        text,
        advice=lambda: 'If the whole file is in another encoding, name it: encoding="latin-1".',
    )
    kept = [None if wrong else value for value, wrong in zip(values, bad, strict=True)]
    return pa.array(kept, pa.binary()).cast(pa.string()), problems


def _float_text(values: pa.Array) -> pa.Array:
    """Writes floats as CSV writers do, whole ones without a fraction; NaN becomes null."""
    numbers = values.fill_null(float("nan")).to_numpy(zero_copy_only=False)
    present = ~np.isnan(numbers)
    with np.errstate(invalid="ignore", over="ignore"):
        whole = present & (np.abs(numbers) < 2.0**63) & (np.floor(numbers) == numbers)
        # -0.0 stays different from 0, as in text.
        whole &= ~((numbers == 0) & np.signbit(numbers))
        integers = pa.array(np.where(whole, numbers, 0).astype(np.int64)).cast(pa.string())
    rest = np.flatnonzero(present & ~whole)
    texts = pc.if_else(pa.array(whole), integers, pa.scalar(None, pa.string()))
    if not len(rest):
        return texts
    distinct, places = np.unique(numbers[rest], return_inverse=True)
    spelt = np.array([str(number).removesuffix(".0") for number in distinct], object)
    written = np.empty(len(numbers), object)
    written[rest] = spelt[places.reshape(-1)]
    return pc.coalesce(texts, pa.array(written, pa.string()))


def _without_exponents(text: pa.Array) -> pa.Array:
    """Writes whole numbers in full that a CSV writer shortened, such as 1.5e+16; writers do so from 1e16 on."""
    data = text.buffers()[2]
    if data is None or b"+" not in data.to_pybytes():
        return text
    short = pc.fill_null(pc.match_substring_regex(text, _LONG_FLOAT), False)
    if not pc.any(short).as_py():
        return text
    return pc.if_else(short, _float_text(pc.if_else(short, text, "nan").cast(pa.float64())), text)


def as_text(values: pa.Array) -> pa.Array:
    """Writes single values as text; strings are not checked."""
    values = decoded(values)
    kind = values.type
    if pa.types.is_string(kind):
        return values
    if pa.types.is_floating(kind):
        return _float_text(values)
    text = values.cast(pa.string())
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        # The same time in seconds and in nanoseconds is the same text.
        text = pc.replace_substring_regex(text, r"\.0+(Z?)$", r"\1")
    return text


def null_where_missing(text: pa.Array, missing: pa.Array | None) -> pa.Array:
    """Replaces the texts that mean a missing value by null; `None` where there are none."""
    if missing is None:
        return text
    return pc.if_else(pc.is_in(text, value_set=missing), pa.scalar(None, pa.string()), text)


def text_or_null(name: str, values: pa.Array, missing: pa.Array | None) -> tuple[pa.Array, list[Problem]]:
    """Writes a value a row as text, null where it is missing or not UTF-8; also returns the rows where it is not."""
    text, problems = valid_text(name, as_text(values))
    text = _without_exponents(text)
    text = null_where_missing(text, missing)
    return text, problems


def _not_a_number(name: str, values: pa.Array) -> str:
    shown = ", ".join(map(repr, pc.unique(values.drop_null()).slice(0, _MOST_SHOWN).to_pylist()))
    return (
        f"The column holds {shown}. If these are not numbers, make the feature categorical in the schema; if they mean "
        'a missing value, name them there: "missing_values": ["", "..."].'
    )


def as_numbers(name: str, values: pa.Array, missing: pa.Array | None) -> tuple[pa.Array, list[Problem]]:
    """Casts text or numbers to float64; NaN becomes null. Refuses texts that are not numbers, and infinity."""
    reason, expected = f"{name} is not a number", "a finite number"
    problems: list[Problem] = []
    values = decoded(values)
    numbers: pa.Array | None = None
    if pa.types.is_string(values.type):
        try:
            numbers = values.cast(pa.float64())
            nan = pc.is_nan(numbers)
            if pc.any(nan).as_py():
                # The parser takes nan(1) and the like too.
                spelt = pc.match_substring_regex(values.filter(nan), NUMBER)
                numbers = numbers if pc.all(spelt).as_py() else None
        except pa.ArrowInvalid:
            numbers = None
        if numbers is None:
            text, problems = valid_text(name, values)
            text = pc.utf8_trim_whitespace(text)
            text = null_where_missing(text, missing)
            lower = pc.ascii_lower(text)
            text = pc.if_else(pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", text))
            fits = pc.match_substring_regex(text, NUMBER)
            bad = as_bools(pc.invert(fits))
            problems += bad_values(
                name, reason, expected, bad, values, advice=lambda: _not_a_number(name, text.filter(pa.array(bad)))
            )
            numbers = pc.if_else(pc.fill_null(fits, False), text, pa.scalar(None, pa.string())).cast(pa.float64())
    else:
        numbers = values.cast(pa.float64(), safe=False)
    problems += bad_values(name, reason, expected, as_bools(pc.is_inf(numbers)), values)
    nan = pc.is_nan(numbers)
    if pc.any(nan).as_py():
        numbers = pc.if_else(nan, pa.scalar(None, pa.float64()), numbers)
    return numbers, problems


def required_numbers(
    name: str, values: pa.Array, missing: pa.Array, low: float, high: float
) -> tuple[pa.Array, list[Problem]]:
    """Casts as `as_numbers` does, and refuses rows where a number is missing or out of range."""
    numbers, problems = as_numbers(name, values, missing)
    expected = f"a number of at least {low:g} and at most {high:g}"
    if high == LARGEST:
        expected = f"a number of at least {low:g}"
    refused = refused_rows(len(values), problems)
    null = numbers.is_null().to_numpy(zero_copy_only=False) & ~refused
    problems += bad_values(name, f"{name} is missing", expected, null, values)
    outside = as_bools(pc.or_(pc.less(numbers, low), pc.greater(numbers, high))) & ~refused
    if high == LARGEST and as_bools(pc.greater(numbers, high)).any():
        expected = f"a number of at least {low:g} that float32 holds (at most {high:.3g})"
    return numbers, problems + bad_values(name, f"{name} is out of range", expected, outside, values)
