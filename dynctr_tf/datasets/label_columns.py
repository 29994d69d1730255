"""Labels of 0 and 1 out of what a file holds: other words for a click, comparisons, clicks out of impressions."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynctr_tf.datasets.bad_rows import Problem, bad_values, refused_rows
from dynctr_tf.datasets.cell_values import (
    LARGEST,
    NUMBER,
    as_bools,
    as_numbers,
    as_text,
    decoded,
    null_where_missing,
    required_numbers,
    valid_text,
)
from dynctr_tf.schema import Schema, positive_rule

_WORDS_OF_CLICKS = ("1", "1.0", "yes", "y", "true", "t", "click", "clicked", "positive", "pos", "like", "liked", "buy")
_MOST_SHOWN = 5


def label_advice(values: pa.Array) -> str:
    """Returns the line of a schema that a label other than 0 and 1 needs.

    Args:
        values: Some values of the column: texts, numbers or booleans; null where one is missing.

    Example:

    >>> print(label_advice(pa.array(["no", "yes", "no"])))
    The column holds 'no', 'yes': put "positive": "yes" into the schema if that is a click.
    """
    values = pc.unique(decoded(values).drop_null())
    texts = pc.utf8_trim_whitespace(valid_text("label", as_text(values))[0].drop_null())
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


def label_column(
    name: str, values: pa.Array, missing: pa.Array | None, schema: Schema
) -> tuple[pa.Array, list[Problem]]:
    """Casts a label to float32: 0 or 1, or between where the schema's labels are soft."""
    if schema.positive is not None:
        return _compared_label(name, values, missing, schema.positive)
    if schema.soft_label:
        reason, expected = f"{name} is not a probability", "the label, a probability from 0 to 1"
    else:
        reason, expected = f"{name} is not 0 or 1", "the label, 0 or 1"

    def advice() -> str:
        return "" if schema.soft_label else label_advice(values)

    numbers, found = as_numbers(name, values, missing)
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
    problems += bad_values(name, reason, expected, as_bools(other) & ~refused, values, advice=advice)
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
        numbers, problems = as_numbers(name, values, missing)
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
        values = decoded(values)
        text, problems = valid_text(name, as_text(values))
        text = pc.utf8_trim_whitespace(text)
        text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
        text = null_where_missing(text, missing)
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


def clicks_of_impressions(
    schema: Schema, raw: dict[str, pa.Array], missing: pa.Array | None
) -> tuple[dict[str, pa.Array], list[Problem]]:
    """Makes labels, clicks / impressions, and weights."""
    if schema.impressions is None:
        raise RuntimeError("Only called where the schema has impressions.")
    values = raw[schema.label]
    impressions, problems = required_numbers(schema.impressions, raw[schema.impressions], missing, 0.0, LARGEST)
    clicks, found = as_numbers(schema.label, values, missing)
    problems += found
    refused = refused_rows(len(values), problems)
    expected = f"the number of clicks, from 0 to that of {schema.impressions!r}"
    null = clicks.is_null().to_numpy(zero_copy_only=False) & ~refused
    problems += _empty_label(schema.label, expected, null, values)
    # A row that was refused for its impressions has no number to compare with.
    outside = as_bools(pc.or_(pc.less(clicks, 0.0), pc.greater(clicks, impressions))) & ~refused
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        detail = f"expected {expected}, got {clicks[row].as_py():g} clicks of {impressions[row].as_py():g}"
        problems += bad_values(
            schema.label, f"{schema.label} is not from 0 to the impressions", expected, outside, values, detail=detail
        )
    labels = pc.divide(clicks, pc.if_else(pc.equal(impressions, 0.0), 1.0, impressions))
    weights = impressions
    if schema.weight is not None:
        own, found = required_numbers(schema.weight, raw[schema.weight], missing, 0.0, LARGEST)
        problems += found
        weights = pc.multiply(weights, own)
        too_large = as_bools(pc.greater(weights, LARGEST)) & ~refused_rows(len(values), problems)
        problems += bad_values(
            schema.weight,
            f"{schema.weight} is out of range",
            f"a weight that float32 holds when it is multiplied by {schema.impressions!r}",
            too_large,
            raw[schema.weight],
        )
    return {schema.label: labels.cast(pa.float32()), str(schema.row_weight): weights}, problems
