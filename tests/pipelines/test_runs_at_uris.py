"""Runs at URIs: killed, taken up by another machine, gone on with, explained, searched and compared as local ones."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from refused_jobs import refused
from scored_clicks import SCHEMA, TINY, folder_of_clicks, train_and_export, write_clicks
from shaky_store import Shaky, contents_at, put
from test_kill_and_resume import log_lines, weights

from dynctr_tf.durable_files import read_array, read_json
from dynctr_tf.encoding import EncodedDataset
from dynctr_tf.jobs import search
from dynctr_tf.mirrors import LIST, Mirror, fetched
from pipelines import compare, embeddings, evaluate, explain, predict, prepare, train, tune, update

ROOT = Path(__file__).parents[2]
RUNS = "shaky://bucket/runs"
RUN = f"{RUNS}/clicks"
WORKED_IN = Path("runs/at_uris")
NO_EXPORT = ["--export.directory", "none"]
pytestmark = pytest.mark.usefixtures("shaky_store")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with folder_of_clicks(tmp_path_factory) as folder:
        write_clicks(Path("monday.csv"), 7)
        train_and_export("dnn", "--export.name", "clicks")
        yield folder


@pytest.fixture
def here(place: Path) -> Iterator[Path]:
    """The folder of a local run, `run-dnn`, on a machine that has not worked at a URI yet."""
    shutil.rmtree(place / WORKED_IN, ignore_errors=True)
    yield place


def same_weights(run: Path, other: Path) -> None:
    first, second = weights(run), weights(other)
    assert first.keys() == second.keys() and len(first) > 3
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


def another_machine() -> None:
    """Leaves nothing of what this machine has worked in."""
    shutil.rmtree(WORKED_IN)


def test_encoded_rows_are_prepared_there_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = "shaky://bucket/encoded"
    to_uri = ["--data.directory", there, "--run-directory", RUN, *NO_EXPORT, "--model.name", "dnn"]
    train.main([*TINY, *to_uri])
    (index,) = (name for name in contents_at(there) if name.endswith("index.json"))
    folder = index.split("/")[0]
    local = EncodedDataset.open(f"runs/data/{folder}")
    found = EncodedDataset.open(f"{there}/{folder}")
    assert found.fingerprint == local.fingerprint
    for split in local.split_names:
        np.testing.assert_array_equal(found.row_keys(split), local.row_keys(split))
    assert f"encoded data: {there}/{folder}: 700 train, 100 validation, 200 test rows" in capsys.readouterr().out
    assert not list((WORKED_IN / "shaky" / "bucket" / "encoded").glob("[!.]*"))
    Shaky.written = []
    another_machine()
    train.main([*TINY, *to_uri])
    assert not [name for name in Shaky.written if name.startswith("/bucket/encoded")]
    same_weights(WORKED_IN / "shaky/bucket/runs/clicks", here / "run-dnn")
    # A day of a run whose rows lie there is encoded here, and goes as always.
    another_machine()
    update.main([RUN, "--data.path", "monday.csv"])
    assert "day 1, monday.csv: 1,000 rows" in capsys.readouterr().out
    assert not [name for name in contents_at(there) if "-day-" in name] and not list(WORKED_IN.rglob("*-day-*/*"))


def test_a_run_lies_there_as_it_does_here(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = ["--export.directory", "shaky://bucket/models", "--export.name", "clicks"]
    words = [*TINY, "--model.name", "dnn", "--run-directory", RUN, *export]
    train.main(words)
    text = capsys.readouterr().out
    assert f"copied: {RUN}\n" in text and "SavedModel: shaky://bucket/models/clicks/1\n" in text
    with fetched(RUN, "run") as folder:
        same_weights(folder, here / "run-dnn")
        names = {path.name for path in folder.iterdir()}
        assert names == {path.name for path in (here / "run-dnn").iterdir()} - {"lock"}
        own, other = read_json(folder / "result.json"), read_json(here / "run-dnn" / "result.json")
        assert own["fingerprint"] == other["fingerprint"] and own["best"]["val_auc"] == other["best"]["val_auc"]
        np.testing.assert_array_equal(
            read_array(folder / "test_logits.npy"), read_array(here / "run-dnn" / "test_logits.npy")
        )
    assert {"settings.toml", "log.csv", "evaluation.json", "run.png", LIST} <= set(contents_at(RUN))
    # Again on another machine: nothing is trained, and nothing written but what says when it was made.
    another_machine()
    train.main(words)
    text = capsys.readouterr().out
    assert "resumed at step" in text and "clicks/1 (exported before, unchanged)" in text
    # Another run goes beside it.
    train.main([*words, "--training.seed", "1"])
    text = capsys.readouterr().out
    assert f"{RUN} holds another run (training.seed 0 -> 1); this one goes to {RUN}-" in text
    assert sorted({name.split("/")[0][:7] for name in contents_at(RUNS)}) == ["clicks", "clicks-"]
    # Its export scores and is judged as the local one.
    for kind, version in (("here", "saved_models/clicks"), ("there", "shaky://bucket/models/clicks/1")):
        predict.main(["clicks.csv", "--export", version, "--output", f"{kind}.parquet"])
        evaluate.main(["clicks.csv", "--export", version, "--replicates", "40", "--output", f"report-{kind}"])
    assert pq.read_table("here.parquet").equals(pq.read_table("there.parquet"))
    judged = [json.loads(Path(f"report-{kind}/evaluation.json").read_text())["metrics"] for kind in ("here", "there")]
    assert judged[0] == judged[1]


def test_a_run_there_is_gone_on_with_explained_and_taken_apart(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local = tmp_path / "local"
    shutil.copytree(here / "run-dnn", local)
    train.main([*TINY, "--model.name", "dnn", "--run-directory", RUN, *NO_EXPORT])
    for run in (str(local), RUN):
        update.main([run, "--data.path", "monday.csv", *NO_EXPORT, "--training.epochs", "2"])
    another_machine()
    with fetched(RUN, "run") as folder:
        day, other = (read_json(run / "days" / "0001" / "day.json") for run in (folder, local))
        assert day["finished"] and day["made_of"] == other["made_of"]
        for name in ("evaluation.json", "train_logits.npy"):
            assert (folder / "days/0001" / name).read_bytes() == (local / "days/0001" / name).read_bytes(), name
    for run, output in ((str(local), "here"), (RUN, "there")):
        embeddings.main([run, "--output", str(tmp_path / output), "--field", "country"])
    assert pq.read_table(tmp_path / "here/country.parquet").equals(pq.read_table(tmp_path / "there/country.parquet"))
    assert not (here / WORKED_IN).exists()  # what is read alone is not kept
    words = ["--rows", "100", "--permutations", "1", "--replicates", "40"]
    for run in (str(local), RUN):
        explain.main([run, *words])
    assert contents_at(RUN)["explain/importance.json"] == (local / "explain/importance.json").read_bytes()
    # The day has a version, whose card says where the run is.
    capsys.readouterr()
    write_clicks(Path("tuesday.csv"), 8)
    update.main([RUN, "--data.path", "tuesday.csv", "--export.directory", "days", "--export.name", "clicks"])
    another_machine()
    update.main(["days/clicks", "--data.path", "tuesday.csv", *NO_EXPORT])
    text = capsys.readouterr().out
    assert f"days/clicks was made by the run in {RUN}\n" in text
    assert "tuesday.csv: trained on before, as day 2; it is not trained on again" in text
    update.main([RUN, "--rollback", "1", "--export.directory", "days", "--export.name", "clicks"])
    with fetched(RUN, "run") as folder:
        assert read_json(folder / "days" / "head.json") == {"day": 2}


def test_what_is_wrong_there_is_said_before_the_work(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*TINY, "--model.name", "lr", *NO_EXPORT, "--data.directory", "fresh", "--run-directory"]
    (here / "file").write_text("")
    for uri, said in (
        (f"file://{here}/file/run", "could not be written to"),
        ("nosuch://bucket/run", "no file system for nosuch:// is installed"),
    ):
        assert said in refused(train, [*words, uri], capsys)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shaky, "_open", lambda *_, **__: (_ for _ in ()).throw(PermissionError("403: read only")))
        assert f"The results could not be written to {RUN}: 403: read only. Give --run-directory" in refused(
            train, [*words, RUN], capsys
        )
        at_uri = [*words[:-3], "--data.directory", RUNS, "--run-directory", "here-alone"]
        assert f"The encoded data could not be written to {RUNS}: 403: read only" in refused(train, at_uri, capsys)
    assert not (here / "fresh").exists() and not (here / "here-alone").exists()
    for strategy in ("multi_worker", "parameter_server"):
        message = refused_by_strategy(strategy)
        assert f"--run-directory {RUN}: the processes of the strategy '{strategy}' write into one folder" in message
    message = refused(tune, [*TINY, "--model.name", "lr", "--workers", "2", "--output", RUN], capsys)
    assert f"--output {RUN}: 2 processes train into one folder at the same time. Give --workers 1" in message
    for job in (explain, embeddings, update):
        further = {embeddings: ["--output", "vectors"], update: ["--data.path", "monday.csv"]}.get(job, [])
        message = refused(job, [f"{RUNS}/absent", *further], capsys)
        assert f"{RUNS}/absent: it has no " in message
    cluster = [*TINY[: TINY.index("--training.batch_size")], "--data.seed", "5", "--runner", "SparkRunner"]
    message = refused(prepare, [*cluster, "--data.directory", RUNS], capsys)
    assert f"The machines of a cluster encode into a folder that all of them see, and {RUNS} is not one" in message
    put(RUNS, {"notes.txt": b"mine"})
    assert f"{RUNS} has files and no {LIST}" in refused(train, [*words, RUNS], capsys)
    message = refused(predict, ["clicks.csv", "--export", "saved_models/clicks", "--output", RUN], capsys)
    assert "go to folders of this machine alone, and shaky: is not one" in message


def refused_by_strategy(strategy: str) -> str:
    from dynctr_tf.jobs.run_places import check_run_place
    from dynctr_tf.jobs.settings import job_settings

    with pytest.raises(ValueError) as error:
        check_run_place(RUN, job_settings({"training": {"strategy": strategy}}), "--run-directory")
    return str(error.value)


def test_another_machine_that_trains_the_run_too_is_noticed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It begins while this one trains: whichever copies second ends, and says so."""
    words = [*TINY, "--model.name", "lr", "--run-directory", RUN, *NO_EXPORT, "--training.evaluate_every", "4"]
    copy = Mirror.copy
    calls = []

    def then_another_copies(self: Mirror, leave: Any = ()) -> None:
        copy(self, leave)
        calls.append(0)
        if len(calls) == 3:
            other = Mirror(RUN, here / "other" / "clicks")
            assert other.bring()
            (other.folder / "log.csv").write_text("another")
            copy(other)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mirror, "copy", then_another_copies)
        message = refused(train, words, capsys, status=1)
    assert f"{RUN}: another process (process {os.getpid()} on" in message and len(calls) == 3
    assert "Two jobs cannot work on one run: let one of them end" in message
    assert contents_at(RUN)["log.csv"] == b"another"


def scores_of(table: str) -> list[list[str]]:
    """The lines of a table of trials without what they cost."""
    return [line.split()[:-2] for line in table.splitlines()]


def test_a_search_there_goes_on_elsewhere(here: Path) -> None:
    Path("search.toml").write_text("[search.space]\noptimizer.learning_rate = [0.01, 0.1]\n")
    grid = ["--config", "search.toml", "--tuner", "grid", "--trials", "2", "--search.catalogue_space", "false"]
    words = [*TINY, *grid, "--model.name", "lr", "--training.epochs", "1", "--output"]
    tune.main([*words, "search"])
    uri = f"{RUNS}/search"
    fit = search.fit_model
    trained: list[str] = []

    def second_is_stopped(settings: Any, *others: Any) -> Any:
        trained.append(settings.optimizer.options["learning_rate"])
        if len(trained) == 2:
            raise KeyboardInterrupt
        return fit(settings, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "fit_model", second_is_stopped)
        with pytest.raises(SystemExit):
            tune.main([*words, uri])
        another_machine()
        tune.main([*words, uri])
    assert len(trained) == 3 and trained[1] == trained[2] != trained[0]
    assert scores_of(contents_at(uri)["trials.txt"].decode()) == scores_of(Path("search/trials.txt").read_text())
    best = contents_at(uri)["best.toml"].decode()
    assert best.replace("runs/at_uris/shaky/bucket/runs/search", "search") == Path("search/best.toml").read_text()


def test_a_comparison_there_goes_on_elsewhere(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"file://{here}/bucket/comparison"
    words = [*TINY, "--models", "lr", "fm", "--seeds", "1", "--trials", "0", "--training.epochs", "1", "--output", uri]
    compare.main(words)
    first = capsys.readouterr().out
    another_machine()
    compare.main(words)
    assert "pictures" in first or "picture: " in first
    kept = Path("bucket/comparison")
    assert {path.name for path in kept.glob("*-seed0")} == {"lr-seed0", "fm-seed0"}
    assert (kept / "comparison.txt").read_text() in capsys.readouterr().out
    assert f"copied: {uri}" in first


def start(*words: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with Path("printed.txt").open("ab") as printed:
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines.train", *words],
            env={**os.environ, "PYTHONPATH": path},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )


@pytest.mark.slow
def test_a_job_killed_for_real_goes_on_from_an_empty_folder(here: Path) -> None:
    small = ["--training.epochs", "6", "--training.evaluate_every", "4", "--training.patience", "0"]
    words = [*TINY, *small, *NO_EXPORT, "--model.name", "dnn", "--model.deep.dropout", "0.3", "--run-directory"]
    Path("clicks.schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    train.main([*words, "whole"])
    total = len(log_lines(Path("whole")))
    there = here / "bucket" / "killed"
    process = start(*words, f"file://{there}")
    deadline = time.monotonic() + 240
    while not (there / "log.csv").exists() or len(log_lines(there)) < 3:
        assert process.poll() is None and time.monotonic() < deadline, Path("printed.txt").read_text()[-3000:]
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 3 <= len(log_lines(there)) < total
    another_machine()
    assert start(*words, f"file://{there}").wait(300) == 0, Path("printed.txt").read_text()[-3000:]
    assert "resumed at step" in Path("printed.txt").read_text()
    assert log_lines(there) == log_lines(Path("whole"))
    same_weights(there, Path("whole"))
    for name in ("test_logits.npy", "evaluation.json", "sparsity.txt"):
        assert (there / name).read_bytes() == (Path("whole") / name).read_bytes(), name
