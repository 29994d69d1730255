"""Avazu's file: hours taken apart, the scenario told, bad rows, and the real rows where there are some."""

import datetime
import gzip

import numpy as np
import pytest
import tensorflow_datasets as tfds
from scenario_lines import avazu_lines

import dynctr_tf.datasets  # Registers the builders.
from dynctr_tf.datasets import BadRowError, avazu_rows, avazu_schema, real_rows, text_rows
from dynctr_tf.datasets.avazu import CATEGORICAL, NO_APP


@pytest.mark.parametrize("compressed", [False, True])
def test_rows_are_the_lines(tmp_path, monkeypatch, compressed):
    monkeypatch.setattr(text_rows, "_BLOCK_BYTES", 4096)
    lines = avazu_lines(300)
    data = ("\n".join(lines) + "\n").encode()
    path = tmp_path / "train.csv"
    path.write_bytes(gzip.compress(data) if compressed else data)
    header = lines[0].split(",")
    found = [row for batch in avazu_rows(path).batches() for row in batch.columns.to_pylist()]
    assert len(found) == 300
    for row, line in zip(found, lines[1:], strict=True):
        cells = dict(zip(header, line.split(","), strict=True))
        assert {name: row[name] for name in CATEGORICAL} == {name: cells[name] for name in CATEGORICAL}
        time = datetime.datetime.strptime(cells["hour"], "%y%m%d%H")
        assert (row["hour_of_day"], row["weekday"]) == (f"{time.hour:02d}", str(time.weekday()))
        assert row["inventory"] == ("site" if cells["app_id"] == NO_APP else "app")
        assert row["click"] == float(cells["click"])


def test_scenario_is_an_argument(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("\n".join(avazu_lines(60)))
    roles = {}
    for scenario in ("inventory", "banner_pos", "none"):
        source = avazu_rows(path, scenario=scenario)
        assert sum(batch.columns.num_rows for batch in source.batches()) == 60
        roles[scenario] = [feature.name for feature in source.schema.features if feature.role == "scenario"]
        assert ("inventory" in source.schema.columns) == (scenario == "inventory")
    assert roles == {"inventory": ["inventory"], "banner_pos": ["banner_pos"], "none": []}
    with pytest.raises(ValueError, match="Did you mean 'inventory'"):
        avazu_schema(scenario="inventry")


@pytest.mark.parametrize(
    ("column", "cell", "reason"),
    [
        ("hour", "14102124", "hour is not a time as YYMMDDHH"),
        ("hour", "14093107", "hour is not a time as YYMMDDHH"),
        ("hour", "2014-10-21", "hour is not a time as YYMMDDHH"),
        ("hour", "", "hour is missing"),
        ("click", "3", "click is not 0 or 1"),
    ],
)
def test_bad_row_is_named_or_counted(tmp_path, column, cell, reason):
    lines = avazu_lines(90)
    cells = lines[41].split(",")
    cells[lines[0].split(",").index(column)] = cell
    lines[41] = ",".join(cells)
    path = tmp_path / "train.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(BadRowError) as caught:
        list(avazu_rows(path).batches())
    assert (caught.value.line, caught.value.column, caught.value.reason) == (42, column, reason)
    source = avazu_rows(path, on_bad_row="skip")
    assert sum(batch.columns.num_rows for batch in source.batches()) == 89
    assert source.skipped == {reason: 1}


def test_column_that_is_missing(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("id,click,C1\n1,0,1005\n")
    with pytest.raises(ValueError, match="'hour' is not in the file"):
        avazu_rows(path)


@pytest.mark.parametrize("config", ["random", "time", "banner_pos"])
def test_builder(tmp_path, config):
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "train.gz").write_bytes(gzip.compress("\n".join(avazu_lines(120)).encode()))
    options = {"download_config": tfds.download.DownloadConfig(manual_dir=str(tmp_path / "manual"))}
    datasets = tfds.load(f"avazu/{config}", data_dir=tmp_path / "data", download_and_prepare_kwargs=options)
    arguments = dynctr_tf.datasets.Avazu.builder_configs[config].arguments
    source = avazu_rows(tmp_path / "manual" / "train.gz", **arguments)
    expected = [(batch.columns.to_pylist(), batch.splits) for batch in source.batches()]
    names = [feature.name for feature in source.schema.features]
    for number, split in enumerate(source.split_names):
        wanted = [row for rows, splits in expected for row, at in zip(rows, splits, strict=True) if at == number]
        found = list(tfds.as_numpy(datasets[split]))
        assert len(found) == len(wanted) > 0
        for row, raw in zip(found, wanted, strict=True):
            assert [text.decode() for text in row["categorical"]] == [raw[name] for name in names]
            assert row["click"] == raw["click"] and row["numeric"].shape == (0,)
    builder = tfds.builder(f"avazu/{config}", data_dir=tmp_path / "empty")
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="There is no train.csv or train"):
        builder.row_source(tmp_path / "none")


@pytest.mark.realdata
def test_real_rows():
    try:
        real_rows("avazu", "train.gz")
    except ValueError as error:
        pytest.skip(str(error))
    source = avazu_rows()
    clicks, rows = {"site": 0.0, "app": 0.0}, {"site": 0, "app": 0}
    for batch in source.batches():
        label = batch.columns["click"].to_numpy()
        inventory = np.array(batch.columns["inventory"].to_pylist())
        for name in rows:
            rows[name] += int((inventory == name).sum())
            clicks[name] += float(label[inventory == name].sum())
    assert rows == {"site": 54_325, "app": 24_068} and source.num_rows == 78_393
    assert clicks["site"] / rows["site"] > 1.5 * clicks["app"] / rows["app"]
