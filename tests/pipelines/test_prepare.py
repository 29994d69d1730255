"""The job that prepares rows makes what the other jobs then find."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from dynctr_tf.schema import Feature, Schema
from pipelines import prepare
from pipelines.benchmarks import preparation
from pipelines.benchmarks.preparation_picture import Preparation, draw_memory


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
    # At a URI they are found.
    capsys.readouterr()
    (name,) = made
    prepare.main([*arguments, "--data.directory", f"file://{tmp_path}/elsewhere", "--data.readers", "3"])
    assert f"encoded data: file://{tmp_path}/elsewhere/{name}, read by 3 requests" in capsys.readouterr().out
    assert not Path("runs/at_uris").exists()


def test_rows_of_the_benchmark_have_the_distinct_values_that_were_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pyarrow.parquet

    preparation.write_rows(tmp_path / "rows.parquet", 3000, 700)
    users = pyarrow.parquet.read_table(tmp_path / "rows.parquet").column("user")
    assert len(users) == 3000 and len(users.unique()) == 700


@pytest.mark.parametrize("distinct", [1, 2, 10, 11, 12_345])
def test_the_bytes_of_the_distinct_values_are_those_of_their_texts(distinct: int) -> None:
    assert preparation.text_bytes(distinct) == sum(len(f"u{value}") for value in range(distinct))


def test_the_picture_has_a_panel_for_each_number_of_distinct_values(tmp_path: Path) -> None:
    found = [
        Preparation(rows, distinct, 200 << 20, 300 << 20, preparation.text_bytes(min(rows, distinct)))
        for rows in (500_000, 20_000_000)
        for distinct in (50_000, 500_000, 20_000_000)
    ]
    widths = []
    for shown in (found[:1], found):
        draw_memory(shown, tmp_path / "memory.png")
        picture = (tmp_path / "memory.png").read_bytes()
        assert picture.startswith(b"\x89PNG") and len(picture) < 60_000
        widths.append(int.from_bytes(picture[16:20], "big"))
    assert widths == [510, 1290]


def test_the_benchmark_measures_and_gives_the_same_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "pictures" / "memory.png"
    sizes = ["--rows", "3000", "--distinct", "700", "--processes", "1", "2", "--format", "csv"]
    preparation.main([*sizes, "--picture", str(picture)])
    figures = (
        r"\d+\.\d CPU seconds \(\d\.\d\d cores\), peak [1-9]\d+ MiB, with mapped files [1-9]\d+ MiB, rows (\w{16})$"
    )
    *lines, said = capsys.readouterr().out.splitlines()
    one, two = (re.search(figures, line) for line in lines)
    assert said == f"picture: {picture}" and picture.is_file()
    assert one is not None and two is not None and one[1] == two[1]
