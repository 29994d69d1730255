"""Casts raw columns to the columns that a row source promises, and marks the rows that cannot be kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynctr_tf.datasets.bracketed_lists import parse_lists
from dynctr_tf.schema import Feature, Schema, positive_rule

NUMBER = r"^([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?[nN][aA][nN])$"
"""The texts that are read as a number: a decimal number, with an exponent or without, or NaN."""

_LARGEST = float(np.finfo(np.float32).max)
_BRACKETED = r"^\s*\[(?s:.*)\]\s*$"
_WORDS_OF_CLICKS = ("1", "1.0", "yes", "y", "true", "t", "click", "clicked", "positive", "pos", "like", "liked", "buy")
_MOST_SHOWN = 5


class BadRowError(ValueError):
    """A row that cannot be read.

    Attributes:
        path: The file.
        line: The 1-based line of the file on which the row starts; in a Parquet file its 1-based row.
        column: The wrong column; `None` where the row as a whole is wrong.
        reason: The reason by which it is counted when bad rows are skipped.
    """

    def __init__(
        self,
        path: str,
        place: str,
        line: int,
        column: str | None,
        reason: str,
        detail: str,
        advice: str | None = None,
    ) -> None:
        where = f"{path}, {place} {line}" + (f", column {column!r}" if column is not None else "")
        if advice is None:
            advice = 'Fix the row, or give on_bad_row="skip" to leave such rows out and count them.'
        super().__init__(f"{where}: {detail}. {advice}")
        self.path = path
        self.line = line
        self.column = column
        self.reason = reason
        self._given = (path, place, line, column, reason, detail, advice)

    def __reduce__(self) -> tuple[type[BadRowError], tuple[Any, ...]]:
        # So that a process can send it to another.
        return type(self), self._given


class Problem(NamedTuple):
    """Rows of a batch that one check refuses.

    Attributes:
        column: The column.
        reason: The reason, as it is counted.
        expected: What was expected.
        rows: The rows' indices in the batch, ascending.
        given: The value in the first of them.
        detail: The error, in place of what was expected and given. Default `None`.
        advice: What helps if many rows have the problem, such as a line for the schema. Default `""`.
    """

    column: str
    reason: str
    expected: str
    rows: np.ndarray
    given: object
    detail: str | None = None
    advice: str = ""


def bad_values(
    column: str,
    reason: str,
    expected: str,
    bad: np.ndarray,
    given: pa.Array,
    *,
    detail: str | None = None,
    advice: Callable[[], str] | None = None,
) -> list[Problem]:
    """Returns the problem of the rows that are marked; none where no row is.

    Args:
        column: The column.
        reason: The reason, as it is counted.
        expected: What was expected.
        bad: bool `(rows,)`.
        given: The values of the rows.
        detail: The error, in place of what was expected and given. Default `None`.
        advice: A function that returns advice for many such rows. Default `None`: there is none.
    """
    rows = np.flatnonzero(bad)
    if not len(rows):
        return []
    first = given[int(rows[0])]
    try:
        shown = first.as_py()
    except UnicodeDecodeError:
        shown = first.as_buffer().to_pybytes()
    return [Problem(column, reason, expected, rows, shown, detail, advice() if advice is not None else "")]


def _bools(array: pa.Array) -> np.ndarray:
    filled: np.ndarray = pc.fill_null(array, False).to_numpy(zero_copy_only=False)
    return filled


def refused_rows(rows: int, problems: Sequence[Problem]) -> np.ndarray:
    """Marks the rows that have a problem: bool `(rows,)`."""
    refused = np.zeros(rows, bool)
    for problem in problems:
        refused[problem.rows] = True
    return refused


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts or bytes, in whatever form."""
    views = [getattr(pa.types, name) for name in ("is_string_view", "is_binary_view") if hasattr(pa.types, name)]
    own = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in (*own, pa.types.is_fixed_size_binary, *views))


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type holds lists, in whatever form."""
    names = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
    return any(getattr(pa.types, name)(kind) for name in names if hasattr(pa.types, name))


def _decoded(values: pa.Array) -> pa.Array:
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


def _not_a_number(name: str, values: pa.Array) -> str:
    shown = ", ".join(map(repr, pc.unique(values.drop_null()).slice(0, _MOST_SHOWN).to_pylist()))
    return (
        f"The column holds {shown}. If these are not numbers, make the feature categorical in the schema; if they mean "
        'a missing value, name them there: "missing_values": ["", "..."].'
    )


def _numbers(name: str, values: pa.Array, missing: pa.Array | None) -> tuple[pa.Array, list[Problem]]:
    """Casts text or numbers to float64; NaN becomes null. Refuses texts that are not numbers, and infinity."""
    reason, expected = f"{name} is not a number", "a finite number"
    problems: list[Problem] = []
    values = _decoded(values)
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
            if missing is not None:
                text = pc.if_else(pc.is_in(text, value_set=missing), pa.scalar(None, pa.string()), text)
            lower = pc.ascii_lower(text)
            text = pc.if_else(pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", text))
            fits = pc.match_substring_regex(text, NUMBER)
            bad = _bools(pc.invert(fits))
            problems += bad_values(
                name, reason, expected, bad, values, advice=lambda: _not_a_number(name, text.filter(pa.array(bad)))
            )
            numbers = pc.if_else(pc.fill_null(fits, False), text, pa.scalar(None, pa.string())).cast(pa.float64())
    else:
        numbers = values.cast(pa.float64(), safe=False)
    problems += bad_values(name, reason, expected, _bools(pc.is_inf(numbers)), values)
    nan = pc.is_nan(numbers)
    if pc.any(nan).as_py():
        numbers = pc.if_else(nan, pa.scalar(None, pa.float64()), numbers)
    return numbers, problems


def _required(
    name: str, values: pa.Array, missing: pa.Array, low: float, high: float
) -> tuple[pa.Array, list[Problem]]:
    numbers, problems = _numbers(name, values, missing)
    expected = f"a number of at least {low:g} and at most {high:g}"
    if high == _LARGEST:
        expected = f"a number of at least {low:g}"
    refused = refused_rows(len(values), problems)
    null = numbers.is_null().to_numpy(zero_copy_only=False) & ~refused
    problems += bad_values(name, f"{name} is missing", expected, null, values)
    outside = _bools(pc.or_(pc.less(numbers, low), pc.greater(numbers, high))) & ~refused
    if high == _LARGEST and _bools(pc.greater(numbers, high)).any():
        expected = f"a number of at least {low:g} that float32 holds (at most {high:.3g})"
    return numbers, problems + bad_values(name, f"{name} is out of range", expected, outside, values)


def label_advice(values: pa.Array) -> str:
    """Returns the line of a schema that a label other than 0 and 1 needs.

    Args:
        values: Some values of the column: texts, numbers or booleans; null where one is missing.

    Example:

    >>> print(label_advice(pa.array(["no", "yes", "no"])))
    The column holds 'no', 'yes': put "positive": "yes" into the schema if that is a click.
    """
    values = pc.unique(_decoded(values).drop_null())
    texts = values if pa.types.is_string(values.type) else _float_text(values) if _is_float(values.type) else values
    texts = pc.utf8_trim_whitespace(valid_text("label", texts.cast(pa.string()))[0].drop_null())
    texts = pc.unique(texts.filter(pc.not_equal(texts, "")))
    if not len(texts):
        return ""
    shown = sorted(texts.to_pylist())
    holds = "The column holds " + ", ".join(map(repr, shown[:_MOST_SHOWN]))
    holds += f" and {len(shown) - _MOST_SHOWN:,} more values" if len(shown) > _MOST_SHOWN else ""
    if pc.all(pc.match_substring_regex(texts, NUMBER)).as_py():
        numbers = sorted({float(text) for text in shown})
        low, high = numbers[0], numbers[-1]
        if set(numbers) == {-1.0, 1.0} or set(numbers) == {1.0} or set(numbers) == {-1.0, 0.0, 1.0}:
            return f'{holds}: put "positive": "1" into the schema.'
        if set(numbers) == {1.0, 2.0}:
            return f'{holds}: put "positive": "2" into the schema if that is a click.'
        whole = all(number == int(number) for number in numbers if abs(number) < 1e15)
        if low >= 0.0 and high <= 1.0:
            return f'{holds}: if these are probabilities, put "soft_label": true into the schema.'
        if whole and low >= 0.0 and high <= 10.0 and len(numbers) > 2:
            return (
                f'{holds}: if these are ratings, put "positive": ">= {max(int(0.8 * high), 1)}" (or another threshold) '
                'into the schema; if they are numbers of clicks, "positive": "> 0", or "impressions": with the column '
                "of how often each was shown."
            )
        return (
            f'{holds}: put a threshold such as "positive": "> 0" into the schema; if they are numbers of clicks of '
            'several impressions, "impressions": with the column of how many.'
        )
    lower = {text.lower(): text for text in reversed(shown)}
    click = next((lower[word] for word in _WORDS_OF_CLICKS if word in lower), None)
    if click is not None:
        return f'{holds}: put "positive": "{click}" into the schema if that is a click.'
    return f'{holds}: put the one that means a click into the schema, such as "positive": "{shown[-1]}".'


def _label(name: str, values: pa.Array, missing: pa.Array | None, schema: Schema) -> tuple[pa.Array, list[Problem]]:
    if schema.positive is not None:
        return _compared_label(name, values, missing, schema.positive)
    if schema.soft_label:
        reason, expected = f"{name} is not a probability", "the label, a probability from 0 to 1"
    else:
        reason, expected = f"{name} is not 0 or 1", "the label, 0 or 1"

    def advice() -> str:
        return "" if schema.soft_label else label_advice(values)

    numbers, found = _numbers(name, values, missing)
    problems = [
        problem._replace(expected=expected, reason=reason, advice=advice())
        if problem.reason == f"{name} is not a number"
        else problem
        for problem in found
    ]
    refused = refused_rows(len(values), problems)
    problems += _empty_label(name, expected, numbers.is_null().to_numpy(zero_copy_only=False) & ~refused, values)
    if schema.soft_label:
        other = pc.or_(pc.less(numbers, 0.0), pc.greater(numbers, 1.0))
    else:
        other = pc.and_(pc.not_equal(numbers, 0.0), pc.not_equal(numbers, 1.0))
    problems += bad_values(name, reason, expected, _bools(other) & ~refused, values, advice=advice)
    return numbers.cast(pa.float32()), problems


def _empty_label(name: str, expected: str, null: np.ndarray, values: pa.Array) -> list[Problem]:
    detail = f"the label is empty: expected {expected}, got nothing"
    return bad_values(name, f"{name} is missing", expected, null, values, detail=detail)


def _compared_label(
    name: str, values: pa.Array, missing: pa.Array | None, positive: str
) -> tuple[pa.Array, list[Problem]]:
    """1 where the label is what `Schema.positive` says, else 0."""
    rule = positive_rule(positive)
    expected = f"a label to compare with {positive!r}"
    if rule.comparison is not None:
        numbers, problems = _numbers(name, values, missing)
        compare = {
            "==": pc.equal,
            "!=": pc.not_equal,
            ">": pc.greater,
            ">=": pc.greater_equal,
            "<": pc.less,
            "<=": pc.less_equal,
        }[rule.comparison]
        labels = compare(numbers, rule.number)
    else:
        values = _decoded(values)
        text, problems = valid_text(name, as_text(values))
        text = pc.utf8_trim_whitespace(text)
        text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
        if missing is not None:
            text = pc.if_else(pc.is_in(text, value_set=missing), pa.scalar(None, pa.string()), text)
        word = rule.text.lower()
        labels = pc.equal(text, rule.text) if word not in ("true", "false") else pc.equal(pc.ascii_lower(text), word)
        if rule.number is not None:
            spelt = pc.match_substring_regex(text, NUMBER)
            numbers = pc.if_else(spelt, text, pa.scalar(None, pa.string())).cast(pa.float64())
            labels = pc.or_(labels, pc.fill_null(pc.equal(numbers, rule.number), False))
    refused = refused_rows(len(values), problems)
    null = labels.is_null().to_numpy(zero_copy_only=False) & ~refused
    problems += _empty_label(name, expected, null, values)
    return labels.cast(pa.float32()), problems


def _clicks_of_impressions(
    schema: Schema, raw: dict[str, pa.Array], missing: pa.Array | None
) -> tuple[dict[str, pa.Array], list[Problem]]:
    """Labels clicks / impressions, and weights."""
    if schema.impressions is None:
        raise RuntimeError("Only called where the schema has impressions.")
    values = raw[schema.label]
    impressions, problems = _required(schema.impressions, raw[schema.impressions], missing, 0.0, _LARGEST)
    clicks, found = _numbers(schema.label, values, missing)
    problems += found
    refused = refused_rows(len(values), problems)
    expected = f"the number of clicks, from 0 to that of {schema.impressions!r}"
    null = clicks.is_null().to_numpy(zero_copy_only=False) & ~refused
    problems += _empty_label(schema.label, expected, null, values)
    # A row that was refused for its impressions has no number to compare with.
    outside = _bools(pc.or_(pc.less(clicks, 0.0), pc.greater(clicks, impressions))) & ~refused
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        detail = f"expected {expected}, got {clicks[row].as_py():g} clicks of {impressions[row].as_py():g}"
        problems += bad_values(
            schema.label, f"{schema.label} is not from 0 to the impressions", expected, outside, values, detail=detail
        )
    labels = pc.divide(clicks, pc.if_else(pc.equal(impressions, 0.0), 1.0, impressions))
    weights = impressions
    if schema.weight is not None:
        own, found = _required(schema.weight, raw[schema.weight], missing, 0.0, _LARGEST)
        problems += found
        weights = pc.multiply(weights, own)
        too_large = _bools(pc.greater(weights, _LARGEST)) & ~refused_rows(len(values), problems)
        problems += bad_values(
            schema.weight,
            f"{schema.weight} is out of range",
            f"a weight that float32 holds when it is multiplied by {schema.impressions!r}",
            too_large,
            raw[schema.weight],
        )
    return {schema.label: labels.cast(pa.float32()), str(schema.row_weight): weights}, problems


def _is_float(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind))


def check_type(name: str, kind: pa.DataType, feature: Feature | None, schema: Schema | None = None) -> None:
    """Refuses a column whose type cannot hold the feature; `None` for a label, a weight or the like.

    Raises:
        ValueError: Says which type came and which are expected.
    """
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    number = number or pa.types.is_boolean(kind) or pa.types.is_null(kind)
    if feature is None or feature.kind == "numeric":
        if not (number or is_text(kind)):
            raise ValueError(f"Column {name!r} holds {kind}, expected numbers (or text that spells them).")
        if schema is not None and schema.positive is not None and name == schema.label and number:
            rule = positive_rule(schema.positive)
            boolean = pa.types.is_boolean(kind) and rule.text.lower() in ("true", "false")
            if rule.number is None and not boolean and not pa.types.is_null(kind):
                raise ValueError(
                    f"The label's column {name!r} holds {kind}, and none of these is {schema.positive!r}, which "
                    'counts as a click in the schema; give a number ("positive": "1") or a comparison (">= 4").'
                )
        return
    several = feature.kind in ("multi_valued", "sequence")
    if is_list(kind):
        if not several:
            raise ValueError(
                f"Column {name!r} holds {kind}, but feature {name!r} is {feature.kind}, one value a row; declare its "
                'kind "multi_valued" or "sequence".'
            )
        kind = kind.value_type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        number = number or pa.types.is_boolean(kind) or pa.types.is_null(kind)
    plain = is_text(kind) or number or pa.types.is_temporal(kind)
    if not plain or pa.types.is_duration(kind) or pa.types.is_interval(kind):
        raise ValueError(
            f"Column {name!r} holds {kind}, which cannot be read as a value of a {feature.kind} feature; expected "
            "text, whole numbers, booleans, dates" + (", or lists of them." if several else ".")
        )


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


_LONG_FLOAT = r"^-?[1-9](\.[0-9]+)?e\+(1[6-9])$"


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
    values = _decoded(values)
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


def _text(name: str, values: pa.Array, missing: pa.Array | None) -> tuple[pa.Array, list[Problem]]:
    """A value a row, as text."""
    text, problems = valid_text(name, as_text(values))
    text = _without_exponents(text)
    if missing is not None:
        text = pc.if_else(pc.is_in(text, value_set=missing), pa.scalar(None, pa.string()), text)
    return text, problems


def _lists(values: pa.Array, name: str, missing: pa.Array | None) -> tuple[pa.Array, list[Problem]]:
    """Lists of any type, as lists of text."""
    present = values.is_valid().to_numpy(zero_copy_only=False)
    counts = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    text, problems = _text(name, values.flatten(), missing)
    offsets = np.zeros(len(values) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    parents = np.repeat(np.arange(len(values)), counts)
    problems = [problem._replace(rows=np.unique(parents[problem.rows])) for problem in problems]
    lists = pa.ListArray.from_arrays(pa.array(offsets), text)
    if not present.all():
        lists = pc.if_else(pa.array(present), lists, pa.scalar(None, lists.type))
    return lists, problems


def _several(feature: Feature, values: pa.Array, missing: pa.Array | None) -> tuple[pa.Array, list[Problem]]:
    """Several values a row: lists, or text that holds them."""
    name = feature.name
    if is_list(values.type):
        return _lists(values, name, missing)
    text, problems = _text(name, values, missing)
    if feature.list_format == "brackets":
        lists, bad = parse_lists(text)
        expected = 'a list in brackets, such as ["a", "b"]'
        advice = (
            f'Does the file hold values with {feature.separator!r} between them? Leave "list_format": "brackets" of '
            f"{name!r} out of the schema, and give its separator."
        )
        problems += bad_values(name, f"{name} is not a list", expected, bad, text, advice=lambda: advice)
        return lists, problems
    return text, problems + stray_brackets(feature, text)


def stray_brackets(feature: Feature, text: pa.Array) -> list[Problem]:
    """Refuses a column in which all values are lists in brackets, where separated values are expected."""
    bracketed = pc.match_substring_regex(text, _BRACKETED)
    if feature.list_format != "separated" or feature.separator in "[]" or not pc.all(bracketed, min_count=1).as_py():
        return []
    return bad_values(
        feature.name,
        f"{feature.name} is in brackets",
        f"values separated by {feature.separator!r}",
        _bools(bracketed),
        text,
        advice=lambda: (
            f'The column holds lists in brackets: put "list_format": "brackets" into feature {feature.name!r}.'
        ),
    )


def typed_columns(
    raw: Sequence[pa.Array], schema: Schema, missing: pa.Array | None = None
) -> tuple[pa.RecordBatch, list[Problem]]:
    """Casts raw columns to the types that `RowBatch` promises.

    Args:
        raw: One array per name in `schema.file_columns`.
        schema: What they mean.
        missing: The texts that mean a missing value; `None` where they are null already. Default `None`.

    Returns:
        The columns, and the rows that must not be used, whose cells in the columns have no meaning.
    """
    given = dict(zip(schema.file_columns, raw, strict=True))
    columns: dict[str, pa.Array] = {}
    problems: list[Problem] = []
    # In columns of numbers, blanks around a mark of a missing value are ignored.
    numbers_missing = pa.array(schema.missing_values, pa.string())
    if schema.impressions is not None:
        columns, problems = _clicks_of_impressions(schema, given, numbers_missing)
    for name, low, high in ((schema.weight, 0.0, _LARGEST), (schema.true_probability, 0.0, 1.0)):
        if name is not None and name not in columns:
            columns[name], found = _required(name, given[name], numbers_missing, low, high)
            problems += found
    if schema.label not in columns:
        columns[schema.label], found = _label(schema.label, given[schema.label], numbers_missing, schema)
        problems += found
    for feature in schema.features:
        values = given[feature.name]
        if feature.kind == "numeric":
            columns[feature.name], found = _numbers(feature.name, values, numbers_missing)
        elif feature.kind == "categorical":
            columns[feature.name], found = _text(feature.name, values, missing)
        else:
            columns[feature.name], found = _several(feature, values, missing)
        problems += found
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.columns], names=list(schema.columns)), problems
