"""MovieLens-1M: labels, profiles, histories without a future, splits, bad rows, and the real rows."""

import gzip

import numpy as np
import pytest
from original_lines import GENRES, write_movielens

from dynctr_tf.datasets import BadRowError, RandomSplit, movielens_1m_rows, movielens_1m_schema, real_rows, row_source


def read(source):
    rows, splits = [], []
    for batch in source.batches():
        rows += batch.columns.to_pylist()
        splits += batch.splits.tolist()
    return rows, np.array(splits)


def test_rows_are_the_ratings_with_profiles_and_genres(tmp_path):
    ratings = write_movielens(tmp_path)
    rows, splits = read(movielens_1m_rows(tmp_path / "ratings.dat", seed=2))
    assert len(rows) == len(ratings) == 600
    for row, (user, movie, rating, _) in zip(rows, ratings, strict=True):
        assert row["liked"] == float(rating >= 4)
        assert row["user_id"] == str(user) and row["gender"] == "FM"[user % 2] and row["zip_code"] == str(10_000 + user)
        assert row["age"] == str((1, 18, 25)[user % 3]) and row["occupation"] == str(user % 5)
        assert row["movie_id"] == str(movie) and row["genre"] == GENRES[movie % 4]
        assert row["genres"] == "|".join(GENRES[movie % 4 : movie % 4 + 2])
    shares = {"train": 0.7, "validation": 0.2, "test": 0.1}
    assert splits.tolist() == RandomSplit(shares, 2).assign(np.arange(1, 601)).tolist()


def test_a_history_is_what_came_before_and_nothing_else(tmp_path):
    ratings = write_movielens(tmp_path)
    rows, _ = read(movielens_1m_rows(tmp_path / "ratings.dat", history_length=5))
    lengths = set()
    for row, (user, _, _, time) in zip(rows, ratings, strict=True):
        before = sorted((when, place) for place, (u, _, _, when) in enumerate(ratings) if u == user and when < time)
        movies = [ratings[place][1] for _, place in before][-5:]
        assert row["history_movies"] == [str(movie) for movie in movies]
        assert row["history_genres"] == [GENRES[movie % 4] for movie in movies]
        lengths.add(len(movies))
    assert lengths == {0, 1, 2, 3, 4, 5}
    # Some ratings of one user share their second, and do not see each other.
    assert len({(user, time) for user, _, _, time in ratings}) < len(ratings)


def test_ratings_between_the_labels_are_no_rows_but_are_history(tmp_path):
    ratings = write_movielens(tmp_path)
    rows, splits = read(movielens_1m_rows(tmp_path / "ratings.dat", negative_rating=2.0))
    every, every_split = read(movielens_1m_rows(tmp_path / "ratings.dat"))
    kept = [place for place, rating in enumerate(ratings) if rating[2] != 3]
    assert rows == [every[place] for place in kept] and 0 < len(kept) < 600
    assert splits.tolist() == every_split[kept].tolist()
    rows, _ = read(movielens_1m_rows(tmp_path / "ratings.dat", positive_rating=5, history_length=0))
    assert [row["liked"] for row in rows] == [float(rating[2] == 5) for rating in ratings]
    assert set(rows[0]) == {"liked", "user_id", "gender", "age", "occupation", "zip_code", "movie_id", "genres"}


def test_order_is_that_of_time(tmp_path):
    ratings = write_movielens(tmp_path)
    _, splits = read(movielens_1m_rows(tmp_path / "ratings.dat", split_by="order"))
    assert np.bincount(splits).tolist() == [420, 120, 60]
    times = np.array([rating[3] for rating in ratings])
    for earlier, later in ((0, 1), (1, 2)):
        assert times[splits == earlier].max() <= times[splits == later].min()


def test_files_may_lie_elsewhere_and_be_compressed(tmp_path):
    write_movielens(tmp_path)
    expected, _ = read(movielens_1m_rows(tmp_path / "ratings.dat"))
    (tmp_path / "other").mkdir()
    for name in ("users.dat", "movies.dat"):
        (tmp_path / "other" / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=r"There is no users.dat .*in .*Give users="):
        movielens_1m_rows(tmp_path / "ratings.dat")
    given = {name: str(tmp_path / "other" / f"{name}.dat.gz") for name in ("users", "movies")}
    rows, _ = read(row_source("movielens_1m", path=tmp_path / "ratings.dat", **given))
    assert rows == expected


@pytest.mark.parametrize(
    ("file", "bad", "column", "reason"),
    [
        ("ratings.dat", "1::2::3", None, "too few columns"),
        ("ratings.dat", "1::2::3::4::5", None, "too many columns"),
        ("ratings.dat", "1::2::good::4", "rating", "rating is not a number"),
        ("ratings.dat", "1::2::6::4", "rating", "rating is out of range"),
        ("ratings.dat", "1::2::::4", "rating", "rating is missing"),
        ("ratings.dat", "1::2::3::-4", "time", "time is not a whole number"),
        ("ratings.dat", "99::2::3::4", "user_id", "user_id is in no table"),
        ("ratings.dat", "1::99::3::4", "movie_id", "movie_id is in no table"),
        ("users.dat", "30::F::1::4", None, "too few columns"),
        ("users.dat", "30::::1::4::5", "gender", "gender is missing"),
        ("movies.dat", "::A title::Drama", "movie_id", "movie_id is missing"),
    ],
)
def test_bad_line_is_named_or_skipped(tmp_path, file, bad, column, reason):
    write_movielens(tmp_path)
    path = tmp_path / "ratings.dat"
    expected, _ = read(movielens_1m_rows(path))
    lines = (tmp_path / file).read_bytes().splitlines()
    lines.insert(11, bad.encode())
    (tmp_path / file).write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(BadRowError) as caught:
        movielens_1m_rows(path)
    assert (caught.value.line, caught.value.column, caught.value.reason) == (12, column, reason)
    assert str(tmp_path / file) in str(caught.value)
    source = movielens_1m_rows(path, on_bad_row="skip")
    assert read(source)[0] == expected and source.skipped == {reason: 1}


def test_wrong_arguments(tmp_path):
    write_movielens(tmp_path)
    path = tmp_path / "ratings.dat"
    for arguments in ({"positive_rating": 6}, {"negative_rating": 4.0}, {"negative_rating": 4.5}):
        with pytest.raises(ValueError, match="a negative one is below a positive one"):
            movielens_1m_rows(path, **arguments)
    with pytest.raises(ValueError, match="history_length must be a whole number"):
        movielens_1m_rows(path, history_length=-1)
    with (tmp_path / "users.dat").open("a") as file:
        file.write("3::F::1::4::5\n")
    with pytest.raises(ValueError, match="user_id '3' is in the file more than once"):
        movielens_1m_rows(path)


def test_schema():
    schema = movielens_1m_schema(history_length=7)
    roles = {feature.name: feature.role for feature in schema.features}
    assert {name for name, role in roles.items() if role == "item"} == {"movie_id", "genre", "genres"}
    assert set(roles.values()) == {"user", "item"}
    shared = {feature.name: feature.shares_vocabulary_with for feature in schema.features if feature.kind == "sequence"}
    assert shared == {"history_movies": "movie_id", "history_genres": "genre"}
    assert schema.feature("history_movies").max_length == 7
    # The seven fields of the papers.
    assert len(movielens_1m_schema(history_length=0).features) == 7


@pytest.mark.realdata
def test_real_rows():
    try:
        path = real_rows("movielens_1m", "ratings_sample100k.dat.gz")
    except ValueError as error:
        pytest.skip(str(error))
    source = movielens_1m_rows(path)
    assert source.num_rows == 100_000 and source.skipped == {}
    labels, histories = [], []
    for batch in source.batches():
        labels.append(batch.columns.column("liked").to_numpy())
        histories.append(batch.columns.column("history_movies").value_lengths().to_numpy())
    assert abs(np.concatenate(labels).mean() - 0.575) < 0.001
    lengths = np.concatenate(histories)
    assert lengths.max() == 50 and (lengths == 0).mean() < 0.25
    assert movielens_1m_rows(path, negative_rating=2.0).num_rows < 80_000
