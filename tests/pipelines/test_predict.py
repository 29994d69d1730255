"""Rows without labels and an export in, keys with logits and probabilities out; killed, it goes on where it was."""

from __future__ import annotations

import csv
import gzip
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from scored_clicks import ROWS, folder_of_clicks, train_and_export, write_clicks

from dynctr_tf.export import ServedModel
from dynctr_tf.jobs import scoring
from dynctr_tf.jobs.scoring import in_parallel, open_files, score_files
from pipelines import predict

EXPORT = "saved_models/tabular_file-dnn"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with folder_of_clicks(tmp_path_factory) as place:
        train_and_export("dnn")
        write_clicks(Path("today.csv"), 1, label=False)
    return place


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the rows and the export, and nothing of the training."""
    shutil.copytree(trained / "saved_models", tmp_path / "saved_models")
    for name in ("clicks.csv", "today.csv"):
        shutil.copy(trained / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        predict.main(words)
    assert ended.value.code == 2
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return " ".join(text[text.rindex("predict: error:") :].split())


def logits_of(path: str) -> np.ndarray:
    found: np.ndarray = pq.read_table(path).column("logit").to_numpy()
    return found


def test_the_scores_are_the_trainers(here: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predict.main(["clicks.csv", "--export", EXPORT, "--output", "scores", "--keys", "id", "session"])
    text = capsys.readouterr().out
    assert f"{ROWS:,} rows of 1 files scored by tabular_file-dnn/1: scores" in text and "rows/s" in text
    table = pq.read_table("scores")
    assert table.column_names == ["id", "session", "logit", "probability"] and table.num_rows == ROWS
    assert table.column("id").to_pylist() == [f"{row:06d}" for row in range(ROWS)]
    assert table.column("session")[8].as_py() == "s1,0"
    logits = table.column("logit").to_numpy()
    test = np.load(trained / "run-dnn" / "test_logits.npy").reshape(-1)
    assert np.ptp(test) > 0.1
    np.testing.assert_allclose(logits[-len(test) :], test, atol=1e-6)
    np.testing.assert_allclose(table.column("probability").to_numpy(), 1.0 / (1.0 + np.exp(-logits)), rtol=1e-6)


def test_formats_folders_and_patterns_give_the_same(here: Path) -> None:
    """CSV, gzip, JSON lines and Parquet, with the label or without it, read by one, two or three threads."""
    whole = pa.csv.read_csv("clicks.csv", convert_options=pa.csv.ConvertOptions(column_types={"id": pa.string()}))
    Path("rows").mkdir()
    Path("rows/1.csv.gz").write_bytes(gzip.compress(Path("clicks.csv").read_bytes()))
    pq.write_table(whole.drop_columns(["click"]), "rows/2.parquet", row_group_size=300)
    score_files(open_files("clicks.csv", ServedModel(EXPORT), keys=["id"]), ServedModel(EXPORT), "one", workers=1)
    expected = logits_of("one")
    for place, (rows, workers, part) in enumerate((("rows", 2, 300), ("rows/*", 3, 10**6))):
        served = ServedModel(f"{EXPORT}/1")
        scored = score_files(
            open_files(rows, served, keys=["id"]), served, f"out{place}", workers=workers, rows_per_part=part
        )
        assert scored.rows == scored.new_rows == 2 * ROWS
        np.testing.assert_allclose(logits_of(f"out{place}"), np.concatenate([expected, expected]), atol=1e-6)
    assert [path.name for path in sorted(Path("out1").glob("part-*"))] == [
        "part-00000-00000.parquet",
        "part-00001-00000.parquet",
    ]


def test_the_types_of_keys_stay(here: Path) -> None:
    table = pa.csv.read_csv("clicks.csv")
    table = table.append_column("when", pa.array(range(ROWS), pa.timestamp("s")))
    pq.write_table(table, "a.parquet")
    predict.main(["a.parquet", "--export", EXPORT, "--output", "typed.parquet", "--keys", "id", "when", "click"])
    found = pq.read_table("typed.parquet")
    assert found.schema.types[:3] == [pa.int64(), pa.timestamp("ms"), pa.int64()]
    assert found.column("click").to_pylist() == table.column("click").to_pylist()
    # Where files differ in the type of a key, it is text.
    predict.main(["a.parquet", "clicks.csv", "--export", EXPORT, "--output", "mixed", "--keys", "id"])
    assert pq.read_table("mixed").column("id").to_pylist()[:2] + pq.read_table("mixed").column("id").to_pylist()[
        -1:
    ] == ["0", "1", f"{ROWS - 1:06d}"]


def test_one_csv_file_comes_of_many_parts(here: Path) -> None:
    words = ["clicks.csv", "today.csv", "--export", EXPORT, "--keys", "id", "session", "--rows-per-part", "100"]
    predict.main([*words, "--output", "scores.csv"])
    with Path("scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * ROWS and list(rows[0]) == ["id", "session", "logit", "probability"]
    assert [row["id"] for row in rows] == [f"{row:06d}" for row in range(ROWS)] * 2
    assert rows[8]["session"] == "s1,0" and rows[-1]["session"].endswith(",1")
    predict.main([*words, "--output", "scores.parquet"])
    np.testing.assert_allclose([float(row["logit"]) for row in rows], logits_of("scores.parquet"), atol=1e-6)
    predict.main([*words, "--output", "parts", "--format", "csv"])
    tables = [pa.csv.read_csv(path) for path in sorted(Path("parts").glob("part-*.csv"))]
    assert sum(table.num_rows for table in tables) == 2 * ROWS


def test_a_second_start_computes_nothing_and_a_changed_one_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for output in ("scores", "scores.csv"):
        words = ["today.csv", "--export", EXPORT, "--output", output, "--keys", "id"]
        predict.main(words)
        before = {path: path.stat().st_mtime_ns for path in here.rglob("part-*")}
        capsys.readouterr()
        predict.main(words)
        text = capsys.readouterr().out
        assert f"{ROWS:,} of them by an earlier start" in text and "rows/s" not in text
        assert {path: path.stat().st_mtime_ns for path in here.rglob("part-*")} == before
        said = refused([*words, "session"], capsys)
        assert f"{output} holds other scores (keys" in said and "Give another --output, or delete it" in said
    write_clicks(Path("today.csv"), 2, label=False)
    assert "today.csv has changed" in refused(words, capsys)
    assert "with " in refused(["clicks.csv", *words], capsys)
    shutil.copytree(f"{EXPORT}/1", f"{EXPORT}/2")
    assert "export tabular_file-dnn/1" in refused(words, capsys)


def test_what_was_deleted_is_made_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = ServedModel(EXPORT)

    def start(output: str) -> scoring.ScoredRows:
        sources = open_files(["clicks.csv", "today.csv"], served, keys=["id"])
        return score_files(sources, served, output, progress=False)

    start("scores")
    part, other = sorted(Path("scores").glob("part-*"))
    expected, kept = pq.read_table(part), other.stat().st_mtime_ns
    part.unlink()
    scored = start("scores")
    assert (scored.rows, scored.new_rows) == (2 * ROWS, ROWS)
    assert pq.read_table(part).equals(expected) and other.stat().st_mtime_ns == kept

    # One file, whose parts are gone when it is there.
    start("scores.csv")
    text = Path("scores.csv").read_bytes()
    Path("scores.csv").unlink()
    assert start("scores.csv").new_rows == 2 * ROWS and Path("scores.csv").read_bytes() == text

    # A kill right after the file has its name.
    def join(*arguments: Any) -> None:
        scoring_join(*arguments)
        raise KeyboardInterrupt

    scoring_join = scoring._join
    monkeypatch.setattr(scoring, "_join", join)
    with pytest.raises(KeyboardInterrupt):
        start("stopped.csv")
    assert (start("stopped.csv").rows, Path("stopped.csv").read_bytes()) == (2 * ROWS, text)


def test_what_is_wrong_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--export", EXPORT, "--output", "scores"]
    assert "there is no column 'sesion' to carry along" in (
        said := refused(["today.csv", *words, "--keys", "sesion"], capsys)
    )
    assert "Did you mean 'session'" in said
    Path("less.csv").write_text("id,countri,device,age,tags\n1,a,x,3,\n", encoding="utf-8")
    said = refused(["less.csv", *words], capsys)
    assert "column 'country' is not in the file" in said and "'countri'" in said
    assert "there is no such file" in refused(["nowhere.csv", *words], capsys)
    assert "There is no export at 'saved_models'" in refused(
        ["today.csv", "--export", "saved_models", *words[2:]], capsys
    )
    said = refused(["today.csv", *words, "--rows-per-part", "0"], capsys)
    assert "A part needs at least one row, got rows_per_part=0" in said
    assert "named more than once: ['id']" in refused(["today.csv", *words, "--keys", "id", "id"], capsys)
    Path("scores").mkdir()
    Path("scores/mine.txt").write_text("")
    assert "scores holds other files" in refused(["today.csv", *words], capsys)
    Path("mine.csv").write_text("")
    assert "mine.csv exists and was not made by this work" in refused(
        ["today.csv", *words[:2], "--output", "mine.csv"], capsys
    )
    assert "--format is parquet" in refused(
        ["today.csv", *words[:2], "--output", "x.csv", "--format", "parquet"], capsys
    )
    rows = Path("today.csv").read_text(encoding="utf-8").splitlines()
    cells = rows[701].split(",")
    cells[-2] = "old"
    rows[701] = ",".join(cells)
    Path("bad.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert "bad.csv, line 702, column 'age'" in refused(["bad.csv", *words[:2], "--output", "new"], capsys)
    # Nothing was written, so that the folder is free for the same rows read otherwise.
    predict.main(["bad.csv", *words[:2], "--output", "new", "--keys", "id", "--on-bad-row", "skip"])
    assert "skipped 1 rows: age is not a number" in capsys.readouterr().out
    kept = pq.read_table("new").column("id").to_pylist()
    assert len(kept) == ROWS - 1 and "000700" not in kept


def test_files_without_a_header_lack_the_label_or_not(here: Path) -> None:
    """As in Kaggle's test files: the columns of the training without the label's; or a header where there was none."""
    lines = Path("clicks.csv").read_text(encoding="utf-8").splitlines()
    Path("bare.csv").write_text("\n".join(lines[1:]) + "\n", encoding="utf-8")
    names = lines[0].split(",")
    words = ["--export", EXPORT, "--keys", "id", "--column-names", *names]
    predict.main(["clicks.csv", *words[:4], "--output", "expected.parquet"])
    without = [",".join(csv_cells[:1] + csv_cells[2:]) for csv_cells in (line.split(",") for line in lines[1:])]
    Path("unlabelled.csv").write_text("\n".join(without) + "\n", encoding="utf-8")
    for file in ("bare", "unlabelled", "clicks"):
        predict.main([f"{file}.csv", *words, "--output", f"{file}.parquet"])
        np.testing.assert_allclose(logits_of(f"{file}.parquet"), logits_of("expected.parquet"), atol=1e-6)


def test_a_part_that_is_there_is_not_computed_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop in the middle: the parts before it stay, those after it are written, and all is as without the stop."""
    table = pa.csv.read_csv("today.csv")
    pq.write_table(pa.concat_tables([table] * 8), "rows.parquet", row_group_size=500)
    monkeypatch.setattr("dynctr_tf.datasets.parquet_rows._BATCH_ROWS", 500)
    served = ServedModel(EXPORT)

    def start(output: str, **options: Any) -> scoring.ScoredRows:
        return score_files(open_files("rows.parquet", served, keys=["id"]), served, output, **options)

    start("whole", rows_per_part=1000)
    answered: list[int] = []
    logits = served.logits

    def stops(columns: pa.RecordBatch) -> np.ndarray:
        answered.append(columns.num_rows)
        if len(answered) == 12:
            raise KeyboardInterrupt
        return logits(columns)

    monkeypatch.setattr(served, "logits", stops)
    with pytest.raises(KeyboardInterrupt):
        start("stopped", rows_per_part=1000, workers=1)
    made = sorted(Path("stopped").glob("part-*"))
    assert 2 <= len(made) < 8 and not list(Path("stopped").glob("*unfinished*"))
    times = [path.stat().st_mtime_ns for path in made]
    monkeypatch.setattr(served, "logits", logits)
    scored = start("stopped", rows_per_part=1000)
    assert scored.rows == 8 * ROWS and scored.new_rows == 8 * ROWS - 1000 * len(made)
    assert [path.stat().st_mtime_ns for path in made] == times
    for name in ("whole", "stopped"):
        assert [path.name for path in sorted(Path(name).glob("part-*"))] == [
            f"part-00000-{i:05d}.parquet" for i in range(8)
        ]
    assert pq.read_table("stopped").equals(pq.read_table("whole"))


@pytest.mark.slow
def test_killed_at_any_time_it_goes_on(here: Path) -> None:
    table = pa.csv.read_csv("today.csv")
    pq.write_table(pa.concat_tables([table] * 1000), "rows.parquet", row_group_size=20_000)
    words = ["rows.parquet", "--export", EXPORT, "--keys", "id", "--output", "killed", "--rows-per-part", "60000"]
    root = str(Path(predict.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-m", "pipelines.predict", *words], env=environment) as process:
            have = len(list(Path("killed").glob("part-*.parquet")))
            deadline = time.monotonic() + 120
            while len(list(Path("killed").glob("part-?????-?????.parquet"))) < have + 2:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
    predict.main(words)
    assert pq.read_table("killed").num_rows == 1000 * ROWS and not list(Path("killed").glob("*unfinished*"))
    one = pq.read_table("killed").column("logit").to_numpy().reshape(1000, ROWS)
    np.testing.assert_allclose(one, np.broadcast_to(one[0], one.shape), atol=1e-6)


def test_batches_keep_their_order_and_few_are_under_way() -> None:
    read: list[int] = []

    def numbers() -> Any:
        for number in range(40):
            read.append(number)
            yield number

    def square(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * number

    for done, (number, answer) in enumerate(in_parallel(numbers(), square, 4)):
        assert (number, answer) == (done, done * done)
        assert len(read) <= done + 4 + 4

    def fails(number: int) -> int:
        raise ValueError(f"batch {number}")

    with pytest.raises(ValueError, match="batch 0"):
        list(in_parallel(numbers(), fails, 2))
