"""Criteo display advertising challenge (Kaggle, 2014) from `train.txt`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tensorflow_datasets as tfds

from dynctr_tf.datasets.bad_rows import OnBadRow
from dynctr_tf.datasets.original_files import find_file
from dynctr_tf.datasets.row_source_builder import RowSourceBuilder, RowSourceConfig
from dynctr_tf.datasets.splits import DEFAULT_SHARES
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.schema import Binning, Feature, Schema, Vocabulary

NUMERIC: tuple[str, ...] = tuple(f"I{number}" for number in range(1, 14))
"""The numeric features, mostly counts."""

CATEGORICAL: tuple[str, ...] = tuple(f"C{number}" for number in range(1, 27))
"""The categorical features, 32-bit hashes as text."""


def criteo_schema(*, min_count: int = 20, binning: Binning = "log_squared", num_bins: int = 64) -> Schema:
    """Describes the columns of the file: `I1` ... `I13` numeric, `C1` ... `C26` categorical, all context.

    The meaning of the features was never published, so none has the role user or item.

    Args:
        min_count: Categorical values seen fewer times in the training rows share the unknown bucket.
            Default 20, as in the DynInt paper; use fewer on a sample of the file.
        binning: How numbers become bins, see `Feature`. Default `"log_squared"`.
        num_bins: Of quantile binning. Default 64.
    """
    return Schema(
        features=(
            *(Feature(name, "numeric", binning=binning, num_bins=num_bins) for name in NUMERIC),
            *(Feature(name, "categorical", vocabulary=Vocabulary(min_count=min_count)) for name in CATEGORICAL),
        ),
        label="label",
    )


def criteo_rows(
    path: str | Path,
    *,
    split_by: str = "random",
    seed: int = 0,
    min_count: int = 20,
    binning: Binning = "log_squared",
    num_bins: int = 64,
    shares: Mapping[str, float] = DEFAULT_SHARES,
    on_bad_row: OnBadRow = "error",
) -> TabularFile:
    """Reads the original `train.txt`, plain or gzip-compressed, in columnar batches.

    When to use: training on the Kaggle file. The TFDS builder `criteo_display_ads` gives the same rows in
    the same splits, many times slower.

    Args:
        path: The file: tab-separated, no header; label, `I1` ... `I13`, `C1` ... `C26`; an empty cell is
            missing; in time order.
        split_by: `"random"`, or `"order"`, which is that of time: first rows train, last ones test.
            Default `"random"`.
        seed: Of the random split. Default 0.
        min_count: As in `criteo_schema`. Default 20.
        binning: As in `criteo_schema`. Default `"log_squared"`.
        num_bins: As in `criteo_schema`. Default 64.
        shares: Share of each split. Default: 70 % train, 10 % validation, 20 % test.
        on_bad_row: `"error"` or `"skip"`, see `TabularFile`. Default `"error"`.

    Raises:
        ValueError: As `TabularFile`, or an unknown split.

    Cost: 270 000 rows/s on one core, from gzip; 180 000 with `split_by="order"`, which counts the rows first.

    Reference: the data of the DynInt paper's experiments with its 70/10/20 random split. The seed is ours.
    """
    return TabularFile(
        path,
        criteo_schema(min_count=min_count, binning=binning, num_bins=num_bins),
        splits=shares,
        on_bad_row=on_bad_row,
        split_by=split_by,
        seed=seed,
        column_names=("label", *NUMERIC, *CATEGORICAL),
        delimiter="\t",
        quote=None,
    )


class CriteoDisplayAds(RowSourceBuilder, tfds.core.GeneratorBasedBuilder):
    """TFDS builder `criteo_display_ads`: the Kaggle file in three tensors a row.

    When to use: `tfds.load("criteo_display_ads/random")` or `/time`, for reading the data set as any other.
    `criteo_rows` gives the same rows in the same splits in columns, many times faster. (`criteo` of TFDS
    itself is another data set, of uplift.)

    Features: `label` float32, 0 or 1; `numeric` float32 `(13,)`, NaN where missing; `categorical` text
    `(26,)`, "" where missing. The rows of each split are in the file's order.

    Raises:
        ValueError: Neither `train.txt` nor `train.txt.gz` is in the manual directory, or the file has a bad
            row, named by its line and column.

    Cost: writes 10 000 to 20 000 rows/s on one core; the file is read once per split.

    Example:

    >>> CriteoDisplayAds.name
    'criteo_display_ads'
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put the training file of the Kaggle Display Advertising Challenge, train.txt or train.txt.gz, into the manual "
        "directory."
    )
    BUILDER_CONFIGS = [
        RowSourceConfig(name="random", description="70/10/20 at random, seed 0."),
        RowSourceConfig(
            name="time", arguments={"split_by": "order"}, description="The first 70 %, the next 10 %, the last 20 %."
        ),
    ]
    DESCRIPTION = "Criteo display advertising challenge: 45 840 617 impressions of seven days, in time order."
    HOMEPAGE = "https://www.kaggle.com/c/criteo-display-ad-challenge"

    def schema(self) -> Schema:
        """What the columns mean."""
        return criteo_schema()

    def row_source(self, manual_dir: str | Path) -> TabularFile:
        """The same rows in columnar batches.

        Raises:
            ValueError: The file is not in the directory.
        """
        path = find_file(manual_dir, ("train.txt",), self.MANUAL_DOWNLOAD_INSTRUCTIONS)
        return criteo_rows(path, **self.builder_config.arguments)
