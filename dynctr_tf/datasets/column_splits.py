"""Splits by the values of a column: by time, so that the test rows are the latest, or by user."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynctr_tf.datasets.bad_rows import Problem, bad_values, refused_rows
from dynctr_tf.datasets.cell_values import NUMBER, as_text, is_list, valid_text
from dynctr_tf.datasets.row_hash import hashed_uniform
from dynctr_tf.datasets.splits import SplitRule, split_edges

_BUCKETS = 1 << 17
_POINT = (
    r"^(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})"
    r"(?:[T ]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,6})\d*)?)?)?"
    r"\s*(?:Z|UTC|GMT|(?P<sign>[+-])(?P<ahead>\d{2})(?::?(?P<further>\d{2}))?)?$"
)
_EXPECTED = "a number (seconds, YYYYMMDDHH, ...) or a date such as 2024-01-31 20:15:00"
_WHOLE = r"^(-?[0-9]+)\.0+$"


class TimeReader:
    """Reads points in time as numbers that grow with time.

    When to use: to put rows in the order of a column. A column holds either numbers (seconds or milliseconds since
    1970, `YYYYMMDDHH`, `YYMMDDHH`, a day's number) or dates with the year first, with a time of day or without; a
    time without a zone is taken as UTC. The first value of a column decides the form.

    Args:
        column: The column's name, for messages.

    Example:

    >>> reader = TimeReader("ts")
    >>> times, problems = reader.read(pa.array(["2024-01-31 20:15", "2024-02-01"]))
    >>> float(times[1] - times[0]) / 3.6e9, problems
    (3.75, [])
    """

    def __init__(self, column: str) -> None:
        self.column = column
        self._as_numbers: bool | None = None

    @property
    def reads_numbers(self) -> bool:
        """Whether the times are the numbers of the column, and not microseconds since 1970."""
        return bool(self._as_numbers)

    def read(self, values: pa.Array, missing: pa.Array | None = None) -> tuple[np.ndarray, list[Problem]]:
        """Returns the times as float64 `(rows,)`, NaN where there is none, and the rows that have none.

        Args:
            values: The column.
            missing: Texts that mean a missing value. Default `None`: none.

        Raises:
            ValueError: A type that holds no point in time.
        """
        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            values = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
            micros = values.cast(pa.timestamp("us"), safe=False) if pa.types.is_date(kind) else values
            micros = micros.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
            times = micros.cast(pa.int64()).cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()
            self._as_numbers = False
            return times, self._missing(np.isnan(times), np.isnan(times), values)
        if is_list(kind) or pa.types.is_boolean(kind) or pa.types.is_temporal(kind):
            raise ValueError(
                f"The column {self.column!r} cannot split rows by time: it holds {kind}, expected {_EXPECTED}."
            )
        text, problems = valid_text(self.column, as_text(values))
        refused = refused_rows(len(text), problems)
        text = pc.utf8_trim_whitespace(text)
        empty = pc.equal(text, "")
        if missing is not None:
            empty = pc.or_(empty, pc.is_in(text, value_set=missing))
        text = pc.if_else(pc.fill_null(empty, True), pa.scalar(None, pa.string()), text)
        if self._as_numbers is None and text.null_count < len(text):
            first = text.drop_null()[0].as_py()
            self._as_numbers = bool(pc.match_substring_regex(pa.scalar(first), NUMBER).as_py())
        times = self._numbers(text) if self._as_numbers else _points(text)
        return times, [*problems, *self._missing(np.isnan(times) & ~refused, text.is_null().to_numpy(False), values)]

    def _missing(self, bad: np.ndarray, null: np.ndarray, values: pa.Array) -> list[Problem]:
        name = self.column
        others = {None: _EXPECTED, True: "a number, as in the first row", False: "a date such as 2024-01-31 20:15:00"}
        expected = others[self._as_numbers]
        return [
            *bad_values(name, f"{name} is missing", expected, bad & null, values),
            *bad_values(name, f"{name} is not a point in time", expected, bad & ~null, values),
        ]

    @staticmethod
    def _numbers(text: pa.Array) -> np.ndarray:
        fits = pc.fill_null(pc.match_substring_regex(text, NUMBER), False)
        numbers = pc.if_else(fits, text, pa.scalar(None, pa.string())).cast(pa.float64())
        found: np.ndarray = numbers.fill_null(np.nan).to_numpy(zero_copy_only=False)
        return np.where(np.isfinite(found), found, np.nan)

    def spelt(self, time: float) -> str:
        """Returns a time in a form for people."""
        if self._as_numbers:
            return f"{time:.0f}" if float(time).is_integer() else repr(float(time))
        return str(np.datetime64(int(time), "us")).replace("T", " ").removesuffix(".000000").removesuffix(" 00:00:00")


def _points(text: pa.Array) -> np.ndarray:
    """Microseconds since 1970 of dates as text; NaN where a text is not a date."""
    parts = pc.extract_regex(text, _POINT)
    present = parts.is_valid().to_numpy(zero_copy_only=False)

    def part(name: str) -> np.ndarray:
        found = pc.struct_field(parts, name)
        found = pc.if_else(pc.equal(found, ""), "0", found).fill_null("0")
        whole: np.ndarray = found.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return whole

    year, month, day, hour, minute, second = (
        part(name) for name in ("year", "month", "day", "hour", "minute", "second")
    )
    fraction = pc.utf8_rpad(pc.struct_field(parts, "fraction").fill_null(""), 6, "0").cast(pa.int64()).to_numpy()
    usable = present & (month >= 1) & (month <= 12) & (day >= 1) & (hour <= 23) & (minute <= 59) & (second <= 60)
    months = (np.where(usable, year, 1970) - 1970) * 12 + np.where(usable, month, 1) - 1
    dates = months.astype("datetime64[M]").astype("datetime64[D]") + np.where(usable, day - 1, 0)
    # NumPy would move the 31st of a month of 30 days into the next month.
    usable &= dates.astype("datetime64[M]").astype(np.int64) == months
    # 2024-01-31-05, an hour in names of folders, is parsed as the day at UTC-5, which is that hour in UTC.
    ahead = part("ahead") * 60 + part("further")
    usable &= ahead < 24 * 60
    behind = pc.equal(pc.struct_field(parts, "sign"), "-").fill_null(False).to_numpy(zero_copy_only=False)
    minutes = np.where(behind, -ahead, ahead)
    seconds = dates.astype(np.int64) * 86_400 + hour * 3_600 + (minute - minutes) * 60 + second
    return np.where(usable, (seconds * 1_000_000 + fraction).astype(np.float64), np.nan)


class TimeCounts:
    """How many rows there are at each time, in memory that does not depend on how many times there are.

    Up to a million distinct times are counted exactly. If there are more, neighbours are counted together. A split then
    begins at most a few rows in 100,000 too early or too late, still between two times.
    """

    def __init__(self) -> None:
        self._times = np.zeros(0)
        self._counts = np.zeros(0, np.int64)

    @property
    def total(self) -> int:
        """The number of rows."""
        return int(self._counts.sum())

    def add(self, times: np.ndarray) -> None:
        """Counts the times of some rows; those that are NaN are left out."""
        new, counts = np.unique(times[~np.isnan(times)], return_counts=True)
        together = np.concatenate([self._times, new])
        order = np.argsort(together, kind="stable")
        together, counts = together[order], np.concatenate([self._counts, counts])[order]
        starts = np.flatnonzero(np.append(True, together[1:] != together[:-1])[: together.size])
        self._times = together[starts]
        self._counts = np.add.reduceat(counts, starts) if starts.size else counts
        if self._times.size > 8 * _BUCKETS:
            bucket = (np.cumsum(self._counts) - self._counts) * _BUCKETS // self.total
            # A full count stays as it is: merged repeatedly, its rows would move to ever earlier times.
            full = self._counts * 2 * _BUCKETS > self.total
            begins = (bucket[1:] != bucket[:-1]) | full[1:] | full[:-1]
            starts = np.flatnonzero(np.append(True, begins))
            self._times, self._counts = self._times[starts], np.add.reduceat(self._counts, starts)

    def begins(self, shares: Mapping[str, float], column: str) -> np.ndarray:
        """Returns the times at which all splits but the first begin; rows of one time stay in one split.

        Raises:
            ValueError: Fewer distinct times than splits.
        """
        splits = len(shares)
        if self._times.size < splits:
            raise ValueError(
                f"The column {column!r} has {self._times.size} distinct times, too few for {splits} splits "
                f"({', '.join(shares)}); rows of one time stay together. Give a finer time, or more rows."
            )
        before = (np.cumsum(self._counts) - self._counts) / self.total
        chosen: list[int] = []
        for place, edge in enumerate(split_edges(shares)[:-1]):
            nearest = int(np.argmin(np.abs(before - edge)))
            least = chosen[-1] + 1 if chosen else 1
            chosen.append(min(max(nearest, least), self._times.size - (splits - 1 - place)))
        return self._times[chosen]


class ColumnSplit(Protocol):
    """A rule that assigns rows to splits by the values of a column."""

    def assign(self, values: pa.Array, rows: np.ndarray, missing: pa.Array | None) -> tuple[np.ndarray, list[Problem]]:
        """Returns for each row the index of its split, int8, and the rows without a split."""


class TimeSplit:
    """Assigns rows to splits by time: the earliest rows train, the latest test; rows of one time stay together.

    When to use: a model will answer tomorrow's requests, so judge it on rows later than its training rows.

    Args:
        reader: Reads the column.
        begins: The times at which all splits but the first begin, ascending.

    Example:

    >>> split = TimeSplit(TimeReader("hour"), np.array([3.0, 5.0]))
    >>> split.assign(pa.array([1, 3, 4, 5, 9]), np.arange(5), None)[0].tolist()
    [0, 1, 1, 2, 2]
    """

    def __init__(self, reader: TimeReader, begins: np.ndarray) -> None:
        self.reader = reader
        self.begins = begins

    def assign(self, values: pa.Array, rows: np.ndarray, missing: pa.Array | None) -> tuple[np.ndarray, list[Problem]]:
        """Returns for each row the index of its split, int8, and the rows whose time cannot be read."""
        times, problems = self.reader.read(values, missing)
        return np.searchsorted(self.begins, times, side="right").astype(np.int8), problems


class UserSplit:
    """Assigns all rows of a user to one split, at random, from the seed and the user's text alone.

    When to use: the model will meet users that it has never seen. The shares are shares of the users; where a few users
    have most of the rows, the shares of the rows differ. Rows without a user are assigned one by one.

    Args:
        column: The column's name, for messages.
        shares: Split name to share, `"train"` first.
        seed: At least 0. Default 0.

    Example:

    >>> split = UserSplit("user", {"train": 0.5, "test": 0.5})
    >>> splits, _ = split.assign(pa.array(["a", "b", "a", "c"]), np.arange(4), None)
    >>> bool(splits[0] == splits[2])
    True
    """

    def __init__(self, column: str, shares: Mapping[str, float], seed: int = 0) -> None:
        self.column = column
        self._edges = split_edges(shares)
        self._seed = seed

    def assign(self, values: pa.Array, rows: np.ndarray, missing: pa.Array | None) -> tuple[np.ndarray, list[Problem]]:
        """Returns for each row the index of its split, int8, and the rows whose user is not text."""
        users, problems = self.users(values, missing)
        encoded = users.dictionary_encode()
        drawn = np.append(text_hashes(encoded.dictionary, self._seed) * 2.0**-64, 0.0)
        places = encoded.indices.cast(pa.int64()).fill_null(len(drawn) - 1).to_numpy()
        uniform = np.where(users.is_null().to_numpy(False), hashed_uniform(self._seed, rows), drawn[places])
        return np.searchsorted(self._edges[:-1], uniform, side="right").astype(np.int8), problems

    def users(self, values: pa.Array, missing: pa.Array | None) -> tuple[pa.Array, list[Problem]]:
        """Returns the users as text, null where there is none; 7 and 7.0 are one user.

        Raises:
            ValueError: A column of lists.
        """
        if is_list(values.type):
            raise ValueError(f"The column {self.column!r} holds {values.type}; a split by user needs one value a row.")
        text, problems = valid_text(self.column, as_text(values))
        text = pc.replace_substring_regex(text, _WHOLE, r"\1")
        empty = pc.equal(text, "")
        if missing is not None:
            empty = pc.or_(empty, pc.is_in(text, value_set=missing))
        return pc.if_else(pc.fill_null(empty, True), pa.scalar(None, pa.string()), text), problems


def text_hashes(texts: pa.Array, seed: int = 0) -> np.ndarray:
    """Returns 64 random bits of each text, uint64, the same on every machine."""
    key = seed.to_bytes(8, "little")
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8, key=key).digest() for text in texts.to_pylist())
    return np.frombuffer(digests, "<u8")


def given_begins(rule: SplitRule, reader: TimeReader, names: Sequence[str]) -> np.ndarray:
    """Reads the times at which splits begin, from the user's texts.

    Raises:
        ValueError: Another number of times than there are splits after the first, a text that is not a time in the
            column's form, or times that do not ascend.
    """
    later = names[1:]
    if len(rule.begins) != len(later):
        raise ValueError(
            f"split_by has {len(rule.begins)} times for the begins of {', '.join(later)}; give {len(later)}, such as "
            f"time:{rule.column}@{','.join(f'BEGIN_OF_{name.upper()}' for name in later)}."
        )
    times, problems = reader.read(pa.array(list(rule.begins)))
    if problems:
        raise ValueError(
            f"split_by: {problems[0].given!r} is not a time like those of column {rule.column!r}; expected "
            f"{problems[0].expected}."
        )
    if (np.diff(times) <= 0).any():
        raise ValueError(f"split_by: the begins of {', '.join(later)} must ascend, got {', '.join(rule.begins)}.")
    return times
