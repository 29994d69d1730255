"""The job that prepares rows makes what the other jobs then find."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from dynctr_tf.schema import Feature, Schema
from pipelines import prepare
from pipelines.benchmarks import preparation


def test_prepare_takes_folders_and_is_done_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for day in range(4):
        Path(f"logs/day={day}").mkdir(parents=True)
        rows = "".join(f"u{random.integers(50)},{random.integers(2)}\n" for _ in range(300))
        Path(f"logs/day={day}/part.csv").write_text("user,click\n" + rows)
    Schema((Feature("user", "categorical"), Feature("day", "categorical")), label="click").save("logs.schema.json")
    arguments = ["--data.path", "logs", "--data.split_by", "partition:day"]
    prepare.main(arguments)
    said = capsys.readouterr().out
    assert "data.schema: logs.schema.json" in said and "600 train, 300 validation, 300 test rows" in said
    # The number of processes is no other preparation.
    prepare.main([*arguments, "--data.processes", "2"])
    assert "(from an earlier run)" in capsys.readouterr().out
    prepare.main([*arguments, "--data.processes", "2", "--data.directory", "elsewhere"])
    made = {path.parent.name: path.read_text() for path in Path().rglob("index.json")}
    assert len(made) == 1 and len(list(Path().rglob("index.json"))) == 2
    # At a URI they are found, and never made.
    capsys.readouterr()
    (name,) = made
    prepare.main([*arguments, "--data.directory", f"file://{tmp_path}/elsewhere", "--data.readers", "3"])
    assert f"encoded data: file://{tmp_path}/elsewhere/{name}, read by 3 requests" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        prepare.main([*arguments, "--data.directory", f"file://{tmp_path}/nowhere"])
    said = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 2 and f"file://{tmp_path}/nowhere has no folder {name} with these rows" in said
    assert f"Prepare them with --data.directory runs/data, and copy runs/data/{name} to file://" in said
    assert not (tmp_path / "nowhere").exists()


def test_rows_of_the_benchmark_have_the_distinct_values_that_were_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow.parquet

    preparation.write_rows(tmp_path / "rows.parquet", 3000, 700)
    users = pyarrow.parquet.read_table(tmp_path / "rows.parquet").column("user")
    assert len(users) == 3000 and len(users.unique()) == 700


def test_the_benchmark_measures_and_gives_the_same_rows(capsys: pytest.CaptureFixture[str]) -> None:
    preparation.main(["--rows", "3000", "--distinct", "700", "--processes", "1", "2", "--format", "csv"])
    figures = (
        r"\d+\.\d CPU seconds \(\d\.\d\d cores\), peak [1-9]\d+ MiB, with mapped files [1-9]\d+ MiB, rows (\w{16})$"
    )
    one, two = (re.search(figures, line) for line in capsys.readouterr().out.splitlines())
    assert one is not None and two is not None and one[1] == two[1]
