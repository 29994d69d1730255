"""Exports on labelled rows: the trainer's figures, by column and day, tests between exports, and what is published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from scored_clicks import ROWS, folder_of_clicks, train_and_export, write_clicks

from dynctr_tf.evaluation import Comparison, Evaluation, ScenarioReport
from dynctr_tf.jobs.judging import MOST_PARTS, OTHERS, LabelledScores, judge_exports, names_of, parts_of
from dynctr_tf.metrics import holm_adjusted
from pipelines import evaluate, publish

DNN, LR = "saved_models/tabular_file-dnn", "saved_models/tabular_file-lr"
FEW = ["--replicates", "60"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with folder_of_clicks(tmp_path_factory) as place:
        train_and_export("dnn")
        train_and_export("lr")
        lines = Path("clicks.csv").read_text(encoding="utf-8").splitlines()
        rows = len(np.load("run-dnn/test_logits.npy"))
        Path("test.csv").write_text("\n".join([lines[0], *lines[-rows:]]) + "\n", encoding="utf-8")
        write_clicks(Path("today.csv"), 1, rows=3 * ROWS)
    return place


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained / "saved_models", tmp_path / "saved_models")
    for name in ("test.csv", "today.csv"):
        shutil.copy(trained / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(job: Any, words: list[str], capsys: pytest.CaptureFixture[str], status: int = 2) -> str:
    with pytest.raises(SystemExit) as ended:
        job.main(words)
    text = capsys.readouterr().err
    assert ended.value.code == status and "Traceback" not in text
    return " ".join(text[text.rindex(f"python -m {job.__name__}:") :].split())


def test_the_figures_are_the_trainers(here: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the test rows: every metric, weighted, with its interval; the scenario without being asked for."""
    evaluate.main(["test.csv", "--export", DNN, "--output", "judged", *FEW])
    text = capsys.readouterr().out
    found = Evaluation.load("judged/evaluation.json")
    expected = Evaluation.load(trained / "run-dnn" / "evaluation.json")
    assert found.weighted and found.rows == expected.rows and found.name == "tabular_file-dnn/1"
    for metric, estimate in expected.metrics.items():
        np.testing.assert_allclose(found.metrics[metric], estimate, rtol=1e-5, atol=1e-6, err_msg=metric)
    report = ScenarioReport.load("judged/by-device.json")
    of_training = ScenarioReport.load(trained / "run-dnn" / "scenarios.json")
    assert {part.name: part.rows for part in report.scenarios} == {
        part.name: part.rows for part in of_training.scenarios
    }
    assert "by device: " in text and "3 values of device" in text and "scenario" not in text
    for name in ("evaluation.png", "by-device.png", "report.txt"):
        assert (here / "judged" / name).stat().st_size > 0
    assert not (here / "judged" / "comparison.json").exists()


def test_by_columns_and_days(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["today.csv", "--export", DNN, "--by", "country,session", "--by-day", "time", "--group-by", "session", *FEW]
    evaluate.main(words)
    text = capsys.readouterr().out
    (folder,) = (here / "runs").glob("evaluate-*")
    rows = pa.csv.read_csv("today.csv")
    for column, file in (("country", "by-country"), ("session", "by-session"), ("day", "by-day-of-time")):
        report = ScenarioReport.load(folder / f"{file}.json")
        values = [str(value)[:10] for value in rows.column(column).to_pylist()]
        assert {part.name: part.rows for part in report.scenarios} == {name: values.count(name) for name in set(values)}
    days = [part.name for part in report.scenarios]
    assert days == ["2024-01-01", "2024-01-02", "2024-01-03"] and report.column == "day of time"
    assert text.index("2024-01-01") < text.index("2024-01-02") < text.index("2024-01-03")
    assert Evaluation.load(folder / "evaluation.json").groups == 7
    # Weights count: a country's click rate is that of its weighted rows.
    country = next(part for part in ScenarioReport.load(folder / "by-country.json").scenarios if part.name == "a")
    chosen = np.array(rows.column("country").to_pylist()) == "a"
    click, cost = (rows.column(name).to_numpy()[chosen] for name in ("click", "cost"))
    np.testing.assert_allclose(country.click_rate, np.average(click, weights=cost))
    # Once more: nothing is scored anew, and the figures are the same.
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("part-*")}
    evaluate.main(words)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("part-*")} == before and before


def test_exports_are_tested_against_the_first(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(f"{LR}/1", f"{LR}/2")
    evaluate.main(["today.csv", "--export", DNN, f"{LR}/1", f"{LR}/2", "--by", "country", "--output", "out", *FEW])
    text = capsys.readouterr().out
    comparison = Comparison.from_json(Path("out/comparison.json").read_text(encoding="utf-8"))
    assert comparison.reference == "tabular_file-dnn/1" and comparison.weighted
    others = [model for model in comparison.models if model.tests]
    assert [model.name for model in others] == ["tabular_file-lr/1", "tabular_file-lr/2"]
    adjusted = holm_adjusted([model.tests["auc"].p_value for model in others])
    assert [model.adjusted_p_values["auc"] for model in others] == adjusted
    report = ScenarioReport.load("out/by-country.json")
    assert report.single == comparison.reference and list(report.scenarios[0].scores["tabular_file-lr/1"].tests)
    assert "against tabular_file-dnn/1, by log loss: worse in" in text and "scenario alone" not in text
    for name in ("comparison.png", "by-country-tabular_file-lr-1.png", "evaluation-2-tabular_file-lr-1.json"):
        assert (here / "out" / name).stat().st_size > 0
    assert "named more than once" in refused(evaluate, ["today.csv", "--export", DNN, f"{DNN}/1", *FEW], capsys)


def test_what_is_wrong_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--export", DNN, *FEW]
    write_clicks(Path("unlabelled.csv"), 3, 50, label=False)
    said = refused(evaluate, ["unlabelled.csv", *words], capsys)
    assert "column 'click' is not in the file" in said
    assert "Did you mean 'country'" in refused(evaluate, ["today.csv", *words, "--by", "contry"], capsys)
    said = refused(evaluate, ["today.csv", *words, "--by-day", "session"], capsys)
    assert "'session' holds 's0,1', which is not a point in time" in said
    assert "which are not days" in refused(evaluate, ["today.csv", *words, "--by-day", "id"], capsys)
    assert "at least 40" in refused(evaluate, ["today.csv", "--export", DNN, "--replicates", "3"], capsys)


def test_exports_that_read_labels_otherwise_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dynctr_tf.durable_files import write_checksums, write_json
    from dynctr_tf.encoding import Encoder

    extra = Path(LR) / "1" / "assets.extra"
    encoder = Encoder.load(extra / "encoder")
    schema = json.loads(encoder.schema.to_json())
    other = type(encoder.schema).from_json(json.dumps({**schema, "positive": "== 0"}))
    shutil.rmtree(extra / "encoder")
    Encoder(other, encoder.vocabularies, encoder.bins).save(extra / "encoder")
    write_json(extra / "about.json", {"made_of": "other"})
    write_checksums(Path(LR) / "1")
    said = refused(evaluate, ["today.csv", "--export", DNN, LR, *FEW], capsys)
    assert f"read {3 * ROWS:,} of {3 * ROWS:,} labels differently" in said


def test_the_gate_of_publishing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first version goes without a test; a worse one is refused with status 1, and going back is one command."""
    served = "served/clicks"
    publish.main([DNN, "--to", served, "--rows", "today.csv", *FEW])
    assert "has no version yet" in capsys.readouterr().out
    rows = pa.csv.read_csv("today.csv")
    # Rows that click where the served version says that they do, more than the other one does.
    scores = here / "runs"
    said = refused(publish, [LR, "--to", served, "--rows", "today.csv", "--margin", "0", *FEW], capsys, 1)
    assert "Nothing was published; served/clicks/1 stays" in said
    assert sorted(path.name for path in Path(served).iterdir()) == ["1"] and scores.is_dir() and rows.num_rows
    publish.main([LR, "--to", served, "--rows", "today.csv", "--margin", "0.5", *FEW])
    text = capsys.readouterr().out
    assert "passed: tabular_file-lr/1 is at most 0.5 worse in log loss than clicks/1" in text
    assert "published: served/clicks/2" in text and "--model_name=clicks" in text
    card = json.loads(Path(served, "2", "assets.extra", "about.json").read_text(encoding="utf-8"))
    assert card["test_of_publication"]["rows"] == 3 * ROWS and card["test_of_publication"]["margin"] == 0.5
    publish.main(["--to", served, "--rollback", "1"])
    assert "served again: version 1, as served/clicks/3" in capsys.readouterr().out
    assert "has no version 7" in refused(publish, ["--to", served, "--rollback", "7"], capsys)
    assert "either the exported version" in refused(publish, ["--to", served], capsys)
    publish.main([LR, "--to", served])
    assert "published without a test against served/clicks/3" in capsys.readouterr().out


def test_columns_of_many_values_and_judgement_without_files() -> None:
    random = np.random.default_rng(0)
    values = pa.array([f"v{value}" for value in random.zipf(1.3, 4000) % 400])
    codes, names = parts_of(values)
    assert len(names) == MOST_PARTS and names[-1] == OTHERS and codes.max() == MOST_PARTS - 1
    assert all(names[code] in (value, OTHERS) for code, value in zip(codes, values.to_pylist(), strict=True))
    logits = random.normal(size=4000)
    labels = (random.random(4000) < 1.0 / (1.0 + np.exp(-logits))).astype(float)
    scores = LabelledScores(labels, None, {"a": logits, "b": 0.5 * logits}, {"site": values}, {})
    judged = judge_exports(scores, by=["site"], replicates=50, progress=False)
    assert judged.comparison is not None
    assert judged.comparison.model("b").tests["log_loss"].difference > 0.0
    assert OTHERS in [part.name for part in judged.by["site"].scenarios]
    # Both exports by value, each under its name, and their difference.
    text = judged.by["site"].to_text()
    of_a, of_b = (text.index(f"\n\n{name}\nsite ") for name in ("a", "b"))
    assert of_a < of_b < text.index("difference of b to a on the same rows")
    assert "log loss against a\n" in text and "own model" not in text and "for 1 test a metric" in judged.to_text()


def test_exports_of_one_name_are_told_apart_by_the_folder_above(tmp_path: Path) -> None:
    exports = [SimpleNamespace(path=tmp_path / folder / "clicks" / "1") for folder in ("served", "candidates")]
    assert names_of(exports[:1]) == ["clicks/1"]  # type: ignore[arg-type]
    assert names_of(exports) == ["served/clicks/1", "candidates/clicks/1"]  # type: ignore[arg-type]
