"""The same command on other rows, with another schema or other settings is another run, and says so."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dynctr_tf.durable_files import read_json, write_array, write_json
from dynctr_tf.jobs.records import finished
from dynctr_tf.jobs.settings import job_settings
from dynctr_tf.jobs.settings_file import read_file
from dynctr_tf.schema import Schema
from dynctr_tf.training.run_record import RunRecord
from pipelines import compare, train, tune

TINY = ["--model.name", "lr", "--training.batch_size", "64", "--training.epochs", "2", "--training.tensorboard"]
TINY += ["false", "--evaluation.replicates", "40"]
OWN = ["--data.name", "tabular_file", "--data.path", "clicks.csv", "--data.schema", "clicks.schema.json"]
SCHEMA = {
    "label": "is_click",
    "features": [{"name": "country", "kind": "categorical"}, {"name": "device", "kind": "categorical"}],
}


def write_day(file: Path, seed: int, rows: int = 600) -> None:
    """On the first day one country clicks, on another day another; devices decide who follows."""
    random = np.random.default_rng(seed)
    lines = ["country,device,is_click,is_follow"]
    for _ in range(rows):
        country, device = "abcd"[random.integers(4)], "xyz"[random.integers(3)]
        click = random.random() < (0.9 if country == "abcd"[seed] else 0.1)
        lines.append(f"{country},{device},{int(click)},{int(random.random() < (0.9 if device == 'x' else 0.1))}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def trained(words: Sequence[str] = ()) -> tuple[str, float, Path]:
    """What a training prints, its AUC, and its folder."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        train.main([*OWN, *TINY, "--export.directory", "none", *words])
    text = printed.getvalue()
    picture = re.search(r"picture of the run: (\S+)/run.png", text)
    assert picture is not None
    folder = Path(picture[1])
    evaluation = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    return text, evaluation["metrics"]["auc"]["value"], folder


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float, Path]:
    """A place with the rows of two days and a run of the first; its AUC; and its folder in that place."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        write_day(Path("day0.csv"), 0)
        write_day(Path("day1.csv"), 1, rows=700)
        shutil.copy("day0.csv", "clicks.csv")
        os.utime("clicks.csv", (1e9, 1e9))
        Path("clicks.schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
        _, area, folder = trained()
    shutil.copytree(place, place.with_name("as it was"))
    return place, area, folder


@pytest.fixture
def here(first_run: tuple[Path, float, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """That place as it was, for each test; a run knows where its rows lie."""
    place = first_run[0]
    shutil.rmtree(place)
    shutil.copytree(place.with_name("as it was"), place)
    monkeypatch.chdir(place)
    return place


def test_changed_rows_are_trained_anew(here: Path, first_run: tuple[Path, float, Path]) -> None:
    _, first, folder = first_run
    text, again, same = trained()
    assert same == folder and again == first and "resumed at" in text
    shutil.copy("day1.csv", "clicks.csv")
    text, second, other = trained()
    assert other != folder and first > 0.7 and second > 0.7
    assert f"since the run {folder}: clicks.csv has changed: 100 rows more; trained anew in {other}" in text
    # Back to the first day: its run is found again. A copy of the file elsewhere is the same rows.
    shutil.copy("day0.csv", "clicks.csv")
    assert trained()[2] == folder
    assert trained(["--data.path", "day0.csv"])[2] == folder
    # What follows from the rows unless it is given is a setting as any other: another run, of which nothing is said.
    text, _, other = trained(["--training.batch_size", "32"])
    assert other != folder and "since the run" not in text


def test_rows_of_equal_size_and_time_are_noticed(here: Path, first_run: tuple[Path, float, Path]) -> None:
    text = Path("clicks.csv").read_text(encoding="utf-8")
    swapped = text.translate(str.maketrans("abcd", "badc")).replace(text.splitlines()[0], "", 1)
    header = text.splitlines()[0]
    Path("clicks.csv").write_text(header + text.translate(str.maketrans("ab", "ba"))[len(header) :], encoding="utf-8")
    os.utime("clicks.csv", (1e9, 1e9))
    assert swapped != text
    text, _, other = trained()
    assert other != first_run[2] and "clicks.csv has changed: as many rows, 600, of other content" in text


def test_another_label_is_another_run(here: Path, first_run: tuple[Path, float, Path]) -> None:
    _, first, folder = first_run
    Path("clicks.schema.json").write_text(json.dumps({**SCHEMA, "label": "is_follow"}), encoding="utf-8")
    text, second, other = trained()
    assert other != folder and first > 0.7 and second > 0.7
    assert "schema: label 'is_click' -> 'is_follow'" in text
    # What made a run lies in its folder and can be used as it is.
    assert Schema.load(folder / "schema.json").label == "is_click"
    settings = job_settings(read_file(folder / "settings.toml"))
    assert settings.data.schema == str(folder / "schema.json") and settings.training.batch_size == 64
    text, again, same = trained(["--config", str(folder / "settings.toml"), "--data.schema", settings.data.schema])
    assert same == folder and again == first
    about = read_json(folder / "about.json")
    assert about["rows"] == read_json(folder / "result.json")["rows"] and about["settings"]["model"]["name"] == "lr"
    assert "numpy" in about["machine"]["packages"]


def test_other_code_is_another_run(
    here: Path, first_run: tuple[Path, float, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dynctr_tf.training.run_record.code_digest", lambda *parts: "of other code")
    text, _, other = trained()
    folder = first_run[2]
    assert other != folder and f"since the run {folder}: the code of dynctr_tf has changed" in text


def test_a_run_directory_that_is_used_again_holds_its_own_run(here: Path) -> None:
    _, _, folder = trained(["--run-directory", "r"])
    assert folder == Path("r")
    text, _, other = trained(["--run-directory", "r", "--optimizer.options.learning_rate", "0.5"])
    assert other.name.startswith("r-") and other.parent == Path()
    assert "r holds another run (optimizer.options.learning_rate default -> 0.5); this one goes to" in text
    assert trained(["--run-directory", "r"])[2] == Path("r")


@pytest.mark.parametrize("name", ["result.json", "test_rows.npy", "test_logits.npy"])
def test_a_run_whose_results_are_damaged_or_gone_is_not_finished(name: str, tmp_path: Path) -> None:
    record = RunRecord({}, {"fingerprint": "r"}, {})
    record.save(tmp_path)
    assert not finished(tmp_path, record)
    write_json(tmp_path / "result.json", {"fingerprint": record.fingerprint})
    for array in ("test_rows.npy", "test_logits.npy"):
        write_array(tmp_path / array, np.zeros(3))
    assert finished(tmp_path, record) and not finished(tmp_path, RunRecord({}, {"fingerprint": "s"}, {}))
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-3])
    assert not finished(tmp_path, record)
    (tmp_path / name).unlink()
    assert not finished(tmp_path, record)


def test_a_comparison_is_of_its_rows_and_settings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*OWN, *TINY, "--models", "lr", "--seeds", "1", "--trials", "0", "--output", "out"]

    def auc() -> float:
        capsys.readouterr()
        compare.main(words)
        (model,) = json.loads(Path("out/comparison.json").read_text(encoding="utf-8"))["models"]
        return float(model["metrics"]["auc"]["value"])

    first = auc()
    shutil.copy("day1.csv", "clicks.csv")
    second = auc()
    text = capsys.readouterr().out
    assert first > 0.7 and second > 0.7 and "clicks.csv has changed: 100 rows more" in text
    made_of = read_json("out/made_of.json")
    (folder,) = made_of["runs"]["lr"]
    assert read_json(f"out/{folder}/result.json")["rows"] == made_of["rows"]
    # The logits of other rows are refused, however they came there.
    logits = Path("out", folder, "test_logits.npy")
    assert len(np.load(logits)) == len(np.load(logits.with_name("test_rows.npy")))
    shutil.copy("out/lr-seed0/test_rows.npy", logits.with_name("test_rows.npy"))
    with pytest.raises(SystemExit):
        compare.main(words)
    assert "are of other rows" in capsys.readouterr().err
    # Other settings in the same folder: not the old table.
    shutil.copy("day0.csv", "clicks.csv")
    words += ["--training.epochs", "4"]
    auc()
    assert read_json("out/" + read_json("out/made_of.json")["runs"]["lr"][0] + "/result.json")["steps"] == 4 * 7


def test_a_search_is_of_its_rows_and_settings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*OWN, *TINY, "--trials", "1", "--output", "out"]
    tune.main(words)
    assert "validation logloss" in capsys.readouterr().out
    tune.main([*words, "--training.monitor", "auc"])
    text = capsys.readouterr().out
    assert "out holds another run (training.monitor logloss -> auc); this one goes to out-" in text
    shutil.copy("day1.csv", "clicks.csv")
    tune.main(words)
    text = capsys.readouterr().out
    assert "out holds another run (clicks.csv has changed: 100 rows more" in text
    assert len(list(Path().glob("out*/best.toml"))) == 3
