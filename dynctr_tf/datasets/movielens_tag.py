"""MovieLens tag applications with sampled negatives: will this user give this movie this tag?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow_datasets as tfds

from dynctr_tf.datasets.bad_rows import OnBadRow
from dynctr_tf.datasets.column_rows import ColumnRows, dictionary_column
from dynctr_tf.datasets.negative_sampling import NegativesBy, sample_negatives
from dynctr_tf.datasets.original_files import BadRows, codes, find_file, read_columns
from dynctr_tf.datasets.row_source_builder import RowSourceBuilder, RowSourceConfig
from dynctr_tf.datasets.splits import PAPER_SHARES, OrderSplit, RandomSplit, checked_split_by
from dynctr_tf.schema import Feature, Schema, Vocabulary

FEATURES: tuple[str, ...] = ("user_id", "movie_id", "tag")
"""The features, in the order in which the TFDS tensor `categorical` has them."""


def movielens_tag_schema(*, min_count: int = 1) -> Schema:
    """Describes the columns: `user_id` (user), `movie_id` (item) and `tag` (context); label `applied`.

    Args:
        min_count: Values seen fewer times in the training rows share the unknown bucket. Default 1.
    """
    rule = Vocabulary(min_count=min_count)
    return Schema(
        (
            Feature("user_id", "categorical", role="user", vocabulary=rule),
            Feature("movie_id", "categorical", role="item", vocabulary=rule),
            Feature("tag", "categorical", vocabulary=rule),
        ),
        label="applied",
    )


def movielens_tag_rows(
    path: str | Path,
    *,
    num_negatives: int = 2,
    negatives_by: NegativesBy = "uniform",
    split_by: str = "random",
    seed: int = 0,
    min_count: int = 1,
    shares: Mapping[str, float] = PAPER_SHARES,
    on_bad_row: OnBadRow = "error",
) -> ColumnRows:
    """Reads tag applications, each a positive row, and draws negative rows: other tags for the same user and movie.

    When to use: the MovieLens-tag task of the DPN, AFN and NFM papers. A negative is a tag that this user never gave
    this movie, in any split of the file. A tag application whose tag is blank, or that is in the file twice, is left
    out and counted in `skipped`.

    Args:
        path: `tags.dat` (user, movie, tag and time, `::` between them) or `tags.csv` (with the header
            `userId,movieId,tag,timestamp`), plain or gzip-compressed.
        num_negatives: Negative rows for each positive one. Default 2.
        negatives_by: `"uniform"`, each tag equally often; or `"frequency"`, each as often as it was given. Default
            `"uniform"`.
        split_by: `"random"`, each row by itself; or `"order"`, which is that of time, negatives with their positive.
            Default `"random"`.
        seed: Of the random split and the negatives. Default 0.
        min_count: As in `movielens_tag_schema`. Default 1.
        shares: Share of each split. Default: 70 % train, 20 % validation, 10 % test.
        on_bad_row: `"error"`, or `"skip"` to leave bad rows out and count them. Default `"error"`.

    Raises:
        ValueError: An unknown argument value; no such file, or one that lacks a column.
        BadRowError: A row with too few or too many columns, or a user, movie or time that is missing or wrong.

    Cost: ten microseconds per tag application, all of which are kept in memory, about 100 bytes each.

    Reference: the data of Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, tables 1 to
    3, and 8: 2 006 859 rows of 668 953 tag applications. Negatives with another tag, drawn uniformly, are our reading.
    """
    by_row = RandomSplit(dict(shares), seed)
    checked_split_by(split_by)
    bad_rows = BadRows(on_bad_row)
    read = read_columns(
        Path(path), {"userId": "text", "movieId": "text", "tag": "optional", "timestamp": "whole"}, bad_rows
    )
    tag, tags = codes([text.strip() for text in read.columns["tag"]])
    user, users = codes(read.columns["userId"])
    movie, movies = codes(read.columns["movieId"])
    kept = np.array([bool(text) for text in tags])[tag]
    if not kept.all():
        bad_rows.skipped["tag is blank"] += int((~kept).sum())
    pair = user * len(movies) + movie
    _, first = np.unique(pair * len(tags) + tag, return_index=True)
    again = kept.copy()
    again[first] = False
    if again.any():
        bad_rows.skipped["tag application is repeated"] += int(again.sum())
    kept &= ~again
    tags = [text or "(blank)" for text in tags]
    # Tags that occur only in rows which were left out are not candidates.
    used, tag = np.unique(tag[kept], return_inverse=True)
    user, movie, pair, lines = user[kept], movie[kept], pair[kept], read.lines[kept]
    if not len(tag):
        raise ValueError(f"{path}: the file has no usable row; left out: {dict(bad_rows.skipped)}.")
    negatives = sample_negatives(
        pair, tag, len(used), num_negatives=num_negatives, by=negatives_by, seed=seed
    )  # (positives, num_negatives)

    group = 1 + num_negatives
    given = np.concatenate([tag[:, None], negatives], axis=1).reshape(-1)
    if split_by == "random":
        # By line and not by position: a row that is left out then changes no other row.
        splits = by_row.assign((lines[:, None] * group + np.arange(group)).reshape(-1))
    else:
        rank = np.empty(len(tag), np.int64)
        rank[np.argsort(read.columns["timestamp"][kept], kind="stable")] = np.arange(len(tag))
        splits = np.repeat(OrderSplit(len(tag), dict(shares)).assign(rank), group)
    texts = {
        "user_id": pa.array(users),
        "movie_id": pa.array(movies),
        "tag": pa.array([tags[number] for number in used]),
    }

    def columns(rows: np.ndarray) -> dict[str, pa.Array]:
        positives = rows // group
        numbers = {"user_id": user[positives], "movie_id": movie[positives], "tag": given[rows]}
        made = {name: dictionary_column(numbers[name], texts[name]) for name in FEATURES}
        return {"applied": pa.array((rows % group == 0).astype(np.float32)), **made}

    schema = movielens_tag_schema(min_count=min_count)
    return ColumnRows(schema, by_row.names, splits, columns, bad_rows.skipped, (Path(path),))


class MovieLensTag(RowSourceBuilder, tfds.core.GeneratorBasedBuilder):
    """TFDS builder `movielens_tag`: tag applications and sampled negatives.

    When to use: `tfds.load("movielens_tag/random")` or `/time`, for reading the data set as any other.
    `movielens_tag_rows` gives the same rows in columns, many times faster.

    Features: `applied` float32, 0 or 1; `categorical` text `(3,)`: user, movie, tag; `numeric` float32 `(0,)`.

    Raises:
        ValueError: No file of tags is in the manual directory, or it has a bad row, named by its line and column.

    Example:

    >>> MovieLensTag.name
    'movielens_tag'
    """

    name = "movielens_tag"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put tags.dat of MovieLens-10M or tags.csv of a later MovieLens data set into the manual directory."
    )
    BUILDER_CONFIGS = [
        RowSourceConfig(name="random", description="70/20/10 at random, two negatives for each positive, seed 0."),
        RowSourceConfig(
            name="time", arguments={"split_by": "order"}, description="The first 70 %, the next 20 %, the last 10 %."
        ),
    ]

    DESCRIPTION = "MovieLens tag applications with sampled negatives."
    HOMEPAGE = "https://grouplens.org/datasets/movielens/"

    def schema(self) -> Schema:
        """What the columns mean."""
        return movielens_tag_schema()

    def row_source(self, manual_dir: str | Path) -> ColumnRows:
        """The same rows in columnar batches.

        Raises:
            ValueError: The file is not in the directory.
        """
        path = find_file(manual_dir, ("tags.dat", "tags.csv"), self.MANUAL_DOWNLOAD_INSTRUCTIONS)
        return movielens_tag_rows(path, **self.builder_config.arguments)
