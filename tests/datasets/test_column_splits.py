"""Splits by a column of times or users, and by given files, from files of every format."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from dynctr_tf.datasets import GivenSplits, TabularFile, column_splits, row_source
from dynctr_tf.datasets.column_splits import TimeCounts, UserSplit
from dynctr_tf.datasets.given_splits import check_splits_apart
from dynctr_tf.datasets.splits import split_rule, whole_splits
from dynctr_tf.schema import Feature, Schema

SCHEMA = Schema((Feature("user", "categorical", role="user"),), label="click")
HOURS = np.random.default_rng(0).integers(0, 200, 2000)


def write(path, times, users=None, form="csv"):
    users = users if users is not None else [f"u{number % 37}" for number in range(len(times))]
    table = pa.table({
        "ts": times,
        "user": users,
        "click": [number % 2 for number in range(len(times))],
    })  # fmt: skip
    if form == "parquet":
        pa.parquet.write_table(table, path)
    elif form == "json":
        path.write_text("".join(f"{row}\n".replace("'", '"') for row in table.to_pylist()))
    else:
        path.write_text("ts,user,click\n" + "".join(f"{r['ts']},{r['user']},{r['click']}\n" for r in table.to_pylist()))
    return path


def splits_of(source):
    return np.concatenate([batch.splits for batch in source.batches()])


def spelt(hours, form):
    times = np.datetime64("2024-01-30") + hours.astype("timedelta64[h]")
    if form == "unix":
        return [int(time.astype("datetime64[s]").astype(int)) for time in times]
    if form == "digits":
        return [int(str(time.astype("datetime64[h]")).replace("-", "").replace("T", "")) for time in times]
    texts = [str(time.astype("datetime64[s]")) for time in times]
    if form == "slashes":  # without zeros in front
        days = [text[:10].split("-") for text in texts]
        return [f"{y}/{int(m)}/{int(d)} {text[11:16]}" for (y, m, d), text in zip(days, texts, strict=True)]
    if form == "folders":
        return [text[:13].replace("T", "-") for text in texts]
    return [f"{text}{form}" for text in texts] if form[0] in "+ " else texts


@pytest.mark.parametrize("form", ["unix", "digits", "slashes", "+02:00", "+02", " +0530", "folders", "iso"])
@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_earliest_times_train_and_no_time_is_in_two_splits(tmp_path, form, kind):
    source = TabularFile(write(tmp_path / "rows", spelt(HOURS, form), form=kind), SCHEMA, split_by="time:ts")
    splits = splits_of(source)
    assert max(HOURS[splits == 0]) < min(HOURS[splits == 1]) <= max(HOURS[splits == 1]) < min(HOURS[splits == 2])
    # As near to the shares as whole hours allow, of which each has some ten rows.
    assert np.abs(np.bincount(splits) / 2000 - [0.7, 0.1, 0.2]).max() < 0.01
    assert source.schema.columns == ("click", "user") and "validation from" in source.split_notes[0]


def test_points_in_time_of_a_parquet_file(tmp_path):
    times = np.datetime64("2024-01-30") + HOURS.astype("timedelta64[h]")
    for kind in ("datetime64[ns]", "datetime64[s]"):
        path = write(tmp_path / f"{kind}.parquet", pa.array(times.astype(kind)), form="parquet")
        splits = splits_of(TabularFile(path, SCHEMA, split_by="time:ts@2024-02-01,2024-02-03 12:00"))
        assert (splits == np.searchsorted([48, 108], HOURS, side="right")).all()


def test_given_begins_and_what_is_refused_of_them(tmp_path):
    path = write(tmp_path / "rows.csv", spelt(HOURS, "digits"))
    source = TabularFile(path, SCHEMA, split_by="time:ts@2024020100,2024020300")
    assert (splits_of(source) == np.searchsorted([48, 96], HOURS, side="right")).all()
    assert source.split_notes == ("split by 'ts': validation from 2024020100, test from 2024020300",)
    for begins, message in (
        ("2024020100", "1 times for the begins of validation, test; give 2"),
        ("2024-02-01,2024-02-03", "'2024-02-01' is not a time like those of column 'ts'; expected a number"),
        ("2024020300,2024020100", "must ascend"),
    ):
        with pytest.raises(ValueError, match=message):
            splits_of(TabularFile(path, SCHEMA, split_by=f"time:ts@{begins}"))


def test_times_that_cannot_be_read_are_bad_rows(tmp_path):
    path = write(tmp_path / "rows.csv", ["2024-01-01", "2024-02-31", "", "yesterday", "2024-01-02", "2024-01-03"])
    with pytest.raises(ValueError, match=r"line 3, column 'ts': expected a date such as .*, got '2024-02-31'"):
        splits_of(TabularFile(path, SCHEMA, split_by="time:ts"))
    source = TabularFile(path, SCHEMA, split_by="time:ts", on_bad_row="skip")
    assert splits_of(source).tolist() == [0, 1, 2]
    assert source.skipped == {"ts is not a point in time": 2, "ts is missing": 1}
    with pytest.raises(ValueError, match="2 distinct times, too few for 3 splits"):
        splits_of(TabularFile(write(tmp_path / "two.csv", [1, 2, 2, 1]), SCHEMA, split_by="time:ts"))
    with pytest.raises(ValueError, match=r"split by time: it holds list<element: int64>|holds list"):
        splits_of(
            TabularFile(write(tmp_path / "l.parquet", [[1], [2], [3]], form="parquet"), SCHEMA, split_by="time:ts")
        )


def test_times_are_counted_in_bounded_memory(monkeypatch):
    monkeypatch.setattr(column_splits, "_BUCKETS", 256)
    times = np.random.default_rng(1).permutation(50_000).astype(float) ** 1.5
    counts = TimeCounts()
    for part in np.array_split(times, 25):
        counts.add(part)
        assert counts._times.size <= 2048
    begins = counts.begins({"train": 0.7, "validation": 0.1, "test": 0.2}, "ts")
    assert counts.total == 50_000
    shares = np.bincount(np.searchsorted(begins, times, side="right")) / 50_000
    assert np.abs(shares - [0.7, 0.1, 0.2]).max() < 0.01


def test_all_rows_of_a_user_are_in_one_split(tmp_path):
    users = [f"u{number}" for number in np.random.default_rng(2).integers(0, 500, 4000)]
    path = write(tmp_path / "rows.csv", list(range(4000)), users)
    splits = splits_of(TabularFile(path, SCHEMA, split_by="user:user", seed=3))
    by_user = {}
    for user, split in zip(users, splits.tolist(), strict=True):
        by_user.setdefault(user, set()).add(split)
    assert all(len(found) == 1 for found in by_user.values())
    assert np.abs(np.bincount([min(found) for found in by_user.values()]) / 500 - [0.7, 0.1, 0.2]).max() < 0.06
    assert (splits != splits_of(TabularFile(path, SCHEMA, split_by="user:user", seed=4))).any()
    # Rows that are appended, blocks and formats move nobody; numbers are one user however they are spelt.
    head = write(tmp_path / "head.parquet", list(range(1000)), users[:1000], form="parquet")
    assert (splits_of(TabularFile(head, SCHEMA, split_by="user:user", seed=3)) == splits[:1000]).all()
    split = UserSplit("user", {"train": 0.5, "test": 0.5})
    rows = np.arange(100)
    ids = rows % 7
    assigned = [split.assign(values, rows, None)[0] for values in (pa.array(ids), pa.array(ids.astype(float)))]
    assert (assigned[0] == assigned[1]).all()
    # Rows without a user are put into splits one by one.
    assert set(split.assign(pa.array([None] * 100, pa.string()), rows, None)[0].tolist()) == {0, 1}


def test_what_split_by_says():
    assert split_rule("user:a:b@c") == ("user", "a:b@c", ())
    assert split_rule("time:a@b@1, 2") == ("time", "a@b", ("1", "2"))
    assert split_rule("time:@timestamp") == ("time", "@timestamp", ())
    assert split_rule("time:@timestamp@2024-01-31 20:00,2024-02-01") == (
        "time",
        "@timestamp",
        ("2024-01-31 20:00", "2024-02-01"),
    )
    for text, message in (
        ("time", r"must be random, order, time:COLUMN"),
        ("time:@1,2", "must be random"),
        ("time:ts@", "must be random"),
        ("tiem:ts", "Did you mean 'time'"),
        ("usr", "Did you mean 'user'"),
    ):
        with pytest.raises(ValueError, match=message):
            split_rule(text)


def test_numbers_in_the_names_of_folders_are_compared_as_numbers():
    assert whole_splits(["10", "9", "9b", "1²"], {"train": 0.5, "test": 0.5}, "days") == [1, 0, 1, 0]


def test_a_column_that_is_not_in_the_file(tmp_path):
    for form in ("csv", "parquet", "json"):
        path = write(tmp_path / form, [1, 2, 3], form=form)
        with pytest.raises(ValueError, match="column that decides the split, 'tss' is not in the file.*mean 'ts'"):
            TabularFile(path, SCHEMA, split_by="time:tss")


def test_splits_of_given_files(tmp_path):
    monday = write(tmp_path / "monday.csv", list(range(100)))
    tuesday = write(tmp_path / "tuesday.csv", list(range(100, 120)))
    wednesday = write(tmp_path / "wednesday.csv", list(range(120, 150)))
    rows = row_source("tabular_file", path=monday, schema=SCHEMA, validation_path=tuesday, test_path=wednesday)
    assert rows.split_names == ("train", "validation", "test") and len(rows.files) == 3
    assert np.bincount(splits_of(rows)).tolist() == [100, 20, 30] and rows.num_rows == 150
    # What is not given is cut out of the training file, by the shares that are left.
    rows = GivenSplits(monday, SCHEMA, test_path=wednesday, split_by="time:ts")
    splits = splits_of(rows)
    assert rows.split_names == ("train", "validation", "test")
    assert splits[:100].tolist() == [0] * 87 + [1] * 13 and (splits[100:] == 2).all()
    rows = GivenSplits(monday, SCHEMA, validation_path=tuesday, split_by="order")
    assert np.bincount(splits_of(rows)).tolist() == [78, 20, 22]
    with pytest.raises(ValueError, match="One file is given for two splits"):
        GivenSplits(monday, SCHEMA, validation_path=tuesday, test_path=tmp_path / "." / "monday.csv")
    with pytest.raises(ValueError, match="leave the times out"):
        GivenSplits(monday, SCHEMA, validation_path=tuesday, test_path=wednesday, split_by="time:ts@1,2")


def test_given_files_that_are_not_apart(tmp_path):
    train = write(tmp_path / "train.csv", list(range(100)), [f"u{number % 20}" for number in range(100)])
    test = write(tmp_path / "test.csv", list(range(90, 120)), [f"u{number}" for number in range(15, 45)])
    with pytest.raises(ValueError, match="9 of 100 train rows have a time 'ts' after the first test row, .* of 90"):
        splits_of(GivenSplits(train, SCHEMA, test_path=test, splits={"train": 1.0}, split_by="time:ts"))
    with pytest.raises(ValueError, match="5 of the 30 users 'user' of the test rows are among the train rows too"):
        splits_of(GivenSplits(train, SCHEMA, test_path=test, split_by="user:user"))
    # A row of the moment at which the test begins is no row after it.
    later = write(tmp_path / "later.csv", list(range(99, 120)))
    assert len(splits_of(GivenSplits(train, SCHEMA, test_path=later, split_by="time:ts"))) == 121


def test_the_last_row_alone_is_found_among_more_times_than_are_counted_apart():
    def cells(begin):
        yield "test", pa.array(np.arange(begin, begin + 10)), None
        for part in np.array_split(np.arange(1_500_000), 3):
            yield "train", pa.array(part), None

    with pytest.raises(ValueError, match="1 of 1,500,000 train rows have a time 'ts' after the first test row"):
        check_splits_apart(cells(1_499_998), split_rule("time:ts"))
    check_splits_apart(cells(1_499_999), split_rule("time:ts"))


def test_given_files_whose_times_are_written_in_two_ways_are_refused(tmp_path):
    train = write(tmp_path / "train.csv", [20240101 + day for day in range(9)])
    test = write(tmp_path / "test.csv", ["", *(f"2023-01-0{day}" for day in range(1, 9))])
    rows = GivenSplits(train, SCHEMA, test_path=test, splits={"train": 1.0}, split_by="time:ts")
    with pytest.raises(ValueError, match="No train row has a time 'ts' .* the first has '20240101', expected a date"):
        splits_of(rows)
    # A row without a time is compared with none.
    train = write(tmp_path / "train.csv", ["2022-12-31"] * 9)
    assert splits_of(GivenSplits(train, SCHEMA, test_path=test, splits={"train": 1.0}, split_by="time:ts")).size == 18


def test_users_of_many_batches_are_compared_once():
    def cells(shared):
        for part in range(20):
            yield "test", pa.array([f"b{number}" for number in range(5 * part, 5 * part + 30)]), None
        yield "train", pa.array(["a", "b3", "b124", None][: 1 + shared]), None

    check_splits_apart(cells(0), split_rule("user:u"))
    with pytest.raises(ValueError, match="2 of the 125 users 'u' of the test rows are among the train rows too"):
        check_splits_apart(cells(3), split_rule("user:u"))
