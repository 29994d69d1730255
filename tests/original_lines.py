"""Rows of our own in the formats of MovieLens and of the Amazon reviews, for tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

GENRES = ("Action", "Children's", "Film-Noir", "Drama")


def tag_rows(num_rows: int, seed: int = 0) -> list[tuple[str, str, str, str]]:
    """Distinct user, movie, tag and time, times rising but for a few."""
    random = np.random.default_rng(seed)
    words = [f"tag {number}" for number in range(40)] + ['"quoted", and a comma', "schön"]
    found: dict[tuple[str, str, str], str] = {}
    while len(found) < num_rows:
        key = (str(random.integers(1, 30)), str(random.integers(1, 50)), words[random.integers(len(words))])
        found.setdefault(key, str(1_150_000_000 + 60 * len(found) - 90 * int(random.random() < 0.2)))
    return [(*key, time) for key, time in found.items()]


def write_tags_dat(path: Path, rows: list[tuple[str, str, str, str]]) -> Path:
    path.write_text("".join("::".join(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_tags_csv(path: Path, rows: list[tuple[str, str, str, str]]) -> Path:
    quoted = ['"' + tag.replace('"', '""') + '"' if set(tag) & set(',"') else tag for _, _, tag, _ in rows]
    lines = [f"{user},{movie},{tag},{time}\n" for (user, movie, _, time), tag in zip(rows, quoted, strict=True)]
    path.write_text("userId,movieId,tag,timestamp\n" + "".join(lines), encoding="utf-8")
    return path


def write_movielens(folder: Path, num_ratings: int = 600, seed: int = 0) -> list[tuple[int, int, int, int]]:
    """Writes users.dat, movies.dat and ratings.dat; ratings of one user and second come in bunches."""
    random = np.random.default_rng(seed)
    users = [f"{u}::{'FM'[u % 2]}::{(1, 18, 25)[u % 3]}::{u % 5}::{10_000 + u}\n" for u in range(1, 21)]
    (folder / "users.dat").write_text("".join(users), encoding="utf-8")
    movies = [f"{m}::Film é {m} (19{m:02d})::{'|'.join(GENRES[m % 4 : m % 4 + 2])}\n" for m in range(1, 71)]
    (folder / "movies.dat").write_bytes("".join(movies).encode("latin-1"))
    pairs = random.permutation(20 * 70)[:num_ratings]
    ratings = [
        (int(pair) % 20 + 1, int(pair) // 20 + 1, int(random.integers(1, 6)), 970_000_000 + int(random.integers(50)))
        for pair in pairs
    ]
    lines = ["::".join(map(str, rating)) + "\n" for rating in ratings]
    (folder / "ratings.dat").write_text("".join(lines), encoding="utf-8")
    return ratings


def user_sequences(num_users: int = 40, num_items: int = 60, seed: int = 0) -> dict[str, list[str]]:
    """Items of each user, oldest first, 2 to 9 of them."""
    random = np.random.default_rng(seed)
    return {
        f"U{user}": [f"B{item:03d}" for item in random.permutation(num_items)[: random.integers(2, 10)]]
        for user in range(num_users)
    }


def item_category(item: str) -> str:
    return f"category {int(item[1:]) % 7}"


def write_review_objects(folder: Path, sequences: dict[str, list[str]], python: bool = True, seed: int = 0) -> Path:
    """Writes reviews in random order and metadata, in the Python form of 2014 or as JSON."""
    random = np.random.default_rng(seed)
    reviews = [
        json.dumps({"reviewerID": user, "asin": item, "overall": 5.0, "unixReviewTime": 1_300_000_000 + 86_400 * place})
        for user, items in sequences.items()
        for place, item in enumerate(items)
    ]
    path = folder / "reviews_Garden_5.json"
    path.write_text("".join(reviews[place] + "\n" for place in random.permutation(len(reviews))), encoding="utf-8")
    items = sorted({item for values in sequences.values() for item in values}) + ["B999"]
    described = [{"asin": item, "categories": [["All"], ["Garden", item_category(item)]]} for item in items]
    lines = [repr(entry) if python else json.dumps(entry) for entry in described]
    (folder / "meta_Garden.json").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_user_lines(folder: Path, sequences: dict[str, list[str]]) -> Path:
    """Writes one user a line, and the items' attributes."""
    path = folder / "Garden.txt"
    path.write_text("".join(f"{user} {' '.join(items)}\n" for user, items in sequences.items()), encoding="utf-8")
    items = {item for values in sequences.values() for item in values}
    (folder / "Garden_item2attributes.json").write_text(
        json.dumps({item: [item_category(item), "other"] for item in items}), encoding="utf-8"
    )
    return path
