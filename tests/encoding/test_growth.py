"""Vocabularies that grow: who gets an id and when, who keeps it, and that ids are found again by their values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from rows_in_memory import RICH_SCHEMA, RowsInMemory, random_columns, rich_source, source_of

from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.durable_files import DamagedFileError
from dynctr_tf.encoding import Encoder, ValueTally, grow_encoder, id_map, write_encoded_dataset
from dynctr_tf.schema import Feature, Schema, Vocabulary


def colours(rule: Vocabulary, **schema: Any) -> Schema:
    return Schema((Feature("colour", "categorical", vocabulary=rule),), label="click", **schema)


def values(encoder: Encoder, name: str = "colour") -> list[str]:
    found: list[str] = encoder.vocabularies[name].values.to_pylist()
    return found


def fitted(schema: Schema, rows: list[str]) -> Encoder:
    return Encoder.fit(source_of(schema, colour=rows), progress=False)


def grown(encoder: Encoder, rows: list[Any], **options: Any) -> tuple[Encoder, Any]:
    after, growth = grow_encoder(
        encoder, encoder.tally, source_of(encoder.schema, colour=rows), progress=False, **options
    )
    return after, growth["colour"]


def test_a_value_that_is_rare_each_day_gets_its_id_when_its_counts_reach_the_minimum() -> None:
    day_0 = fitted(colours(Vocabulary(min_count=4)), ["red"] * 5 + ["green"] * 2 + ["blue"])
    assert values(day_0) == ["red"]
    day_1, growth = grown(day_0, ["green", "blue", "", "blue"])
    assert values(day_1) == ["red"] and (growth.added, growth.left_out) == (0, 2)
    day_2, growth = grown(day_1, ["blue", "green", "red", "yellow"])
    assert values(day_2) == ["red", "blue", "green"] and (growth.added, growth.left_out) == (2, 1)
    assert day_2.vocabularies["colour"].counts.tolist() == [6, 4, 4]
    assert day_2.tally is not None and day_2.tally.day == 2
    # Without the memory of the days before, neither would have arrived.
    forgetful, _ = grow_encoder(day_0, None, source_of(day_0.schema, colour=["green", "blue"]), progress=False)
    assert values(forgetful) == ["red"]


def test_values_keep_their_order_and_new_ones_follow_by_frequency_then_by_bytes() -> None:
    day_0 = fitted(colours(Vocabulary()), ["b", "b", "a"])
    day_1, _ = grown(day_0, ["z", "y", "y", "x", "a", "a", "a"])
    assert values(day_1) == ["b", "a", "y", "x", "z"]
    assert day_1.features.num_ids == day_0.features.num_ids + 3


def test_past_the_largest_size_the_most_frequent_of_all_days_stay() -> None:
    day_0 = fitted(colours(Vocabulary(max_size=2)), ["a"] * 5 + ["b"] * 2 + ["c"])
    assert values(day_0) == ["a", "b"]
    # Equally frequent as one that has an id: that one stays.
    day_1, growth = grown(day_0, ["c"])
    assert values(day_1) == ["a", "b"] and growth.displaced == 0
    day_2, growth = grown(day_1, ["c", "d"])
    assert values(day_2) == ["a", "c"] and (growth.added, growth.displaced, growth.left_out) == (1, 1, 2)
    day_3, _ = grown(day_2, ["b", "b"])
    assert values(day_3) == ["a", "b"], "its count from the days before is not lost with its id"


def test_values_that_are_gone_are_dropped_on_request_alone() -> None:
    day_0 = fitted(colours(Vocabulary(min_count=2)), ["a"] * 3 + ["b"] * 2 + ["c"])
    day_1, growth = grown(day_0, ["a"])
    assert values(day_1) == ["a", "b"] and growth.dropped == 0
    day_2, growth = grown(day_1, ["a", "a"], drop_after=2)
    assert values(day_2) == ["a"] and growth.dropped == 1 and growth.left_out == 0
    day_3, _ = grown(day_2, ["b", "c"])
    assert values(day_3) == ["a"], "what was forgotten is counted anew"
    with pytest.raises(ValueError, match="drop_after must be at least 1"):
        grown(day_0, ["a"], drop_after=0)


def test_a_fixed_vocabulary_stays_and_its_new_values_are_counted() -> None:
    day_0 = fitted(colours(Vocabulary()), ["a"])
    day_1, growth = grown(day_0, ["n", "n", "a"], fixed=("colour",))
    assert values(day_1) == ["a"] and growth.fixed and growth.left_out == 1
    assert day_1.fingerprint == day_0.fingerprint
    assert values(grown(day_1, ["a"])[0]) == ["a", "n"]
    with pytest.raises(ValueError, match="'color'.*colour"):
        grown(day_0, ["a"], fixed=("color",))


@pytest.mark.parametrize(
    ("first", "later", "expected"),
    [
        (["7", "12.0"], ["12", "12.0", "012", "012.0", "A"], ["12", "7", "012", "A"]),
        (["true", "False"], ["TRUE", "1", "Maybe", "maybe"], ["false", "true", "Maybe", "maybe"]),
        (["0", "1"], ["True", "1.0", "2", "2.0"], ["0", "1", "2", "2.0"]),
        (["1.10", "12.0", "12"], ["12.0", "7", "7.0"], ["1.10", "12", "12.0", "7", "7.0"]),
    ],
)
def test_values_are_spelt_as_they_were_fitted(first: list[str], later: list[str], expected: list[str]) -> None:
    day_0 = fitted(colours(Vocabulary()), first)
    day_1, _ = grown(day_0, later)
    assert values(day_1) == expected
    # What is counted as one value has one id in the layer too.
    matrix = day_1.encode_matrix(source_of(day_1.schema, colour=later).columns)
    assert (matrix[:, 0] >= day_1.features.fields[0].first_id + 2).all()


def test_every_kind_of_feature_counts_as_if_both_days_had_been_fitted_at_once(tmp_path: Path) -> None:
    days = [random_columns(600, seed) for seed in (1, 2)]
    first = RowsInMemory(RICH_SCHEMA, days[0])
    day_0 = Encoder.fit(first, progress=False)
    # Through files, as a job has it.
    data = write_encoded_dataset(first, day_0, tmp_path / "encoded", progress=False)
    tally = ValueTally.load(data.directory / "encoder")
    day_1, growth = grow_encoder(data.encoder(), tally, RowsInMemory(RICH_SCHEMA, days[1]), progress=False)
    both = Encoder.fit(
        RowsInMemory(RICH_SCHEMA, pa.Table.from_batches(days).combine_chunks().to_batches()[0]), progress=False
    )
    assert sorted(day_1.vocabularies) == sorted(both.vocabularies)
    for name, fit in both.vocabularies.items():
        counted = dict(zip(values(day_1, name), day_1.vocabularies[name].counts.tolist(), strict=True))
        if RICH_SCHEMA.feature(name).vocabulary.max_size is None:
            assert counted == dict(zip(fit.values.to_pylist(), fit.counts.tolist(), strict=True)), name
        else:
            assert sorted(counted.values()) == sorted(fit.counts.tolist())
    assert day_1.bins == day_0.bins and day_1.forms == day_0.forms

    rows = id_map(day_0, day_1)
    batch = RowBatch(days[1], np.zeros(600, np.int8))
    before, after = day_0.encode_batch(batch), day_1.encode_batch(batch)
    assert sorted(before) == sorted(after)
    for key, ids in after.items():
        # Of the queries, of which five are kept, some have made room for others.
        if key not in ("scenario", "group", "queries"):
            assert np.array_equal(rows.rows[ids], before[key]), key
    assert rows.is_new.any() and not id_map(day_0, day_0).is_new.any() and id_map(day_0, day_0).changes_nothing
    assert not rows.changes_nothing
    # Back again: what is not there any more is the unknown one.
    back = id_map(day_1, day_0)
    displaced = growth["queries"].displaced
    assert int(back.is_new.sum()) == displaced > 0
    assert np.array_equal(rows.rows[back.rows][~back.is_new], np.flatnonzero(~back.is_new))


def test_the_tally_comes_back_as_it_was_and_damage_is_noticed(tmp_path: Path) -> None:
    encoder = Encoder.fit(rich_source(), progress=False)
    encoder.save(tmp_path)
    tally = ValueTally.load(tmp_path)
    assert tally is not None and encoder.tally is not None and encoder.tally.left_out["user"].counts.sum() > 0
    for name, seen in encoder.tally.left_out.items():
        assert tally.left_out[name].values.equals(seen.values)
        assert tally.left_out[name].counts.tolist() == seen.counts.tolist()
        assert tally.last_seen[name].tolist() == encoder.tally.last_seen[name].tolist()
    assert Encoder.load(tmp_path).fingerprint == encoder.fingerprint
    file = sorted(tmp_path.glob("left_out_*.arrow"))[0]
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(DamagedFileError, match="left_out_0"):
        ValueTally.load(tmp_path)
    (tmp_path / "tally.json").unlink()
    assert ValueTally.load(tmp_path) is None


def test_what_cannot_be_continued_is_refused() -> None:
    day_0 = fitted(colours(Vocabulary()), ["a"])
    other = source_of(colours(Vocabulary(min_count=2)), colour=["a"])
    with pytest.raises(ValueError, match="another schema"):
        grow_encoder(day_0, day_0.tally, other, progress=False)
    numbers = Schema((Feature("price", "numeric", binning="quantile", num_bins=4),), label="click")
    fits = [
        Encoder.fit(source_of(numbers, price=[scale * number for number in range(40)]), progress=False)
        for scale in (1.0, 2.0)
    ]
    with pytest.raises(ValueError, match="'price' are binned by other"):
        id_map(*fits)
    hashed = [
        Schema((Feature("colour", "categorical", vocabulary=Vocabulary(hash_buckets=n)),), label="click")
        for n in (3, 5)
    ]
    with pytest.raises(ValueError, match="hashed into 5 buckets, before into 3"):
        id_map(*[fitted(schema, ["a"]) for schema in hashed])
    with pytest.raises(ValueError, match="have other features"):
        id_map(day_0, fits[0])
    with pytest.raises(ValueError, match="spelt in two ways: 'exact' before, 'whole' after"):
        id_map(day_0, fitted(colours(Vocabulary()), ["12"]))
