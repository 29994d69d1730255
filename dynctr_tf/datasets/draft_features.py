"""The kind of feature that a column becomes, or why it becomes none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dynctr_tf.datasets.column_splits import TimeReader
from dynctr_tf.datasets.draft_columns import Column
from dynctr_tf.datasets.draft_lists import Doubt, ListForm
from dynctr_tf.datasets.draft_names import (
    LABEL_NAMES,
    OWNED_WORDS,
    SEQUENCE_WORDS,
    TIME_WORDS,
    after_the_click,
    category_word,
    is_index_name,
    is_quantity,
    plain,
    words,
)
from dynctr_tf.datasets.draft_times import numbers_are_times
from dynctr_tf.schema import Binning, Feature, Kind, Vocabulary

POINT_IN_TIME = "a point in time"
_MANY_INTEGERS = 100
_MANY_AMOUNTS = 20
_OFTEN = 50
_MANY_VALUES = 1000
_DRAFT_MIN_COUNT = 5
_LEAK = 0.98
_HIGH_AUC = 0.9


def kind_of(column: Column, num_rows: int) -> tuple[Kind, dict[str, Any], str]:
    """Returns the kind, further arguments of the feature, and why."""
    several: Kind = "sequence" if any(word in SEQUENCE_WORDS for word in column.words) else "multi_valued"
    vocabulary: dict[str, Any] = {}
    rare = ""
    if column.distinct > _MANY_VALUES:
        vocabulary = {"vocabulary": Vocabulary(min_count=_DRAFT_MIN_COUNT)}
        rare = f", many values: min_count {_DRAFT_MIN_COUNT}"
    if column.is_list:
        return several, vocabulary, "lists" + rare
    form = column.list_form
    if isinstance(form, ListForm):
        if form.list_format == "brackets":
            return several, {**vocabulary, "list_format": "brackets"}, "lists in brackets" + rare
        return several, {**vocabulary, "separator": form.separator}, f"values separated by {form.separator!r}" + rare
    if num_rows >= 100 and column.distinct > 0.95 * num_rows and (column.numbers is None or column.is_whole):
        rare += ", another value in nearly every row looked at"
    if column.numbers is None:
        return "categorical", vocabulary, "text" + rare + _doubt(column, form)
    word = category_word(column.words)
    if column.is_whole and word is not None:
        return "categorical", vocabulary, f'whole numbers, "{word}" in the name' + rare
    if pa.types.is_boolean(column.values.type):
        return "categorical", {}, "true or false"
    if column.has_leading_zeros:
        return "categorical", vocabulary, "digits that start with 0" + rare
    finite = np.isfinite(column.known_numbers)
    if not finite.any():
        return "categorical", vocabulary, "infinite numbers alone"
    low, high = column.known_numbers[finite].min(), column.known_numbers[finite].max()
    if column.is_whole and max(-low, high) > 2**53:
        return "categorical", vocabulary, f"whole numbers too large to be counts{rare}"
    # Large amounts that come often have few distinct values; other rows have other amounts.
    often = high <= 1000 or num_rows >= _OFTEN * column.distinct
    measured = is_quantity(column.words) and not (column.distinct <= _MANY_AMOUNTS and often)
    if column.is_whole and column.distinct <= _MANY_INTEGERS and not measured:
        return "categorical", {}, "few whole numbers"
    has_tail = column.is_whole and low >= 0 and high > 1000 and not _lie_together(column.known_numbers[finite])
    binning: Binning = "log_squared" if has_tail else "quantile"
    text = f"{'whole ' if column.is_whole else ''}numbers from {low:g} to {high:g}, bins: {binning}"
    if not finite.all():
        text += "; HAS INFINITE NUMBERS, WHICH STOP THE TRAINING: leave these cells empty"
    return "numeric", {"binning": binning}, text


def _lie_together(numbers: np.ndarray) -> bool:
    """Whether at least a fifth of the numbers, and different ones, share one bin of `log_squared`, as years do."""
    large = numbers[numbers > 2]
    bins = np.floor(np.log(large) ** 2).astype(np.int64)
    _, place, counts = np.unique(bins, return_inverse=True, return_counts=True)
    fullest = large[place == np.argmax(counts)]
    return 5 * len(fullest) >= len(numbers) and bool(fullest.min() < fullest.max())


def _doubt(column: Column, form: Doubt | None) -> str:
    """What a text may be, other than one category."""
    if form is not None:
        return (
            f", one category per combination: {form.share:.0%} of the cells contain {form.separator!r}; if they are "
            f'lists, make it "multi_valued" with the separator {form.separator!r}'
        )
    number = column.dressed_numbers
    if number is not None:
        return f", one category per amount such as {number!r}; write plain numbers (4532.5) to have them in bins"
    return ""


def splits_rows(column: Column) -> bool:
    """Whether `split_by` can read every value of a column of times, and no value is missing."""
    readable = not column.missing and not column.is_list and not pa.types.is_time(column.values.type)
    return readable and not TimeReader(column.name).read(column.values)[1]


def left_out(column: Column, num_rows: int) -> str | None:
    """Says why a column becomes no feature; `None` where it becomes one."""
    if column.unusable is not None:
        return column.unusable
    if is_index_name(column.name) and _is_index(column):
        return "pandas' index, which numbers the rows"
    if not len(column.values):
        marks = ", ".join(map(repr, column.marks))
        return "no value at all" + (f", only {marks}" if marks else "")
    if not column.name:
        return "has no name; give it one in the header, or give the names of all columns"
    if column.are_objects:
        return "holds JSON objects; make columns of their entries"
    if _are_fractions(column):
        return "lists of fractional numbers, such as embeddings, which are not ids"
    if len(column.values) == 1 and not column.missing and not column.is_list:
        return "the same value in every row"
    if column.is_time:
        if pa.types.is_duration(column.values.type):
            return "a duration; write it as a number to use it"
        return f"{POINT_IN_TIME}, new in every later row; make an hour or a weekday of it"
    if column.texts_are_times:
        return f"{POINT_IN_TIME} ({column.texts[0]!r}), new in every later row; make an hour or a weekday of it"
    named_time = any(word in TIME_WORDS for word in column.words)
    if named_time and numbers_are_times(np.floor(column.known_numbers)):
        latest = column.known_numbers.max()
        return f"{POINT_IN_TIME} (up to {latest:.0f}), new in later rows; make an hour or a weekday of it"
    if not column.is_list and num_rows >= 20 and _counts_the_rows(column):
        return "numbers the rows, one after the other"
    number = column.dressed_numbers
    if number is not None and column.distinct > _MANY_INTEGERS:
        return f"amounts such as {number!r}, another category each; write plain numbers (4532.5) to use them"
    whole_or_text = column.numbers is None or (column.is_whole and not is_quantity(column.words))
    owned = any(word in OWNED_WORDS for word in column.words)
    several = column.is_list or isinstance(column.list_form, ListForm)
    if whole_or_text and not owned and num_rows >= 100 and column.distinct > 0.95 * num_rows and not several:
        return "another value in nearly every row"
    return None


def _are_fractions(column: Column) -> bool:
    """Whether lists hold numbers with fractions, nearly all different."""
    if column.is_list:
        numbers = column.number_values
        return numbers is not None and len(numbers) > _MANY_INTEGERS and bool((numbers % 1 != 0).mean() > 0.5)
    form = column.list_form
    return isinstance(form, ListForm) and form.distinct > _MANY_INTEGERS and form.fractional > 0.5


def _is_index(column: Column) -> bool:
    """Whether each row has its own whole number."""
    return column.is_whole and not column.missing and len(column.values) == column.num_rows


def _counts_the_rows(column: Column) -> bool:
    if not _is_index(column) or column.number_values is None:
        return False
    return bool(np.all(np.diff(column.number_values[column.codes]) == 1))


def leak_of(column: Column, auc: float | None) -> str | None:
    """Says why a column was not known yet when the row was shown; `None` where it may have been known."""
    figure = f"; its own AUC is {auc:.4f}" if auc is not None else ""
    if after_the_click(column.name):
        return f"its name is that of something after the impression{figure}; add it if it is known before"
    if len(column.values) == 2 and column.numbers is not None and plain(column.name) in LABEL_NAMES:
        return f"is named and looks like a label{figure}; add it if it is known before the impression"
    if auc is not None and auc >= _LEAK:
        return (
            f"ITS OWN AUC AGAINST THE LABEL IS {auc:.4f}: IT WAS MADE FROM THE LABEL OR AFTER IT; add it only if it is "
            "known before the click"
        )
    return None


def high_auc(auc: float | None) -> str:
    """A note on a column that predicts the label well, but not almost perfectly."""
    return f"own AUC {auc:.3f}: is it known before the click?" if auc is not None and auc >= _HIGH_AUC else ""


def sharing(feature: Feature, features: Sequence[Feature]) -> Feature:
    """Lets a history of items share the item's vocabulary, if its name says that it is one."""
    if feature.kind != "sequence":
        return feature
    rest = [word for word in words(feature.name) if word not in SEQUENCE_WORDS | {"list"}]
    for other in features:
        if (
            other.kind == "categorical"
            and rest
            and words(other.name) in (rest, [word.removesuffix("s") for word in rest])
        ):
            return Feature(
                feature.name,
                "sequence",
                role=feature.role,
                separator=feature.separator,
                list_format=feature.list_format,
                shares_vocabulary_with=other.name,
            )
    return feature
