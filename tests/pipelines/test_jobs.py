"""The jobs that a person starts: what comes out of them, and what is said when something is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.durable_files import read_json
from dynctr_tf.encoding import EncodedDataset
from dynctr_tf.jobs.search import reached_ends_of
from dynctr_tf.jobs.settings_file import read_file
from dynctr_tf.jobs.stages import scenario_names
from dynctr_tf.models.catalogue import CATALOGUE
from pipelines import compare, schema, train, tune

SMALL = ["--data.options.num_train", "2000", "--data.options.num_validation", "400", "--data.options.num_test", "400"]
SHORT = ["--training.batch_size", "256", "--training.epochs", "1", "--training.evaluate_every", "4"]
SHORT += ["--training.tensorboard", "false", "--evaluation.replicates", "40"]
# So few steps hardly ever beat the click rate.
SHORT += ["--export.even_if_worse_than_base_rate", "true"]
TINY_DNN = ["--model.name", "dnn", "--model.embedding.dim", "4", "--model.deep.units", "[8]"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which a job runs with what it writes by default."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(job: Any, words: list[str], capsys: pytest.CaptureFixture[str], status: int = 2) -> str:
    with pytest.raises(SystemExit) as ended:
        job.main(words)
    assert ended.value.code == status
    text = capsys.readouterr().err
    # keras-tuner prints the traceback of a trial that fails; what ends the job has none.
    text = text[text.index(f"\npython -m {job.__name__}: ") :]
    assert "Traceback" not in text
    return " ".join(text.split())


def test_train_compiled_by_xla(here: Path) -> None:
    """In processes of their own: TensorFlow reads its flags of XLA once."""
    logits = []
    for xla in ("true", "false"):
        words = [*TINY_DNN, *SMALL, *SHORT, "--export.directory", "none", "--training.xla", xla]
        command = [sys.executable, "-m", "pipelines.train", *words, "--run-directory", f"run-{xla}"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TF_CPP_MIN_LOG_LEVEL": "0"}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr[-2000:]
        assert ("Compiled cluster using XLA" in done.stderr) == (xla == "true")
        logits.append(np.load(here / f"run-{xla}" / "test_logits.npy"))
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-3, atol=1e-4)
    assert np.any(logits[0] != logits[0][0])


def test_train_from_rows_to_served_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train.main([*TINY_DNN, *SMALL, *SHORT, "--evaluation.group_by", "user_id"])
    text = capsys.readouterr().out
    (run,) = (path for path in (here / "runs").iterdir() if path.name != "data")
    for name in (
        "log.csv",
        "evaluation.json",
        "result.json",
        "sparsity.txt",
        "test_logits.npy",
        "run.png",
        "scenarios.png",
    ):
        assert (run / name).stat().st_size > 0, name
    assert np.load(run / "test_logits.npy").shape == (400,)
    figures = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert figures["steps"] == 8 and figures["parameters"] > 1000 and 0 <= figures["zero_rows"] <= 1

    # The best that any model can reach on these rows stands beside what this one reached.
    for words in ("attainable", "logloss", "normalized entropy", "group"):
        assert words in text.lower(), words
    path = re.search(r"SavedModel: (\S+)", text)
    assert path is not None and path[1] == "saved_models/synthetic_ctr-dnn/1"
    assert "tensorflow_model_server" in text and "picture of the run" in text
    assert sorted(tf.saved_model.load(path[1]).signatures) == ["candidates", "encoded", "examples", "serving_default"]

    (encoded,) = (path for path in (here / "runs" / "data").iterdir() if path.is_dir())
    names = scenario_names(EncodedDataset.open(encoded))
    assert names is not None and names[:2] == ["(missing)", "(unknown)"] and len(names) == 5
    judged = (run / "scenarios.json").read_text(encoding="utf-8")
    assert all(json.dumps(name) in judged for name in names[2:])

    # The export says what it is of.
    card = read_json("saved_models/synthetic_ctr-dnn/1/assets.extra/about.json")
    assert card["run"] == run.name and card["rows"] == figures["rows"] and card["splits"]["train"] == 2000
    assert card["settings"]["model"]["name"] == "dnn" and 0.4 < card["test"]["auc"]["value"] < 1.0

    # The same command again trains nothing, uses the same data and exports nothing.
    train.main([*TINY_DNN, *SMALL, *SHORT, "--evaluation.group_by", "user_id"])
    text = capsys.readouterr().out
    assert "from an earlier run" in text
    assert "SavedModel: saved_models/synthetic_ctr-dnn/1 (exported before, unchanged)" in text
    assert not Path("saved_models/synthetic_ctr-dnn/2").exists()
    # A version that is damaged is no version to keep; other weights are another.
    damaged = next(Path("saved_models/synthetic_ctr-dnn/1/variables").glob("*.data*"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    train.main([*TINY_DNN, *SMALL, *SHORT, "--evaluation.group_by", "user_id"])
    assert "SavedModel: saved_models/synthetic_ctr-dnn/2\n" in capsys.readouterr().out
    train.main([*TINY_DNN, *SMALL, *SHORT, "--training.seed", "1"])
    assert "SavedModel: saved_models/synthetic_ctr-dnn/3\n" in capsys.readouterr().out


def own_file(folder: Path, bad: str | None = None) -> Path:
    random = np.random.default_rng(0)
    lines = ["clicked,country,price"]
    for _ in range(600):
        country = "abcd"[random.integers(4)]
        lines.append(f"{int(random.random() < 0.2 + 0.5 * (country == 'a'))},{country},{random.random():.3f}")
    if bad is not None:
        lines[300] = bad
    file = folder / "clicks.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_train_on_a_file_of_ones_own(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = own_file(here)
    assert schema.main([str(file), "--label", "clicked"]) == 0
    words = ["--data.name", "tabular_file", "--data.path", "clicks.csv", "--data.schema", "clicks.schema.json"]
    train.main([*words, *TINY_DNN, *SHORT, "--export.name", "mine"])
    text = capsys.readouterr().out
    assert "saved_models/mine/1" in text and "attainable" not in text
    # A bad row is named, or skipped and counted.
    own_file(here, bad="maybe,a,1.0")
    message = refused(train, [*words, *TINY_DNN, *SHORT], capsys)
    assert "clicks.csv" in message and "line 301" in message and "clicked" in message and "maybe" in message
    train.main([*words, *TINY_DNN, *SHORT, "--data.on_bad_row", "skip", "--export.directory", "none"])
    assert "skipped 1 rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--training.epoch", "2"], "'--training.epoch'. Did you mean '--training.epochs'"),
        (["--training.epochs", "two"], "training.epochs must be a whole number, got 'two'"),
        (["--training.epochs", "0"], "epochs must be at least 1, got 0"),
        (["--training.monitor", "loglos"], "'loglos'. Did you mean 'logloss'"),
        (["--model.name", "dynint-dgpp"], "'dynint-dgpp'. Did you mean 'dynint_dgp'"),
        (["--model.deep.unit", "[4]"], "'deep.unit'. Did you mean 'deep.units'"),
        (["--optimizer.name", "lazy_adm"], "'lazy_adm'. Did you mean 'lazy_adam'"),
        (["--optimizer.options.learning_rat", "1"], "'learning_rat'. Did you mean 'learning_rate'"),
        (["--optimizer.schedule", "step"], "The schedule 'step' needs decay_steps"),
        (["--optimizer.decay_steps", "9"], "optimizer.decay_steps and optimizer.decay_end need optimizer.schedule"),
        (["--optimizer.options.learning_rat", "0.1"], "learning_rat"),
        (["--data.name", "criteo_display_add"], "Did you mean 'criteo_display_ads'"),
        (["--data.options.num_trian", "9"], "'num_trian'. Did you mean 'num_train'"),
        (["--data.path", "x.csv"], "The file 'x.csv' needs a schema"),
        (["--data.path", "x.csv"], "But there is no such file."),
        (["--data.name", "synthetic_ctr", "--data.path", "x.csv"], "'synthetic_ctr' takes no data.path (got 'x.csv')"),
        (["--data.name", "tabular_file"], "needs its path: give --data.path FILE"),
        (["--evaluation.group_by", "user"], "'user'. Did you mean 'user_id'"),
        (["--evaluation.replicates", "10"], "replicates must be at least 40"),
        (["--config", "nowhere.toml"], "no settings file 'nowhere.toml'"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_wrong_is_named(words: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = [*TINY_DNN, *SMALL, *SHORT]
    if words[0] == "--data.name":
        base = [*TINY_DNN, *SHORT]
    assert message in refused(train, [*base, *words], capsys)


def test_a_loss_that_is_not_finite_is_told_without_a_traceback(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*TINY_DNN, *SMALL, *SHORT, "--optimizer.options.learning_rate", "1e30"]
    assert "NonFiniteLossError:" in refused(train, words, capsys, status=1)


def test_a_file_of_settings_and_options_over_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "job.toml").write_text('[training]\nepoks = 3\n[model]\nname = "dnn"\n', encoding="utf-8")
    assert "'epoks'. Did you mean 'epochs'" in refused(train, ["--config", "job.toml"], capsys)


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    for job in (train, tune, compare):
        with pytest.raises(SystemExit) as ended:
            job.main(["--help"])
        assert ended.value.code == 0
        text = capsys.readouterr().out
        options = re.findall(r"^  (--[\w.]+)[^\n]*((?:\n {10,}[^\n]*)*)", text, re.M)
        assert len(options) > 25
        for line in re.findall(r"^  (?:-h, )?--.*(?:\n {4,}.*)*", text, re.M):
            option = line.split()[0]
            explanation = re.sub(r"^\s*(-h, )?--\S+( [A-Z]\S*| \[?[A-Z{]\S*( \.\.\.\])?)*", "", line)
            assert len(explanation.split()) >= 3, f"{option} is not explained:\n{line}"


def test_list_models_has_the_whole_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        train.main(["--list-models"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    parts = {part.splitlines()[0]: part for part in text.strip().split("\n\n")}
    assert list(parts) == list(CATALOGUE)
    for name, entry in CATALOGUE.items():
        assert entry.title in parts[name] and entry.paper in parts[name] and entry.optimizer in parts[name]
        for option, default in entry.defaults.items():
            assert re.search(rf"^    {option} +\S.*default {re.escape(repr(default))}$", parts[name], re.M), option


def test_tune_writes_settings_that_train_takes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "job.toml").write_text(
        "[search]\ntrials = 9\n[search.space]\nmodel.deep.dropout = [0.0, 0.1]\ntraining.batch_size = [128, 256]\n",
        encoding="utf-8",
    )
    words = ["--config", "job.toml", *TINY_DNN, *SMALL, *SHORT, "--trials", "2", "--output", "search"]
    words.remove("--training.batch_size")
    words.remove("256")
    tune.main(words)
    text = capsys.readouterr().out
    searched = re.search(r"searching (.*) under row_wise_adagrad", text)
    assert searched is not None and {"model.deep.dropout", "training.batch_size", "optimizer.learning_rate"} <= set(
        searched[1].split(", ")
    )
    assert (here / "search" / "trials.png").stat().st_size > 0
    # A best trial that is no better than the base rate is said after an empty line.
    table = (here / "search" / "trials.txt").read_text(encoding="utf-8").partition("\n\n")[0]
    assert table in text and len(re.findall(r"^(?:0|1|start) +0\.\d{5} .*", table, re.M)) == 3

    best = read_file(here / "search" / "best.toml")
    assert best["model"]["name"] == "dnn" and best["model"]["embedding"]["dim"] == 4
    assert best["training"]["epochs"] == 1 and "search" not in best
    records = sorted((here / "search").glob("trial_*/record.json"))
    times = [file.stat().st_mtime_ns for file in records]
    assert len(times) == 3 and not list((here / "search").glob("trial_*/checkpoints"))
    # Started again it trains nothing and finds the same.
    tune.main(words)
    assert [file.stat().st_mtime_ns for file in records] == times and table in capsys.readouterr().out
    train.main(["--config", "search/best.toml", "--run-directory", "run", "--export.directory", "none"])
    result = json.loads((here / "run" / "result.json").read_text(encoding="utf-8"))
    lowest = min(json.loads(file.read_text(encoding="utf-8"))["score"] for file in records)
    assert result["best"]["val_logloss"] == pytest.approx(lowest, abs=1e-12)


def test_tune_by_auc_stops_trials_early_and_trains_the_best_further(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*TINY_DNN, *SMALL, *SHORT, "--trials", "4", "--tuner", "hyperband", "--output", "search"]
    words += ["--training.epochs", "3", "--training.monitor", "auc", "--training.patience", "1"]
    words += ["--search.space.optimizer.learning_rate", "{low = 0.05, high = 0.2}"]
    tune.main(words)
    text = capsys.readouterr().out
    assert "validation auc, best first" in text
    stopped = re.search(r"^(\d) of 5 trials stopped early, after 1 validations without a better one", text, re.M)
    assert stopped is not None and int(stopped[1]) > 0  # at these rates the second round is worse than the first
    records = [json.loads(f.read_text(encoding="utf-8")) for f in (here / "search").glob("trial_[0-9]*/record.json")]
    assert len({record["folder"] for record in records}) < len(records) == 4
    best = read_file(here / "search" / "best.toml")
    assert best["training"]["monitor"] == "auc" and best["training"].get("epochs", 3) in (1, 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tuner", "hyperbnd"], "Did you mean 'hyperband'"),
        (["--search.space.model.deep.dropuot", "[0.1]"], "'deep.dropuot'. Did you mean 'deep.dropout'"),
        (["--search.spase.model.dropout", "[0.1]"], "'--search.spase.model.dropout'. Did you mean"),
        (["--search.workers", "0"], "search.workers must be at least 1"),
        (["--tuner", "hyperband"], "needs a budget of at least 3 epochs, got 1"),
    ],
)
def test_what_is_wrong_with_a_search_is_named(
    words: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(tune, [*TINY_DNN, *SMALL, *SHORT, "--output", "search", *words], capsys)


def test_a_trial_that_fails_is_never_best(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model.name", "fm", *SMALL, *SHORT, "--trials", "1", "--output", "search"]
    # At this rate the defaults end in numbers that are not finite; the search draws no rate beside it.
    message = refused(tune, [*words, "--optimizer.options.learning_rate", "1e38"], capsys, status=1)
    assert "No trial succeeded" in message and "NonFiniteLossError" in message
    assert not (here / "search" / "best.toml").exists()


def test_a_search_that_ends_at_the_end_of_its_space_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "job.toml").write_text(
        "[search]\ncatalogue_space = false\n[search.space]\noptimizer.learning_rate = [1e-7, 1e-6, 1e-2]\n",
        encoding="utf-8",
    )
    words = ["--config", "job.toml", *TINY_DNN, *SMALL, *SHORT, "--trials", "3"]
    tune.main([*words, "--optimizer.options.learning_rate", "1e-8", "--output", "search"])
    said = "0.01, the highest of 4 values (searched: 1e-07 to 0.01)"
    assert reached_ends_of(here / "search") == {"optimizer.learning_rate": said}
    line = f"optimizer.learning_rate: the best is {said}; values beyond it may be better"
    assert line in (here / "search" / "trials.txt").read_text(encoding="utf-8") and line in capsys.readouterr().out
    # The rate that was given lies beyond and is worse: the best value is between others.
    tune.main([*words, "--optimizer.options.learning_rate", "1e3", "--output", "inside"])
    assert reached_ends_of(here / "inside") == {} and "may be better" not in capsys.readouterr().out


@pytest.mark.slow
def test_compare_two_models(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SMALL, *SHORT, "--models", "lr", "fm", "--seeds", "1", "--trials", "0", "--output", "compared"]
    compare.main([*words, "--workers", "2"])
    text = capsys.readouterr().out
    assert re.search(r"^lr .*\d", text, re.M) and re.search(r"^fm .*\d", text, re.M)
    assert "more than their architecture" not in text  # both have the defaults
    assert "by scenario: 400 rows" in text and (here / "compared" / "scenarios-fm.png").exists()
    for name in ("comparison.txt", "comparison.json", "comparison.png", "lr-seed0/result.json", "fm-seed0/result.json"):
        assert (here / "compared" / name).exists(), name
    wrong = ["--models", "lr", "fm", "--reference", "dnn", "--output", "compared"]
    assert "'dnn' is not among the models" in refused(compare, wrong, capsys)
    wrong = ["--models", "lr", "fm", "--single", "per_scenari", "--output", "compared"]
    assert "model for --single" in refused(compare, wrong, capsys)
    assert "Did you mean 'dnn'" in refused(compare, ["--models", "dnnn", "--output", "compared"], capsys)
