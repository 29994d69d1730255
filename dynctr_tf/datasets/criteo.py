"""Criteo display advertising challenge (Kaggle, 2014) from `train.txt`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from dynctr_tf.datasets.splits import DEFAULT_SHARES
from dynctr_tf.datasets.tabular_file import OnBadRow, TabularFile
from dynctr_tf.datasets.tfds_examples import examples
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import Binning, Feature, Schema, Vocabulary

NUMERIC: tuple[str, ...] = tuple(f"I{number}" for number in range(1, 14))
"""The numeric features, mostly counts."""

CATEGORICAL: tuple[str, ...] = tuple(f"C{number}" for number in range(1, 27))
"""The categorical features, 32-bit hashes as text."""

_SPLIT_BY: dict[str, str] = {"random": "random", "time": "order"}


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


class CriteoDisplayAdsConfig(tfds.core.BuilderConfig):
    """How the rows are split.

    Args:
        name: The configuration's name.
        split: `"random"` or `"time"`. Default `"random"`.
        seed: Of the random split. Default 0.
        on_bad_row: `"error"` or `"skip"`. Default `"error"`.
        **kwargs: Of `tfds.core.BuilderConfig`.
    """

    def __init__(
        self, *, name: str, split: str = "random", seed: int = 0, on_bad_row: OnBadRow = "error", **kwargs: Any
    ) -> None:
        super().__init__(name=name, **kwargs)
        if split not in _SPLIT_BY:
            raise ValueError(unknown_name_message("split of the Criteo rows", str(split), _SPLIT_BY))
        self.split = split
        self.seed = seed
        self.on_bad_row = on_bad_row


class CriteoDisplayAds(tfds.core.GeneratorBasedBuilder):
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
        CriteoDisplayAdsConfig(name="random", split="random", description="70/10/20 at random, seed 0."),
        CriteoDisplayAdsConfig(name="time", split="time", description="The first 70 %, the next 10 %, the last 20 %."),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Criteo display advertising challenge: 45 840 617 impressions of seven days, in time order.",
            features=tfds.features.FeaturesDict(
                {
                    "categorical": tfds.features.Tensor(shape=(len(CATEGORICAL),), dtype=np.str_),
                    "numeric": tfds.features.Tensor(shape=(len(NUMERIC),), dtype=np.float32),
                    "label": np.float32,
                }
            ),
            homepage="https://www.kaggle.com/c/criteo-display-ad-challenge",
            disable_shuffling=True,
        )

    def row_source(self, manual_dir: str | Path) -> TabularFile:
        """The same rows in columnar batches.

        Raises:
            ValueError: The file is not in the directory.
        """
        for name in ("train.txt", "train.txt.gz"):
            path = Path(manual_dir) / name
            if path.is_file():
                config = self.builder_config
                return criteo_rows(
                    path, split_by=_SPLIT_BY[config.split], seed=config.seed, on_bad_row=config.on_bad_row
                )
        raise ValueError(f"There is no train.txt or train.txt.gz in {manual_dir}. {self.MANUAL_DOWNLOAD_INSTRUCTIONS}")

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        source = self.row_source(dl_manager.manual_dir)
        return {name: self._generate_examples(source, name) for name in source.split_names}

    def _generate_examples(self, source: TabularFile, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        return examples(source, split, CATEGORICAL, NUMERIC)
