"""Recognises columns that hold points in time."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

_CLOCK = r"(\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s*([AaPp]\.?[Mm]\.?)?)"
_ZONE = r"(\s*(Z|UTC|GMT|[+-]\d{2}(:?\d{2})?))?"
_MONTH = r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_DATE = "|".join(
    (
        r"\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?",  # 2024-01-31
        r"\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})",  # 31.01.2024
        r"\d{1,2}-\d{1,2}(?=\s+\d{1,2}:)",  # 01-31 20:15
        rf"((Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?\d{{1,2}}[- ]{_MONTH}[- ,]+\d{{2,4}}",  # 31 Jan 2024
        rf"((Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+)?{_MONTH}\s+\d{{1,2}},?(\s+\d{{4}}|(?=\s+\d{{1,2}}:))",
    )
)
_POINT = re.compile(
    rf"\s*(({_DATE})([T ,]+{_CLOCK}{_ZONE}(\s+\d{{4}})?)?|\d{{1,2}}:\d{{2}}:\d{{2}}([.,]\d+)?)\s*", re.I
)

_UNIX = (946_684_800.0, 2_524_608_000.0)  # 2000 to 2050, in seconds


def texts_are_times(values: Iterable[str]) -> bool:
    """Whether nearly all texts are dates, times of day or both."""
    found = [_POINT.fullmatch(value) is not None for value in values]
    return bool(found) and float(np.mean(found)) > 0.95


def _calendar(numbers: np.ndarray) -> bool:
    """Whether whole numbers are written as YYYYMMDD, YYYYMMDDHH, YYYYMMDDHHMM(SS, mmm), YYMMDDHH or YYYYMM."""
    low, high = numbers.min(), numbers.max()
    for digits, first_year, with_month in ((6, 2000, False), (8, 2000, True), (10, 2000, True), (12, 2000, True)):
        if 10.0 ** (digits - 1) <= low and high < 10.0**digits:
            year = numbers // 10.0 ** (digits - 4)
            month = numbers // 10.0 ** (digits - 6) % 100
            day = numbers // 10.0 ** (digits - 8) % 100 if with_month else np.ones_like(month)
            hour = numbers // 10.0 ** (digits - 10) % 100 if digits >= 10 else np.zeros_like(month)
            fits = (year >= first_year) & (year < 2050) & (month >= 1) & (month <= 12)
            if np.mean(fits & (day >= 1) & (day <= 31) & (hour <= 23)) > 0.99:
                return True
    for digits in (14, 17):
        if 10.0 ** (digits - 1) <= low and high < 10.0**digits:
            return _calendar(numbers // 10.0 ** (digits - 10))
    if low >= 1e7 and high < 1e8:  # YYMMDDHH
        month, day, hour = numbers // 1e4 % 100, numbers // 1e2 % 100, numbers % 100
        fits = (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31) & (hour <= 23)
        return bool(np.mean(fits) > 0.99)
    return False


def numbers_are_times(numbers: np.ndarray) -> bool:
    """Whether whole numbers are seconds, milli-, micro- or nanoseconds since 1970, or a date and an hour in digits.

    Many ids are such numbers by chance, so use it only where the name is one of a time.
    """
    if not len(numbers):
        return False
    for unit in (1.0, 1e3, 1e6, 1e9):
        if numbers.min() >= 0.5 * _UNIX[0] * unit and numbers.max() <= _UNIX[1] * unit:
            return True
    return _calendar(numbers)
