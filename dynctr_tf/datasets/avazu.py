"""Avazu click-through rate prediction (Kaggle, 2014) from `train.csv`; its two kinds of inventory are scenarios."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow_datasets as tfds

from dynctr_tf.datasets.bad_rows import OnBadRow, Problem, bad_values
from dynctr_tf.datasets.derived_columns import DerivedTabularFile, day_of_week, refuse_unlike
from dynctr_tf.datasets.original_files import find_file
from dynctr_tf.datasets.real_rows import real_rows
from dynctr_tf.datasets.row_source_builder import RowSourceBuilder, RowSourceConfig
from dynctr_tf.datasets.splits import DEFAULT_SHARES
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import Feature, Schema, Vocabulary

AvazuScenario = Literal["inventory", "banner_pos", "none"]
AvazuTimes = Literal["hour_and_weekday", "hour", "none"]

CATEGORICAL: tuple[str, ...] = (
    "C1",
    "banner_pos",
    "site_id",
    "site_domain",
    "site_category",
    "app_id",
    "app_domain",
    "app_category",
    "device_id",
    "device_ip",
    "device_model",
    "device_type",
    "device_conn_type",
    *(f"C{number}" for number in range(14, 22)),
)
"""The features that are columns of the file; all are categorical."""

NO_APP = "ecad2386"
"""The `app_id` of an impression on a web site: the value that stands for no app."""

_TIMES: Mapping[str, tuple[str, ...]] = {
    "hour_and_weekday": ("hour_of_day", "weekday"),
    "hour": ("hour_of_day",),
    "none": (),
}
_USER = frozenset({"device_id", "device_ip", "device_model", "device_type", "device_conn_type"})


def avazu_schema(
    *, min_count: int = 20, scenario: AvazuScenario = "inventory", times: AvazuTimes = "hour_and_weekday"
) -> Schema:
    """Describes the columns: the 21 of the file; `hour_of_day` and `weekday`, made of `hour`; and the scenario.

    Args:
        min_count: Values seen fewer times in the training rows share the unknown bucket. Default 20, as in the
            DynInt paper; use fewer on a sample of the file.
        scenario: `"inventory"` adds the feature `inventory`, `site` or `app`; `"banner_pos"` gives that column
            the role; `"none"` leaves the data without a scenario. Default `"inventory"`.
        times: `"hour_and_weekday"`; `"hour"`; or `"none"`. With `"none"` here and for the scenario, the features are
            the 21 of the DynInt paper. Default `"hour_and_weekday"`.

    Raises:
        ValueError: An unknown scenario or value of times.
    """
    if scenario not in get_args(AvazuScenario):
        raise ValueError(unknown_name_message("scenario of Avazu", str(scenario), get_args(AvazuScenario)))
    if times not in _TIMES:
        raise ValueError(unknown_name_message("times of Avazu", str(times), _TIMES))
    rule = Vocabulary(min_count=min_count)

    def feature(name: str) -> Feature:
        role = "scenario" if name == scenario else "user" if name in _USER else "context"
        return Feature(name, "categorical", role=role, vocabulary=rule)  # type: ignore[arg-type]

    names = [*_TIMES[times], *CATEGORICAL]
    return Schema(tuple(map(feature, [*names, "inventory"] if scenario == "inventory" else names)), label="click")


def derive_avazu_columns(cells: Mapping[str, pa.Array]) -> tuple[Mapping[str, pa.Array], list[Problem]]:
    """Makes the hour of the day, the weekday and the inventory of the cells of `hour` and `app_id`."""
    hours = cells["hour"]
    expected = "a time as YYMMDDHH"
    problems = refuse_unlike("hour", hours, r"\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])([01]\d|2[0-3])", expected)
    usable = np.ones(len(hours), bool)
    for problem in problems:
        usable[problem.rows] = False
    digits = pc.if_else(pa.array(usable), hours, "14010100")
    parts = [pc.utf8_slice_codeunits(digits, start, start + 2) for start in (0, 2, 4, 6)]
    months = pc.binary_join_element_wise("20", parts[0], "").to_numpy(zero_copy_only=False).astype("U4")
    month = (months.astype("datetime64[Y]").astype("datetime64[M]")) + (_whole(parts[1]) - 1)
    days = month.astype("datetime64[D]") + (_whole(parts[2]) - 1)
    # NumPy would move the 31st of a month of 30 days into the next month.
    problems += bad_values("hour", f"hour is not {expected}", expected, days.astype("datetime64[M]") != month, hours)
    return {
        "hour_of_day": parts[3],
        "weekday": pa.array(day_of_week(days)).cast(pa.string()),
        "inventory": pc.if_else(pc.equal(pc.fill_null(cells["app_id"], ""), NO_APP), "site", "app"),
    }, problems


def _whole(digits: pa.Array) -> np.ndarray:
    numbers: np.ndarray = digits.cast(pa.int64()).to_numpy()
    return numbers


def avazu_rows(
    path: str | Path | None = None,
    *,
    scenario: AvazuScenario = "inventory",
    times: AvazuTimes = "hour_and_weekday",
    split_by: str = "random",
    seed: int = 0,
    min_count: int = 20,
    shares: Mapping[str, float] = DEFAULT_SHARES,
    on_bad_row: OnBadRow = "error",
) -> DerivedTabularFile:
    """Reads the original `train.csv`, plain or gzip-compressed, in columnar batches.

    When to use: training on the Kaggle file, which has two scenarios. The TFDS builder `avazu` gives the same rows in
    the same splits, many times slower.

    The scenario `inventory` is `site` where `app_id` is `ecad2386`, the value that stands for no app, and `app`
    elsewhere. The day is not a feature, because a past day never comes again; hour and weekday are.

    Args:
        path: The file: header, comma-separated, in the order of the hours. Default `None`: the sample that
            `dynctr_tf.datasets.real_rows` finds as `avazu/train.gz`.
        scenario: As in `avazu_schema`. Default `"inventory"`.
        times: As in `avazu_schema`. Default `"hour_and_weekday"`.
        split_by: `"random"`, `"order"`, which is that of time, or by a column as in `TabularFile`, such as
            `"time:hour@14102900,14103000"`. Default `"random"`.
        seed: Of the random split. Default 0.
        min_count: As in `avazu_schema`. Default 20.
        shares: Share of each split. Default: 70 % train, 10 % validation, 20 % test.
        on_bad_row: `"error"` or `"skip"`, see `TabularFile`; an hour that is not a time is a bad row too.
            Default `"error"`.

    Raises:
        ValueError: As `TabularFile`, an unknown scenario or value of times, or no path and no sample.

    Cost: 160 000 rows/s on one core, from gzip.

    Reference: the data of the DynInt and DPN papers' experiments. DynInt counts 21 features, those of the file (`times`
        and `scenario` `"none"`), DPN 22. The scenarios are our choice; the papers have none.
    """
    return DerivedTabularFile(
        real_rows("avazu", "train.gz") if path is None else path,
        avazu_schema(min_count=min_count, scenario=scenario, times=times),
        read=("click", "hour", *CATEGORICAL),
        derive=derive_avazu_columns,
        splits=shares,
        on_bad_row=on_bad_row,
        split_by=split_by,
        seed=seed,
        delimiter=",",
    )


class Avazu(RowSourceBuilder, tfds.core.GeneratorBasedBuilder):
    """TFDS builder `avazu`: the Kaggle file in three tensors a row.

    When to use: `tfds.load("avazu/random")`, `/time`, `/banner_pos` or `/dynint`, for reading it as any other data set.
    `avazu_rows` gives the same rows in the same splits in columns, many times faster.

    Features: `click` float32, 0 or 1; `categorical` text `(24,)`, `(23,)` or `(21,)` in the order of `avazu_schema`, ""
    where missing;
    `numeric` float32 `(0,)`. The rows of each split are in the file's order.

    Raises:
        ValueError: Neither `train.csv`, `train.csv.gz` nor `train.gz` is in the manual directory, or the file has a
            bad row, named by its line and column.

    Cost: the file is read once per split.

    Example:

    >>> Avazu.name
    'avazu'
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put the training file of the Kaggle competition Click-Through Rate Prediction (Avazu), train.csv or train.gz, "
        "into the manual directory."
    )
    BUILDER_CONFIGS = [
        RowSourceConfig(name="random", description="Scenario: site or app inventory; 70/10/20 at random, seed 0."),
        RowSourceConfig(
            name="time",
            arguments={"split_by": "order"},
            description="Scenario: site or app inventory; the first 70 %, the next 10 %, the last 20 %.",
        ),
        RowSourceConfig(
            name="banner_pos",
            arguments={"scenario": "banner_pos"},
            description="Scenario: the banner's position; 70/10/20 at random, seed 0.",
        ),
        RowSourceConfig(
            name="dynint",
            arguments={"scenario": "none", "times": "none"},
            description="The 21 features of the DynInt paper, no scenario; 70/10/20 at random, seed 0.",
        ),
    ]
    DESCRIPTION = "Avazu click-through rate prediction: 40 428 967 mobile ad impressions of ten days, in time order."
    HOMEPAGE = "https://www.kaggle.com/c/avazu-ctr-prediction"

    def schema(self) -> Schema:
        """What the columns mean in this configuration."""
        arguments = self.builder_config.arguments
        return avazu_schema(**{name: arguments[name] for name in ("scenario", "times") if name in arguments})

    def row_source(self, manual_dir: str | Path) -> DerivedTabularFile:
        """The same rows in columnar batches.

        Raises:
            ValueError: The file is not in the directory.
        """
        path = find_file(manual_dir, ("train.csv", "train"), self.MANUAL_DOWNLOAD_INSTRUCTIONS)
        return avazu_rows(path, **self.builder_config.arguments)
