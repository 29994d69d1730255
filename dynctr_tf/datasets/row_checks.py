"""Casts raw columns to the columns that a row source promises, and marks the rows that cannot be kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynctr_tf.datasets.bad_rows import Problem, bad_values
from dynctr_tf.datasets.bracketed_lists import parse_lists
from dynctr_tf.datasets.cell_values import (
    LARGEST,
    as_bools,
    as_numbers,
    is_list,
    is_text,
    required_numbers,
    text_or_null,
)
from dynctr_tf.datasets.label_columns import clicks_of_impressions, label_column
from dynctr_tf.schema import Feature, Schema, positive_rule

_BRACKETED = r"^\s*\[(?s:.*)\]\s*$"


def _without_dictionary(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_number(kind: pa.DataType) -> bool:
    """Whether values of this type are numbers, or nothing but nulls."""
    own = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null)
    return any(test(kind) for test in own)


def check_type(name: str, kind: pa.DataType, feature: Feature | None, schema: Schema | None = None) -> None:
    """Refuses a column whose type cannot hold the feature; `None` for a label, a weight or the like.

    Raises:
        ValueError: Says which type came and which are expected.
    """
    kind = _without_dictionary(kind)
    if feature is None or feature.kind == "numeric":
        if not (_is_number(kind) or is_text(kind)):
            raise ValueError(f"Column {name!r} holds {kind}, expected numbers (or text that spells them).")
        if schema is not None and schema.positive is not None and name == schema.label and _is_number(kind):
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
        kind = _without_dictionary(kind.value_type)
    plain = is_text(kind) or _is_number(kind) or pa.types.is_temporal(kind)
    if not plain or pa.types.is_duration(kind) or pa.types.is_interval(kind):
        raise ValueError(
            f"Column {name!r} holds {kind}, which cannot be read as a value of a {feature.kind} feature; expected "
            "text, whole numbers, booleans, dates" + (", or lists of them." if several else ".")
        )


def _lists(values: pa.Array, name: str, missing: pa.Array | None) -> tuple[pa.Array, list[Problem]]:
    """Lists of any type, as lists of text."""
    present = values.is_valid().to_numpy(zero_copy_only=False)
    counts = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    text, problems = text_or_null(name, values.flatten(), missing)
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
    text, problems = text_or_null(name, values, missing)
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
        as_bools(bracketed),
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
        columns, problems = clicks_of_impressions(schema, given, numbers_missing)
    for name, low, high in ((schema.weight, 0.0, LARGEST), (schema.true_probability, 0.0, 1.0)):
        if name is not None and name not in columns:
            columns[name], found = required_numbers(name, given[name], numbers_missing, low, high)
            problems += found
    if schema.label not in columns:
        columns[schema.label], found = label_column(schema.label, given[schema.label], numbers_missing, schema)
        problems += found
    for feature in schema.features:
        values = given[feature.name]
        if feature.kind == "numeric":
            columns[feature.name], found = as_numbers(feature.name, values, numbers_missing)
        elif feature.kind == "categorical":
            columns[feature.name], found = text_or_null(feature.name, values, missing)
        else:
            columns[feature.name], found = _several(feature, values, missing)
        problems += found
    return pa.RecordBatch.from_arrays([columns[name] for name in schema.columns], names=list(schema.columns)), problems
