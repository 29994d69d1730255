"""Recognises texts that are lists of values, and how they are written.

That a separator occurs is not enough: sentences, names with a blank, user agents, dates and amounts hold the same
signs. A text is a list if its parts come again in other combinations: first in one cell, later in another, or alone; or
if they are all numbers or codes, in cells of different lengths.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dynctr_tf.datasets.bracketed_lists import parse_list
from dynctr_tf.schema import ListFormat

_MARKS = ("\x01", "\x02", "\x03", "|", "^", "\t", ";", ",", "#", " ")
_STRONG = frozenset("\x01\x02\x03|^\t")
_LEAST_SHARE = {" ": 0.3, ",": 0.05, ";": 0.05, "#": 0.05}
_OPENING = ("[", "(", "{")
_MOST_CELLS = 5_000
_MOST_LETTERS = 1_000_000

_CODE = re.compile(r"[A-Za-z]*[-+]?[0-9][A-Za-z0-9_-]*|[-+]?[0-9]*\.[0-9]+([eE][-+]?[0-9]+)?")
_FRACTION = re.compile(r"[-+]?[0-9]*\.[0-9]+([eE][-+]?[0-9]+)?")
_THOUSANDS = re.compile(r"(?<![0-9,])[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])")
_DECIMAL_COMMA = re.compile(r"\s*[+-]?[0-9]+,([0-9]+)\s*")
_SENTENCE = frozenset(
    # Words of sentences that are not tags; single letters may be values.
    {"the", "an", "of", "and", "or", "in", "on", "at", "to", "for", "with", "is", "are", "was", "be", "this", "that"}
    | {"it", "you", "we", "not", "my", "your", "from", "by", "as", "der", "die", "das", "und", "ein", "eine", "von"}
    | {"mit", "le", "la", "les", "de", "des", "du", "et", "un", "une", "el", "los", "en", "con"}
)
_SENTENCE_END = re.compile(r"""[.!?"'()\[\]{}<>]$|^["'(\[{<]|^[^\w]+$|://|/""")


class ListForm(NamedTuple):
    """How the lists of a column are written.

    Attributes:
        list_format: As in `Feature`.
        separator: As in `Feature`; `"|"` for lists in brackets.
        distinct: How many distinct values the lists have.
        fractional: The share of them that are numbers with fractions.
    """

    list_format: ListFormat
    separator: str
    distinct: int
    fractional: float


class Doubt(NamedTuple):
    """A sign that may separate values, but was not recognised as a separator.

    Attributes:
        separator: The sign.
        share: The share of the rows that have it.
    """

    separator: str
    share: float


def _parsed(value: str) -> list[str] | None:
    """The values of a list in brackets; `None` where the text is not such a list."""
    try:
        return parse_list(value)
    except ValueError:
        return None


def _parts(value: str, mark: str) -> list[str]:
    if mark == "," and "," in value:
        # The commas of 1,000,000 do not separate values in a text that holds more than numbers.
        bare = _THOUSANDS.sub("0", value)
        if "," not in bare and re.search(r"[^0-9,\s]", value):
            return [value]
    return [part for part in (part.strip() for part in value.split(mark)) if part]


def amounts_with_commas(values: Sequence[str]) -> bool:
    """Whether the commas in whole columns of numbers are those of 1,234,567 or of 12,50."""
    having = [value for value in values if "," in value]
    if not having:
        return False
    fractions = [_DECIMAL_COMMA.fullmatch(value) for value in having]
    digits = {len(match[1]) for match in fractions if match is not None}
    if all(fractions) and (len(digits) == 1 and digits <= {1, 2} or len(digits) > 1 and max(digits) > 6):
        return True
    if not all(_THOUSANDS.fullmatch(value.strip().lstrip("+-").split(".")[0]) for value in having):
        return False
    # 120,340 may be two ids of three digits: amounts start with one, two or three, and write no 1234.
    first = {len(value.strip().lstrip("+-").split(",")[0]) for value in having}
    return len(first) > 1 and not any(re.fullmatch(r"[+-]?[0-9]{4,}", value.strip()) for value in values)


def _mixing(cells: Sequence[Sequence[str]]) -> float:
    """The share of the parts that come again elsewhere: once first and once later, or once alone and once in a list."""
    count: Counter[str] = Counter()
    first: Counter[str] = Counter()
    alone: set[str] = set()
    company: set[str] = set()
    for cell in cells:
        count.update(cell)
        if len(cell) == 1:
            alone.add(cell[0])
            continue
        company.update(cell)
        first[cell[0]] += 1
    total = sum(count[part] for part in company)
    mixed = 0
    for part in company:
        leading = first[part]
        if part in alone or 0.1 * count[part] <= leading <= 0.9 * count[part]:
            mixed += count[part]
    return mixed / total if total else 0.0


def _sorted_sets(cells: Sequence[Sequence[str]]) -> bool:
    """Whether cells of several lengths hold their parts in alphabetical order, which is rare for names and places."""
    in_order = [list(cell) == sorted(cell) for cell in cells]
    return len(cells) >= 10 and len({len(cell) for cell in cells}) > 1 and float(np.mean(in_order)) > 0.95


def _in_any_order(cells: Sequence[Sequence[str]]) -> bool:
    """Whether pairs of words come in both orders; the words of a name keep their order."""
    pairs: Counter[tuple[str, str]] = Counter()
    for cell in cells:
        for i, left in enumerate(cell[:6]):
            pairs.update((left, right) for right in cell[i + 1 : 6] if left != right)
    both = total = 0
    for (left, right), times in pairs.items():
        back = pairs.get((right, left), 0)
        if times + back < 3:
            continue
        total += times
        both += times if min(times, back) >= 0.1 * (times + back) else 0
    return total > 0 and both / total > 0.5


def _speaks(cells: Sequence[Sequence[str]]) -> float:
    """The share of the parts that are words of sentences and not of lists."""
    parts = [part.lower() in _SENTENCE or bool(_SENTENCE_END.search(part)) for cell in cells for part in cell]
    return float(np.mean(parts)) if parts else 0.0


def _is_list(mark: str, cells: Sequence[list[str]], num_values: int) -> bool:
    several = [cell for cell in cells if len(cell) > 1]
    flat = [part for cell in several for part in cell]
    lengths = {len(cell) for cell in several}
    distinct = len(set(flat))
    mixing = _mixing(cells)
    codes = np.mean([_CODE.fullmatch(part) is not None for part in flat]) > 0.95
    if mark == " ":
        if codes and len({len(cell) for cell in cells}) > 2:
            return True
        if codes:
            return mixing > 0.5
        if _speaks(several) >= 0.02 or len(flat) < 3 * distinct:
            return False
        return _sorted_sets(several) or (mixing > 0.7 and _in_any_order(several))
    if mark in _STRONG:
        if codes or mixing > 0.3 or len(flat) >= 5 * distinct:
            return True
        return distinct <= num_values and len(flat) > distinct
    fixed_pair = lengths == {2}
    if codes and not (fixed_pair and mark == "," and mixing < 0.3):
        return True
    long = np.mean([part.count(" ") >= 3 for part in flat])
    return bool(long < 0.2 and (mixing > 0.6 or (len(flat) >= 5 * distinct and _sorted_sets(several))))


def _form(list_format: ListFormat, separator: str, cells: Sequence[Sequence[str]]) -> ListForm:
    parts = {part.strip() for cell in cells for part in cell} - {""}
    fractional = sum(_FRACTION.fullmatch(part) is not None for part in parts)
    return ListForm(list_format, separator, len(parts), fractional / max(len(parts), 1))


def find_list(values: Sequence[str], counts: np.ndarray) -> ListForm | Doubt | None:
    """Says whether a column's texts are lists.

    Args:
        values: The distinct texts, none missing.
        counts: In how many rows each stands.

    Returns:
        How lists are written; the sign in doubt, if cells hold a sign that may separate values; else `None`.
    """
    every = values[: 10 * _MOST_CELLS]
    most = int(np.searchsorted(np.cumsum([len(value) for value in values[:_MOST_CELLS]]), _MOST_LETTERS)) + 50
    values, counts = values[: min(most, _MOST_CELLS)], np.asarray(counts[: min(most, _MOST_CELLS)], np.float64)
    total = float(counts.sum())
    bracketed = np.array([value.strip()[:1] in _OPENING for value in values], bool)
    if counts[bracketed].sum() > 0.95 * total:
        lists = [_parsed(value) for value in every]
        if all(entry is not None for entry in lists):
            return _form("brackets", "|", [entry for entry in lists if entry is not None])
    if amounts_with_commas(values):
        return None
    doubt: Doubt | None = None
    for mark in _MARKS:
        having = np.array([mark in value for value in values], bool)
        share = float(counts[having].sum()) / total
        if share < 0.01:
            continue
        cells = {int(row): _parts(values[int(row)], mark) for row in np.flatnonzero(having)}
        several = sum(counts[row] for row, cell in cells.items() if len(cell) > 1) / total
        if several >= _LEAST_SHARE.get(mark, 0.02):
            split = [cells[row] if row in cells else [value.strip()] for row, value in enumerate(values)]
            split = [cell for cell in split if cell]
            if _is_list(mark, split, len(values)):
                return _form("separated", mark, [value.split(mark) for value in every])
        # Every name holds blanks; a blank is in doubt only if words come again in other places.
        if several < 0.05 or (doubt is not None and several <= doubt.share):
            continue
        split = [cell for row, value in enumerate(values) if (cell := cells.get(row, [value]))]
        if mark != " " or (_speaks(split) < 0.02 and _mixing(split) > 0.4):
            doubt = Doubt(mark, float(several))
    return doubt
