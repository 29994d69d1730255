"""Amazon reviews as sequences: will this user review this item next?"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow_datasets as tfds

from dynctr_tf.datasets.bad_rows import OnBadRow
from dynctr_tf.datasets.column_rows import ColumnRows, dictionary_column, history_column
from dynctr_tf.datasets.csv_blocks import opened
from dynctr_tf.datasets.negative_sampling import NegativesBy, sample_negatives
from dynctr_tf.datasets.original_files import BadRows, codes, find_file, text_lines
from dynctr_tf.datasets.row_source_builder import RowSourceBuilder, RowSourceConfig
from dynctr_tf.schema import Feature, Schema, Vocabulary

SPLIT_NAMES: tuple[str, ...] = ("train", "validation", "test")
"""The last review of each user is in the test split, the one before it in validation, the others in train."""

NO_CATEGORY = "(none)"
"""The category of an item that has none: a history needs a value in each of its places."""

_ASIN = re.compile(rb"""["']asin["']\s*:\s*["']([^"']+)["']""")


def amazon_reviews_schema(*, history_length: int = 50, user_ids: bool = False, min_count: int = 1) -> Schema:
    """Describes the columns.

    `item_id` and `category` (item) are the target; the sequences `history_items` and `history_categories` (user)
    repeat their ids; `user_id` (user) where it is wanted. Label `reviewed`.

    Args:
        history_length: How many items a history has at the most. Default 50.
        user_ids: Whether the user's id is a field. Default `False`, as in the DIN paper.
        min_count: Items and categories seen fewer times in the training rows share the unknown bucket. Default 1.
    """
    rule = Vocabulary(min_count=min_count)
    user = (Feature("user_id", "categorical", role="user", vocabulary=rule),) if user_ids else ()
    return Schema(
        (
            *user,
            Feature("item_id", "categorical", role="item", vocabulary=rule),
            Feature("category", "categorical", role="item", vocabulary=rule),
            Feature(
                "history_items",
                "sequence",
                role="user",
                max_length=history_length,
                shares_vocabulary_with="item_id",
            ),
            Feature(
                "history_categories",
                "sequence",
                role="user",
                max_length=history_length,
                shares_vocabulary_with="category",
            ),
        ),
        label="reviewed",
    )


def _mapping(text: bytes) -> dict[str, Any] | None:
    """Reads a line: JSON, or a Python literal, as in the files of 2014."""
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(text.decode())
        except (ValueError, SyntaxError):
            continue
        return found if isinstance(found, dict) else None
    return None


def _reviews(path: Path, bad_rows: BadRows) -> tuple[list[str], list[str], np.ndarray]:
    """Reads one review a line."""
    users: list[str] = []
    items: list[str] = []
    times: list[int] = []
    for line, text in text_lines(path):
        review = _mapping(text)
        if review is None:
            bad_rows.add(path, line, None, "the row is not a JSON object", f"expected a JSON object, got {text[:60]!r}")
            continue
        for name, kind in (("reviewerID", str), ("asin", str), ("unixReviewTime", int)):
            value = review.get(name)
            if not isinstance(value, kind) or isinstance(value, bool) or not value:
                expected = "a text" if kind is str else "a whole number"
                bad_rows.add(path, line, name, f"{name} is missing or wrong", f"expected {expected}, got {value!r}")
                break
        else:
            users.append(review["reviewerID"])
            items.append(review["asin"])
            times.append(review["unixReviewTime"])
    return users, items, np.array(times, np.int64)


def _sequences(path: Path, bad_rows: BadRows) -> tuple[list[str], list[str], np.ndarray]:
    """Reads one user a line."""
    users: list[str] = []
    items: list[str] = []
    for line, text in text_lines(path):
        try:
            user, *sequence = text.decode().split()
        except UnicodeDecodeError:
            bad_rows.add(path, line, None, "the row is not text", "the row is not UTF-8 text")
            continue
        if not sequence:
            bad_rows.add(path, line, None, "too few columns", "expected a user and at least one item, got a user alone")
            continue
        users += [user] * len(sequence)
        items += sequence
    return users, items, np.arange(len(items))


def _categories(path: Path, items: list[str], bad_rows: BadRows) -> list[str]:
    """Finds each item's category: the last one of its metadata, or the first of its attributes."""
    wanted = set(items)
    found: dict[str, str] = {}
    if path.name.removesuffix(".gz").endswith("_item2attributes.json"):
        with opened(path) as stream:
            attributes = _mapping(stream.read())
        if attributes is None:
            raise ValueError(f"{path}: expected one JSON object of item to attributes.")
        for item in items:
            values = attributes.get(item)
            if values is not None and not isinstance(values, list):
                raise ValueError(f"{path}: expected a list of attributes of item {item!r}, got {values!r}.")
            if values:
                found[item] = str(values[0])
    else:
        for line, text in text_lines(path):
            named = _ASIN.search(text)
            # Most items of the metadata are in no review, and reading a line in full costs a hundred times as much.
            if named is not None and named[1].decode(errors="replace") not in wanted:
                continue
            entry = _mapping(text)
            if entry is None or not isinstance(entry.get("asin"), str):
                detail = f"expected an object with the text 'asin', got {text[:60]!r}"
                bad_rows.add(path, line, "asin", "the metadata is not an object with asin", detail)
                continue
            values = entry.get("categories", entry.get("category"))
            while isinstance(values, list) and values:
                values = values[-1]
            if isinstance(values, str) and values:
                found[entry["asin"]] = values
    return [found.get(item, NO_CATEGORY) for item in items]


def amazon_reviews_rows(
    path: str | Path,
    *,
    metadata: str | Path | None = None,
    num_negatives: int = 1,
    negatives_by: NegativesBy = "uniform",
    history_length: int = 50,
    max_targets: int | None = None,
    user_ids: bool = False,
    seed: int = 0,
    min_count: int = 1,
    on_bad_row: OnBadRow = "error",
) -> ColumnRows:
    """Reads reviews; each review but a user's first is a positive row, whose history is the reviews before it.

    When to use: the Amazon tasks of the DIN, DIEN, KFAtt and DPN papers. A negative row has the same history and
    another item, which the user reviews nowhere in the file, neither before nor after. Of each user the last review
    tests, the one before it validates, the others train. A second review of the same item is left out and counted in
    `skipped`.

    Args:
        path: The reviews of one domain, plain or gzip-compressed: one JSON object a line with `reviewerID`, `asin` and
            `unixReviewTime` (`reviews_Electronics_5.json`); or one user a line with the items in the order of time,
            separated by blanks (`Beauty.txt`, as the S3-Rec authors prepare it). The first character decides.
            Times are days; reviews of one user and day stay in the file's order.
        metadata: The items' categories: `meta_Electronics.json`, an item a line, whose last category counts; or
            `Beauty_item2attributes.json`, item to attributes, whose first attribute counts. Items that are not in it
            have the category `"(none)"`. Default `None`: the file with this name beside the reviews.
        num_negatives: Negative rows for each positive one. Default 1.
        negatives_by: `"uniform"`, each item equally often; or `"frequency"`, each as often as it was reviewed.
            Default `"uniform"`.
        history_length: The newest items of a history that are kept. Default 50.
        max_targets: How many of each user's newest reviews are targets, where long sequences would make too many
            rows. Default `None`: all but the first.
        user_ids: As in `amazon_reviews_schema`. Default `False`.
        seed: Of the negatives. Default 0.
        min_count: As in `amazon_reviews_schema`. Default 1.
        on_bad_row: `"error"`, or `"skip"` to leave bad rows out and count them. Default `"error"`.

    Raises:
        ValueError: An unknown argument value; no such file; metadata of another form.
        BadRowError: A line that is not a JSON object, lacks a key or has a wrong value, or a user without an item.

    Cost: ten microseconds per review, and twenty for JSON; all reviews are kept in memory, about 100 bytes each.

    Reference: papers.md 6.13 and 1.8: Amazon Electronics with 192 403 users, 63 001 items and 801 categories, as Zhou
    et al., Deep Interest Network for Click-Through Rate Prediction, arXiv 1706.06978, prepare it. They train on all
    reviews but the last; that the one before the last validates is ours.
    """
    if max_targets is not None and (isinstance(max_targets, bool) or max_targets < 3):
        raise ValueError(f"max_targets must be at least 3, one for each split, or None for all; got {max_targets!r}.")
    path, bad_rows = Path(path), BadRows(on_bad_row)
    schema = amazon_reviews_schema(history_length=history_length, user_ids=user_ids, min_count=min_count)
    _, first_line = next(text_lines(path), (1, b""))
    user_of, item_of, time = (_reviews if first_line.lstrip().startswith(b"{") else _sequences)(path, bad_rows)
    if not user_of:
        raise ValueError(f"{path}: the file has no usable row; left out: {dict(bad_rows.skipped)}.")
    user, users = codes(user_of)
    item, items = codes(item_of)
    if metadata is None:
        domain = re.sub(r"^reviews_|(_5)?\.(json|txt)$", "", path.name.removesuffix(".gz"))
        names = (f"meta_{domain}.json", f"{domain}_item2attributes.json")
        metadata = find_file(path.parent, names, "Give metadata=....")
    category, categories = codes(_categories(Path(metadata), items, bad_rows))

    # Users one after another, each in the order of time, the earliest of repeated reviews kept.
    order = np.lexsort((time, user))
    _, first = np.unique(user[order] * len(items) + item[order], return_index=True)
    if len(first) < len(order):
        bad_rows.skipped["review of the same item is repeated"] += len(order) - len(first)
    order = order[np.sort(first)]
    user, item = user[order], item[order]
    counts = np.bincount(user, minlength=len(users))
    starts = (np.cumsum(counts) - counts)[user]
    places = np.arange(len(user))
    behind = starts + counts[user] - 1 - places
    targets = np.flatnonzero((places > starts) & (behind < (len(user) if max_targets is None else max_targets)))
    if not len(targets):
        raise ValueError(f"{path}: no user has two reviews, so there is no history.")
    negatives = sample_negatives(
        user, item, len(items), num_negatives=num_negatives, by=negatives_by, seed=seed
    )  # (reviews, num_negatives)

    group = 1 + num_negatives
    given = np.concatenate([item[:, None], negatives], axis=1)[targets].reshape(-1)
    splits = np.repeat(np.where(behind[targets] >= 2, 0, 2 - behind[targets]).astype(np.int8), group)
    user_texts, item_texts, category_texts = pa.array(users), pa.array(items), pa.array(categories)

    def columns(rows: np.ndarray) -> dict[str, pa.Array]:
        target = targets[rows // group]
        past = (starts[target], target, history_length)
        return {
            "reviewed": pa.array((rows % group == 0).astype(np.float32)),
            "user_id": dictionary_column(user[target], user_texts),
            "item_id": dictionary_column(given[rows], item_texts),
            "category": dictionary_column(category[given[rows]], category_texts),
            "history_items": history_column(item, item_texts, *past),
            "history_categories": history_column(category[item], category_texts, *past),
        }

    return ColumnRows(schema, SPLIT_NAMES, splits, columns, bad_rows.skipped, (path, Path(metadata)))


class AmazonReviewsConfig(RowSourceConfig):
    """Which domain, and how the rows are made.

    Args:
        name: The configuration's name.
        domain: The domain as in the files' names, such as `"Sports_and_Outdoors"`.
        **kwargs: Of `RowSourceConfig`.
    """

    def __init__(self, *, name: str, domain: str, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.domain = domain


class AmazonReviews(RowSourceBuilder, tfds.core.GeneratorBasedBuilder):
    """TFDS builder `amazon_reviews`: target item, category, history and sampled negatives of one domain.

    When to use: `tfds.load("amazon_reviews/electronics")`, `/books`, `/beauty`, `/sports_and_outdoors` or
    `/toys_and_games`, for reading the data set as any other. `amazon_reviews_rows` gives the same rows in columns,
    many times faster.

    Features: `reviewed` float32, 0 or 1; `categorical` text `(2,)`: item and category; `numeric` float32 `(0,)`;
    `history_items` and `history_categories` text `(None,)`, oldest first.

    Raises:
        ValueError: The files of the domain are not in the manual directory, or have a bad row, named by its line.

    Example:

    >>> AmazonReviews.name
    'amazon_reviews'
    """

    name = "amazon_reviews"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put the reviews and the metadata of the domain into the manual directory: reviews_<Domain>_5.json and "
        "meta_<Domain>.json of the Amazon review data, or <Domain>.txt and <Domain>_item2attributes.json of S3-Rec."
    )
    BUILDER_CONFIGS = [
        AmazonReviewsConfig(name=domain.lower(), domain=domain, description=f"The domain {domain}, seed 0.")
        for domain in ("Electronics", "Books", "Beauty", "Sports_and_Outdoors", "Toys_and_Games")
    ]

    DESCRIPTION = "Amazon reviews as sequences, with sampled negatives."
    HOMEPAGE = "https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html"
    builder_config: AmazonReviewsConfig

    def schema(self) -> Schema:
        """What the columns mean in this configuration."""
        given = self.builder_config.arguments
        return amazon_reviews_schema(
            **{name: given[name] for name in ("history_length", "user_ids", "min_count") if name in given}
        )

    def row_source(self, manual_dir: str | Path) -> ColumnRows:
        """The same rows in columnar batches.

        Raises:
            ValueError: A file is not in the directory.
        """
        domain = self.builder_config.domain
        names = (f"reviews_{domain}_5.json", f"{domain}_5.json", f"{domain}.txt")
        path = find_file(manual_dir, names, self.MANUAL_DOWNLOAD_INSTRUCTIONS)
        return amazon_reviews_rows(path, **self.builder_config.arguments)
