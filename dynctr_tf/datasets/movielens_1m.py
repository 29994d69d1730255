"""MovieLens-1M: ratings with the users' profiles, the movies' genres and what each user rated before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow_datasets as tfds

from dynctr_tf.datasets.bad_rows import OnBadRow
from dynctr_tf.datasets.column_rows import ColumnRows, dictionary_column, history_column
from dynctr_tf.datasets.original_files import BadRows, OriginalColumns, codes, find_file, read_columns
from dynctr_tf.datasets.row_source_builder import RowSourceBuilder, RowSourceConfig
from dynctr_tf.datasets.splits import PAPER_SHARES, OrderSplit, RandomSplit, checked_split_by
from dynctr_tf.schema import Feature, Schema, Vocabulary

PROFILE: tuple[str, ...] = ("user_id", "gender", "age", "occupation", "zip_code")
"""The columns of a user's profile."""

_LOWEST, _HIGHEST = 0.5, 5.0
_MOST_GENRES = 8


def movielens_1m_schema(*, history_length: int = 50, min_count: int = 1) -> Schema:
    """Describes the columns.

    `user_id`, `gender`, `age`, `occupation`, `zip_code` (user), `movie_id` and the multi-valued `genres` (item); with
    histories also `genre` (item), the first of the genres, and the sequences `history_movies` and `history_genres`
    (user), which repeat the ids of `movie_id` and `genre`. Label `liked`.

    Args:
        history_length: How many movies a history has at the most; 0 for no histories. Default 50.
        min_count: Values seen fewer times in the training rows share the unknown bucket. Default 1.

    Raises:
        ValueError: A negative length.
    """
    if isinstance(history_length, bool) or not isinstance(history_length, int) or history_length < 0:
        raise ValueError(f"history_length must be a whole number of at least 0, got {history_length!r}.")
    rule = Vocabulary(min_count=min_count)
    features = [Feature(name, "categorical", role="user", vocabulary=rule) for name in PROFILE]
    features.append(Feature("movie_id", "categorical", role="item", vocabulary=rule))
    if history_length:
        features.append(Feature("genre", "categorical", role="item", vocabulary=rule))
    features.append(Feature("genres", "multi_valued", role="item", max_length=_MOST_GENRES))
    if history_length:
        for name, target in (("history_movies", "movie_id"), ("history_genres", "genre")):
            features.append(
                Feature(name, "sequence", role="user", max_length=history_length, shares_vocabulary_with=target)
            )
    return Schema(tuple(features), label="liked")


def _beside(path: Path, given: str | Path | None, name: str) -> Path:
    return Path(given) if given is not None else find_file(path.parent, (name,), f"Give {name.split('.')[0]}=....")


def _in_table(ratings: OriginalColumns, name: str, table: Path, known: list[str]) -> np.ndarray:
    """Finds each rating's user or movie in its table; -1 where it is absent."""
    places = {text: place for place, text in enumerate(known)}
    if len(places) != len(known):
        twice = next(text for place, text in enumerate(known) if places[text] != place)
        raise ValueError(f"{table}: {name} {twice!r} is in the file more than once. Remove all but one of its rows.")
    return np.array([places.get(text, -1) for text in ratings.columns[name]], np.int64)


def movielens_1m_rows(
    path: str | Path,
    *,
    users: str | Path | None = None,
    movies: str | Path | None = None,
    positive_rating: float = 4.0,
    negative_rating: float | None = None,
    history_length: int = 50,
    split_by: str = "random",
    seed: int = 0,
    min_count: int = 1,
    shares: Mapping[str, float] = PAPER_SHARES,
    on_bad_row: OnBadRow = "error",
) -> ColumnRows:
    """Reads ratings, each a row: did this user like this movie?

    When to use: real labels with profiles and histories. A history holds the movies that the same user rated strictly
    before, liked or not, oldest first; ratings of the same second are not in each other's histories.

    Args:
        path: `ratings.dat` (user, movie, rating and time, `::` between them), plain or gzip-compressed.
        users: `users.dat` (user, gender, age, occupation, zip code). Default `None`: beside the ratings.
        movies: `movies.dat` (movie, title, genres with `|` between them). Default `None`: beside the ratings.
        positive_rating: Ratings of at least this are label 1. Default 4.0.
        negative_rating: Ratings of at most this are label 0. Ratings between the two are not rows, but stay in the
            histories. Default `None`: all others are label 0.
        history_length: The newest movies of a history that are kept; 0 for no histories. Default 50.
        split_by: `"random"`, or `"order"`, which is that of time over all users: the last rows test.
            Default `"random"`.
        seed: Of the random split. Default 0.
        min_count: As in `movielens_1m_schema`. Default 1.
        shares: Share of each split. Default: 70 % train, 20 % validation, 10 % test.
        on_bad_row: `"error"`, or `"skip"` to leave bad ratings, users and movies out and count them.
            Default `"error"`.

    Raises:
        ValueError: An unknown argument value; no such file; a user or movie that is in its file twice.
        BadRowError: A row with too few or too many columns, an empty cell, a rating that is not a number from 0.5 to 5,
            or of a user or movie that is absent from its file.

    Cost: ten microseconds per rating, all of which are kept in memory, about 200 bytes each.

    Reference: table 8 of Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, has 739 012
    rows of 7 fields: `positive_rating=4, negative_rating=2, history_length=0`. The random split and its shares are
    those of AFN, which the paper follows.
    """
    schema = movielens_1m_schema(history_length=history_length, min_count=min_count)
    by_row = RandomSplit(dict(shares), seed)
    checked_split_by(split_by)
    highest_negative = positive_rating if negative_rating is None else negative_rating
    if not _LOWEST <= highest_negative <= positive_rating <= _HIGHEST or negative_rating == positive_rating:
        raise ValueError(
            f"Ratings are from {_LOWEST} to {_HIGHEST}, and a negative one is below a positive one; got "
            f"positive_rating={positive_rating}, negative_rating={negative_rating}."
        )
    path, bad_rows = Path(path), BadRows(on_bad_row)
    users_file, movies_file = _beside(path, users, "users.dat"), _beside(path, movies, "movies.dat")
    profile = read_columns(users_file, dict.fromkeys(PROFILE, "text"), bad_rows)
    # The titles are Latin-1, and are not read.
    titled = read_columns(
        movies_file, {"movie_id": "text", "title": "optional", "genres": "optional"}, bad_rows, encoding="latin-1"
    )
    ratings = read_columns(path, {"user_id": "text", "movie_id": "text", "rating": "number", "time": "whole"}, bad_rows)

    user = _in_table(ratings, "user_id", users_file, profile.columns["user_id"])
    movie = _in_table(ratings, "movie_id", movies_file, titled.columns["movie_id"])
    rating = ratings.columns["rating"]
    in_range = (rating >= _LOWEST) & (rating <= _HIGHEST)
    for place in np.flatnonzero((user < 0) | (movie < 0) | ~in_range):
        line = int(ratings.lines[place])
        if user[place] < 0 or movie[place] < 0:
            name, file = ("user_id", users_file) if user[place] < 0 else ("movie_id", movies_file)
            given = ratings.columns[name][place]
            detail = f"expected one of {file.name}, got {given!r}"
            bad_rows.add(path, line, name, f"{name} is in no table", detail)
        else:
            detail = f"expected {_LOWEST} to {_HIGHEST}, got {rating[place]:g}"
            bad_rows.add(path, line, "rating", "rating is out of range", detail)
    usable = (user >= 0) & (movie >= 0) & in_range
    user, movie, rating = user[usable], movie[usable], rating[usable]
    time, lines = ratings.columns["time"][usable], ratings.lines[usable]

    labelled = np.ones(len(rating), bool)
    if negative_rating is not None:
        labelled = (rating >= positive_rating) | (rating <= negative_rating)
    chosen = np.flatnonzero(labelled)
    if not len(chosen):
        raise ValueError(f"{path}: no rating is a row; left out: {dict(bad_rows.skipped)}.")

    # Users one after another, each in the order of time.
    order = np.lexsort((time, user))
    moment = user * (int(time.max()) + 1) + time
    starts = np.searchsorted(user[order], user[chosen])
    stops = np.searchsorted(moment[order], moment[chosen])
    history = movie[order]

    if split_by == "random":
        splits = by_row.assign(lines[chosen])
    else:
        rank = np.empty(len(chosen), np.int64)
        rank[np.argsort(time[chosen], kind="stable")] = np.arange(len(chosen))
        splits = OrderSplit(len(chosen), dict(shares)).assign(rank)
    numbers, texts = {}, {}
    for name in PROFILE:
        number, distinct = codes(profile.columns[name])
        numbers[name], texts[name] = number[user], pa.array(distinct)
    genres = titled.columns["genres"]
    # Each place of a history needs a value, so a movie without genre gets one.
    number, distinct = codes([text.split("|")[0] or "(none)" for text in genres])
    first_genre, first_genres = number, pa.array(distinct)
    movie_texts, genre_texts = pa.array(titled.columns["movie_id"]), pa.array(genres)

    def columns(rows: np.ndarray) -> dict[str, pa.Array]:
        place = chosen[rows]
        made = {name: dictionary_column(numbers[name][place], texts[name]) for name in PROFILE}
        made["liked"] = pa.array((rating[place] >= positive_rating).astype(np.float32))
        made["movie_id"] = dictionary_column(movie[place], movie_texts)
        made["genres"] = genre_texts.take(pa.array(movie[place]))
        if history_length:
            made["genre"] = dictionary_column(first_genre[movie[place]], first_genres)
            past = (starts[rows], stops[rows], history_length)
            made["history_movies"] = history_column(history, movie_texts, *past)
            made["history_genres"] = history_column(first_genre[history], first_genres, *past)
        return made

    files = (path, users_file, movies_file)
    return ColumnRows(schema, by_row.names, splits, columns, bad_rows.skipped, files)


class MovieLens1M(RowSourceBuilder, tfds.core.GeneratorBasedBuilder):
    """TFDS builder `movielens_1m`: ratings with profiles, genres and histories.

    When to use: `tfds.load("movielens_1m/random")`, `/time` or `/fields`, for reading the data set as any other.
    `movielens_1m_rows` gives the same rows in columns, many times faster.

    Features: `liked` float32, 0 or 1; `categorical` text `(7,)`: user, gender, age, occupation, zip code, movie and
    first genre (which `/fields` does not have); `numeric` float32 `(0,)`; `genres`, `history_movies` and
    `history_genres` text `(None,)` (no histories in `/fields`).

    Raises:
        ValueError: A file is not in the manual directory, or has a bad row, named by its line and column.

    Example:

    >>> MovieLens1M.name
    'movielens_1m'
    """

    name = "movielens_1m"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put ratings.dat, users.dat and movies.dat of MovieLens-1M into the manual directory."
    )
    BUILDER_CONFIGS = [
        RowSourceConfig(name="random", description="Ratings of at least 4 are positive; 70/20/10 at random, seed 0."),
        RowSourceConfig(
            name="time", arguments={"split_by": "order"}, description="The first 70 %, the next 20 %, the last 10 %."
        ),
        RowSourceConfig(
            name="fields",
            arguments={"negative_rating": 2.0, "history_length": 0},
            description="The seven fields of the papers, ratings of 3 left out; 70/20/10 at random, seed 0.",
        ),
    ]

    DESCRIPTION = "MovieLens-1M: 1 000 209 ratings of 3 706 movies by 6 040 users."
    HOMEPAGE = "https://grouplens.org/datasets/movielens/1m/"

    def schema(self) -> Schema:
        """What the columns mean in this configuration."""
        given = self.builder_config.arguments
        return movielens_1m_schema(**{name: given[name] for name in ("history_length", "min_count") if name in given})

    def row_source(self, manual_dir: str | Path) -> ColumnRows:
        """The same rows in columnar batches.

        Raises:
            ValueError: A file is not in the directory.
        """
        path = find_file(manual_dir, ("ratings.dat",), self.MANUAL_DOWNLOAD_INSTRUCTIONS)
        return movielens_1m_rows(path, **self.builder_config.arguments)
