"""A preparation on Apache Beam gives what this machine's processes give; run where the extra [beam] is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dynctr_tf.datasets.bad_rows import BadRowError
from dynctr_tf.datasets.derived_columns import DerivedTabularFile
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.durable_files import read_json
from dynctr_tf.encoding.beam_preparation import prepare_on_beam
from dynctr_tf.encoding.preparation import prepare_encoded_dataset
from dynctr_tf.schema import Feature, Schema
from tests.encoding.lost_worker import MARK, lose_once

SCHEMA = Schema(
    (Feature("user", "categorical"), Feature("price", "numeric", binning="quantile"), Feature("day", "categorical")),
    label="click",
)


def rows_of(folder: Path, kind: str) -> TabularFile:
    import pyarrow.csv
    import pyarrow.parquet

    random = np.random.default_rng(0)
    for day in range(3):
        lines = [f"u{random.zipf(1.4)},{random.normal():.6f},{random.integers(2)}" for _ in range(400)]
        part = folder / f"day={day}" / "part.csv"
        part.parent.mkdir(parents=True)
        part.write_text("user,price,click\n" + "\n".join(lines) + "\n")
        if kind == "parquet":
            rows = pyarrow.csv.read_csv(part)
            pyarrow.parquet.write_table(rows, part.with_suffix(".parquet"), row_group_size=100)
            part.unlink()
    return TabularFile(folder, SCHEMA)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("parquet", ()), ("csv", ("--direct_running_mode=multi_processing", "--direct_num_workers=2"))],
)
def test_beam_gives_the_fingerprint_of_one_process(tmp_path: Path, kind: str, options: tuple[str, ...]) -> None:
    pytest.importorskip("apache_beam", reason="the extra [beam] is not installed")
    source = rows_of(tmp_path / "logs", kind)
    prepare_encoded_dataset(source, tmp_path / "local", processes=1, progress=False)
    prepare_on_beam(source, tmp_path / "beam", ["--runner=DirectRunner", *options], about={"who": "I"})
    made = read_json(tmp_path / "beam" / "index.json")
    assert made["fingerprint"] == read_json(tmp_path / "local" / "index.json")["fingerprint"]
    assert made["about"] == {"who": "I"}
    assert {path.name for path in tmp_path.iterdir()} == {"logs", "local", "beam"}
    names = {path.name for path in (tmp_path / "local").rglob("*")}
    assert {path.name for path in (tmp_path / "beam").rglob("*")} == names


def test_a_worker_that_is_killed_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("apache_beam", reason="the extra [beam] is not installed")
    rows_of(tmp_path / "logs", "csv")
    source = DerivedTabularFile(tmp_path / "logs", SCHEMA, read=SCHEMA.file_columns, derive=lose_once)
    prepare_encoded_dataset(source, tmp_path / "local", processes=1, progress=False)
    monkeypatch.setenv(MARK, str(tmp_path / "killed"))
    options = ["--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    prepare_on_beam(source, tmp_path / "beam", options)
    made = read_json(tmp_path / "beam" / "index.json")
    assert made["fingerprint"] == read_json(tmp_path / "local" / "index.json")["fingerprint"]
    assert (tmp_path / "killed").exists() and "Going on with other processes" in capfd.readouterr().out


def test_a_bad_row_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    pytest.importorskip("apache_beam", reason="the extra [beam] is not installed")
    rows_of(tmp_path / "logs", "csv")
    for day in (2, 1):
        part = tmp_path / "logs" / f"day={day}" / "part.csv"
        part.write_text(part.read_text() + "u1,cheap,1\n")
    with pytest.raises(BadRowError, match=r"day=1/part.csv, line 402, column 'price'"):
        prepare_on_beam(TabularFile(tmp_path / "logs", SCHEMA), tmp_path / "beam", ["--runner=DirectRunner"])
    assert not (tmp_path / "beam").exists()


def test_without_beam_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.csv").write_text("user,price,day,click\n" + "anna,1,1,1\n" * 50)
    monkeypatch.setitem(__import__("sys").modules, "apache_beam", None)
    with pytest.raises(ValueError, match=r"pip install 'dynctr_tf\[beam\]'"):
        prepare_on_beam(TabularFile(tmp_path / "rows.csv", SCHEMA), tmp_path / "beam", [])
    assert not (tmp_path / "beam").exists()
