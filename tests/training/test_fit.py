"""Training: what it writes, when it stops, what it keeps, and that it repeats and goes on to the bit."""

from __future__ import annotations

import csv
import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.jobs.settings import EvaluationSettings
from dynctr_tf.layers import FieldEmbedding, TargetAttention
from dynctr_tf.metrics import auc, log_loss
from dynctr_tf.models import Deep, Embedding, encoded_inputs
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.optimizers import LazyAdam, dynint_optimizer
from dynctr_tf.stack import optimizer_state, random_states, variable_path
from dynctr_tf.training import (
    NonFiniteLossError,
    TrainingLog,
    TrainingResult,
    Validation,
    peak_memory_mib,
    predict_logits,
    restore_training,
    set_seed,
    train,
)
from dynctr_tf.training.checkpoints import Checkpoints
from dynctr_tf.training.fit import SCORING_BATCH, _Scorer

BATCH = 256
STEPS = 12  # ceil(3000 / 256), the last batch smaller


def dnn(data: Any, seed: int = 0, dropout: float = 0.2) -> keras.Model:
    set_seed(seed)
    return build_model("dnn", data.features, embedding=Embedding(4), deep=Deep((16,), dropout=dropout))


def din(data: Any, seed: int = 0) -> keras.Model:
    """Its activation has moving averages, and is a layer in a list of a layer."""
    set_seed(seed)
    query, history = (keras.Input(shape, name=name) for name, shape in (("query", (4,)), ("history", (3, 4))))
    attention = keras.Model([query, history], TargetAttention((8, 4))([query, history]))
    features = data.features
    inputs = encoded_inputs(features)
    embedded = FieldEmbedding(features.num_ids, 4)(inputs["fields"])
    read = keras.layers.Concatenate()([attention([embedded[:, 0], embedded[:, 1:4]]), embedded[:, 0]])
    return keras.Model({"fields": inputs["fields"]}, keras.layers.Dense(1)(keras.layers.Dropout(0.2)(read)))


def dynint(data: Any, seed: int = 0) -> keras.Model:
    set_seed(seed)
    return build_model("dynint_dgp", data.features, embedding=Embedding(8), num_subspaces=4, num_layers=2, dropout=0.1)


def fit(model: keras.Model, data: Any, directory: Path, optimizer: Any = None, **options: Any) -> TrainingResult:
    optimizer = LazyAdam(0.01) if optimizer is None else optimizer
    given = {"batch_size": BATCH, "epochs": 1, "tensorboard": False, **options}
    return train(model, data, optimizer, directory=directory, **given)


def read_log(directory: Path) -> list[dict[str, str]]:
    with (directory / "log.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_the_log_has_the_exact_metrics_of_the_restored_best(small_data: Any, tmp_path: Path) -> None:
    model = dnn(small_data)
    result = fit(model, small_data, tmp_path, epochs=3, evaluate_every=5)
    lines = read_log(tmp_path)
    # 36 steps in rounds of 5: the last round has one.
    assert [int(line["step"]) for line in lines] == [5, 10, 15, 20, 25, 30, 35, 36]
    assert [float(line["epoch"]) for line in lines] == [step / STEPS for step in (5, 10, 15, 20, 25, 30, 35, 36)]
    assert all(float(line["learning_rate"]) == pytest.approx(0.01) for line in lines)
    assert all(float(line["rows_per_second"]) > 0 for line in lines)

    losses = [float(line["val_logloss"]) for line in lines]
    assert result.best.val_logloss == min(losses) < losses[0]
    assert result.steps == 36 and result.resumed_at == 0 and not result.stopped_early
    assert result.peak_memory_mib > 50 and peak_memory_mib() >= result.peak_memory_mib
    logits = predict_logits(model, small_data, "validation")
    assert logits.dtype == np.float64 and logits.shape == (500,)
    labels = small_data.column("validation", "label")
    assert result.best.val_logloss == pytest.approx(log_loss(labels, logits), abs=1e-12)
    assert result.best.val_auc == pytest.approx(auc(labels, logits), abs=1e-12)
    # What the newest two checkpoints need is kept: their own best weights, and the checkpoints of those.
    best = [min(lines[:count], key=lambda line: float(line["val_logloss"]))["step"] for count in (7, 8)]
    best = [f"{int(step):09d}" for step in best]
    kept = sorted(file.name for file in (tmp_path / "checkpoints").iterdir())
    assert kept == sorted({"000000035", "000000036", *best})
    assert sorted(file.name for file in (tmp_path / "best").iterdir()) == sorted(set(best))
    assert int(best[1]) == result.best.step


def test_training_stops_early_and_keeps_the_best(small_data: Any, tmp_path: Path) -> None:
    model = dnn(small_data)
    result = fit(model, small_data, tmp_path, LazyAdam(0.2), epochs=20, evaluate_every=4, patience=2)
    losses = [float(line["val_logloss"]) for line in read_log(tmp_path)]
    best = int(np.argmin(losses))
    assert result.stopped_early and result.steps < 20 * STEPS
    assert len(losses) == best + 1 + 2 and result.best.step == 4 * (best + 1)
    labels = small_data.column("validation", "label")
    logits = predict_logits(model, small_data, "validation")
    assert log_loss(labels, logits) == pytest.approx(losses[best], abs=1e-12)
    # Started again it has nothing left to do.
    again = fit(dnn(small_data), small_data, tmp_path, LazyAdam(0.2), epochs=20, evaluate_every=4, patience=2)
    assert again.resumed_at == again.steps == result.steps and again.best == result.best and again.stopped_early


def test_the_best_by_auc(small_data: Any, tmp_path: Path) -> None:
    result = fit(dnn(small_data), small_data, tmp_path, LazyAdam(0.05), epochs=3, monitor="auc", patience=0)
    assert result.best.val_auc == max(float(line["val_auc"]) for line in read_log(tmp_path))
    assert result.steps == 3 * STEPS


def test_tensorboard_files_hold_the_validation(small_data: Any, tmp_path: Path) -> None:
    fit(dnn(small_data), small_data, tmp_path, tensorboard=True)
    files = sorted((tmp_path / "tensorboard").rglob("events.out.*"))
    tags = set()
    for file in files:
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            tags |= {value.tag for value in event.summary.value}
    assert {"epoch_loss", "epoch_logloss", "epoch_auc"} <= tags


def test_same_seed_same_bits_other_seed_other_weights(small_data: Any, tmp_path: Path) -> None:
    weights = []
    for number, seed in enumerate((3, 3, 4)):
        model = dnn(small_data, seed)
        fit(model, small_data, tmp_path / str(number), seed=seed, epochs=2)
        weights.append(model.get_weights())
    assert equal(weights[0], weights[1])
    assert not any(np.array_equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))


@pytest.mark.parametrize(
    ("make", "optimizer"),
    [
        (dnn, lambda: LazyAdam(0.01)),
        (dnn, lambda: keras.optimizers.Adam(0.01)),
        (dynint, lambda: dynint_optimizer(batch_size=BATCH)),
        (din, lambda: LazyAdam(0.01)),
    ],
    ids=["lazy_adam", "adam", "group_ftrl", "moving_averages_in_a_list_of_layers"],
)
def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    make: Any, optimizer: Any, small_data: Any, tmp_path: Path
) -> None:
    save = Checkpoints.save

    def copy_and_save(self: Checkpoints, checkpoint: Any, step: int, about: Any) -> None:
        # What a kill leaves after the best weights are written, before the checkpoint is: the work of a round is lost.
        if step == 15:
            shutil.copytree(tmp_path / "whole", tmp_path / "parts")
        save(self, checkpoint, step, about)

    whole = make(small_data)
    whole_optimizer = optimizer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", copy_and_save)
        expected = fit(whole, small_data, tmp_path / "whole", whole_optimizer, epochs=2, evaluate_every=5)
    assert [line["step"] for line in read_log(tmp_path / "parts")] == ["5", "10"]

    # A new process would have other random numbers by now.
    model = make(small_data)
    parts_optimizer = optimizer()
    resumed = fit(model, small_data, tmp_path / "parts", parts_optimizer, epochs=2, evaluate_every=5)
    assert resumed.resumed_at == 10
    for field in dataclasses.fields(Validation):
        if field.name != "rows_per_second":
            assert getattr(resumed.best, field.name) == getattr(expected.best, field.name), field.name
    assert equal(model.get_weights(), whole.get_weights())
    states = [[np.asarray(state) for state in optimizer_state(used)] for used in (whole_optimizer, parts_optimizer)]
    assert len(states[0]) > 3 and equal(*states)
    randoms = [[state.numpy() for state in random_states(used)] for used in (whole, model)]
    assert len(randoms[0]) > 0 and equal(*randoms)


def test_the_state_of_a_training_that_is_over_has_the_best_weights(small_data: Any, tmp_path: Path) -> None:
    """All of them: also what is not trained, such as moving averages, wherever its layer is kept."""
    model = din(small_data)
    fit(model, small_data, tmp_path, evaluate_every=4)
    other, optimizer = din(small_data, seed=1), LazyAdam(0.01)
    restore_training(other, optimizer, tmp_path)
    averages = [weight.numpy() for weight in model.weights if "moving" in variable_path(weight)]
    assert len(averages) == 6 and all(np.any(average) for average in averages)
    assert equal(model.get_weights(), other.get_weights())


def test_the_checkpoint_has_every_state_of_the_optimizer(small_data: Any, tmp_path: Path) -> None:
    optimizer = dynint_optimizer(batch_size=BATCH)
    model = dynint(small_data)
    fit(model, small_data, tmp_path, optimizer)
    saved = tf.train.list_variables(str(tmp_path / "checkpoints" / f"{STEPS:09d}" / "state"))
    names = [name for name, _ in saved if name.endswith("VARIABLE_VALUE")]
    distinct = {id(variable) for variable in [*optimizer_state(optimizer), *model.weights, *random_states(model)]}
    # Also the number of steps.
    assert len(names) >= len(distinct) + 1

    other = dynint(small_data, seed=1)
    fresh = dynint_optimizer(batch_size=BATCH)
    result = fit(other, small_data, tmp_path, fresh)
    assert result.resumed_at == STEPS
    before = [np.asarray(state) for state in optimizer_state(optimizer)]
    assert equal(before, [np.asarray(state) for state in optimizer_state(fresh)])
    assert any(np.any(state != 0) for state in before)


def test_a_loss_that_is_not_finite_names_its_step_and_keeps_the_checkpoint(small_data: Any, tmp_path: Path) -> None:
    good = dnn(small_data)
    fit(good, small_data, tmp_path, evaluate_every=4)
    before = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    model = dnn(small_data)

    class Poison(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batch == 2:
                self.model.trainable_variables[-1].assign([np.inf])

    fit_of_keras = type(model).fit
    with pytest.MonkeyPatch.context() as patch:

        def poisoned(self: Any, *arguments: Any, callbacks: Any, **options: Any) -> Any:
            return fit_of_keras(self, *arguments, callbacks=[Poison(), *callbacks], **options)

        patch.setattr(type(model), "fit", poisoned)
        with pytest.raises(NonFiniteLossError, match=r"loss is (inf|nan) at step 15\. .*checkpoints/000000012"):
            fit(model, small_data, tmp_path, epochs=2, evaluate_every=4)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == before
    # And the run goes on from there.
    assert fit(dnn(small_data), small_data, tmp_path, epochs=2, evaluate_every=4).resumed_at == STEPS


def test_a_learning_rate_that_explodes_is_named(small_data: Any, tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLossError, match=r"at step \d+\. Lower the learning rate"):
        fit(dnn(small_data), small_data, tmp_path, LazyAdam(1e30), epochs=3, evaluate_every=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"evaluate_every": 0}, "evaluate_every must be at least 1, got 0"),
        ({"patience": -1}, "patience must be at least 0, got -1"),
        ({"monitor": "loss"}, "monitor must be 'logloss', 'auc' or 'none', got 'loss'"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str, small_data: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        fit(dnn(small_data), small_data, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_the_checkpoint_of_another_model_is_refused(small_data: Any, tmp_path: Path) -> None:
    fit(dnn(small_data), small_data, tmp_path)
    set_seed(0)
    other = build_model("fm", small_data.features, embedding=Embedding(4))
    with pytest.raises(ValueError, match="is of another model or optimizer"):
        fit(other, small_data, tmp_path)
    with pytest.raises(ValueError, match="is of another model or optimizer"):
        fit(dnn(small_data), small_data, tmp_path, dynint_optimizer(batch_size=BATCH))


def validation(step: int, logloss: float, area: float = 0.5) -> Validation:
    return Validation(step, step / 10, 0.5, logloss, area, 0.1, 1000.0)


def test_the_log_decides(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / "log.csv", patience=2)
    assert log.best is None and not log.should_stop
    for step, loss in ((1, 0.5), (2, 0.4), (3, 0.4), (4, 0.41)):
        assert not log.should_stop
        log.append(validation(step, loss))
    assert log.should_stop and log.best is not None and log.best.step == 2  # the first of equals
    again = TrainingLog(tmp_path / "log.csv", patience=2)
    again.restore(log.as_records()[:3])
    assert again.validations == log.validations[:3] and not again.should_stop
    assert [line["step"] for line in read_log(tmp_path)] == ["1", "2", "3"]
    by_auc = TrainingLog(tmp_path / "auc.csv", "auc")
    for step, area in ((1, 0.5), (2, 0.7), (3, 0.6)):
        by_auc.append(validation(step, 0.1 * step, area))
    assert by_auc.best is not None and by_auc.best.step == 2 and not by_auc.should_stop


def test_the_settings_score_as_many_rows_at_a_time() -> None:
    # The settings are read before TensorFlow is imported, so that they cannot take the number from here.
    assert EvaluationSettings().batch_size == SCORING_BATCH


def test_a_scorer_has_one_graph_for_full_batches_and_the_last(small_data: Any) -> None:
    model = build_model("lr", small_data.features)
    scorer = _Scorer(model, small_data, "test", 300)
    assert small_data.num_rows("test") % 300
    first = scorer.logits()
    np.testing.assert_array_equal(scorer.logits(), first)
    assert scorer.forward.experimental_get_tracing_count() == 1
