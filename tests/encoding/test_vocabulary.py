"""Vocabularies and bins against counts made in plain Python."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from rows_in_memory import RICH_SCHEMA, RowsInMemory, rich_source, source_of

import dynctr_tf.encoding.vocabulary as vocabulary
from dynctr_tf.encoding import fit_vocabularies
from dynctr_tf.encoding.numeric_binning import numeric_bins
from dynctr_tf.encoding.vocabulary import UniformSample, ValueCounter
from dynctr_tf.schema import Feature, Schema, Vocabulary


def fit(source: RowsInMemory) -> tuple[dict, dict]:
    return fit_vocabularies(source, progress=False)


def ranked(counts: Counter, rule: Vocabulary) -> list[tuple[str, int]]:
    kept = [(value, count) for value, count in counts.items() if count >= rule.min_count]
    return sorted(kept, key=lambda item: (-item[1], item[0].encode()))[: rule.max_size]


@pytest.mark.parametrize("batch_rows", [7, 130, 5000])
def test_counts_order_and_rules_on_training_rows_alone(batch_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_MERGE_ROWS", 40)
    source = rich_source(1500, batch_rows=batch_rows)
    found, bins = fit(source)
    train = source.columns.filter(pa.array(source.splits == 0)).to_pydict()

    def parts(name: str) -> list[list[str]]:
        feature = RICH_SCHEMA.feature(name)
        rows = [v.split(feature.separator) if isinstance(v, str) else v or [] for v in train[name]]
        rows = [[value for value in row if value] for row in rows]
        cut = slice(-feature.max_length, None) if feature.kind == "sequence" else slice(feature.max_length)
        return [row[cut] for row in rows]

    expected = {name: Counter(v for v in train[name] if v) for name in ("user", "item", "scene", "tier")}
    for name in ("tags", "queries", "first_tag"):
        expected[name] = Counter(value for row in parts(name) for value in row)
    expected["item"] += Counter(value for row in parts("history") for value in row)
    assert sorted(found) == sorted(expected)
    for name, counts in expected.items():
        fitted = list(zip(found[name].values.to_pylist(), found[name].counts.tolist(), strict=True))
        assert fitted == ranked(counts, RICH_SCHEMA.feature(name).vocabulary), name

    assert sorted(bins) == ["age", "price", "score"]
    for name in ("age", "price"):
        seen = numeric_bins([v for v in train[name] if v is not None], RICH_SCHEMA.feature(name).binning).numpy()
        assert bins[name].bins == tuple(np.unique(seen).tolist())
    assert bins["score"].bins == tuple(range(8)) and len(bins["score"].boundaries) == 7


def test_rules_hold_for_numeric_bins_too() -> None:
    feature = Feature("n", "numeric", vocabulary=Vocabulary(min_count=2))
    _, bins = fit(source_of(Schema((feature,), "y"), n=[0.0, 1.0, 1.5, 2.0, None, 0.1, 2.0]))
    assert bins["n"].bins == (0, 1, 2)
    feature = Feature("n", "numeric", vocabulary=Vocabulary(min_count=2, max_size=1))
    _, bins = fit(source_of(Schema((feature,), "y"), n=[0.0, 1.0, 1.5, 2.0, None, 0.1, 2.0]))
    assert bins["n"].bins == (0,), "three bins are seen twice, and the smallest wins the tie"


def test_quantile_bins_hold_equally_many_numbers() -> None:
    random = np.random.default_rng(0)
    values = np.exp(random.normal(size=10_000)).astype(np.float32)
    schema = Schema((Feature("n", "numeric", binning="quantile", num_bins=10),), "y")
    _, bins = fit(source_of(schema, n=values.astype(float).tolist()))
    counts = np.bincount(numeric_bins(values, "quantile", bins["n"].boundaries).numpy())
    assert len(counts) == 10 and counts.min() >= 995 and counts.max() <= 1005


def test_quantile_bins_of_few_distinct_numbers_are_never_empty() -> None:
    schema = Schema((Feature("n", "numeric", binning="quantile", num_bins=64),), "y")
    _, bins = fit(source_of(schema, n=[0.0] * 500 + [1.0] * 300 + [5.0] * 200))
    assert bins["n"].boundaries == (1.0, 5.0) and bins["n"].bins == (0, 1, 2)
    _, bins = fit(source_of(schema, n=[3.0, 3.0]))
    assert bins["n"].boundaries == () and bins["n"].bins == (0,)
    _, bins = fit(source_of(schema, n=[None, None]))
    assert bins["n"].boundaries == ()


def test_the_sample_does_not_depend_on_the_batches_and_keeps_its_size() -> None:
    values = np.random.default_rng(0).normal(size=5000).astype(np.float32)
    samples = []
    for cut in (7, 1000, 5000):
        sample = UniformSample(size=300, seed=3)
        for start in range(0, 5000, cut):
            sample.add(values[start : start + cut], np.arange(start, min(start + cut, 5000)))
            assert len(sample._values) <= 300
        samples.append(np.sort(sample._values))
    np.testing.assert_array_equal(samples[0], samples[1])
    np.testing.assert_array_equal(samples[0], samples[2])
    assert np.isin(samples[0], values).all() and len(np.unique(samples[0])) == 300
    assert abs(samples[0].mean()) < 4 / np.sqrt(300)


def test_counting_holds_no_more_than_the_distinct_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_MERGE_ROWS", 100)
    counter = ValueCounter(pa.large_string())
    for start in range(200):
        counter.add(pa.array([f"v{(start * 7 + i) % 150}" for i in range(60)]))
        assert counter._pending_rows <= 150 + 60 and counter._merged.num_rows <= 150
    values, counts = counter.kept(Vocabulary())
    assert len(values) == 150 and counts.sum() == 200 * 60


def test_a_source_without_training_rows_is_refused() -> None:
    source = rich_source(50)
    source.splits[:] = 2
    with pytest.raises(ValueError, match="no training row"):
        fit(source)
    source.split_names = ("test", "train")
    with pytest.raises(ValueError, match="first split of a source must be 'train'"):
        fit(source)


def test_hashed_numbers_and_wrong_column_types_are_refused() -> None:
    hashed = Schema((Feature("n", "numeric", vocabulary=Vocabulary(hash_buckets=3)),), "y")
    with pytest.raises(ValueError, match="'n' is numeric, and its bins are not hashed"):
        fit(source_of(hashed, n=[1.0]))
    label = pa.array([0.0], pa.float32())
    for kind, column, message in (
        ("categorical", pa.array([1]), "'f' of a categorical feature must hold strings, got int64"),
        ("numeric", pa.array(["1"]), "'f' of a numeric feature must hold numbers, got string"),
        ("sequence", pa.array([1.0]), "'f' of a sequence feature must hold strings whose values"),
        ("multi_valued", pa.array([[1]]), "got list"),
    ):
        schema = Schema((Feature("f", kind),), "y")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=message):
            fit(RowsInMemory(schema, pa.RecordBatch.from_pydict({"y": label, "f": column})))
