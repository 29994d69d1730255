"""Tomorrow's rows: each day is scored before it is trained on, nothing is lost on the way, and mistakes are named."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.datasets.one_split import OneSplit
from dynctr_tf.durable_files import read_json, write_json
from dynctr_tf.encoding import write_encoded_dataset
from dynctr_tf.evaluation import Evaluation
from dynctr_tf.jobs.days import Days
from dynctr_tf.jobs.preparing import open_source
from dynctr_tf.jobs.stages import build_for_training
from dynctr_tf.metrics import auc
from dynctr_tf.training import predict_logits, restore_training, train
from pipelines import train as train_job
from pipelines import update as update_job

ROOT = Path(__file__).parents[2]
COLUMNS = ("user", "item", "page", "age", "history", "click")
SCHEMA = {
    "label": "click",
    "features": [
        {"name": "user", "kind": "categorical", "role": "user", "vocabulary": {"min_count": 4}},
        {"name": "item", "kind": "categorical", "role": "item"},
        {"name": "page", "kind": "categorical", "role": "scenario"},
        {"name": "age", "kind": "numeric"},
        {
            "name": "history",
            "kind": "sequence",
            "role": "user",
            "max_length": 4,
            "shares_vocabulary_with": "item",
        },
    ],
}
SMALL = ("--training.epochs", "2", "--training.batch_size", "64", "--training.tensorboard", "false")
SMALL += ("--evaluation.replicates", "40", "--model.embedding.dim", "4")
USERS, ITEMS = np.random.default_rng(0).normal(0, 1.5, (2, 400))


def write_day(file: Path, seed: int, users: range, items: range, rows: int = 900, pages: str = "home search") -> None:
    random = np.random.default_rng(seed)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for _ in range(rows):
            user, item = int(random.choice(users)), int(random.choice(items))
            history = "|".join(f"i{int(number)}" for number in random.choice(items, 3))
            click = random.random() < 1.0 / (1.0 + np.exp(0.5 - USERS[user] - ITEMS[item]))
            page = str(random.choice(pages.split()))
            writer.writerow([f"u{user}", f"i{item}", page, int(random.integers(18, 80)), history, int(click)])


def write_days(place: Path) -> None:
    write_day(place / "day0.csv", 1, range(60), range(30), 2000)
    write_day(place / "same.csv", 2, range(60), range(30))
    write_day(place / "day1.csv", 3, range(20, 80), range(10, 40), pages="home search push")
    write_day(place / "day2.csv", 4, range(40, 90), range(20, 50))
    (place / "day0.schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")


@contextlib.contextmanager
def inside(place: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(place)
    try:
        yield
    finally:
        os.chdir(before)


def trained(place: Path, model: str, *words: str) -> None:
    with inside(place), contextlib.redirect_stdout(io.StringIO()):
        train_job.main([
            "--data.path", "day0.csv", "--model.name", model, "--run-directory", "run", *SMALL, *words,
        ])  # fmt: skip


def updated(place: Path, *words: str, run: str = "run") -> str:
    with inside(place), contextlib.redirect_stdout(io.StringIO()) as printed:
        update_job.main([run, *words])
    return printed.getvalue()


def refused(place: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with inside(place), pytest.raises(SystemExit) as ended:
        update_job.main([*words])
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.fixture(scope="module")
def dnn_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with the files of some days and a run of the first one, by a model with dropout."""
    place = tmp_path_factory.mktemp("days")
    write_days(place)
    trained(place, "dnn", "--model.deep.units", "[16]", "--model.deep.dropout", "0.2")
    return place


@pytest.fixture
def place(dnn_place: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(dnn_place, tmp_path / "place")
    return tmp_path / "place"


def state_after(place: Path, number: int) -> tuple[keras.Model, Any]:
    """The model and the optimizer as a day has left them."""
    with inside(place):
        days = Days("run")
        encoder, _ = days.encoder(number)
        model, optimizer = build_for_training(days.settings(number), encoder.features)
        restore_training(model, optimizer, days.training(number))
    return model, optimizer


def values(model: keras.Model, optimizer: Any) -> list[np.ndarray]:
    return [*model.get_weights(), *(variable.numpy() for variable in stack.optimizer_state(optimizer))]


def equal(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> bool:
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_day_without_new_ids_is_the_same_as_going_on_training_in_one_process(place: Path) -> None:
    """To the bit: weights, optimizer state and dropout; trained by hand without anything of the update."""
    settings = (place / "run" / "settings.toml").read_text(encoding="utf-8")
    with inside(place):
        days = Days("run")
        encoder, _ = days.encoder(0)
        model, optimizer = build_for_training(days.settings(0), encoder.features)
        restore_training(model, optimizer, place / "run")
        source = OneSplit(open_source(_with_path(days, "same.csv").data))
        data = write_encoded_dataset(source, encoder, place / "by_hand", progress=False)
    before = predict_logits(model, data, "train")
    train(
        model, data, optimizer, directory=place / "trained_by_hand", batch_size=64, epochs=1, monitor="none",
        tensorboard=False,
    )  # fmt: skip
    text = updated(place, "--data.path", "same.csv")
    # All ids that are frequent enough were there; only ages of a bin that was empty are unknown, as they stay.
    assert "of which 0 are new" in text
    assert equal(values(*state_after(place, 1)), values(model, optimizer))
    scored = np.load(place / "run" / "days" / "0001" / "train_logits.npy", allow_pickle=False)
    assert np.array_equal(scored, before)
    assert (place / "run" / "settings.toml").read_text(encoding="utf-8") == settings


def _with_path(days: Days, path: str) -> Any:
    from dynctr_tf.jobs.update import day_settings

    return day_settings(days, days.settings(0), path)


def test_days_are_scored_before_they_are_trained_on_and_exported_beside_one_another(place: Path) -> None:
    text = updated(place, "--data.path", "day1.csv", "day2.csv")
    assert "day 1, day1.csv: 900 rows" in text and "day 2, day2.csv: 900 rows" in text
    assert "item +10" in text and "page +1" in text, "a dnn has no weights for each scenario: it gets an id"
    versions = place / "saved_models" / "tabular_file-dnn"
    assert sorted(path.name for path in versions.iterdir() if path.name.isdigit()) == ["1", "2", "3"]
    assert (place / "run" / "days" / "days.png").stat().st_size > 10_000
    # Users that are too rare for an id are counted in the run, and do not leave with the served model.
    encoders = [sorted(path.name for path in (versions / n / "assets.extra" / "encoder").iterdir()) for n in "123"]
    assert encoders[0] == encoders[1] == encoders[2] and not any("left_out" in name for name in encoders[2])
    assert list((place / "run" / "days" / "0002" / "encoder").glob("left_out*"))
    assert "day2.csv" in (place / "run" / "days" / "days.txt").read_text(encoding="utf-8")

    # What the served version of the day before answers is what the day was scored with, new ids included.
    for number, file in ((1, "day1.csv"), (2, "day2.csv")):
        rows = list(csv.DictReader((place / file).open(encoding="utf-8")))
        served = tf.saved_model.load(str(versions / str(number)))
        request = {
            "user": tf.constant([row["user"] for row in rows]),
            "item": tf.constant([row["item"] for row in rows]),
            "page": tf.constant([row["page"] for row in rows]),
            "age": tf.constant([float(row["age"]) for row in rows]),
            "history": tf.constant([row["history"].split("|") for row in rows]),
        }
        answers = served.signatures["serving_default"](**request)["logit"].numpy().astype(np.float64)
        folder = place / "run" / "days" / f"{number:04d}"
        np.testing.assert_allclose(np.load(folder / "train_logits.npy"), answers, rtol=0, atol=2e-5)
        evaluation = Evaluation.load(folder / "evaluation.json")
        labels = np.array([float(row["click"]) for row in rows])
        assert evaluation.metrics["auc"].value == pytest.approx(auc(labels, answers), abs=1e-4)
        assert evaluation.metrics["auc"].lower < evaluation.metrics["auc"].value < evaluation.metrics["auc"].upper
        card = read_json(versions / str(number + 1) / "assets.extra" / "about.json")
        assert (card["run"], card["day"], card["files"][0]["path"]) == ("run", number, str(place / file))

    # Back to the version of the first day: it is served again, and the next day goes on from its state.
    text = updated(place, "--rollback", "2")
    assert "/4 is version 2; the next update goes on from day 1" in text
    assert read_json(versions / "4" / "assets.extra" / "about.json")["rollback_of"] == 2
    assert "day 3, same.csv" in updated(place, "--data.path", "same.csv", "--export.directory", "none")
    assert [day.number for day in Days(place / "run").chain()] == [1, 3]
    assert "goes on from the run itself" in updated(place, "--rollback", "1")
    with inside(place):
        Days("run").go_on_from(2)

    # The same command does nothing twice.
    again = updated(place, "--data.path", "day1.csv", "day2.csv")
    assert "trained on before, as day 1" in again and "trained on before, as day 2" in again
    assert len([path for path in versions.iterdir() if path.name.isdigit()]) == 5
    assert "trained on these rows" in updated(place, "--data.path", "day0.csv")


def test_one_by_one_is_the_same_as_all_in_one_command(place: Path, dnn_place: Path, tmp_path: Path) -> None:
    shutil.copytree(dnn_place, tmp_path / "other")
    updated(place, "--data.path", "day1.csv", "day2.csv", "--export.directory", "none")
    for file in ("day1.csv", "day2.csv"):
        updated(tmp_path / "other", f"--data.path={file}", "--export.directory", "none")
    assert equal(values(*state_after(place, 2)), values(*state_after(tmp_path / "other", 2)))
    # Rare users of the days before have arrived by their counts of all days.
    with inside(place):
        days = Days("run")
        counted = [dict(zip(*_vocabulary(days, number, "user"), strict=True)) for number in range(3)]
    assert all(count >= 4 for known in counted for count in known.values())
    seen = [{row["user"] for row in csv.DictReader((place / f"day{number}.csv").open())} for number in range(3)]
    assert set(counted[1]) - set(counted[0]) and set(counted[1]) <= seen[0] | seen[1]


def _vocabulary(days: Days, number: int, name: str) -> tuple[list[str], list[int]]:
    vocabulary = days.encoder(number)[0].vocabularies[name]
    return vocabulary.values.to_pylist(), vocabulary.counts.tolist()


def test_an_export_stands_for_the_run_that_made_it(
    place: Path, dnn_place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(dnn_place, tmp_path / "other")
    updated(tmp_path / "other", "--data.path", "day1.csv", "--export.directory", "none")
    # From another folder than the training's: the run lies beside the exports, as the card says.
    model, file = place / "saved_models" / "tabular_file-dnn", ("--data.path", str(place / "day1.csv"))
    (tmp_path / "elsewhere").mkdir()
    export = ("--export.directory", str(place / "saved_models"))
    for named, version in ((model / "1", "2"), (model, "3")):
        text = updated(tmp_path / "elsewhere", *file, *export, run=str(named))
        assert f"{named} was made by the run in {place / 'run'}" in text and "has gone on since" not in text
        assert (model / version).is_dir() is (named != model), "the same day is not trained on twice"
    assert equal(values(*state_after(place, 1)), values(*state_after(tmp_path / "other", 1)))
    assert "The run has gone on since" in updated(place, "--data.path", "day1.csv", *export, run=str(model / "1"))

    (place / "run").rename(place / "moved")
    said = refused(place, capsys, str(model / "1"), *file)
    assert "was made by the run 'run'" in said and "Give the folder where it lies now" in said
    card = read_json(model / "1" / "assets.extra" / "about.json")
    del card["run_folder"]
    write_json(model / "1" / "assets.extra" / "about.json", card)
    assert "its card names no run" in refused(place, capsys, str(model / "1"), *file)


def test_an_export_finds_its_run_wherever_runs_are_kept(place: Path, tmp_path: Path) -> None:
    """In the folder that a training chooses for itself and in one that somebody chose, from here and elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    none = ("--export.directory", "none")
    for model, words, folder in (
        ("fm", (), "runs/tabular_file-fm-"),
        ("wide_deep", ("--run-directory", "mine/first/try"), "mine/first/try"),
    ):
        with inside(place), contextlib.redirect_stdout(io.StringIO()):
            train_job.main(["--data.path", "day0.csv", "--model.name", model, *SMALL, *words])
        export = f"saved_models/tabular_file-{model}"
        text = updated(place, "--data.path", "day1.csv", *none, run=export)
        assert f"{export} was made by the run in {folder}" in text and "day 1, day1.csv: 900 rows" in text
        text = updated(tmp_path / "elsewhere", "--data.path", str(place / "day1.csv"), *none, run=str(place / export))
        assert f"was made by the run in {place / folder}" in text and "trained on before, as day 1" in text


def test_ids_that_are_gone_are_dropped_on_request(place: Path) -> None:
    text = updated(place, "--data.path", "day2.csv", "--drop-ids-after", "1", "--export.directory", "none")
    assert "lost their ids: they have not been seen for long" in text
    with inside(place):
        items = set(_vocabulary(Days("run"), 1, "item")[0])
    assert items == {f"i{number}" for number in range(20, 50)}


def test_a_killed_update_goes_on_and_ends_as_one_that_was_left_alone(
    place: Path, dnn_place: Path, tmp_path: Path
) -> None:
    shutil.copytree(dnn_place, tmp_path / "other")
    words = ["--data.path", "day1.csv", "--export.directory", "none", "--training.epochs", "8"]
    words += ["--training.batch_size", "16"]
    updated(tmp_path / "other", *words)
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "pipelines.update", "run", *words]
    with (place / "printed.txt").open("wb") as printed:
        process = subprocess.Popen(
            command, cwd=place, env={**os.environ, "PYTHONPATH": path}, stdout=printed, stderr=subprocess.STDOUT
        )
        checkpoints = place / "run" / "days" / "0001" / "training" / "checkpoints"
        deadline = time.monotonic() + 240
        while not (checkpoints.is_dir() and any(entry.name.isdigit() for entry in checkpoints.iterdir())):
            assert process.poll() is None and time.monotonic() < deadline, (place / "printed.txt").read_text()[-3000:]
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not Days(place / "run").load(1).finished  # type: ignore[union-attr]
    text = updated(place, *words)
    assert "day 1, day1.csv, was interrupted; it goes on" in text
    assert equal(values(*state_after(place, 1)), values(*state_after(tmp_path / "other", 1)))
    # An interrupted day gives way to another one.
    days = Days(place / "run")
    day = days.load(1)
    assert day is not None
    with inside(place):
        days.go_on_from(0)
        write_json(days.folder(1) / "day.json", {**read_json(days.folder(1) / "day.json"), "finished": False})
    assert "day 1 was interrupted, and these are other rows" in updated(
        place, "--data.path", "same.csv", "--export.directory", "none"
    )


def test_what_cannot_be_gone_on_with_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = ("--data.path", "day1.csv")
    assert "The run comes first" in refused(place, capsys, *file)
    assert "nowhere: there is no such folder" in refused(place, capsys, "nowhere", *file)
    said = refused(place, capsys, "saved_models", *file)
    assert "saved_models holds no run" in said and "A model of your own goes on in code" in said
    assert "Give the files of the new days" in refused(place, capsys, "run")
    assert "The model is the run's, 'dnn'" in refused(place, capsys, "run", *file, "--model.name", "lr")
    assert "The model is the run's" in refused(place, capsys, "run", *file, "--model.embedding.dim", "8")
    assert "The optimizer is the run's" in refused(place, capsys, "run", *file, "--optimizer.name", "lazy_adam")
    assert "data.min_count is the run's, None" in refused(place, capsys, "run", *file, "--data.min_count", "3")
    error = refused(place, capsys, "run", *file, "--optimizer.schedule", "cosine")
    assert "--optimizer.schedule constant" in error
    assert "--training.epochs" in refused(place, capsys, "run", *file, "--training.epoch", "3")
    assert "there is no such file" in refused(place, capsys, "run", "--data.path", "day1.csv", "day7.csv")
    assert not list((place / "run").glob("days/0*")), "nothing was trained on before the last file was looked at"

    assert "has no version 7 to go back to; there are 1" in refused(place, capsys, "run", "--rollback", "7")
    assert "Go back first" in refused(place, capsys, "run", "--rollback", "1", *file)
    error = refused(place, capsys, "run", "--rollback", "1", "--export.directory", "none")
    assert "no versions to go back to" in error

    header, *rows = (place / "day1.csv").read_text(encoding="utf-8").splitlines()
    (place / "short.csv").write_text(header.replace(",age,", ",years,") + "\n" + "\n".join(rows), encoding="utf-8")
    assert "column 'age' is not in the file" in refused(place, capsys, "run", "--data.path", "short.csv")

    (place / "run" / "result.json").unlink()
    assert "is not finished. Start it again" in refused(place, capsys, "run", *file)


def test_rows_that_are_gone_are_named_with_what_brings_them_back(
    place: Path, dnn_place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = read_json(place / "run" / "about.json")
    write_json(place / "run" / "about.json", {**about, "encoded": str(place / "gone")})
    error = refused(place, capsys, "run", "--data.path", "day1.csv")
    assert "dynctr train --config run/settings.toml --run-directory run" in error


@pytest.mark.parametrize("model", ["star", "din"])
def test_scenarios_with_weights_of_their_own_stay_and_shared_vocabularies_grow_as_one(
    model: str, tmp_path: Path
) -> None:
    write_days(tmp_path)
    trained(tmp_path, model, "--training.epochs", "1", "--model.deep.units", "[8]", "--export.directory", "none")
    text = updated(tmp_path, "--data.path", "day1.csv", "--export.directory", "none")
    with inside(tmp_path):
        days = Days("run")
        before, after = (days.encoder(number)[0].features for number in (0, 1))
    assert "item +10" in text
    sequence, item = after.sequences[0], next(field for field in after.fields if field.name == "item")
    assert (sequence.first_id, sequence.num_ids) == (item.first_id, item.num_ids)
    if model == "star":
        assert after.num_scenarios == before.num_scenarios
        assert "NOTE: 1 new values of 'page' are treated as unknown" in text
        _another_model_has_ids_of_its_own(tmp_path)
    else:
        assert after.num_scenarios == before.num_scenarios + 1
    assert state_after(tmp_path, 1)[0].count_params() > state_after(tmp_path, 0)[0].count_params()


def _another_model_has_ids_of_its_own(place: Path) -> None:
    """A run of the same rows with the same settings of the training keeps its encoded day in the same folder."""
    words = ("--training.epochs", "1", "--model.deep.units", "[8]", "--export.directory", "none")
    trained(place, "dnn", *words, "--run-directory", "other")
    assert "page +1" in updated(place, "--data.path", "day1.csv", "--export.directory", "none", run="other")
    days = [Days(place / run).load(1) for run in ("run", "other")]
    assert len({day.made_of for day in days if day is not None}) == 2, "neither takes the day of the other for its own"
    encoded = [path.name for path in (place / "runs" / "data").iterdir() if path.is_dir()]
    assert len(encoded) == 1, f"the encoded rows of a day that is done are removed, but {encoded}"


def test_rows_that_the_project_makes_come_by_their_seed(tmp_path: Path) -> None:
    rows = ["--data.options.num_train", "800", "--data.options.num_validation", "200", "--data.options.num_test", "200"]
    with inside(tmp_path), contextlib.redirect_stdout(io.StringIO()):
        train_job.main([
            "--data.name", "synthetic_ctr", "--model.name", "lr", "--run-directory", "run", *SMALL[:-2], *rows,
            "--export.directory", "none",
        ])  # fmt: skip
    text = updated(tmp_path, "--data.seed", "1")
    assert "day 1, seed 1: 1,200 rows" in text
    assert "seed 1: trained on before, as day 1" in updated(tmp_path, "--data.seed", "1")
