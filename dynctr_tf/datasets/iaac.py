"""IAAC, the data of the IJCAI-18 contest (Tianchi, Alimama): does a click on a search ad lead to a purchase?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import tensorflow_datasets as tfds

from dynctr_tf.datasets.bad_rows import OnBadRow, Problem
from dynctr_tf.datasets.derived_columns import DerivedTabularFile, whole_numbers
from dynctr_tf.datasets.original_files import find_file
from dynctr_tf.datasets.row_source_builder import RowSourceBuilder, RowSourceConfig
from dynctr_tf.datasets.splits import DEFAULT_SHARES
from dynctr_tf.schema import Feature, Schema, Vocabulary

USER: tuple[str, ...] = (
    "user_id", "user_gender_id", "user_age_level", "user_occupation_id", "user_star_level",
)  # fmt: skip
"""The user's features."""

ITEM: tuple[str, ...] = (
    "item_id", "item_brand_id", "item_city_id", "item_price_level", "item_sales_level", "item_collected_level",
    "item_pv_level", "shop_id", "shop_review_num_level", "shop_star_level",
)  # fmt: skip
"""Categorical features of the item and its shop."""

LISTS: tuple[str, ...] = ("item_category_list", "item_property_list")
"""Multi-valued features of the item."""

SCORES: tuple[str, ...] = (
    "shop_review_positive_rate", "shop_score_service", "shop_score_delivery", "shop_score_description",
)  # fmt: skip
"""Numeric features of the shop, from 0 to 1."""

_BEIJING = 8 * 3600


def iaac_schema(*, min_count: int = 1, max_length: int = 16) -> Schema:
    """Describes the columns: those of the file, and `hour_of_day` made of the time; label `is_trade`.

    Args:
        min_count: Values seen fewer times in the training rows share the unknown bucket. Default 1: keep all.
        max_length: How many values of a multi-valued feature are kept. Default 16.
    """
    rule = Vocabulary(min_count=min_count)
    several = {"separator": ";", "max_length": max_length, "vocabulary": rule}
    return Schema(
        (
            *(Feature(name, "categorical", role="user", vocabulary=rule) for name in USER),
            *(Feature(name, "categorical", role="item", vocabulary=rule) for name in ITEM),
            *(Feature(name, "categorical", vocabulary=rule) for name in ("hour_of_day", "context_page_id")),
            *(Feature(name, "multi_valued", role="item", **several) for name in LISTS),  # type: ignore[arg-type]
            *(Feature(name, "numeric", role="item", binning="quantile", num_bins=32) for name in SCORES),
        ),
        label="is_trade",
        missing_values=("", "-1"),
    )


def _derive(cells: Mapping[str, pa.Array]) -> tuple[Mapping[str, pa.Array], list[Problem]]:
    name = "context_timestamp"
    seconds, problems = whole_numbers(name, cells[name], r"\d{9,10}", "a time in seconds since 1970")
    hours = (seconds + _BEIJING) // 3600 % 24
    return {"hour_of_day": pa.array(hours).cast(pa.string())}, problems


def iaac_rows(
    path: str | Path,
    *,
    split_by: str = "random",
    seed: int = 0,
    min_count: int = 1,
    shares: Mapping[str, float] = DEFAULT_SHARES,
    on_bad_row: OnBadRow = "error",
) -> DerivedTabularFile:
    """Reads the training file of the contest, plain or compressed, in columnar batches.

    When to use: rare purchases after clicks on search ads, one of the data sets of the APG paper.

    The file's predicted properties of the query are not read.

    Args:
        path: `round1_ijcai_18_train_20180301.txt`: header, values separated by blanks, -1 where one is missing.
        split_by: As in `TabularFile`; the file's order is not that of time. Default `"random"`.
        seed: Of the random split. Default 0.
        min_count: As in `iaac_schema`. Default 1.
        shares: Share of each split. Default: 70 % train, 10 % validation, 20 % test.
        on_bad_row: `"error"` or `"skip"`, see `TabularFile`; an unreadable time is a bad row too. Default `"error"`.

    Raises:
        ValueError: As `TabularFile`.

    Cost: as `avazu_rows`.

    Reference: the data set IAAC of Yan et al., APG, arXiv 2203.16218. The paper does not say how it splits the rows.
    """
    return DerivedTabularFile(
        path,
        iaac_schema(min_count=min_count),
        read=("is_trade", "context_timestamp", "context_page_id", *USER, *ITEM, *LISTS, *SCORES),
        derive=_derive,
        splits=shares,
        on_bad_row=on_bad_row,
        split_by=split_by,
        seed=seed,
        delimiter=" ",
        quote=None,
    )


class Iaac(RowSourceBuilder, tfds.core.GeneratorBasedBuilder):
    """TFDS builder `iaac`: search ads and whether a purchase followed.

    When to use: `tfds.load("iaac/random")`, for reading the data set as any other. `iaac_rows` gives the same rows in
    columns, many times faster.

    Features: `is_trade` float32, 0 or 1; `categorical` text `(17,)` and `numeric` float32 `(4,)` in the order of
    `iaac_schema`; `item_category_list` and `item_property_list` text `(None,)`.

    Raises:
        ValueError: The file is not in the manual directory, or has a bad row, named by its line and column.

    Example:

    >>> Iaac.name
    'iaac'
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put round1_ijcai_18_train_20180301.txt of the contest IJCAI-18 Alimama (Tianchi) into the manual directory."
    )
    BUILDER_CONFIGS = [RowSourceConfig(name="random", description="70/10/20 at random, seed 0.")]
    DESCRIPTION = "IJCAI-18 Alimama: 478 138 clicks on search ads of eight days, and whether a purchase followed."
    HOMEPAGE = "https://tianchi.aliyun.com/competition/entrance/231647"

    def schema(self) -> Schema:
        """What the columns mean."""
        return iaac_schema()

    def row_source(self, manual_dir: str | Path) -> DerivedTabularFile:
        """The same rows in columnar batches.

        Raises:
            ValueError: The file is not in the directory.
        """
        name = "round1_ijcai_18_train_20180301.txt"
        return iaac_rows(find_file(manual_dir, (name,), self.MANUAL_DOWNLOAD_INSTRUCTIONS))
