"""Vectors from elsewhere in a job, served, updated and taken out again."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dynctr_tf.datasets import ValueVectors, read_value_vectors, write_value_vectors
from dynctr_tf.encoding import EncodedFeatures
from dynctr_tf.encoding.encoded_features import Field
from dynctr_tf.jobs.days import Days
from dynctr_tf.jobs.pretrained import sizes_of_vectors
from dynctr_tf.jobs.settings import job_settings
from dynctr_tf.jobs.stages import build_for_training
from dynctr_tf.training import field_vectors, restore_training
from pipelines import embeddings as embeddings_job
from pipelines import train as train_job
from tests.pipelines.test_update import SMALL, inside, updated, write_days

ITEMS = ValueVectors(
    pa.array([f"i{number}" for number in range(60)]), np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
)


def by_key(vectors: ValueVectors) -> dict[str, np.ndarray]:
    return dict(zip(vectors.keys.to_pylist(), vectors.vectors, strict=True))


GIVEN = by_key(ITEMS)
USERS = ValueVectors(pa.array([f"u{number}" for number in range(70)]), np.full((70, 4), 0.25, np.float32))
MODEL = ("--model.name", "deepfm", "--model.deep.units", "[8]", "--model.embedding.frozen", "item")
MODEL += ("--export.even_if_worse_than_base_rate", "true")
VECTORS = ("--pretrained.vectors.item", "items.npy", "--pretrained.vectors.user", "users.parquet")


def printed_by(place: Path, job: Any, *words: str) -> str:
    with inside(place), contextlib.redirect_stdout(io.StringIO()) as printed:
        job.main([*words])
    return printed.getvalue()


def trained(place: Path, run: str, *words: str) -> str:
    return printed_by(place, train_job, "--data.path", "day0.csv", "--run-directory", run, *SMALL, *MODEL, *words)


def write_vectors(place: Path) -> None:
    np.save(place / "items.npy", ITEMS.vectors)
    (place / "items.keys.txt").write_text("\n".join(ITEMS.keys.to_pylist()) + "\n", encoding="utf-8")
    write_value_vectors(place / "users.parquet", USERS)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with the files of some days, files of vectors and a run with them, and what it printed."""
    place = tmp_path_factory.mktemp("vectors")
    write_days(place)
    write_vectors(place)
    (place / "printed.txt").write_text(trained(place, "run", *VECTORS), encoding="utf-8")
    return place


def vectors_after(place: Path, number: int, field: str) -> dict[str, np.ndarray]:
    with inside(place):
        days = Days("run")
        encoder, _ = days.encoder(number)
        model, optimizer = build_for_training(days.settings(number), encoder.features)
        restore_training(model, optimizer, days.training(number))
    return by_key(field_vectors(model, encoder, field))


def test_vectors_go_in_by_key_and_come_out_again(place: Path) -> None:
    text = (place / "printed.txt").read_text(encoding="utf-8")
    assert "item: 30 of 30 values have a vector of items.npy, which has 30 others" in text
    assert "values have a vector of users.parquet" in text and "SavedModel" in text
    text = printed_by(place, embeddings_job, "run", "--output", "vectors")
    assert "item: 30 vectors of 3 numbers: vectors/item.parquet" in text
    written = sorted(path.name for path in (place / "vectors").iterdir())
    assert written == ["item.parquet", "page.parquet", "user.parquet"]
    items = read_value_vectors(place / "vectors" / "item.parquet")
    assert all(np.array_equal(vector, GIVEN[key]) for key, vector in by_key(items).items())
    users = read_value_vectors(place / "vectors" / "user.parquet").vectors
    assert users.shape[1] == 4 and 0 < np.abs(users - 0.25).max() < 0.25  # these have trained, from their vectors
    again = trained(place, "again", "--pretrained.vectors.item", "vectors/item.parquet", "--export.directory", "none")
    assert "item: 30 of 30 values have a vector of vectors/item.parquet\n" in again


def test_a_day_gives_new_values_their_vectors_and_leaves_the_others(place: Path) -> None:
    text = updated(place, "--data.path", "day1.csv")
    assert "item: 10 of 10 new values have a vector of items.npy" in text
    assert text.index("before it is trained on") < text.index("new values have a vector")
    items = vectors_after(place, 1, "item")
    assert len(items) == 40 and all(np.array_equal(vector, GIVEN[key]) for key, vector in items.items())
    users = vectors_after(place, 1, "user")
    new = [key for key in users if int(key[1:]) >= 60]
    assert len(new) > 10 and "SavedModel" in text
    count = sum(int(key[1:]) < 70 for key in new)
    assert f"user: {count} of {len(new)} new values have a vector of users.parquet" in text
    # Without the file the day's new values have the row of the unknown one, which of a frozen field is 0.
    text = updated(place, "--data.path", "day2.csv", "--pretrained.vectors.item", "none", "--export.directory", "none")
    assert "items.npy" not in text
    items = vectors_after(place, 2, "item")
    assert len(items) == 50 and all(not items[f"i{number}"].any() for number in range(40, 50))
    assert all(np.array_equal(items[f"i{number}"], GIVEN[f"i{number}"]) for number in range(40))


def refused(place: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with inside(place), pytest.raises(SystemExit) as ended:
        train_job.main(["--data.path", "day0.csv", "--run-directory", "bad", *SMALL, *MODEL, *words])
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_what_is_wrong_is_said_before_it_trains(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "empty.txt").write_text("", encoding="utf-8")
    write_value_vectors(place / "others.parquet", ValueVectors(pa.array(["x", "y"]), np.ones((2, 3))))
    for words, expected in (
        (("--pretrained.vectors.itm", "items.npy"), "Unknown field in pretrained.vectors: 'itm'. Did you mean 'item'?"),
        (("--pretrained.vectors.item", "none.npy"), "none.npy: there is no such file of vectors"),
        (("--pretrained.vectors.item", "empty.txt"), "empty.txt: There must be one vector"),
        (("--pretrained.vectors.item", "5"), "pretrained.vectors.item must be the name of a file, or none; got 5"),
        (("--pretrained.vectors.item", "items.npy", "--model.embedding.sizes", "item=8"), "have 3 numbers, and"),
        (("--pretrained.vectors.history", "items.npy"), "Unknown field with ids of its own: 'history'"),
        (("--pretrained.vectors.age", "items.npy"), "it is numeric, and has bins"),
        (("--pretrained.vectors.item", "others.parquet"), "others.parquet: None of the 30 values of 'item', such as"),
    ):
        assert expected in refused(place, capsys, *words), words
    settings = job_settings({"pretrained": {"vectors": {"a": "a.npy"}}, "training": {"strategy": "mirrored"}})
    with pytest.raises(ValueError, match=r"leave training\.strategy out"):
        sizes_of_vectors(settings, EncodedFeatures((Field("a", "item", 1, 9),)))


def test_other_vectors_are_another_run(place: Path) -> None:
    (place / "items.keys.txt").write_text("\n".join(reversed(ITEMS.keys.to_pylist())) + "\n", encoding="utf-8")
    try:
        text = trained(place, "run", *VECTORS, "--export.directory", "none")
    finally:
        write_vectors(place)
    assert "run holds another run (pretrained.vectors.item" in text
