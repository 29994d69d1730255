"""iPinYou (real-time bidding contest, 2013): impressions of display ads, in the form of Zhang et al., 2014."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow_datasets as tfds

from dynctr_tf.datasets.bad_rows import OnBadRow, Problem
from dynctr_tf.datasets.derived_columns import DerivedTabularFile, whole_numbers
from dynctr_tf.datasets.joined_sources import JoinedSources
from dynctr_tf.datasets.original_files import find_file, text_lines
from dynctr_tf.datasets.row_source_builder import RowSourceBuilder, RowSourceConfig
from dynctr_tf.datasets.splits import DEFAULT_SHARES
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import Feature, Schema, Vocabulary

IPinYouSplit = Literal["random", "file"]

COLUMNS: tuple[str, ...] = (
    "click", "weekday", "hour", "bidid", "timestamp", "logtype", "ipinyouid", "useragent", "IP", "region", "city",
    "adexchange", "domain", "url", "urlid", "slotid", "slotwidth", "slotheight", "slotvisibility", "slotformat",
    "slotprice", "creative", "bidprice", "payprice", "keypage", "advertiser", "usertag",
)  # fmt: skip
"""The columns of a training log, in their order; a test log may have `nclick` and `nconversation` after them."""

CATEGORICAL: tuple[str, ...] = (
    "weekday", "hour", "useragent", "IP", "region", "city", "adexchange", "domain", "slotid", "slotwidth",
    "slotheight", "slotvisibility", "slotformat", "slotprice", "creative", "advertiser",
)  # fmt: skip
"""The 16 categorical features."""

_SYSTEMS = ("windows", "ios", "mac", "android", "linux")
_BROWSERS = ("chrome", "sogou", "maxthon", "safari", "firefox", "theworld", "opera", "ie")
_USER = frozenset({"useragent", "IP", "region", "city"})
_ITEM = frozenset({"creative", "advertiser"})
_TEST_SHARES = {"train": 0.9, "validation": 0.1}


def ipinyou_schema(*, min_count: int = 20, user_tags: bool = False) -> Schema:
    """Describes the columns: the 16 categorical features and, where wanted, the user's tags.

    `useragent` is the system and the browser, such as `windows_ie`; `slotprice` the floor price in five ranges.

    Args:
        min_count: Values seen fewer times in the training rows share the unknown bucket. Default 20, as in the DynInt
            paper; use fewer on a sample.
        user_tags: Whether the multi-valued feature `usertag` is added. Default `False`.
    """
    rule = Vocabulary(min_count=min_count)

    def feature(name: str) -> Feature:
        role = "user" if name in _USER else "item" if name in _ITEM else "context"
        return Feature(name, "categorical", role=role, vocabulary=rule)  # type: ignore[arg-type]

    tags = Feature("usertag", "multi_valued", role="user", separator=",", max_length=32, vocabulary=rule)
    return Schema((*map(feature, CATEGORICAL), *((tags,) if user_tags else ())), label="click")


def _first_named(text: pa.Array, names: tuple[str, ...]) -> pa.Array:
    """For each text the first of some names that it contains, `"other"` where it contains none."""
    found: Any = pa.scalar("other")
    for name in reversed(names):
        found = pc.if_else(pc.match_substring(text, name), name, found)
    return found


def _derive(cells: Mapping[str, pa.Array]) -> tuple[Mapping[str, pa.Array], list[Problem]]:
    prices, problems = whole_numbers("slotprice", cells["slotprice"], r"\d{1,9}", "a whole number")
    ranges = pa.array(["0", "1-10", "11-50", "51-100", "101+"])
    # A batch has few distinct agents.
    agents = pc.fill_null(cells["useragent"], "").dictionary_encode()
    agent = pc.utf8_lower(agents.dictionary)
    system, browser = _first_named(agent, _SYSTEMS), _first_named(agent, _BROWSERS)
    return {
        "slotprice": ranges.take(pa.array(np.searchsorted([1, 11, 51, 101], prices, side="right"))),
        "useragent": pc.binary_join_element_wise(system, browser, "_").take(agents.indices),
        # The log writes null where a user has no tag.
        "usertag": pc.if_else(pc.equal(pc.fill_null(cells["usertag"], "null"), "null"), None, cells["usertag"]),
    }, problems


def _names(path: Path) -> tuple[str, ...] | None:
    """The names of a log without header; `None` for one that has it."""
    first = next(text_lines(path), (1, b""))[1].decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r")
    cells = first.split("\t")
    if cells[0] == "click":
        return None
    for names in (COLUMNS, (*COLUMNS, "nclick", "nconversation")):
        if len(cells) == len(names):
            return names
    raise ValueError(
        f"{path}, line 1: expected {len(COLUMNS)} tab-separated columns, or {len(COLUMNS) + 2} in a test log, got "
        f"{len(cells)}. Give train.log.txt or test.log.txt as the make-ipinyou-data scripts write it."
    )


def ipinyou_rows(
    path: str | Path,
    *,
    user_tags: bool = False,
    split_by: IPinYouSplit = "random",
    seed: int = 0,
    min_count: int = 20,
    shares: Mapping[str, float] = DEFAULT_SHARES,
    on_bad_row: OnBadRow = "error",
) -> JoinedSources:
    """Reads the logs of one campaign, or of all, in columnar batches.

    When to use: rare clicks, below one in a thousand rows, in a benchmark of the DynInt paper.

    Args:
        path: The folder of a campaign, or `all`, with `train.log.txt` and `test.log.txt` (or with `.gz` after them), or
            one log alone: tab-separated, with or without header, the columns `COLUMNS`.
        user_tags: As in `ipinyou_schema`. Default `False`.
        split_by: `"random"`: each log is split at random by `shares`; or `"file"`: nine of ten rows of the training log
            train, the tenth validates, the test log tests. Default `"random"`.
        seed: Of the random split. Default 0.
        min_count: As in `ipinyou_schema`. Default 20.
        shares: Share of each split, for `"random"`. Default: 70 % train, 10 % validation, 20 % test.
        on_bad_row: `"error"` or `"skip"`, see `TabularFile`; a floor price that is not a whole number is a bad row too.
            Default `"error"`.

    Raises:
        ValueError: As `TabularFile`; a log of another number of columns; no log in the folder; `"file"` for one log.

    Cost: as `avazu_rows`.

    Reference: Yan and Li, DynInt, arXiv 2301.08139, which takes 16 features; the preparation, with the system and
    browser of an agent and the ranges of floor prices, is that of Zhang et al., Real-Time Bidding Benchmarking with
    iPinYou Dataset, arXiv 1407.7073. The choice of the 16 columns is ours: all but ids, prices, URLs and tags.
    """
    if split_by not in get_args(IPinYouSplit):
        raise ValueError(unknown_name_message("way to split iPinYou", str(split_by), get_args(IPinYouSplit)))
    path = Path(path)
    if path.is_dir():
        logs = [find_file(path, (name,), IPinYou.MANUAL_DOWNLOAD_INSTRUCTIONS) for name in _LOGS]
    else:
        logs = [path]
    if split_by == "file" and len(logs) < 2:
        raise ValueError(f'split_by="file" needs the folder of both logs, got the file {path}.')
    schema = ipinyou_schema(min_count=min_count, user_tags=user_tags)
    sources = []
    for number, log in enumerate(logs):
        by_file = {"train": 1.0} if number else _TEST_SHARES
        sources.append(
            DerivedTabularFile(
                log,
                schema,
                read=("click", *CATEGORICAL, "usertag"),
                derive=_derive,
                splits=by_file if split_by == "file" else shares,
                on_bad_row=on_bad_row,
                seed=seed + number,
                column_names=_names(log),
                delimiter="\t",
                quote=None,
            )
        )
    if split_by == "random":
        return JoinedSources(sources, tuple(shares))
    return JoinedSources(sources, tuple(DEFAULT_SHARES), [{}, {"train": "test"}])


_LOGS = ("train.log.txt", "test.log.txt")


class IPinYou(RowSourceBuilder, tfds.core.GeneratorBasedBuilder):
    """TFDS builder `i_pin_you`: impressions of display ads with 16 categorical features.

    When to use: `tfds.load("i_pin_you/random")` or `/file`, for reading the data set as any other. `ipinyou_rows` gives
    the same rows in columns, many times faster.

    Features: `click` float32, 0 or 1; `categorical` text `(16,)` in the order of `CATEGORICAL`; `numeric` float32
    `(0,)`.

    Raises:
        ValueError: A log is not in the manual directory, or has a bad row, named by its line and column.

    Example:

    >>> IPinYou.name
    'i_pin_you'
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put train.log.txt and test.log.txt of a campaign, or of all, as the scripts of "
        "github.com/wnzhang/make-ipinyou-data write them from the contest's files, into the manual directory."
    )
    BUILDER_CONFIGS = [
        RowSourceConfig(name="random", description="70/10/20 at random, each log by itself, seed 0."),
        RowSourceConfig(
            name="file", arguments={"split_by": "file"}, description="The training log trains, the test log tests."
        ),
    ]
    DESCRIPTION = "iPinYou: 19.5 million impressions of display ads in nine campaigns, clicks below one in a thousand."
    HOMEPAGE = "https://contest.ipinyou.com"

    def schema(self) -> Schema:
        """What the columns mean."""
        return ipinyou_schema()

    def row_source(self, manual_dir: str | Path) -> JoinedSources:
        """The same rows in columnar batches.

        Raises:
            ValueError: A log is not in the directory.
        """
        return ipinyou_rows(manual_dir, **self.builder_config.arguments)
