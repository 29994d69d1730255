"""AmExpert's file in both editions: the hour, the page as scenario, bad rows, the builder."""

import gzip

import pytest
import tensorflow_datasets as tfds
from scenario_lines import amexpert_lines

import dynctr_tf.datasets  # Registers the builders.
from dynctr_tf.datasets import BadRowError, amexpert_rows, amexpert_schema, real_rows


@pytest.mark.parametrize("original", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_rows_are_the_lines(tmp_path, original, compressed):
    lines = amexpert_lines(100, original=original)
    data = "\n".join(lines).encode()
    path = tmp_path / "train.csv"
    path.write_bytes(gzip.compress(data) if compressed else data)
    source = amexpert_rows(path)
    assert source.schema == amexpert_schema(layout="original" if original else "reissued")
    assert [feature.name for feature in source.schema.features if feature.role == "scenario"] == ["webpage_id"]
    header = lines[0].split(",")
    found = [row for batch in source.batches() for row in batch.columns.to_pylist()]
    assert len(found) == 100
    for number, (row, line) in enumerate(zip(found, lines[1:], strict=True)):
        cells = dict(zip(header, line.split(","), strict=True))
        assert row["hour_of_day"] == f"{number % 24:02d}"
        for name in row.keys() - {"hour_of_day", source.schema.label}:
            assert row[name] == (cells[name] or None)
        assert row[source.schema.label] == float(cells[source.schema.label])


@pytest.mark.parametrize("cell", ["2017-07-02", "2017-07-02 24:10", "2017-07-02 7:61", "noon"])
def test_bad_time_is_named_or_counted(tmp_path, cell):
    lines = amexpert_lines(50, original=True)
    cells = lines[20].split(",")
    lines[20] = ",".join([cells[0], cell, *cells[2:]])
    path = tmp_path / "train.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(BadRowError, match="expected a time with HH:MM, got") as caught:
        list(amexpert_rows(path).batches())
    assert (caught.value.line, caught.value.column) == (21, "DateTime")
    source = amexpert_rows(path, on_bad_row="skip")
    assert sum(batch.columns.num_rows for batch in source.batches()) == 49
    assert source.skipped == {"DateTime is not a time with HH:MM": 1}


def test_file_of_neither_edition(tmp_path):
    path = tmp_path / "test.csv"
    path.write_text("session_id,DateTime,user_id\n1,2017-07-02 00:00,4\n")
    with pytest.raises(ValueError, match="line 1: expected the columns 'DateTime' and 'is_click' or"):
        amexpert_rows(path)
    with pytest.raises(ValueError, match="Did you mean 'original'"):
        amexpert_schema(layout="originl")


def test_builder(tmp_path):
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "train.csv").write_text("\n".join(amexpert_lines(80, original=True)))
    options = {"download_config": tfds.download.DownloadConfig(manual_dir=str(tmp_path / "manual"))}
    datasets = tfds.load("amexpert/random", data_dir=tmp_path / "data", download_and_prepare_kwargs=options)
    rows = [row for split in datasets.values() for row in tfds.as_numpy(split)]
    assert len(rows) == 80 and rows[0]["categorical"].shape == (13,)
    source = amexpert_rows(tmp_path / "manual" / "train.csv")
    assert sum(row["is_click"] for row in rows) == sum(
        row["is_click"] for batch in source.batches() for row in batch.columns.to_pylist()
    )
    with pytest.raises(ValueError, match="of the other edition"):
        dynctr_tf.datasets.AmExpert(config="reissued", data_dir=tmp_path).row_source(tmp_path / "manual")


@pytest.mark.realdata
def test_real_rows():
    for name, rows, clicks in (
        ("day0706_natural_77k.csv.gz", 77_526, 4_811),
        ("balanced_other_days_44k.csv.gz", 44_238, 22_119),
    ):
        try:
            path = real_rows("amexpert_adclick", name)
        except ValueError as error:
            pytest.skip(str(error))
        source = amexpert_rows(path)
        batches = [batch.columns for batch in source.batches()]
        assert sum(batch.num_rows for batch in batches) == source.num_rows == rows
        assert sum(batch["isClick"].to_numpy().sum() for batch in batches) == clicks
        assert len({page for batch in batches for page in batch["webpage_id"].to_pylist()}) == 9
