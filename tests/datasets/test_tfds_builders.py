"""The TFDS builders: found by name, same rows and splits as the columnar sources."""

import gzip

import numpy as np
import pytest
import tensorflow_datasets as tfds
from criteo_lines import criteo_lines
from original_lines import tag_rows, user_sequences, write_movielens, write_review_objects, write_tags_dat

import dynctr_tf.datasets  # Registers the builders.
from dynctr_tf.datasets import (
    AmazonReviews,
    AmazonReviewsConfig,
    RowSourceConfig,
    SyntheticCtr,
    criteo,
    criteo_rows,
    movielens_1m,
    synthetic_ctr,
    tfds_examples,
)


def rows_of(dataset):
    return list(tfds.as_numpy(dataset))


def assert_same_rows(dataset, source, split, categorical, numeric, lists=()):
    expected = list(tfds_examples.examples(source, split, categorical, numeric, lists))
    found = rows_of(dataset)
    assert len(found) == len(expected) > 0
    for row, (_, wanted) in zip(found, expected, strict=True):
        assert row.keys() == wanted.keys()
        assert row["categorical"].tolist() == wanted["categorical"].tolist()
        np.testing.assert_array_equal(row["numeric"], wanted["numeric"])
        for name in lists:
            assert row[name].tolist() == wanted[name].tolist()
        for name in wanted.keys() - {"categorical", "numeric", *lists}:
            assert row[name].dtype == np.float32 and row[name] == np.float32(wanted[name])


def test_builders_are_registered():
    names = {"amazon_reviews", "criteo_display_ads", "movielens_1m", "movielens_tag", "synthetic_ctr"}
    assert names <= set(tfds.list_builders(with_community_datasets=False))
    assert dynctr_tf.datasets.CriteoDisplayAds.builder_configs.keys() == {"random", "time"}


def test_synthetic_ctr(tmp_path):
    small = RowSourceConfig(name="small", arguments={"num_train": 300, "num_validation": 20, "num_test": 40})
    builder = SyntheticCtr(config=small, data_dir=tmp_path)
    builder.download_and_prepare()
    assert {name: info.num_examples for name, info in builder.info.splits.items()} == {
        "train": 300,
        "validation": 20,
        "test": 40,
    }
    for split in ("train", "validation", "test"):
        dataset = builder.as_dataset(split=split)
        assert_same_rows(dataset, builder.row_source(), split, synthetic_ctr.CATEGORICAL, synthetic_ctr.NUMERIC)
    row = rows_of(builder.as_dataset(split="train"))[0]
    assert row["categorical"].shape == (12,) and row["numeric"].shape == (2,)
    assert 0.0 < row["true_probability"] < 1.0 and row["click"] in (0.0, 1.0)


@pytest.mark.parametrize("config", ["random", "time"])
def test_criteo_display_ads(tmp_path, config):
    lines = criteo_lines(200)
    (tmp_path / "manual").mkdir()
    path = tmp_path / "manual" / "train.txt.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    datasets = tfds.load(
        f"criteo_display_ads/{config}",
        data_dir=tmp_path / "data",
        download_and_prepare_kwargs={
            "download_config": tfds.download.DownloadConfig(manual_dir=str(tmp_path / "manual"))
        },
    )
    assert set(datasets) == {"train", "validation", "test"}
    assert sum(len(rows_of(dataset)) for dataset in datasets.values()) == 200
    for split, dataset in datasets.items():
        source = criteo_rows(path, split_by="order" if config == "time" else "random")
        assert_same_rows(dataset, source, split, criteo.CATEGORICAL, criteo.NUMERIC)
    if config == "time":
        first = rows_of(datasets["train"])[0]
        cells = lines[0].split("\t")
        assert first["label"] == float(cells[0])
        assert [cell.decode() for cell in first["categorical"]] == cells[14:]
        for number, cell in zip(first["numeric"], cells[1:14], strict=True):
            assert np.isnan(number) if cell == "" else number == float(cell)


MOVIE_LISTS = ("genres", "history_movies", "history_genres")
HISTORIES = ("history_items", "history_categories")


@pytest.mark.parametrize(
    ("name", "categorical", "lists"),
    [
        ("movielens_tag/time", ("user_id", "movie_id", "tag"), ()),
        ("movielens_1m/random", (*movielens_1m.PROFILE, "movie_id", "genre"), MOVIE_LISTS),
        ("movielens_1m/fields", (*movielens_1m.PROFILE, "movie_id"), ("genres",)),
        ("amazon_reviews/garden", ("item_id", "category"), HISTORIES),
    ],
)
def test_public_data_sets(tmp_path, name, categorical, lists):
    manual = tmp_path / "manual"
    manual.mkdir()
    write_tags_dat(manual / "tags.dat", tag_rows(60))
    write_movielens(manual, num_ratings=80)
    write_review_objects(manual, user_sequences(10))
    config = tfds.download.DownloadConfig(manual_dir=str(manual))
    if name == "amazon_reviews/garden":
        garden = AmazonReviewsConfig(name="garden", domain="Garden")
        builder = AmazonReviews(config=garden, data_dir=tmp_path / "data")
    else:
        builder = tfds.builder(name, data_dir=tmp_path / "data")
    builder.download_and_prepare(download_config=config)
    source = builder.row_source(manual)
    assert sum(info.num_examples for info in builder.info.splits.values()) == source.num_rows
    for split in ("train", "validation", "test"):
        assert_same_rows(builder.as_dataset(split=split), source, split, categorical, (), lists)


@pytest.mark.parametrize("name", ["movielens_tag", "movielens_1m", "amazon_reviews"])
def test_public_data_sets_without_their_files(tmp_path, name):
    builder = tfds.builder(name, data_dir=tmp_path / "data")
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "README").write_text("Another file.")
    with pytest.raises(ValueError, match="There is no .* in .*Put "):
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=str(tmp_path / "manual")))


def test_criteo_without_its_file_and_with_a_bad_row(tmp_path):
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "test.txt").write_text("the file of the challenge without labels")
    builder = tfds.builder("criteo_display_ads/random", data_dir=tmp_path / "data")
    config = tfds.download.DownloadConfig(manual_dir=str(tmp_path / "manual"))
    with pytest.raises(ValueError, match=r"There is no train\.txt \(also with \.gz\) in"):
        builder.download_and_prepare(download_config=config)
    lines = criteo_lines(100)
    lines[70] = "7" + lines[70][1:]
    (tmp_path / "manual" / "train.txt").write_text("\n".join(lines))
    with pytest.raises(ValueError, match="line 71, column 'label'"):
        builder.download_and_prepare(download_config=config)
    # Nothing is left that looks finished.
    assert not builder.is_prepared() if hasattr(builder, "is_prepared") else not builder.info.splits
