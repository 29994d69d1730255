"""Rows of data sets that tensorflow-datasets has prepared: this project's, and any other with a schema."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow_datasets as tfds
from original_lines import write_movielens

from dynctr_tf.datasets import BadRowError, RowSourceConfig, SyntheticCtr, TfdsRows, row_source
from dynctr_tf.schema import Feature, Schema

GENRES = ("drama", "war", "comedy")
SCHEMA = Schema(
    (
        Feature("user/id", "categorical", role="user"),
        Feature("user/age", "numeric"),
        Feature("genre", "categorical"),
        Feature("tags", "multi_valued"),
        Feature("past/movie", "sequence"),
        Feature("two", "multi_valued"),
        Feature("new", "categorical"),
    ),
    label="rating",
    positive=">= 4",
)


class FilmNights(tfds.core.GeneratorBasedBuilder):
    """A data set as others write them: dicts in dicts, labels with names, sequences, and no validation split."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self) -> tfds.core.DatasetInfo:
        past = {"movie": np.int64, "genre": tfds.features.ClassLabel(names=GENRES)}
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "user": {"id": tfds.features.Text(), "age": np.float32},
                    "genre": tfds.features.ClassLabel(names=GENRES),
                    "tags": tfds.features.Sequence(tfds.features.ClassLabel(names=GENRES)),
                    "past": tfds.features.Sequence(past),
                    "two": tfds.features.Tensor(shape=(2,), dtype=np.int64),
                    "new": np.bool_,
                    "rating": np.float32,
                    "poster": tfds.features.Image(shape=(2, 2, 3)),
                }
            ),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {
            "train": self._generate_examples(60),
            "test": self._generate_examples(9),
            "later": self._generate_examples(2),
        }

    def _generate_examples(self, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for row in range(count):
            past = [{"movie": row + place, "genre": place % 3} for place in range(row % 3)]
            yield (
                row,
                {
                    "user": {"id": f"ü{row}" if row != 1 else "", "age": np.nan if row == 2 else row},
                    "genre": row % 3,
                    "tags": [(row + place) % 3 for place in range(row % 4)],
                    "past": past,
                    "two": [row, 7],
                    "new": row % 2 == 0,
                    "rating": np.nan if row == 5 and count == 9 else 1 + row % 5,
                    "poster": np.zeros((2, 2, 3), np.uint8),
                },
            )


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> FilmNights:
    builder = FilmNights(data_dir=tmp_path_factory.mktemp("films"))
    builder.download_and_prepare()
    return builder


def rows_of(source: Any, split: str) -> pa.Table:
    wanted = source.split_names.index(split)
    kept = [batch.columns.filter(pa.array(batch.splits == wanted)) for batch in source.batches()]
    return pa.Table.from_batches([batch for batch in kept if batch.num_rows])


@pytest.mark.parametrize("name", ["synthetic_ctr", "movielens_1m/random"])
def test_data_sets_of_the_project_have_the_rows_and_splits_of_their_row_source(name: str, tmp_path: Path) -> None:
    write_movielens(tmp_path, num_ratings=120)
    if name == "synthetic_ctr":
        sizes = {"num_train": 9000, "num_validation": 20, "num_test": 40}  # more rows than a batch has
        builder = SyntheticCtr(config=RowSourceConfig(name="small", arguments=sizes), data_dir=tmp_path / "data")
        builder.download_and_prepare()
        rows = TfdsRows(builder)
    else:
        config = tfds.download.DownloadConfig(manual_dir=str(tmp_path))
        tfds.load(name, data_dir=tmp_path / "data", download_and_prepare_kwargs={"download_config": config})
        rows = row_source("tfds", dataset=name, data_dir=str(tmp_path / "data"))
        builder = tfds.builder(name, data_dir=tmp_path / "data")
    source = builder.row_source(tmp_path)
    assert rows.schema == source.schema and rows.split_names == source.split_names
    assert rows.num_rows == source.num_rows and rows.skipped == {} and len(rows.files) == 3
    for split in source.split_names:
        found, expected = rows_of(rows, split), rows_of(source, split)
        assert found.column_names == expected.column_names
        for column in found.column_names:
            values, wanted = found.column(column), expected.column(column)
            if pa.types.is_floating(wanted.type):  # kept in float32 on the disk
                wanted = wanted.cast(pa.float32()).cast(wanted.type)
            texts = wanted.to_pylist()
            if pa.types.is_list(values.type) and not pa.types.is_list(wanted.type):  # texts with separators
                texts = [text.split("|") if text else [] for text in texts]
            assert values.to_pylist() == texts, column


def test_another_data_set_is_read_by_its_schema(films: FilmNights) -> None:
    rows = TfdsRows(films, SCHEMA, splits={"train": 0.5, "validation": 0.25, "test": 0.25}, on_bad_row="skip")
    test = rows_of(rows, "test").to_pydict()
    assert test["user/id"] == ["ü0", None, "ü2", "ü3", "ü4", "ü6", "ü7", "ü8"]
    assert test["user/age"] == [0.0, 1.0, None, 3.0, 4.0, 6.0, 7.0, 8.0]
    assert test["genre"][:4] == ["drama", "war", "comedy", "drama"]
    assert test["tags"][:4] == [[], ["war"], ["comedy", "drama"], ["drama", "war", "comedy"]]
    assert test["past/movie"][:4] == [[], ["1"], ["2", "3"], []]
    assert test["two"][3] == ["3", "7"] and test["new"][:2] == ["true", "false"]
    assert test["rating"] == [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]
    assert sum(rows.skipped.values()) == 1 and rows.num_rows == 68
    # The test split is given, and a third of the rest is the validation split, the same one each time.
    batches = list(rows.batches())
    assert np.bincount(np.concatenate([batch.splits for batch in batches])).tolist()[2] == 8
    validation = rows_of(rows, "validation").column("two").to_pylist()
    assert 10 < len(validation) < 30 and rows_of(rows, "train").num_rows + len(validation) == 60
    assert (
        rows_of(TfdsRows(films, SCHEMA, splits=rows._shares.shares, on_bad_row="skip"), "validation")
        .column("two")
        .to_pylist()
        == validation
    )
    numbers = np.concatenate([batch.rows for batch in batches])
    assert len(np.unique(numbers)) == len(numbers) == 68


def test_a_bad_row_is_named(films: FilmNights) -> None:
    with pytest.raises(BadRowError, match=r"film_nights/1\.0\.0, test, row 6, column 'rating'.*on_bad_row"):
        list(TfdsRows(films, SCHEMA).batches())


def schema_of(name: str, kind: str = "categorical") -> Schema:
    return Schema((Feature(name, kind),), label="rating", positive=">= 4")  # type: ignore[arg-type]


def test_what_is_wrong_is_said(films: FilmNights, tmp_path: Path) -> None:
    for make, words in (
        (lambda: TfdsRows("movilens/1m"), "no data set 'movilens'. Did you mean 'movielens'"),
        (lambda: TfdsRows("movielens_1m/tiem"), "'movielens_1m/tiem' cannot be opened"),
        (lambda: TfdsRows("frappe/log", data_dir=tmp_path), "no split 'train' in .*Prepare it first: tfds.load"),
        (lambda: TfdsRows(films), "needs a schema, which says what its features mean; it has user/id, user/age, genre"),
        (lambda: TfdsRows(films, schema_of("user/ag")), "Did you mean 'user/age'"),
        (lambda: TfdsRows(films, schema_of("poster")), "'poster' is .*expected one value a row, or a list of values"),
        (lambda: TfdsRows(films, schema_of("tags")), "one value a row; declare its kind"),
        (lambda: TfdsRows(films, SCHEMA, splits={"learn": 0.5, "test": 0.5}), "The first split must be 'train'"),
        (lambda: TfdsRows(films, SCHEMA, on_bad_row="drop"), "on_bad_row"),
        (lambda: row_source("tfds"), "needs the option"),
    ):
        with pytest.raises(ValueError, match=words):
            make()
