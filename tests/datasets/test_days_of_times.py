"""The days of times, however they are written."""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa
import pytest

from dynctr_tf.datasets.days import days_of

SECONDS = 1_706_731_199  # 2024-01-31 19:59:59


@pytest.mark.parametrize(
    "value",
    [
        "2024-01-31",
        "2024/01/31 23:59:59",
        "2024-02-01T01:00:00+02:00",
        "20240131",
        20240131,
        2024013123,
        "202401312359",
        20240131235959,
        24013123,
        SECONDS,
        str(SECONDS),
        SECONDS * 1_000,
        SECONDS * 1_000_000,
        SECONDS * 1_000_000_000,
        float(SECONDS),
        datetime.date(2024, 1, 31),
        datetime.datetime(2024, 1, 31, 23, 59, 59),
    ],
    ids=repr,
)
def test_every_way_to_write_a_time(value: Any) -> None:
    assert days_of(pa.array([value, None]), "time") == ["2024-01-31", "(missing)"]


def test_what_is_no_day_is_refused() -> None:
    assert days_of(pa.array([None, None], pa.string()), "time") == ["(missing)"] * 2
    # Ten digits that are no hour of a day are seconds.
    assert days_of(pa.array([1_413_849_600, 1_413_936_000]), "time") == ["2014-10-21", "2014-10-22"]
    with pytest.raises(ValueError, match="'time' holds 'soon', which is not a point in time"):
        days_of(pa.array(["2024-01-31", "soon"]), "time")
    for numbers in ([1, 2, 3], [20241331], [-5, SECONDS]):
        with pytest.raises(ValueError, match="which are not days"):
            days_of(pa.array(numbers), "time")
