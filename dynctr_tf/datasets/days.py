"""The days of points in time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dynctr_tf.datasets.column_splits import TimeReader

_YEARS = (1990, 2100)
_SECONDS = (631_152_000.0, 4_102_444_800.0)  # 1990 to 2100
_ADVICE = "give a column of dates (2024-01-31 20:15:00), of numbers YYYYMMDD[HH[MM[SS]]] or YYMMDDHH, or of seconds"


def days_of(values: pa.Array, column: str) -> list[str]:
    """Returns the day of each point in time, such as `"2024-01-31"`, in UTC; `"(missing)"` where there is none.

    Args:
        values: Times as `TimeReader` takes them: dates, or numbers, which are seconds, milli-, micro- or nanoseconds
            since 1970, or digits `YYYYMMDD`, with hours, minutes and seconds after them or without, or `YYMMDDHH`.
        column: The column's name, for messages.

    Raises:
        ValueError: A value that is not a point in time, or numbers that cannot be read as days.

    Example:

    >>> days_of(pa.array(["14102107", "14102200", None]), "hour")
    ['2014-10-21', '2014-10-22', '(missing)']
    >>> days_of(pa.array([1706731199, 1706731200]), "time")
    ['2024-01-31', '2024-01-31']
    """
    reader = TimeReader(column)
    missing = pa.array([""], pa.string())
    times, problems = reader.read(values, missing)
    for problem in problems:
        if problem.reason != f"{column} is missing":
            raise ValueError(f"The column {column!r} holds {problem.given!r}, which is not a point in time; {_ADVICE}.")
    present = ~np.isnan(times)
    days = np.full(len(times), np.datetime64("NaT"), "datetime64[D]")
    if present.any():
        days[present] = _days(times[present], column, numbers=reader.reads_numbers)
    spelt = np.datetime_as_string(days)
    return ["(missing)" if day == "NaT" else str(day) for day in spelt]


def _days(times: np.ndarray, column: str, *, numbers: bool) -> np.ndarray:
    if not numbers:
        return times.astype("datetime64[us]").astype("datetime64[D]")
    for digits in (8, 10, 12, 14):
        if times.min() >= 10.0 ** (digits - 1) and times.max() < 10.0**digits:
            found = _calendar(np.floor(times / 10.0 ** (digits - 8)))
            if found is None and digits == 8:  # YYMMDDHH
                found = _calendar(20_000_000.0 + np.floor(times / 100.0))
            if found is not None:
                return found
    for unit in (1.0, 1e3, 1e6, 1e9):
        if times.min() >= _SECONDS[0] * unit and times.max() < _SECONDS[1] * unit:
            return np.floor(times / (86_400.0 * unit)).astype("datetime64[D]")
    raise ValueError(
        f"The column {column!r} holds numbers from {times.min():g} to {times.max():g}, which are not days; {_ADVICE}."
    )


def _calendar(numbers: np.ndarray) -> np.ndarray | None:
    """The days of numbers YYYYMMDD; `None` where one of them is not a day."""
    whole = numbers.astype(np.int64)
    year, month, day = whole // 10_000, whole // 100 % 100, whole % 100
    if year.min() < _YEARS[0] or year.max() >= _YEARS[1] or month.min() < 1 or month.max() > 12 or day.min() < 1:
        return None
    months = (year - 1970) * 12 + month - 1
    found = months.astype("datetime64[M]").astype("datetime64[D]") + (day - 1)
    return found if (found.astype("datetime64[M]").astype(np.int64) == months).all() else None
