"""Finds the column of the label, and the values that count as a click."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from dynctr_tf.datasets.draft_columns import Column
from dynctr_tf.datasets.draft_names import CLICK_COUNT_NAMES, IMPRESSION_NAMES, LABEL_NAMES, RATING_NAMES, plain
from dynctr_tf.datasets.row_files import RowPaths, named_paths, row_paths
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import positive_rule

_POSITIVE_TEXTS = ("yes", "y", "true", "t", "click", "clicked", "positive", "pos", "on", "1", "是", "ja", "si", "oui")
_NEGATIVE_TEXTS = frozenset(
    {"no", "n", "false", "f", "no click", "no_click", "noclick", "not clicked", "not_clicked", "non-click", "nonclick"}
    | {"unclicked", "negative", "neg", "off", "0", "否", "nein", "non", "impression", "view", "none", "-1"}
)
_MANY_EMPTY = 0.3
_TRUTH = frozenset({"true", "false"})


class Label(NamedTuple):
    """The label of a draft.

    Attributes:
        column: Its column.
        positive: As in `Schema`.
        impressions: As in `Schema`.
        soft: As `soft_label` in `Schema`.
        clicks: float `(rows,)`; the clicks that each row stands for.
        others: float `(rows,)`; the impressions without a click that each row stands for.
        reason: Why this column and this reading.
    """

    column: str
    positive: str | None
    impressions: str | None
    soft: bool
    clicks: np.ndarray
    others: np.ndarray
    reason: str


class _Unclear(Exception):
    """A column that cannot be the label as it is; the message says how it can."""


def command_line(paths: RowPaths, given: Mapping[str, object], **more: object) -> str:
    """Writes the command that drafts a schema.

    Args:
        paths: The file, or several.
        given: Options that the user gave.
        **more: Options to add or to replace.
    """
    parts = ["python", "-m", "pipelines.schema"]
    parts += [f"./{path}" if str(path).startswith("-") else str(path) for path in row_paths(paths)]
    for name, value in {**given, **more}.items():
        option = "--" + name.replace("_", "-")
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if one is not None:
                # A value that starts with a dash would be taken for an option.
                parts += [f"{option}={one}"] if str(one).startswith("-") else [option, str(one)]
    return " ".join(shlex.quote(part) for part in parts)


def _shown(column: Column) -> str:
    order = np.argsort(-column.counts)[:5]
    values = [column.values[int(row)].as_py() for row in order]
    text = ", ".join(
        repr(value) if isinstance(value, str) and column.numbers is None else str(value) for value in values
    )
    more = len(column.values) - len(values)
    return text + (f" and {more:,} more" if more > 0 else "")


def _threshold(numbers: np.ndarray) -> float:
    """The usual lowest rating of a click: 4 of 5 stars, 8 of 10; else the upper half."""
    high = float(numbers.max())
    for most, cut in ((5.0, 4.0), (10.0, 8.0), (100.0, 80.0)):
        if numbers.min() >= 0 and 0.8 * most <= high <= most:
            return min(cut, high)
    above = np.unique(numbers)
    return float(above[len(above) // 2])


def _read(column: Column, positive: str | None, by_name: bool) -> tuple[np.ndarray, np.ndarray, str | None, bool, str]:
    """Reads a label without impressions: clicks, others, `positive`, whether it is soft, and how it is read."""
    present = column.present
    rating = plain(column.name) in RATING_NAMES
    if column.unusable is not None or column.is_list or column.is_time or not len(column.values):
        kind = column.unusable or ("has no value at all" if not len(column.values) else f"holds {column.type}")
        raise _Unclear(f"column {column.name!r} {kind}")
    none = np.zeros(column.num_rows)
    if positive is not None:
        matching = _matching(column, positive)
        hit = matching[column.codes] & present
        others = [value.as_py() for value, clicked in zip(column.values, matching, strict=True) if not clicked]
        told = f"a click is {positive!r}, no click is {', '.join(map(repr, others[:5]))}" + (
            "" if len(others) < 6 else ", ..."
        )
        return hit.astype(float), (present & ~hit).astype(float), positive, False, told
    numbers = column.numbers
    distinct = set(np.unique(column.known_numbers).tolist())
    if numbers is not None:
        if distinct <= {0.0, 1.0}:
            word = "true or false" if pa.types.is_boolean(column.values.type) else "0 or 1"
            return np.where(present, numbers, none), np.where(present, 1 - numbers, none), None, False, word
        if distinct <= {-1.0, 1.0}:
            rule = "> 0"
            return (
                (numbers == 1).astype(float),
                (numbers == -1).astype(float),
                rule,
                False,
                f"-1 or 1, a click is {rule!r}",
            )
        known = column.known_numbers
        if known.min() >= 0 and known.max() <= 1 and not column.is_whole and not (by_name and rating):
            soft = np.where(present, numbers, none)
            return soft, np.where(present, 1 - soft, none), None, True, "probabilities from 0 to 1: a soft label"
        counted = plain(column.name) in CLICK_COUNT_NAMES
        cut = f">= {1 if counted and known.min() == 0 else _threshold(known):g}"
        raise _Unclear(
            f"column {column.name!r} holds {'whole ' if column.is_whole else ''}numbers from {known.min():g} to "
            f"{known.max():g} ({_shown(column)}); "
            + ("name the column of impressions with --impressions COLUMN, or " if counted else "")
            + f"say which of them count as a click, such as {cut!r}\0positive={cut}"
        )
    stripped = [text.strip() for text in column.texts]
    folded = {text.lower(): text for text in stripped}
    if len(folded) == len(set(stripped)) and len(folded) <= 2:
        if set(folded) <= _TRUTH:
            hit = np.array([text.strip().lower() == "true" for text in column.texts])[column.codes] & present
            return hit.astype(float), (present & ~hit).astype(float), None, False, "true or false"
        yes = [text for text in _POSITIVE_TEXTS if text in folded]
        if len(yes) == 1 and set(folded) - {yes[0]} <= _NEGATIVE_TEXTS:
            text = folded[yes[0]]
            hit = np.array([entry == text for entry in stripped])[column.codes] & present
            return hit.astype(float), (present & ~hit).astype(float), text, False, f"a click is {text!r}"
    if by_name and len(column.texts) > 20:
        raise _Unclear(f"column {column.name!r} holds text ({_shown(column)})")
    first = next((text for text in _POSITIVE_TEXTS if text in folded), None)
    guess = folded[first] if first is not None else stripped[-1]
    raise _Unclear(
        f"column {column.name!r} holds {_shown(column)}; say which text is a click, such as {guess!r}\0positive={guess}"
    )


def _matching(column: Column, positive: str) -> np.ndarray:
    """bool `(distinct,)`; which distinct values are clicks.

    Raises:
        ValueError: Not a rule that fits the column.
    """
    rule = positive_rule(positive)
    if rule.comparison is not None:
        if column.number_values is None:
            raise ValueError(
                f"{positive!r} compares with a number, and column {column.name!r} holds {_shown(column)}; give the "
                "text of a click."
            )
        compare = {
            ">": np.greater,
            ">=": np.greater_equal,
            "<": np.less,
            "<=": np.less_equal,
            "==": np.equal,
            "!=": np.not_equal,
        }[rule.comparison]
        hits: np.ndarray = compare(column.number_values, float(rule.number or 0.0))
        return hits
    if column.number_values is not None and rule.number is not None:
        return np.asarray(column.number_values == rule.number)
    texts = [str(value).strip() for value in column.values.to_pylist()]
    if pa.types.is_boolean(column.values.type):
        texts = [text.lower() for text in texts]
    if rule.text not in texts:
        raise ValueError(unknown_name_message(f"value of column {column.name!r} for a click", rule.text, texts[:1000]))
    return np.array([text == rule.text for text in texts], bool)


def _counts(column: Column) -> bool:
    """Whether a column holds counts: whole numbers from 0 on, in every row."""
    return column.is_whole and column.missing == 0 and bool(column.known_numbers.min() >= 0)


def _with_impressions(clicks: Column, shown: Column, reason: str, is_whole: bool) -> Label:
    for column in (clicks, shown):
        if not _counts(column):
            raise ValueError(
                f"clicks and impressions must be whole numbers of at least 0 in every row; column {column.name!r} "
                f"has {_shown(column)} and {column.missing:.1%} missing."
            )
    if clicks.numbers is None or shown.numbers is None:
        raise RuntimeError("Counts are numbers.")
    more = int((clicks.numbers > shown.numbers).sum())
    if more:
        raise ValueError(
            f"{more:,} rows have more clicks (column {clicks.name!r}) than impressions (column {shown.name!r}). "
            "Take another column of impressions, or fix the rows."
        )
    others = shown.numbers - clicks.numbers
    _refuse_one_sided(clicks, clicks.numbers, others, is_whole)
    told = f"clicks out of {int(shown.numbers.sum()):,} impressions in column {shown.name!r}"
    return Label(clicks.name, None, shown.name, False, clicks.numbers, others, f"{reason}, {told}")


def find_label(
    columns: Sequence[Column],
    label: str | None,
    positive: str | None,
    impressions: str | None,
    path: RowPaths,
    given: Mapping[str, object],
    header: Sequence[str] | None = None,
    *,
    is_whole: bool = False,
) -> Label:
    """Finds the label, or says which options would find it.

    Args:
        columns: All columns.
        label: The column that the user named.
        positive: What the user named as a click.
        impressions: The column of impressions that the user named.
        path: The file, or what names several, for messages.
        given: The user's options, for the commands in messages.
        header: The names in the file's first row. Default `None`: it has none.
        is_whole: Whether the columns have all rows of the file. Default `False`: it may have more.

    Raises:
        ValueError: No label, or one that can be read in several ways.
    """
    paths, path = path, named_paths(path)
    by_name = {column.name: column for column in columns}
    for what, name in (("the label", label), ("impressions", impressions)):
        if name is not None and name not in by_name:
            raise ValueError(f"{path}: " + unknown_name_message(f"column for {what}", name, by_name))
    if label is not None:
        candidates, reason = [by_name[label]], "given"
    else:
        named = [
            (LABEL_NAMES.index(plain(c.name)), i, c) for i, c in enumerate(columns) if plain(c.name) in LABEL_NAMES
        ]
        candidates, reason = [column for _, _, column in sorted(named, key=lambda entry: entry[:2])], "by its name"
    unclear: list[str] = []
    line = ""
    for column in candidates:
        if column.name == impressions:
            continue
        try:
            if impressions is not None:
                return _with_impressions(column, by_name[impressions], reason, is_whole)
            shown = _impressions_of(column, columns) if positive is None else None
            if shown is not None:
                return _with_impressions(column, shown, reason, is_whole)
            clicks, others, rule, soft, how = _read(column, positive, label is None)
            _refuse_one_sided(column, clicks, others, is_whole)
        except _Unclear as error:
            message, _, option = str(error).partition("\0")
            more = {"label": column.name} | ({"positive": option.removeprefix("positive=")} if option else {})
            unclear.append(message)
            if option and not line:
                line = command_line(paths, given, **more)
            continue
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        how += f"; {clicks.sum() / (clicks.sum() + others.sum()):.2%} clicks"
        if column.missing > _MANY_EMPTY:
            how += f"; {column.missing:.1%} OF THE ROWS HAVE NO LABEL: write what an empty one means, such as 0"
        elif column.missing:
            how += (
                f"; {column.missing:.1%} OF THE ROWS HAVE NO LABEL: training stops at them, or skips them when told to"
            )
        # A usual name of a label occurs only in a header.
        if header is not None and _is_a_cell(column.name, columns) and looks_like_data(header, columns):
            how += "; THE FIRST ROW LOOKS LIKE DATA: if the file has no header, give the names of all columns "
            how += "(column_names, --column-names)"
        return Label(column.name, rule, None, soft, clicks, others, f"{reason}, {how}")
    if unclear:
        raise ValueError(
            f"{path}: {'; '.join(unclear)}."
            + (f" Give the label and what counts as a click:\n  {line}" if line else "")
        )
    raise ValueError(_no_label(columns, paths, given, header))


def _impressions_of(clicks: Column, columns: Sequence[Column]) -> Column | None:
    """The column of impressions that belongs to a column of clicks, if both have usual names."""
    if plain(clicks.name) not in CLICK_COUNT_NAMES or not _counts(clicks):
        return None
    if clicks.known_numbers.max() <= 1 and plain(clicks.name) in ("click", "clk", "clicked"):
        return None  # each row is one impression; a column such as the views of an item is a feature
    for column in columns:
        if plain(column.name) not in IMPRESSION_NAMES or not _counts(column) or column.known_numbers.max() <= 1:
            continue
        if clicks.numbers is not None and column.numbers is not None and (clicks.numbers <= column.numbers).all():
            return column
    return None


def _refuse_one_sided(column: Column, clicks: np.ndarray, others: np.ndarray, is_whole: bool) -> None:
    """Refuses a label that is the same in every row."""
    if clicks.sum() > 0 and others.sum() > 0:
        return
    which = "a click" if clicks.sum() else "no click"
    gaps = f" and {column.missing:.1%} missing" if column.missing else ""
    advice = "If an empty cell means no click, write 0 there. " if column.missing and clicks.sum() else ""
    if is_whole:
        advice += (
            "These are all rows of the file: give another label (--label), another rule for clicks (--positive), or a "
            "file that has both."
        )
    else:
        advice += "If the file is sorted by it, look at more rows (--rows), and shuffle the file before training."
    raise ValueError(
        f"both clicks and others must occur in the label; column {column.name!r} has {_shown(column)}{gaps} "
        f"in the rows looked at, {which} in every row. {advice}"
    )


def _is_a_cell(name: str, columns: Sequence[Column]) -> bool:
    """Whether the name of a column may be a cell: a number, a blank, or a value of the column."""
    if re.fullmatch(r"[-+0-9.:eE\s]*", name):
        return True
    own = next((column.values for column in columns if column.name == name), None)
    return own is not None and pa.types.is_string(own.type) and name in own.to_pylist()


def looks_like_data(header: Sequence[str], columns: Sequence[Column]) -> bool:
    """Whether the names of columns may be the cells of a row: several numbers, blanks, equal names, or values.

    Args:
        header: The names.
        columns: The columns below them.
    """
    cells = sum(_is_a_cell(name, columns) for name in header)
    return cells + len(header) - len(set(header)) >= max(2, 0.2 * len(header))


def _no_label(
    columns: Sequence[Column], paths: RowPaths, given: Mapping[str, object], header: Sequence[str] | None
) -> str:
    possible = []
    for column in columns:
        try:
            clicks, others, _, soft, _ = _read(column, None, True)
        except _Unclear:
            continue
        if clicks.sum() and others.sum() and not soft:
            possible.append(column.name)
    start = (
        f"{named_paths(paths)}: no column is called {', '.join(LABEL_NAMES[:4])} or the like. Give the label's column; "
        f"columns of two values that could be one: {', '.join(map(repr, possible[:20])) or 'none'}."
    )
    if header is not None and looks_like_data(header, columns):
        shown = ", ".join(map(repr, header[:4]))
        return (
            f"{start} The first row, {shown}, ..., looks like data: if the file has no header, give the names of all "
            f"columns.\n  {command_line(paths, given, column_names='NAME,NAME,...')}"
        )
    return start + f"\n  {command_line(paths, given, label=possible[0] if possible else 'COLUMN')}"
