"""KuaiRand (Kuaishou, 2022): clicks on short videos; 15 places of the app are the scenarios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import pyarrow as pa
import tensorflow_datasets as tfds

from dynctr_tf.datasets.bad_rows import OnBadRow, Problem
from dynctr_tf.datasets.derived_columns import Derive, DerivedTabularFile, whole_numbers
from dynctr_tf.datasets.joined_sources import JoinedSources
from dynctr_tf.datasets.original_files import BadRows, read_columns, text_lines
from dynctr_tf.datasets.row_source_builder import RowSourceBuilder, RowSourceConfig
from dynctr_tf.datasets.splits import DEFAULT_SHARES
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import Feature, Schema, Vocabulary

KuaiRandLayout = Literal["original", "joined"]
KuaiRandLabel = Literal["is_click", "long_view"]

USER: tuple[str, ...] = (
    "user_active_degree", "is_lowactive_period", "is_live_streamer", "is_video_author", "follow_user_num_range",
    "fans_user_num_range", "friend_user_num_range", "register_days_range",
    *(f"onehot_feat{number}" for number in range(18)),
)  # fmt: skip
"""The user's features beside the id."""

VIDEO: tuple[str, ...] = ("author_id", "video_type", "upload_type", "music_type")
"""Categorical features of the video beside the id."""

_JOINED_VIDEO = ("video_type",)
_READ = {"original": ("user_id", "video_id", "tab", "hourmin"), "joined": ("user_id", "video_id", "tab")}


def kuairand_schema(
    *, layout: KuaiRandLayout = "original", label: KuaiRandLabel = "is_click", min_count: int = 1
) -> Schema:
    """Describes the columns; `tab`, the place in the app, is the scenario.

    Args:
        layout: `"original"`: the files of KuaiRand, with `hour_of_day` made of the time and the multi-valued `tag` of
            the video; or `"joined"`: one file that has the user's and some of the video's features in each row.
            Default `"original"`.
        label: `"is_click"`, or `"long_view"`, which joined files do not have. Default `"is_click"`.
        min_count: Values seen fewer times in the training rows share the unknown bucket. Default 1: keep all.

    Raises:
        ValueError: An unknown layout or label.
    """
    for what, given, known in (("layout", layout, KuaiRandLayout), ("label", label, KuaiRandLabel)):
        if given not in get_args(known):
            raise ValueError(unknown_name_message(f"{what} of KuaiRand", str(given), get_args(known)))
    rule = Vocabulary(min_count=min_count)
    original = layout == "original"
    tag = Feature("tag", "multi_valued", role="item", separator=",", max_length=8, vocabulary=rule)
    return Schema(
        (
            *(Feature(name, "categorical", role="user", vocabulary=rule) for name in ("user_id", *USER)),
            *(
                Feature(name, "categorical", role="item", vocabulary=rule)
                for name in ("video_id", *(VIDEO if original else _JOINED_VIDEO))
            ),
            *((Feature("hour_of_day", "categorical", vocabulary=rule), tag) if original else ()),
            Feature("tab", "categorical", role="scenario", vocabulary=rule),
        ),
        label=label,
    )


class _Table(NamedTuple):
    """A file of features: the place of each id in it, and each feature as text, null where it is empty."""

    path: Path
    places: Mapping[str, int]
    features: Mapping[str, pa.Array]

    def of(self, ids: pa.Array) -> dict[str, pa.Array]:
        """The features of the ids of some rows; null where an id is not in the file."""
        distinct = ids.dictionary_encode()
        # `pc.index_in` would make a table of all ids for each batch, which takes 4 s for KuaiRand-1K.
        found = pa.array([self.places.get(text) for text in distinct.dictionary.to_pylist()], pa.int64())
        places = found.take(distinct.indices)
        return {name: column.take(places) for name, column in self.features.items()}


def _table(path: Path, key: str, names: Sequence[str], bad_rows: BadRows) -> _Table:
    found = read_columns(path, {key: "text", **dict.fromkeys(names, "optional")}, bad_rows).columns
    places = {text: place for place, text in reversed(list(enumerate(found[key])))}
    return _Table(path, places, {name: pa.array([text or None for text in found[name]], pa.string()) for name in names})


def _derive_with(users: _Table, videos: _Table) -> Derive:
    def derive(cells: Mapping[str, pa.Array]) -> tuple[Mapping[str, pa.Array], list[Problem]]:
        pattern = r"\d{1,2}|[01]?\d[0-5]\d|2[0-3][0-5]\d"
        times, problems = whole_numbers("hourmin", cells["hourmin"], pattern, "a time as HHMM")
        made = {"hour_of_day": pa.array(times // 100).cast(pa.string())}
        return {**made, **users.of(cells["user_id"]), **videos.of(cells["video_id"])}, problems

    return derive


def _nothing(cells: Mapping[str, pa.Array]) -> tuple[Mapping[str, pa.Array], list[Problem]]:
    return {}, []


def _only_file(folder: Path, pattern: str) -> Path:
    found = [path for ending in ("", ".gz") for path in sorted(folder.glob(pattern + ending))]
    if len(found) != 1:
        raise ValueError(
            f"{folder}: expected one file {pattern}, found {[path.name for path in found]}. "
            f"{KuaiRand.MANUAL_DOWNLOAD_INSTRUCTIONS}"
        )
    return found[0]


def kuairand_rows(
    path: str | Path,
    *,
    label: KuaiRandLabel = "is_click",
    seed: int = 0,
    min_count: int = 1,
    shares: Mapping[str, float] = DEFAULT_SHARES,
    on_bad_row: OnBadRow = "error",
) -> JoinedSources:
    """Reads the logs of the ordinary recommendations, with the features of users and videos.

    When to use: a public data set of many scenarios in one app.

    Args:
        path: The folder of a version (KuaiRand-Pure, -1K): `log_standard_*.csv`, `user_features_*.csv` and
            `video_features_basic_*.csv`; or one joined CSV file, as the Scenario-Wise-Rec benchmark writes it. Plain or
            gzip-compressed.
        label: As in `kuairand_schema`. Default `"is_click"`.
        seed: Of the random split, of each log by itself. Default 0.
        min_count: As in `kuairand_schema`. Default 1.
        shares: Share of each split. Default: 70 % train, 10 % validation, 20 % test.
        on_bad_row: `"error"` or `"skip"`, see `TabularFile`; an unreadable time is a bad row too. Default `"error"`.

    Raises:
        ValueError: As `TabularFile`; a folder without one of the files, or with several that fit.

    Cost: as `avazu_rows`; the features of all users and videos are kept in memory, about 100 bytes each and feature, so
        that the version 27K, with its 32 million videos, is too large.

    Reference: Gao et al., KuaiRand, arXiv 2208.08696. The Scenario-Wise-Rec benchmark takes the tab as the scenario.
    """
    path, bad_rows = Path(path), BadRows(on_bad_row)
    layout: KuaiRandLayout = "original" if path.is_dir() else "joined"
    schema = kuairand_schema(layout=layout, label=label, min_count=min_count)
    tables: tuple[Path, ...]
    if layout == "original":
        logs = [log for ending in ("", ".gz") for log in sorted(path.glob(f"log_standard_*.csv{ending}"))]
        if not logs:
            raise ValueError(f"{path}: there is no log_standard_*.csv. {KuaiRand.MANUAL_DOWNLOAD_INSTRUCTIONS}")
        users = _table(_only_file(path, "user_features_*.csv"), "user_id", USER, bad_rows)
        videos = _table(_only_file(path, "video_features_basic_*.csv"), "video_id", (*VIDEO, "tag"), bad_rows)
        derive, tables = _derive_with(users, videos), (users.path, videos.path)
        read: tuple[str, ...] = (label, *_READ[layout])
    else:
        logs, derive, tables = [path], _nothing, ()
        read = (label, *_READ[layout], *USER, *_JOINED_VIDEO)
        header = next(text_lines(path), (1, b""))[1].decode("utf-8", "replace")
        if label not in header.split(","):
            raise ValueError(
                f"{path}, line 1: there is no column {label!r}. Give the folder of KuaiRand's files, or a joined file "
                f"with {', '.join(read[:4])}, ...; got {header[:80]!r}."
            )
    sources = [
        DerivedTabularFile(
            log,
            schema,
            read=read,
            derive=derive,
            splits=shares,
            on_bad_row=on_bad_row,
            seed=seed + number,
            delimiter=",",
        )
        for number, log in enumerate(logs)
    ]
    return JoinedSources(sources, tuple(shares), skipped=bad_rows.skipped, files=tables)


class KuaiRand(RowSourceBuilder, tfds.core.GeneratorBasedBuilder):
    """TFDS builder `kuai_rand`: short videos, their viewers, and whether they were clicked.

    When to use: `tfds.load("kuai_rand/click")` or `/long_view`, for reading the data set as any other. `kuairand_rows`
    gives the same rows in columns, many times faster.

    Features: the label, float32, 0 or 1; `categorical` text `(34,)` in the order of `kuairand_schema`; `numeric`
    float32 `(0,)`; `tag` text `(None,)`.

    Raises:
        ValueError: A file is not in the manual directory, or has a bad row, named by its line and column.

    Example:

    >>> KuaiRand.name
    'kuai_rand'
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put the files of one version of KuaiRand, log_standard_*.csv, user_features_*.csv and "
        "video_features_basic_*.csv, into the manual directory."
    )
    BUILDER_CONFIGS = [
        RowSourceConfig(name="click", description="Was the video clicked? 70/10/20 at random, seed 0."),
        RowSourceConfig(
            name="long_view",
            arguments={"label": "long_view"},
            description="Was it watched for long? 70/10/20 at random, seed 0.",
        ),
    ]
    DESCRIPTION = "KuaiRand: recommendations of short videos in 15 places of the app; 1.4 million in the version Pure."
    HOMEPAGE = "https://kuairand.com"

    def schema(self) -> Schema:
        """What the columns mean in this configuration."""
        return kuairand_schema(**self.builder_config.arguments)

    def row_source(self, manual_dir: str | Path) -> JoinedSources:
        """The same rows in columnar batches.

        Raises:
            ValueError: A file is not in the directory.
        """
        return kuairand_rows(manual_dir, **self.builder_config.arguments)
