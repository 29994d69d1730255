"""Counts that go to the disk, and processes that share the work, give what one process gives in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dynctr_tf.encoding import spilled_counts, vocabulary
from dynctr_tf.encoding.spilled_counts import write_counts
from dynctr_tf.encoding.text_hash import text_hashes
from dynctr_tf.encoding.value_index import ValueIndex
from dynctr_tf.encoding.value_text import ValueForms, fitted_form
from dynctr_tf.encoding.vocabulary import FeatureCounts, fit_features
from dynctr_tf.schema import Feature, Schema, Vocabulary
from tests.encoding.rows_in_memory import RowsInMemory


def ids(count: int, seed: int = 0) -> list[str]:
    """Values with long tails, of many lengths; some are prefixes of others, some share their first 16 bytes."""
    random = np.random.default_rng(seed)
    drawn = np.minimum(random.zipf(1.3, count), 5000)
    return [f"{'user-with-a-long-name-' if value % 3 else ''}{'é' * (value % 5)}{value}" for value in drawn]


def source_of(values: list[str], rule: Vocabulary) -> RowsInMemory:
    schema = Schema((Feature("user", "categorical", vocabulary=rule), Feature("few", "categorical")), label="click")
    columns = {
        "click": pa.array(np.zeros(len(values), np.float32)),
        "user": pa.array(values),
        "few": pa.array([f"f{row % 3}" for row in range(len(values))]),
    }
    batch = pa.RecordBatch.from_arrays([columns[name] for name in schema.columns], list(schema.columns))
    splits = (np.arange(len(values)) % 5 == 4).astype(np.int8)
    return RowsInMemory(schema, batch, splits, batch_rows=500)


def spill_early(monkeypatch: pytest.MonkeyPatch, distinct: int = 100) -> None:
    """What is for millions of values happens with hundreds."""
    monkeypatch.setattr(vocabulary, "MEMORY", 4000)
    monkeypatch.setattr(vocabulary, "_MERGE_ROWS", 200)
    monkeypatch.setattr(vocabulary, "_IN_MEMORY", distinct)
    monkeypatch.setattr(spilled_counts, "_CUT_FROM", 50)
    monkeypatch.setattr(spilled_counts, "_AT_ONCE", 20)
    monkeypatch.setattr(spilled_counts, "_MOST_OF_BUCKET", 100)
    monkeypatch.setattr(spilled_counts, "_PIECE", 60)


@pytest.mark.parametrize("rule", [Vocabulary(), Vocabulary(min_count=3), Vocabulary(min_count=2, max_size=150)])
@pytest.mark.parametrize("kind", ["text", "whole", "decimal", "mixed"])
def test_counts_on_the_disk_give_the_vocabulary_of_counts_in_memory(
    monkeypatch: pytest.MonkeyPatch, rule: Vocabulary, kind: str
) -> None:
    values = ids(8000)
    random = np.random.default_rng(1)
    if kind != "text":
        numbers = [int("".join(c for c in value if c.isdigit())) for value in values]
        values = [f"{number}.0" if kind == "whole" and random.random() < 0.3 else str(number) for number in numbers]
        if kind == "decimal":
            values = [f"{value}.5" if number % 2 else value for value, number in zip(values, numbers, strict=True)]
        if kind == "mixed":
            values[7] = "12.10"
    known = fit_features(source_of(values, rule), progress=False)
    spill_early(monkeypatch)
    found = fit_features(source_of(values, rule), progress=False)
    for name in ("user", "few"):
        assert found.vocabularies[name].form == known.vocabularies[name].form
        assert found.vocabularies[name].values.equals(known.vocabularies[name].values), name
        assert found.vocabularies[name].counts.tolist() == known.vocabularies[name].counts.tolist()
        left = [
            dict(zip(of.left_out[name].values.to_pylist(), of.left_out[name].counts, strict=True))
            for of in (known, found)
        ]
        assert left[0] == left[1]
    assert len(known.vocabularies["user"].values) >= 150


def test_few_distinct_values_of_many_counts_are_spelt_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    values = ["True", "false", "1", "0.0"] * 1000
    known = fit_features(source_of(values, Vocabulary()), progress=False).vocabularies["user"]
    spill_early(monkeypatch, distinct=1000)
    found = fit_features(source_of(values, Vocabulary()), progress=False).vocabularies["user"]
    assert found.form == known.form == "bit" and found.values.equals(known.values)


def test_states_of_parts_add_up_in_any_order() -> None:
    schema = Schema(
        (
            Feature("price", "numeric", binning="quantile", num_bins=8),
            Feature("age", "numeric"),
            Feature("page", "categorical", vocabulary=Vocabulary(hash_buckets=10)),
        ),
        label="click",
    )
    random = np.random.default_rng(0)
    columns = {
        "click": pa.array(np.zeros(3000, np.float32)),
        "price": pa.array(random.normal(size=3000)),
        "age": pa.array(random.integers(0, 90, 3000).astype(float)),
        "page": pa.array([str(page) for page in random.integers(0, 50, 3000)]),
    }
    batch = pa.RecordBatch.from_arrays([columns[name] for name in schema.columns], list(schema.columns))
    source = RowsInMemory(schema, batch, np.zeros(3000, np.int8), batch_rows=1000)
    known = fit_features(source, progress=False)
    parts = [
        own._replace(rows=np.arange(1000, dtype=np.uint64) + 1000 * place) for place, own in enumerate(source.batches())
    ]
    total = FeatureCounts(schema)
    for part in (parts[2], parts[0], parts[1]):
        own = FeatureCounts(schema)
        own.add(part)
        total.add_state(own.take_state())
    found = total.finish()
    assert found.bins == known.bins and found.hashed_forms == known.hashed_forms == {"page": "whole"}


def test_the_index_finds_every_value_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynctr_tf.encoding.value_index._SORTED_AT_ONCE", 700)
    values = pa.array(sorted({f"{'x' * (i % 40)}{i}" for i in range(5000)} | {"a\0", "a"}), pa.large_string())
    index = ValueIndex(values)
    assert index.find(values).tolist() == list(range(len(values)))
    assert index.find(values.slice(300, 50)).tolist() == list(range(300, 350))
    others = pa.array(["", "y", "a\0\0", *(f"{i}x" for i in range(5000))])
    assert set(index.find(others).tolist()) == {-1}
    ValueIndex.write(values, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"starts.npy", "tags.npy", "places.npy"}
    assert ValueIndex.load(values, tmp_path).find(values).tolist() == list(range(len(values)))
    for size in range(4):  # vocabularies of nothing and of little
        assert ValueIndex(values.slice(0, size)).find(values.slice(0, 4)).tolist() == [*range(size), *[-1] * (4 - size)]


def test_hashes_are_those_of_the_text_wherever_it_stands() -> None:
    texts = pa.array(["", "a", "12345678", "123456789", "x" * 100, "12.0", ".0", None, "é"])
    whole = text_hashes(texts)
    assert len(set(whole.tolist())) == 8 and whole[0] == whole[7]
    assert text_hashes(texts.cast(pa.large_string()).slice(2, 3)).tolist() == whole[2:5].tolist()
    trimmed = text_hashes(texts, without_zeros=True)
    assert trimmed[5] == text_hashes(pa.array(["12"]))[0] and trimmed[6] == whole[6]
    # Vocabularies on the disk are found by these: they do not change.
    assert int(text_hashes(pa.array(["dynctr"]))[0]) == EXPECTED


EXPECTED = 17028523061930217449


@pytest.mark.parametrize(
    "values", [["true"], ["1", "0.0"], ["12", "7.0"], ["1.5", "2"], ["1.0", "1", "2.5"], ["01"], []]
)
def test_forms_of_parts_make_the_form_of_all(values: list[str]) -> None:
    array = pa.array(values, pa.large_string())
    assert ValueForms.of(array).form(len(values)) == fitted_form(array)
    both = ValueForms.of(array).with_more(ValueForms.of(pa.array(["3", "x"])))
    assert both.form(5) == "exact"


def test_tables_are_cut_by_hash_and_small_ones_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spilled_counts, "_CUT_FROM", 50)
    counts = {
        name: pa.table({"value": pa.array([f"{name}{i}" for i in range(size)], pa.large_string()), "count": [1] * size})
        for name, size in (("a", 500), ("b", 20))
    }
    tables = write_counts(tmp_path / "counts.arrow", counts)
    assert {table.bucket for table in tables if table.feature == "b"} == {-1}
    assert sum(table.rows for table in tables if table.feature == "a") == 500
    assert len({table.bucket for table in tables if table.feature == "a"}) > 50
