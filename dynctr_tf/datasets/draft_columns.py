"""The cells of a column: types, distinct values and how they are written."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynctr_tf.datasets.cell_values import NUMBER, is_list, is_text
from dynctr_tf.datasets.draft_lists import Doubt, ListForm, find_list
from dynctr_tf.datasets.draft_names import words
from dynctr_tf.datasets.draft_times import texts_are_times

_SURE_MARKS = frozenset(
    {"NULL", "null", "Null", "\\N", "nan", "NaN", "NAN", "<NA>", "#N/A", "N/A", "n/a", "NaT", "None"}
)
_LIKELY_MARKS = frozenset({"NA", "-", "--", "?", "none", "NONE", "undefined", "missing", "(null)", "Na", "."})
_NO_NUMBERS = frozenset(
    {
        "unknown",
        "Unknown",
        "UNKNOWN",
        "n.a.",
        "*",
        "inf",
        "-inf",
        "+inf",
        "Inf",
        "-Inf",
        "Infinity",
        "-Infinity",
        "#DIV/0!",
        "#VALUE!",
    }
)
_MARKS = _SURE_MARKS | _LIKELY_MARKS
_DRESSED = (
    r"^\s*[+-]?\s*[$€£¥₹]?\s*[+-]?[0-9]{1,3}([,. '][0-9]{3})+([.,][0-9]+)?\s*([%$€£¥₹]|[A-Z]{3})?\s*$"
    r"|^\s*[+-]?\s*[$€£¥₹]?\s*[+-]?[0-9]+([.,][0-9]+)?\s*([%$€£¥₹]|[A-Z]{3})?\s*$"
)
_OBJECT = r"^\s*\[?\s*\{\s*(['\"][^'\"]*['\"]\s*:|\})|^\s*\[\s*\]\s*$"


def _is_plain(kind: pa.DataType) -> bool:
    """Whether values of this type are texts, numbers or points in time."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return bool(number or pa.types.is_decimal(kind) or is_text(kind) or pa.types.is_temporal(kind))


def _decoded(values: pa.Array) -> pa.Array:
    """Values of a plain type without a dictionary, text as `string`."""
    if pa.types.is_dictionary(values.type):
        # pyarrow cannot index some types of text before they are cast to `string`.
        return pc.take(_decoded(values.dictionary), values.indices)
    if pa.types.is_fixed_size_binary(values.type):
        values = values.cast(pa.binary())
    if is_text(values.type):
        return values.cast(pa.string())
    if pa.types.is_float16(values.type):
        return values.cast(pa.float32())
    return values


class Column:
    """One column of the rows looked at.

    Args:
        name: Its name.
        cells: Its cells.
        missing: The texts that mean a missing value.

    Attributes:
        words: The words of the name.
        type: The type of its cells in the file.
        unusable: Why it cannot be read; `None` where it can.
        is_list: Whether the file itself has lists in it.
        is_time: Whether cells are points in time or lengths of time.
        values: Their distinct values.
        codes: int64 `(rows,)`; the index in `values` of each row's value, -1 where it is missing; of lists
            `(elements,)`, one list after the other.
        lengths: int64 `(rows,)`; how many elements each list has; `None` where there are no lists.
        marks: The texts that were recognised as missing.
    """

    def __init__(self, name: str, cells: pa.ChunkedArray, missing: Sequence[str]) -> None:
        self.name = name
        self.words = words(name)
        self.type = cells.type
        self.unusable: str | None = None
        self.marks: tuple[str, ...] = ()
        self.num_rows = len(cells)
        self.lengths: np.ndarray | None = None
        kind = self.type
        self.is_list = is_list(kind)
        inner = kind.value_type if self.is_list else kind
        self.is_time = bool(pa.types.is_temporal(inner.value_type if pa.types.is_dictionary(inner) else inner))
        values = pa.nulls(len(cells), pa.string())
        if pa.types.is_null(inner):
            self.is_list = False
        elif not _is_plain(inner):
            self.unusable = f"holds {self.type}, which is neither text nor number nor a list of them"
        else:
            try:
                values = self._flat(_one_array(cells, kind)) if self.is_list else _decoded(_one_array(cells, kind))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
                self.unusable = f"holds {self.type} that is not UTF-8 text"
        self._index(values, missing)

    def _flat(self, cells: pa.Array) -> pa.Array:
        """The elements of all lists; it also sets the lengths of the lists."""
        self.lengths = pc.fill_null(pc.list_value_length(cells), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        self.null_lists = pc.is_null(cells).to_numpy(zero_copy_only=False)
        self.lengths[self.null_lists] = 0
        return _decoded(cells.flatten())

    def _index(self, values: pa.Array, missing: Sequence[str]) -> None:
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
        encoded = values.dictionary_encode()
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        distinct = encoded.dictionary
        if pa.types.is_string(distinct.type):
            given = pc.is_in(distinct, value_set=pa.array(missing, pa.string())).to_numpy(zero_copy_only=False)
            codes, distinct = _without(codes, distinct, given)
            if not self.is_list:
                marks = self._find_marks(distinct, np.bincount(codes[codes >= 0], minlength=len(distinct)))
                codes, distinct = _without(codes, distinct, marks)
        self.codes, self.values = codes, distinct

    def _find_marks(self, distinct: pa.Array, counts: np.ndarray) -> np.ndarray:
        """Marks the distinct texts that mean a missing value, and names them in `marks`."""
        text = pc.utf8_trim_whitespace(distinct)
        number = pc.match_substring_regex(text, NUMBER).to_numpy(zero_copy_only=False)
        number &= ~pc.match_substring_regex(text, "(?i)nan$").to_numpy(zero_copy_only=False)
        others = text.filter(pa.array(~number)).to_pylist() if int((~number).sum()) <= 50 else None
        found = np.zeros(len(distinct), bool)
        if others and set(others) <= _MARKS | _NO_NUMBERS and (number.any() or set(others) <= _MARKS):
            found = ~number
        elif not number.all():
            total = counts.sum()
            listed = text.to_pylist()
            # Where lists are in brackets, no mark can be a value.
            lists = np.mean([value.startswith(("[", "(", "{")) for value in listed]) > 0.5
            two_letters = np.mean([len(value) == 2 and value.isupper() for value in listed])
            for row, value in enumerate(listed):
                if value in _MARKS and lists:
                    found[row] = True
                elif value in _SURE_MARKS:
                    found[row] = counts[row] >= 0.001 * total
                elif value in _LIKELY_MARKS and not (value == "NA" and two_letters > 0.3):
                    found[row] = counts[row] >= 0.05 * total and value not in ("none", "NONE", ".")
        # As written in cells, and without the blanks around them, because numbers are read without blanks.
        marks = pa.array(found)
        self.marks = tuple(sorted({*distinct.filter(marks).to_pylist(), *text.filter(marks).to_pylist()}))
        return found

    @property
    def present(self) -> np.ndarray:
        """bool `(rows,)`; whether there is a value."""
        return self.lengths > 0 if self.lengths is not None else self.codes >= 0

    @property
    def missing(self) -> float:
        """The share of the rows that have no value."""
        none = self.null_lists if self.lengths is not None else self.codes < 0
        return float(np.mean(none)) if len(none) else 0.0

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """int64 `(distinct,)`; how often each distinct value occurs."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.values))

    @functools.cached_property
    def number_values(self) -> np.ndarray | None:
        """float64 `(distinct,)`; the distinct values as numbers, where all are."""
        if self.is_time or self.unusable or not len(self.values):
            return None
        values = self.values
        if pa.types.is_string(values.type):
            values = pc.utf8_trim_whitespace(values)
            if not pc.all(pc.match_substring_regex(values, NUMBER)).as_py():
                return None
        found: np.ndarray = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return found

    @functools.cached_property
    def numbers(self) -> np.ndarray | None:
        """float64 `(rows,)`; NaN where missing; `None` where cells are not single numbers."""
        if self.is_list or self.number_values is None:
            return None
        return np.where(self.codes >= 0, self.number_values[self.codes], np.nan)

    @property
    def known_numbers(self) -> np.ndarray:
        """float64 `(distinct,)`; the distinct numbers, none NaN; empty where there are none."""
        if self.is_list or self.number_values is None:
            return np.empty(0)
        return self.number_values[~np.isnan(self.number_values)]

    @property
    def is_whole(self) -> bool:
        """Whether cells are numbers without fractions."""
        numbers = self.known_numbers
        return len(numbers) > 0 and bool(np.all(np.floor(numbers) == numbers)) and bool(np.isfinite(numbers).all())

    @functools.cached_property
    def has_leading_zeros(self) -> bool:
        """Whether some of the texts are digits that start with 0, as codes do and counts do not."""
        if not self.is_whole or not pa.types.is_string(self.values.type):
            return False
        return bool(pc.any(pc.match_substring_regex(self.values, r"^\s*0[0-9]+\s*$")).as_py())

    @functools.cached_property
    def texts(self) -> list[str]:
        """The distinct values, where they are texts and not all numbers; else empty."""
        if not pa.types.is_string(self.values.type) or self.number_values is not None:
            return []
        found: list[str] = self.values.to_pylist()
        return found

    @functools.cached_property
    def texts_are_times(self) -> bool:
        """Whether the texts are points in time."""
        return bool(self.texts) and texts_are_times(self.texts[:2000])

    @functools.cached_property
    def dressed_numbers(self) -> str | None:
        """One of the texts, where all are amounts such as `$4,532.50`, `12 %` or `3,5`; else `None`."""
        if not self.texts or self.is_list or isinstance(self.list_form, ListForm):
            return None
        if not pc.all(pc.match_substring_regex(self.values, _DRESSED)).as_py():
            return None
        return self.texts[0]

    @functools.cached_property
    def are_objects(self) -> bool:
        """Whether the texts are JSON or Python objects, or lists of them."""
        if not self.texts or self.is_list:
            return False
        return bool(pc.mean(pc.match_substring_regex(self.values, _OBJECT).cast(pa.float64())).as_py() > 0.95)

    @functools.cached_property
    def list_form(self) -> ListForm | Doubt | None:
        """How lists are written in the texts, if they are lists."""
        if not self.texts or self.is_list or self.texts_are_times or self.are_objects:
            return None
        return find_list(self.texts, self.counts)

    @property
    def distinct(self) -> int:
        """How many distinct values there are; of lists: of their elements."""
        form = self.list_form
        return form.distinct if isinstance(form, ListForm) else len(self.values)


def _one_array(cells: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    chunks = cells.chunks
    if not chunks:
        return pa.array([], kind)
    if pa.types.is_dictionary(kind):
        # Each chunk has its own dictionary.
        return pa.concat_arrays([_decoded(chunk) for chunk in chunks])
    return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)


def _without(codes: np.ndarray, values: pa.Array, gone: np.ndarray) -> tuple[np.ndarray, pa.Array]:
    """Removes values; their rows become missing."""
    if not gone.any():
        return codes, values
    place = np.where(gone, -1, np.cumsum(~gone) - 1)
    return np.where(codes >= 0, place[codes], -1), values.filter(pa.array(~gone))
