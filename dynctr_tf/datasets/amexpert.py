"""AmExpert 2018 ad clicks (Analytics Vidhya, American Express): nine pages as scenarios."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc
import tensorflow_datasets as tfds

from dynctr_tf.datasets.bad_rows import OnBadRow, Problem
from dynctr_tf.datasets.derived_columns import DerivedTabularFile, refuse_unlike
from dynctr_tf.datasets.original_files import find_file, text_lines
from dynctr_tf.datasets.real_rows import real_rows
from dynctr_tf.datasets.row_source_builder import RowSourceBuilder, RowSourceConfig
from dynctr_tf.datasets.splits import DEFAULT_SHARES
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import Feature, Schema, Vocabulary

AmExpertLayout = Literal["original", "reissued"]

_USER = ("user_id", "user_group_id", "gender", "age_level", "user_depth")
_ITEM = ("product", "campaign_id", "product_category_1", "product_category_2", "product_category_id")
_FEATURES: Mapping[AmExpertLayout, tuple[str, ...]] = {
    "original": (
        "user_id",
        "product",
        "campaign_id",
        "webpage_id",
        "product_category_1",
        "product_category_2",
        "user_group_id",
        "gender",
        "age_level",
        "user_depth",
        "city_development_index",
        "var_1",
    ),
    "reissued": (
        "user_id",
        "product",
        "campaign_id",
        "webpage_id",
        "product_category_id",
        "user_group_id",
        "gender",
        "age_level",
        "user_depth",
        "var_1",
    ),
}
_TIME = {"original": "DateTime", "reissued": "date"}
_LABEL = {"original": "is_click", "reissued": "isClick"}


def amexpert_schema(*, layout: AmExpertLayout = "original", min_count: int = 1) -> Schema:
    """Describes the columns: those of the file and `hour_of_day`; `webpage_id` is the scenario.

    Args:
        layout: `"original"`, the columns of the competition; or `"reissued"`, those of a later edition, which has one
            product category, no city and another year. Default `"original"`.
        min_count: Values seen fewer times in the training rows share the unknown bucket. Default 1: keep all.

    Raises:
        ValueError: An unknown layout.
    """
    if layout not in get_args(AmExpertLayout):
        raise ValueError(unknown_name_message("layout of AmExpert", str(layout), get_args(AmExpertLayout)))
    rule = Vocabulary(min_count=min_count)

    def feature(name: str) -> Feature:
        role = "user" if name in _USER else "item" if name in _ITEM else "context"
        role = "scenario" if name == "webpage_id" else role
        return Feature(name, "categorical", role=role, vocabulary=rule)  # type: ignore[arg-type]

    return Schema(tuple(map(feature, ["hour_of_day", *_FEATURES[layout]])), label=_LABEL[layout])


def _layout(path: Path) -> AmExpertLayout:
    """Recognises the edition by the header."""
    header = next(text_lines(path), (1, b""))[1].decode("utf-8", "replace").removeprefix("\ufeff").split(",")
    for layout in get_args(AmExpertLayout):
        if _TIME[layout] in header and _LABEL[layout] in header:
            return layout
    wanted = " or ".join(f"{_TIME[layout]!r} and {_LABEL[layout]!r}" for layout in get_args(AmExpertLayout))
    raise ValueError(f"{path}, line 1: expected the columns {wanted}, got {header}. Give train.csv of AmExpert 2018.")


def _derive(time: str, cells: Mapping[str, pa.Array]) -> tuple[Mapping[str, pa.Array], list[Problem]]:
    problems = refuse_unlike(time, cells[time], r"\S+ ([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?", "a time with HH:MM")
    hour = pc.struct_field(pc.extract_regex(cells[time], r" (?P<hour>\d{1,2}):"), "hour")
    return {"hour_of_day": pc.utf8_lpad(hour, 2, "0")}, problems


def amexpert_rows(
    path: str | Path | None = None,
    *,
    split_by: str = "random",
    seed: int = 0,
    min_count: int = 1,
    shares: Mapping[str, float] = DEFAULT_SHARES,
    on_bad_row: OnBadRow = "error",
) -> DerivedTabularFile:
    """Reads the original `train.csv`, plain or gzip-compressed, in columnar batches; the page is the scenario.

    When to use: real scenarios of unequal size, few features and a weak signal.

    The hour is taken from the end of the time, `... HH:MM`; days and years, which differ between editions, are not
    features.

    Args:
        path: The file with its header, by which the edition is recognised. Default `None`: the sample that
            `dynctr_tf.datasets.real_rows` finds as `amexpert_adclick/day0706_natural_77k.csv.gz`.
        split_by: `"random"`, `"order"`, or by a column as in `TabularFile`. Default `"random"`.
        seed: Of the random split. Default 0.
        min_count: As in `amexpert_schema`. Default 1.
        shares: Share of each split. Default: 70 % train, 10 % validation, 20 % test.
        on_bad_row: `"error"` or `"skip"`, see `TabularFile`; a time without an hour is a bad row too.
            Default `"error"`.

    Raises:
        ValueError: As `TabularFile`, a header of neither edition, or no path and no sample.

    Cost: 200 000 rows/s on one core, from gzip.

    Reference: American Express AmExpert 2018 on Analytics Vidhya, 463 291 training rows of July 2017. The page as
        scenario is our choice.
    """
    file = real_rows("amexpert_adclick", "day0706_natural_77k.csv.gz") if path is None else Path(path)
    layout = _layout(file)
    time = _TIME[layout]
    schema = amexpert_schema(layout=layout, min_count=min_count)
    return DerivedTabularFile(
        file,
        schema,
        read=(schema.label, time, *_FEATURES[layout]),
        derive=functools.partial(_derive, time),
        splits=shares,
        on_bad_row=on_bad_row,
        split_by=split_by,
        seed=seed,
        delimiter=",",
    )


class AmExpert(RowSourceBuilder, tfds.core.GeneratorBasedBuilder):
    """TFDS builder `amexpert`: the ad clicks in three tensors a row.

    When to use: `tfds.load("amexpert/random")`, or `/reissued` for the later edition, for reading the data set as any
    other. `amexpert_rows` gives the same rows in columns, many times faster.

    Features: `is_click` (`isClick` in `/reissued`) float32, 0 or 1; `categorical` text `(13,)` (11) in the order of
    `amexpert_schema`, "" where missing; `numeric` float32 `(0,)`.

    Raises:
        ValueError: Neither `train.csv` nor `train.csv.gz` is in the manual directory, it is of the other edition, or
            it has a bad row, named by its line and column.

    Example:

    >>> AmExpert.name
    'amexpert'
    """

    name = "amexpert"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put train.csv of AmExpert 2018 (Analytics Vidhya) into the manual directory."
    BUILDER_CONFIGS = [
        RowSourceConfig(name="random", description="The competition's columns; 70/10/20 at random, seed 0."),
        RowSourceConfig(name="reissued", description="The later edition's columns; 70/10/20 at random, seed 0."),
    ]
    DESCRIPTION = "AmExpert 2018: impressions of ads on nine pages, 2 to 7 July 2017."
    HOMEPAGE = "https://datahack.analyticsvidhya.com/contest/amexpert-2018/"

    def schema(self) -> Schema:
        """What the columns mean in this configuration."""
        return amexpert_schema(layout="reissued" if self.builder_config.name == "reissued" else "original")

    def row_source(self, manual_dir: str | Path) -> DerivedTabularFile:
        """The same rows in columnar batches.

        Raises:
            ValueError: The file is not in the directory, or is of the other edition.
        """
        path = find_file(manual_dir, ("train.csv",), self.MANUAL_DOWNLOAD_INSTRUCTIONS)
        source = amexpert_rows(path, **self.builder_config.arguments)
        if source.schema != self.schema():
            raise ValueError(f"{path} is of the other edition; give the configuration 'random' or 'reissued' for it.")
        return source
