"""Small files in the formats of MovieLens and of the Amazon reviews, for tables without a sample of their data."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from dynctr_tf.durable_files import make_folder, write_text

SYNTHETIC: Mapping[str, int] = {"num_train": 20_000, "num_validation": 4_000, "num_test": 8_000}
"""Options of `synthetic_ctr`, for data sets of single-valued fields."""

_USERS, _ITEMS, _CATEGORIES = 300, 200, 10


def _tastes(random: np.random.Generator) -> np.ndarray:
    """For each user the probability of each category: high for two, low for the others."""
    scores = random.normal(size=(_USERS, _CATEGORIES))
    weights = np.exp(1.5 * scores)
    shares: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _write_tags(folder: Path) -> Path:
    """Tags of movies; a user gives a movie of a category the tags of this category."""
    random, lines = np.random.default_rng(0), []
    tastes = _tastes(random)
    for user in range(_USERS):
        for number in range(25):
            category = random.choice(_CATEGORIES, p=tastes[user])
            movie = category + _CATEGORIES * random.integers(_ITEMS // _CATEGORIES)
            tag = category + _CATEGORIES * random.integers(6)
            lines.append(f"{user}::{movie}::tag {tag}::{1_150_000_000 + 60 * number + user}")
    path = folder / "tags.dat"
    write_text(path, "\n".join(dict.fromkeys(lines)) + "\n")
    return path


def _write_ratings(folder: Path) -> Path:
    """Ratings of movies, high for categories that the user likes; and files of users and movies."""
    random = np.random.default_rng(1)
    tastes = _tastes(random)
    users = [f"{u}::{'FM'[u % 2]}::{(1, 18, 25, 35)[u % 4]}::{u % 20}::{10_000 + u}" for u in range(_USERS)]
    movies = [f"{m}::Film {m} (19{m % 100:02d})::Genre {m % _CATEGORIES}" for m in range(_ITEMS)]
    lines = []
    for user in range(_USERS):
        for number, movie in enumerate(random.permutation(_ITEMS)[:40]):
            liked = 3.0 + 8.0 * (tastes[user, movie % _CATEGORIES] - 0.1) + random.normal(0.0, 0.8)
            lines.append(f"{user}::{movie}::{int(np.clip(round(liked), 1, 5))}::{970_000_000 + 60 * number}")
    for name, rows in (("users", users), ("movies", movies), ("ratings", lines)):
        write_text(folder / f"{name}.dat", "\n".join(rows) + "\n")
    return folder / "ratings.dat"


def _write_sequences(folder: Path) -> Path:
    """Items that users reviewed in turn, mostly of categories that they like; and a file of the items' categories."""
    random, lines = np.random.default_rng(2), []
    tastes = _tastes(random)
    for user in range(_USERS):
        categories = random.choice(_CATEGORIES, size=60, p=tastes[user])
        items = categories + _CATEGORIES * random.integers(_ITEMS // _CATEGORIES, size=60)
        lines.append(" ".join(map(str, [user, *dict.fromkeys(items.tolist())][: random.integers(8, 25)])))
    write_text(folder / "Made_item2attributes.json", json.dumps({str(i): [i % _CATEGORIES] for i in range(_ITEMS)}))
    write_text(folder / "Made.txt", "\n".join(lines) + "\n")
    return folder / "Made.txt"


_WRITERS: Mapping[str, Callable[[Path], Path]] = {
    "tags": _write_tags,
    "ratings": _write_ratings,
    "sequences": _write_sequences,
}


def write(kind: str, folder: Path) -> Path:
    """Writes made rows and returns the file to read.

    Args:
        kind: `"tags"`, `"ratings"` or `"sequences"`.
        folder: The folder of the files.
    """
    return _WRITERS[kind](make_folder(folder / kind))
