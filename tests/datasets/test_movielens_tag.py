"""MovieLens-tag: rows, negatives, splits, bad rows, and the real rows where there are some."""

import gzip

import numpy as np
import pytest
from original_lines import tag_rows, write_tags_csv, write_tags_dat

from dynctr_tf.datasets import BadRowError, movielens_tag_rows, movielens_tag_schema, real_rows, row_source


def read(source):
    rows, splits = [], []
    for batch in source.batches():
        rows += batch.columns.to_pylist()
        splits += batch.splits.tolist()
    return rows, np.array(splits)


def triple(row):
    return row["user_id"], row["movie_id"], row["tag"]


@pytest.mark.parametrize("name", ["tags.dat", "tags.csv", "tags.csv.gz"])
def test_positives_are_the_file_and_negatives_are_not(tmp_path, name):
    written = tag_rows(300)
    path = (write_tags_csv if "csv" in name else write_tags_dat)(tmp_path / name, written)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    source = movielens_tag_rows(path)
    rows, splits = read(source)
    assert len(rows) == source.num_rows == 900 and source.skipped == {}
    assert [row["applied"] for row in rows] == [1.0, 0.0, 0.0] * 300
    assert [triple(row) for row in rows[::3]] == [row[:3] for row in written]
    known, tags = {row[:3] for row in written}, {row[2] for row in written}
    for positive, first, second in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        for negative in (first, second):
            assert triple(negative)[:2] == triple(positive)[:2]
            assert triple(negative) not in known and negative["tag"] in tags
        assert first["tag"] != second["tag"]
    assert np.abs(np.bincount(splits) / 900 - [0.7, 0.2, 0.1]).max() < 0.05
    # Rows are split one by one.
    assert (splits[::3] != splits[1::3]).any()


def test_same_seed_same_rows(tmp_path):
    path = write_tags_dat(tmp_path / "tags.dat", tag_rows(200))
    rows, splits = read(movielens_tag_rows(path, seed=5))
    again, splits_again = read(movielens_tag_rows(path, seed=5))
    assert rows == again and (splits == splits_again).all()
    other, splits_other = read(movielens_tag_rows(path, seed=6))
    assert rows != other and (splits != splits_other).any()


def test_order_is_that_of_time(tmp_path):
    written = tag_rows(200)
    path = write_tags_dat(tmp_path / "tags.dat", written)
    source = movielens_tag_rows(path, split_by="order", num_negatives=1)
    _, splits = read(source)
    assert (splits[::2] == splits[1::2]).all()
    assert np.bincount(splits[::2]).tolist() == [140, 40, 20]
    times = np.array([int(row[3]) for row in written])
    assert times[splits[::2] == 0].max() <= times[splits[::2] == 1].min()
    assert times[splits[::2] == 1].max() <= times[splits[::2] == 2].min()


def test_frequent_tags_are_drawn_by_frequency(tmp_path):
    written = [(str(user), "1", "common", "5") for user in range(90)]
    written += [(str(100 + user), "1", f"rare {user}", "5") for user in range(30)]
    path = write_tags_dat(tmp_path / "tags.dat", written)
    share = {}
    for by in ("uniform", "frequency"):
        rows, _ = read(movielens_tag_rows(path, num_negatives=1, negatives_by=by))
        share[by] = np.mean([row["tag"] == "common" for row in rows[181::2]])
    assert share["uniform"] < 0.25 and share["frequency"] > 0.5  # 1 / 30 and 90 / 119 are expected


def test_blank_and_repeated_tags_are_no_rows(tmp_path):
    written = tag_rows(50)
    path = write_tags_dat(tmp_path / "tags.dat", [*written, ("1", "2", "  ", "7"), ("1", "3", "", "8"), written[4]])
    source = movielens_tag_rows(path)
    rows, _ = read(source)
    assert [triple(row) for row in rows[::3]] == [row[:3] for row in written]
    assert source.skipped == {"tag is blank": 2, "tag application is repeated": 1}


@pytest.mark.parametrize(
    ("bad", "column", "reason"),
    [
        ("7::8::9", None, "too few columns"),
        ("7::8::a::9::10", None, "too many columns"),
        ("::8::a::9", "userId", "userId is missing"),
        ("7::::a::9", "movieId", "movieId is missing"),
        ("7::8::a::noon", "timestamp", "timestamp is not a whole number"),
        ("7::8::a::", "timestamp", "timestamp is missing"),
        (b"7::8::\xff::9", None, "the row is not text"),
    ],
)
def test_bad_line_is_named_or_skipped(tmp_path, bad, column, reason):
    written = tag_rows(60)
    path = write_tags_dat(tmp_path / "tags.dat", written)
    lines = path.read_bytes().splitlines()
    lines.insert(30, bad if isinstance(bad, bytes) else bad.encode())
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(BadRowError) as caught:
        movielens_tag_rows(path)
    assert (caught.value.line, caught.value.column, caught.value.reason) == (31, column, reason)
    assert str(path) in str(caught.value)
    source = movielens_tag_rows(path, on_bad_row="skip")
    rows, splits = read(source)
    assert [triple(row) for row in rows[::3]] == [row[:3] for row in written]
    assert source.skipped == {reason: 1}
    # A row before the bad one is split as it would be without it.
    path.write_bytes(b"\n".join(lines[:30] + lines[31:]))
    _, clean = read(movielens_tag_rows(path))
    assert (clean[:90] == splits[:90]).all()


def test_wrong_arguments(tmp_path):
    path = write_tags_dat(tmp_path / "tags.dat", tag_rows(20))
    with pytest.raises(ValueError, match="Did you mean 'skip'"):
        movielens_tag_rows(path, on_bad_row="skipp")
    with pytest.raises(ValueError, match="Did you mean 'order'"):
        movielens_tag_rows(path, split_by="ordre")
    with pytest.raises(ValueError, match="no such file"):
        movielens_tag_rows(tmp_path / "tags.csv")
    (tmp_path / "tags.csv").write_text("userId,movieId,label,timestamp\n1,2,a,3\n")
    with pytest.raises(ValueError, match="tags.csv, line 1: Unknown column: .tag."):
        movielens_tag_rows(tmp_path / "tags.csv")
    (tmp_path / "tags.csv").write_text("")
    with pytest.raises(ValueError, match="line 1: Unknown column"):
        movielens_tag_rows(tmp_path / "tags.csv")
    path.write_text("1::2:: ::3\n")
    with pytest.raises(ValueError, match="no usable row; left out: {'tag is blank': 1}"):
        movielens_tag_rows(path)


def test_schema_and_registry(tmp_path):
    schema = movielens_tag_schema(min_count=3)
    assert schema.columns == ("applied", "user_id", "movie_id", "tag")
    assert [feature.role for feature in schema.features] == ["user", "item", "context"]
    assert {feature.vocabulary.min_count for feature in schema.features} == {3}
    path = write_tags_dat(tmp_path / "tags.dat", tag_rows(20))
    assert row_source("movielens_tag", path=str(path), num_negatives=4).num_rows == 100


@pytest.mark.realdata
def test_real_rows():
    try:
        path = real_rows("movielens_10m_tags", "tags.csv.gz")
    except ValueError as error:
        pytest.skip(str(error))
    source = movielens_tag_rows(path)
    assert source.num_rows == 3 * 95_574 and source.skipped == {"tag is blank": 6}
    rows, splits = read(source)
    assert len({row["user_id"] for row in rows}) == 4009 and len({row["movie_id"] for row in rows}) == 7601
    assert np.abs(np.bincount(splits) / len(splits) - [0.7, 0.2, 0.1]).max() < 0.003
    known = {triple(row) for row in rows[::3]}
    assert len(known) == 95_574
    assert not any(triple(row) in known for row in rows if row["applied"] == 0)
