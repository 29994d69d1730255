"""Sources of rows that lie in memory, and rows drawn at random, for the tests of the encoding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.schema import Feature, Schema, Vocabulary

SPLITS = ("train", "validation", "test")


class RowsInMemory:
    """A source of one record batch, which is read `batch_rows` rows at a time."""

    def __init__(
        self,
        schema: Schema,
        columns: pa.RecordBatch,
        splits: Sequence[int] | np.ndarray | None = None,
        batch_rows: int = 100,
        split_names: tuple[str, ...] = SPLITS,
        skipped: Mapping[str, int] | None = None,
    ) -> None:
        self.schema = schema
        self.columns = columns
        self.splits = np.zeros(columns.num_rows, np.int8) if splits is None else np.asarray(splits, np.int8)
        self.batch_rows = batch_rows
        self.split_names = split_names
        self.num_rows: int | None = columns.num_rows
        self.skipped: Mapping[str, int] = skipped or {}

    def batches(self) -> Iterator[RowBatch]:
        for start in range(0, self.columns.num_rows, self.batch_rows):
            chosen = slice(start, start + self.batch_rows)
            yield RowBatch(self.columns.slice(start, self.batch_rows), self.splits[chosen])


def source_of(schema: Schema, **columns: Any) -> RowsInMemory:
    """A source of the given lists; labels, all 0 where they are not given, are float32."""
    rows = len(next(iter(columns.values())))
    types = {"numeric": pa.float64(), "categorical": pa.string()}
    arrays = {schema.label: pa.array(columns.pop(schema.label, [0.0] * rows), pa.float32())}
    for name in (schema.weight, schema.true_probability):
        if name is not None:
            arrays[name] = pa.array(columns.pop(name), pa.float64())
    for name, values in columns.items():
        arrays[name] = pa.array(values, types.get(schema.feature(name).kind))
    return RowsInMemory(schema, pa.RecordBatch.from_pydict(arrays))


RICH_SCHEMA = Schema(
    features=(
        Feature("user", "categorical", role="user", vocabulary=Vocabulary(min_count=2)),
        Feature("age", "numeric", role="user"),
        Feature("price", "numeric", role="item", binning="log_squared_plus_one"),
        Feature("score", "numeric", binning="quantile", num_bins=8),
        Feature("tags", "multi_valued", role="item", max_length=3, separator=","),
        Feature("item", "categorical", role="item"),
        Feature("history", "sequence", role="user", max_length=4, shares_vocabulary_with="item"),
        Feature("queries", "sequence", role="query", max_length=2, vocabulary=Vocabulary(max_size=5)),
        Feature("words", "multi_valued", max_length=2, vocabulary=Vocabulary(hash_buckets=7)),
        Feature("site", "categorical", vocabulary=Vocabulary(hash_buckets=11)),
        Feature("scene", "categorical", role="scenario"),
        Feature("tier", "categorical", role="group"),
        Feature("first_tag", "multi_valued", max_length=1),
    ),
    label="click",
    weight="cost",
    true_probability="truth",
)
"""Every kind of feature, every binning and every rule, in an order that is not that of the fields."""


def random_columns(rows: int, seed: int) -> pa.RecordBatch:
    """Draws rows of `RICH_SCHEMA`, with missing values, line breaks, `[UNK]` and letters outside ASCII."""
    random = np.random.default_rng(seed)

    def strings(values: int, prefix: str, missing: float = 0.1) -> list[str | None]:
        odd = ["", "[UNK]", "a\nb", "straße", " ", "0"]
        drawn: list[str | None] = []
        for number, kind in zip(random.zipf(1.5, rows) % values, random.random(rows), strict=True):
            drawn.append(None if kind < missing else odd[number % 6] if kind > 0.93 else f"{prefix}{number}")
        return drawn

    def lists(values: int, longest: int, separator: str) -> list[str | None]:
        drawn: list[str | None] = []
        for count, kind in zip(random.integers(0, longest + 1, rows), random.random(rows), strict=True):
            some = [f"v{number}" if number else "" for number in random.integers(0, values, count)]
            drawn.append(None if kind < 0.1 else separator.join(some))
        return drawn

    def numbers(scale: float) -> list[float | None]:
        drawn = random.standard_cauchy(rows) * scale
        return [None if kind < 0.1 else float(value) for value, kind in zip(drawn, random.random(rows), strict=True)]

    return pa.RecordBatch.from_pydict(
        {
            "click": pa.array(random.integers(0, 2, rows), pa.float32()),
            "cost": pa.array(random.random(rows) + 0.5),
            "truth": pa.array(random.random(rows)),
            "user": pa.array(strings(200, "u"), pa.string()),
            "age": pa.array(numbers(30.0), pa.float64()),
            "price": pa.array(numbers(1000.0), pa.float64()),
            "score": pa.array(numbers(1.0), pa.float64()),
            "tags": pa.array(lists(20, 6, ","), pa.string()),
            "item": pa.array(strings(50, "v"), pa.string()).dictionary_encode(),
            "history": pa.array(lists(60, 8, "|"), pa.string()),
            "queries": pa.array([v and v.split("|") for v in lists(12, 5, "|")], pa.list_(pa.string())),
            "words": pa.array(lists(30, 4, "|"), pa.string()),
            "site": pa.array(strings(40, "s"), pa.string()),
            "scene": pa.array(strings(4, "scene"), pa.string()),
            "tier": pa.array(strings(3, "tier"), pa.string()),
            "first_tag": pa.array(lists(9, 3, "|"), pa.string()),
        }
    )


def rich_source(rows: int = 1000, seed: int = 0, batch_rows: int = 130) -> RowsInMemory:
    """Random rows of `RICH_SCHEMA` in three splits."""
    splits = np.random.default_rng(seed + 1).choice(3, rows, p=[0.7, 0.1, 0.2])
    return RowsInMemory(RICH_SCHEMA, random_columns(rows, seed), splits, batch_rows)


def raw_tensors(columns: pa.RecordBatch, schema: Schema = RICH_SCHEMA) -> dict[str, tf.Tensor]:
    """The tensors that a serving request would bring for these rows."""
    tensors = {}
    for feature in schema.features:
        column = columns.column(feature.name)
        if feature.kind == "numeric":
            tensors[feature.name] = tf.constant(column.to_numpy(zero_copy_only=False).astype(np.float32))
            continue
        values = column.to_pylist()
        if feature.kind == "categorical":
            tensors[feature.name] = tf.constant([value or "" for value in values])
            continue
        rows = [value.split(feature.separator) if isinstance(value, str) else value or [] for value in values]
        width = max(1, *(len(row) for row in rows))
        tensors[feature.name] = tf.constant([row + [""] * (width - len(row)) for row in rows])
    return tensors
