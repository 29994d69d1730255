"""Jobs on keys without a vocabulary: from rows to a served model, stopped, resumed, on new days, with a full table."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from refused_jobs import refused

from dynctr_tf.datasets.row_source import first_rows
from dynctr_tf.durable_files import read_json
from dynctr_tf.encoding import EncodedDataset
from dynctr_tf.evaluation import Evaluation
from dynctr_tf.export import ServedModel
from dynctr_tf.jobs.explain import open_run, prediction, sampled_rows
from dynctr_tf.jobs.preparing import open_source, prepare
from dynctr_tf.jobs.settings import JobSettings, job_settings
from dynctr_tf.jobs.settings_file import read_file
from dynctr_tf.jobs.stages import fit_model
from dynctr_tf.stack import raw_variable
from dynctr_tf.training.key_rows import key_layers
from pipelines import compare, embeddings, evaluate, explain, predict, train, tune, update
from pipelines import prepare as prepare_job

COLUMNS = ("colour", "user", "item", "age", "history", "click")
SCHEMA = {
    "label": "click",
    "features": [
        # A vocabulary before the keys, with an unknown value that is trained: ids of others move when it grows.
        {"name": "colour", "kind": "categorical", "vocabulary": {"min_count": 3}},
        {"name": "user", "kind": "categorical", "role": "user"},
        {"name": "item", "kind": "categorical", "role": "item"},
        {"name": "age", "kind": "numeric"},
        {"name": "history", "kind": "sequence", "max_length": 4, "shares_vocabulary_with": "item"},
    ],
}
SHORT = ["--training.epochs", "2", "--training.batch_size", "32", "--training.tensorboard", "false"]
SHORT += ["--evaluation.replicates", "40", "--model.embedding.dim", "4", "--model.deep.units", "[8]"]
SHORT += ["--export.even_if_worse_than_base_rate", "true"]
KEYS = ["--data.keys", "user,item", "--model.embedding.num_keys", "400"]
EFFECTS = np.random.default_rng(0).normal(0, 1.2, (2, 300))


def write_day(file: Path, seed: int, users: range, colours: str, rows: int = 600) -> None:
    random = np.random.default_rng(seed)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for row in range(rows):
            user, item = int(random.choice(users)), int(random.integers(40))
            history = "|".join(f"i{number}" for number in random.integers(0, 40, random.integers(0, 4)))
            click = random.random() < 1.0 / (1.0 + np.exp(0.5 - EFFECTS[0, user] - EFFECTS[1, item]))
            colour = f"rare{row}" if row % 40 == 0 else str(random.choice(colours.split()))
            writer.writerow([colour, f"u{user}", f"i{item}", int(random.integers(18, 80)), history, int(click)])


def write_days(place: Path) -> None:
    write_day(place / "day0.csv", 1, range(60), "red green", 1500)
    write_day(place / "day1.csv", 2, range(30, 90), "blue red white green")
    write_day(place / "day2.csv", 3, range(80, 140), "blue black")
    for day in range(3):
        (place / f"day{day}.schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")


def run_job(job: Any, *words: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        job.main([*words])
    return printed.getvalue()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with three days, a run of the first one, and what the job printed."""
    place = tmp_path_factory.mktemp("days")
    write_days(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        text = run_job(
            train, "--data.path", "day0.csv", "--model.name", "deepfm", "--run-directory", "run", *KEYS, *SHORT
        )
    return place, text


@pytest.fixture
def place(trained: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder, in which the test runs."""
    shutil.copytree(trained[0], tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


def test_from_rows_to_a_served_model(place: Path, trained: tuple[Path, str]) -> None:
    assert re.search(r"4 fields, \d+ ids of vocabularies; 3 features have keys", trained[1])
    found = re.search(r"keys: (\d+) of the 400 rows of embedding are used; 0 were freed", trained[1])
    assert found is not None and "THE TABLE WAS FULL" not in trained[1]
    assert re.search(r"of the ids of the test rows \d+\.\d+ % have no row", trained[1])
    used = int(found[1])
    result = read_json(place / "run" / "result.json")
    (counts,) = result["keys"]
    assert counts == {"layer": "embedding", "rows": 400, "used": used, "freed": 0, "refused": 0}
    version = place / "saved_models" / "tabular_file-deepfm" / "1"
    card = read_json(version / "assets.extra" / "about.json")
    assert card["keys"] == {"embedding": {"rows": 400, "used": used}}

    run = open_run("run")
    settings = run.settings
    trained_weights = sum(int(np.prod(weight.shape)) for weight in run.model.trainable_weights)
    assert result["parameters"] == trained_weights, "keys and free places are no parameters"
    assert settings.data.keys == "user,item" and key_layers(run.model)[0].num_used == used
    rows = sampled_rows(run, "test", 1000)
    logits = np.load(place / "run" / "test_logits.npy")
    np.testing.assert_allclose(prediction(run)(rows.inputs), logits, rtol=1e-6, atol=1e-6)
    # Raw rows, answered by plain TensorFlow.
    raw = first_rows(open_source(settings.data), "test", 1000)
    np.testing.assert_allclose(ServedModel(version).logits(raw), logits, rtol=1e-6, atol=1e-6)
    served = tf.saved_model.load(str(version))
    names = {operation.type for operation in served.signatures["encoded"].graph.get_operations()}
    assert not [name for name in names if "HashTable" in name]


def test_the_jobs_after_it_take_the_run_and_the_export(place: Path) -> None:
    export = str(place / "saved_models" / "tabular_file-deepfm")
    run_job(predict, "day1.csv", "--export", export, "--output", "scores.csv")
    with (place / "scores.csv").open(encoding="utf-8") as scores:
        assert len(list(csv.DictReader(scores))) == 600
    text = run_job(evaluate, "day1.csv", "--export", export, "--replicates", "40", "--output", "judged")
    assert "AUC" in text
    text = run_job(explain, "run", "--permutations", "1", "--replicates", "40", "--by", "user", "--rows", "200")
    fields = {field["name"] for field in json.loads(Path("run/explain/importance.json").read_text())["fields"]}
    assert fields == {"colour", "user", "item", "age", "history"} and "user" in text
    assert "zero" in (place / "run" / "sparsity.txt").read_text(encoding="utf-8")


def test_slices_by_keys_are_named(place: Path) -> None:
    text = run_job(
        train, "--config", "run/settings.toml", "--run-directory", "sliced", "--evaluation.slice_by", "user,colour",
        "--export.directory", "none",
    )  # fmt: skip
    assert re.search(r"\(key \d+\)", text) and "red" in text


def states(settings: JobSettings, data: EncodedDataset, folder: Path, *epochs: int) -> tuple[list[np.ndarray], int]:
    """Trains in several sittings; returns all that is kept at their end, and how many rows the best state has freed."""
    for number in epochs:
        one = dataclasses.replace(settings, training=dataclasses.replace(settings.training, epochs=number))
        model, _ = fit_model(one, data, folder)
    reader = tf.train.load_checkpoint(str(max((folder / "checkpoints").iterdir()) / "state"))
    names = [name for name in sorted(reader.get_variable_to_shape_map()) if name.endswith("VARIABLE_VALUE")]
    kept = {name: reader.get_tensor(name) for name in names}
    assert any("optimizer" in name for name in kept)
    (layer,) = key_layers(model)
    return [*model.get_weights(), *kept.values()], int(raw_variable(layer.num_freed))


@pytest.mark.parametrize("optimizer", ["row_wise_adagrad", "group_ftrl"])
def test_a_training_with_expiry_that_is_stopped_ends_as_one_that_was_not(
    place: Path, tmp_path: Path, optimizer: str
) -> None:
    """To the bit, although the sitting ends between two times at which rows are freed."""
    settings = job_settings({
        **read_file("run/settings.toml"),
        "optimizer": {"name": optimizer},
        "keys": {"every": 7, "unseen_for": 5, "free_share": 0.5},
        "training": {"epochs": 3, "batch_size": 32, "evaluate_every": 11, "patience": 0, "tensorboard": False},
    })  # fmt: skip
    data = prepare(settings.data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole, freed = states(settings, data, tmp_path / "whole", 3)
        parts, freed_too = states(settings, data, tmp_path / "parts", 1, 2, 3)
    assert data.num_rows("train") % (32 * 7) and freed == freed_too > 5
    assert len(whole) == len(parts) and all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_days_with_new_keys_and_vocabularies_that_grow(place: Path) -> None:
    text = run_job(update, "run", "--data.path", "day1.csv")
    assert "colour +2" in text and "ids: " in text
    found = re.search(r"keys: (\d+) of the 400 rows of embedding are used, (\d+) of them by new keys; 0 were", text)
    assert found is not None and int(found[2]) >= 30, "each of 30 new users takes a row"
    text = run_job(update, "run", "--data.path", "day2.csv", "--keys.unseen_for", "19", "--keys.every", "5")
    found = re.search(r"(\d+) of them by new keys; (\d+) were freed", text)
    assert found is not None and int(found[1]) >= 50 and int(found[2]) > 20, "users of earlier days give theirs back"
    # The day was scored by the grown model, before it was trained, as the version of the day before serves it.
    for number in (1, 2):
        served = ServedModel(place / "saved_models" / "tabular_file-deepfm" / str(number))
        settings = job_settings(read_file(f"run/days/000{number}/settings.toml"))
        source = open_source(settings.data)
        answers = np.concatenate([served.logits(batch.columns) for batch in source.batches()])
        scored = np.load(place / "run" / "days" / f"000{number}" / "train_logits.npy")
        np.testing.assert_allclose(scored, answers, rtol=0, atol=2e-6)
    # A second vocabulary's ids moved; the same update again finds the day done.
    assert "trained on before" in run_job(update, "run", "--data.path", "day1.csv")


def test_a_table_that_is_full_says_so(place: Path) -> None:
    words = ["--config", "run/settings.toml", "--run-directory", "full", "--model.embedding.num_keys", "60"]
    with pytest.warns(UserWarning, match="times a new key found no free row among the 60 of embedding"):
        text = run_job(train, *words, "--export.directory", "none")
    assert "keys: 60 of the 60 rows of embedding are used; 0 were freed" in text
    found = re.search(r"THE TABLE WAS FULL: ([\d,]+) times .*model\.embedding\.num_keys.*keys\.free_share", text)
    assert found is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = run_job(train, *words[:2], *words[4:], "--run-directory", "room", "--keys.free_share", "0.3",
                       "--keys.every", "1")  # fmt: skip
    found = re.search(r"keys: (\d+) of the 60 rows of embedding are used; ([\d,]+) were freed", text)
    assert found is not None and int(found[1]) <= 42 and int(found[2].replace(",", "")) > 100


def test_by_default_all_features_that_can_have_keys_do(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data.path", "day0.csv", "--model.name", "dnn", "--model.embedding.num_keys", "400", *SHORT]
    # The rows are the same, whatever has said which features have keys.
    assert "4 features have keys" in run_job(prepare_job, "--data.path", "day0.csv", "--data.keys", "all")
    text = run_job(train, *words, "--run-directory", "all", "--export.directory", "none")
    assert "(from an earlier run)" in text
    assert read_file("all/settings.toml")["data"]["keys"] == "auto"
    # Under group_ftrl the rows of keys that come later stay as they are.
    text = run_job(train, *words, "--run-directory", "ftrl", "--export.directory", "none",
                   "--optimizer.name", "group_ftrl")  # fmt: skip
    assert "optimizer.options.untouched_rows keep, which suits keys" in text
    (layer,) = key_layers(open_run("ftrl").model)
    assert np.abs(raw_variable(layer.table).numpy()[1:]).sum(axis=1).min() >= 0.0
    free = raw_variable(layer.keys).numpy()[1:] == 0
    assert free.any() and np.abs(raw_variable(layer.table).numpy()[1:][free]).max() > 0.0
    assert "No field of all has a vocabulary" in refused(embeddings, ["all", "--output", "vectors"], capsys)
    assert "rows of embedding belong to keys" in refused(embeddings, ["run", "--output", "vectors"], capsys)


def test_searches_and_comparisons_take_the_option(place: Path) -> None:
    base = ["--data.path", "day0.csv", "--data.keys", "all", "--model.name", "dnn", *SHORT]
    text = run_job(tune, *base, "--trials", "2", "--output", "search", "--tuner", "grid",
                   "--search.space.model.embedding.num_keys", "[100, 400]",
                   "--search.catalogue_space", "false")  # fmt: skip
    assert "searching model.embedding.num_keys" in text
    best = read_file("search/best.toml")
    assert best["model"]["embedding"]["num_keys"] in (100, 400) and best["data"]["keys"] == "all"
    text = run_job(compare, *base, "--model.embedding.num_keys", "400", "--models", "dnn", "lr", "--seeds", "1",
                   "--trials", "0", "--output", "compared")  # fmt: skip
    assert "dnn" in text and "lr" in text


def test_keys_are_as_good_as_a_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--data.options.num_train", "8000", "--data.options.num_validation", "1500", *SHORT, "--model.name", "fm"]
    words = [word for word in words if word not in ("--model.deep.units", "[8]")] + ["--export.directory", "none"]
    aucs = []
    for name, more in (("vocabulary", []), ("keys", ["--model.embedding.num_keys", "20000"])):
        run_job(train, *words, "--data.options.num_test", "4000", *more, "--run-directory", name)
        aucs.append(Evaluation.load(tmp_path / name / "evaluation.json").metrics["auc"].value)
    assert aucs[0] > 0.6 and abs(aucs[1] - aucs[0]) < 0.02, aucs


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data.keys", "all"], "data.keys all gives features keys .* give --model.embedding.num_keys"),
        (["--keys.unseen_for", "100"], r"\[keys\] free rows of keys, and there are none without"),
        ([*KEYS, "--keys.free_share", "1.5"], "free_share lies from 0 to below 1, got 1.5"),
        ([*KEYS, "--keys.every", "0"], "keys.every must be at least 1, got 0"),
        ([*KEYS, "--strategy", "mirrored", "--training.replicas", "2"], "one process on one device, .*'mirrored'"),
        ([*KEYS, "--pretrained.vectors.user", "vectors.npy"], "a value has no row before it is seen"),
        ([*KEYS, "--optimizer.name", "keras.ftrl"], "keras.ftrl sets all rows to 0 in its first step"),
        (
            [*KEYS, "--optimizer.name", "group_ftrl", "--optimizer.options.untouched_rows", "zero"],
            "untouched_rows zero sets rows to 0 that later keys will take",
        ),
        ([*KEYS, "--model.embedding.frozen", "user"], "no field has a size of its own or is frozen"),
        (["--model.embedding.num_keys", "9", "--data.keys", "usr"], "Unknown feature in data.keys: 'usr'.*'user'"),
        (["--model.embedding.num_keys", "9", "--data.keys", "age"], "'age' cannot be keys: it is numeric"),
    ],
)
def test_what_does_not_go_with_keys_is_refused(
    place: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = refused(train, ["--data.path", "day0.csv", "--model.name", "dnn", *SHORT, *words], capsys)
    assert re.search(message, text), text
    assert not list((place / "runs").glob("tabular_file-*"))


def test_an_update_keeps_to_the_keys_of_the_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(update, ["run", "--data.path", "day1.csv", "--data.keys", "user"], capsys)
    assert "data.keys is the run's, 'user,item'" in said
    said = refused(update, ["run", "--data.path", "day1.csv", "--model.embedding.num_keys", "500"], capsys)
    assert "The model is the run's" in said
