"""One training run with `model.fit`: exact validation, early stopping, best checkpoint, resume without loss."""

from __future__ import annotations

import dataclasses
import math
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tqdm.auto import tqdm

from dynctr_tf.encoding.encoded_dataset import EncodedDataset
from dynctr_tf.metrics import auc, log_loss
from dynctr_tf.stack import random_states
from dynctr_tf.training.training_log import TrainingLog, Validation


class NonFiniteLossError(FloatingPointError):
    """The training loss became infinite or not a number."""


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """How a training run ended; the model holds the weights of the best validation.

    Attributes:
        steps: Steps done in all, earlier sittings included.
        resumed_at: The step at which this sitting began; 0 for a run that was never interrupted.
        best: The best validation.
        stopped_early: Whether patience ended it.
        rows_per_second: Median over the validations, each itself a median over its steps.
        peak_memory_mib: Largest resident memory of this process so far, MiB.
    """

    steps: int
    resumed_at: int
    best: Validation
    stopped_early: bool
    rows_per_second: float
    peak_memory_mib: float


def peak_memory_mib() -> float:
    """The largest resident memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 * 1024.0 if sys.platform == "darwin" else 1024.0)


def model_inputs(model: keras.Model, batches: tf.data.Dataset) -> tf.data.Dataset:
    """Keeps of every encoded batch the entries that the model takes."""
    names = sorted(model.input)

    def select(inputs: dict[str, tf.Tensor], *rest: tf.Tensor) -> tuple[Any, ...]:
        return ({name: inputs[name] for name in names}, *rest)

    return batches.map(select)


def predict_logits(model: keras.Model, data: EncodedDataset, split: str, batch_size: int = 16384) -> np.ndarray:
    """The model's logits for all rows of a split, float64 `(rows,)`, in the order of `data.column(split, ...)`."""
    batches = model_inputs(model, data.batches(split, batch_size))
    return model.predict(batches, verbose=0).astype(np.float64).reshape(-1)


class _Rounds(keras.callbacks.Callback):
    """What happens between the rounds of steps that `fit` knows as epochs: validate, record, keep, stop."""

    def __init__(
        self,
        data: EncodedDataset,
        log: TrainingLog,
        manager: tf.train.CheckpointManager,
        done: tf.Variable,
        best_directory: Path,
        batch_size: int,
        steps_per_epoch: int,
        total_steps: int,
    ) -> None:
        super().__init__()
        self.bar = tqdm(disable=True)
        self.data = data
        self.log = log
        self.manager = manager
        self.done = done
        self.best_directory = best_directory
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.step = int(done.numpy())
        self.total_steps = total_steps
        self.labels = data.column("validation", "label")
        self.weights = data.column("validation", "weight") if data.schema.weight else None
        self.step_seconds: list[float] = []

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.bar = tqdm(total=self.total_steps, initial=self.step, unit="step", desc="training", mininterval=1.0)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.step_seconds.clear()
        self.last_time = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        now = time.perf_counter()
        self.step_seconds.append(now - self.last_time)
        self.last_time = now
        self.step += 1
        self.bar.update()
        # The running mean of the round, which stays finite for as long as every step's loss is.
        loss = float((logs or {})["loss"])
        if not math.isfinite(loss):
            self._refuse(f"The training loss is {loss}")

    def _refuse(self, what: str) -> None:
        raise NonFiniteLossError(
            f"{what} at step {self.step}. Lower the learning rate or look at the rows of that step; the last good "
            f"checkpoint is {self.manager.latest_checkpoint or 'none yet'}."
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = {} if logs is None else logs
        logits = predict_logits(self.model, self.data, "validation")
        if not np.isfinite(logits).all():
            # The last update of the round has spoilt the weights, which no training loss has seen yet.
            self._refuse("The validation split has logits that are not finite")
        rate = self.batch_size / float(np.median(self.step_seconds))
        validation = Validation(
            step=self.step,
            epoch=self.step / self.steps_per_epoch,
            train_loss=float(logs["loss"]),
            val_logloss=log_loss(self.labels, logits, self.weights),
            val_auc=auc(self.labels, logits, self.weights),
            learning_rate=float(np.asarray(self.model.optimizer.learning_rate)),
            rows_per_second=rate,
        )
        logs.update(val_logloss=validation.val_logloss, val_auc=validation.val_auc)
        self.log.append(validation)
        if self.log.best is validation:
            self.model.save_weights(self.best_directory / f"{self.step:09d}.weights.h5")
        self.done.assign(self.step)
        self.manager.save(checkpoint_number=self.step)
        for file in self.best_directory.glob("*.weights.h5"):
            if self.log.best is not None and file.name != f"{self.log.best.step:09d}.weights.h5":
                file.unlink()
        self.bar.set_postfix(
            loss=f"{validation.train_loss:.4f}",
            val_logloss=f"{validation.val_logloss:.4f}",
            val_auc=f"{validation.val_auc:.4f}",
            rows_per_s=f"{rate:,.0f}",
        )
        if self.log.should_stop:
            self.model.stop_training = True


def _restore(checkpoint: tf.train.Checkpoint, path: str) -> None:
    """Restores everything, or refuses."""
    try:
        checkpoint.restore(path).assert_consumed()
    except (AssertionError, ValueError) as error:
        # TensorFlow's message ends with a dump of the whole checkpoint.
        reason = str(error).splitlines()[0][:300]
        raise ValueError(
            f"The checkpoint {path} is of another model or optimizer ({reason}). Give the settings with which it was "
            "made, or another directory."
        ) from error


def train(
    model: keras.Model,
    data: EncodedDataset,
    optimizer: Any,
    *,
    directory: str | Path,
    batch_size: int = 4096,
    epochs: int = 3,
    evaluate_every: int | None = None,
    monitor: str = "logloss",
    patience: int = 4,
    seed: int = 0,
    tensorboard: bool = True,
) -> TrainingResult:
    """Trains a model on the encoded training split, and picks up where an interrupted run of the same call stopped.

    The model is compiled with the cross-entropy of its logit and fitted with `model.fit`, in rounds of
    `evaluate_every` steps. After each round the validation split is scored exactly, the best weights and a
    checkpoint of everything (weights, optimizer state, random state, step) are kept under `directory`, and
    the log is written. A run that was killed goes on from its last checkpoint at the same row of the data and
    gives the numbers that it would have given. At the end the model has the weights of the best validation.

    Args:
        model: A model whose output is the logit, `(batch, 1)`, built after `set_seed`, without which a resumed
            run on Keras 2 drops (dropout) other entries than an uninterrupted one.
        data: The encoded data, with the splits `train` and `validation`.
        optimizer: A Keras optimizer.
        directory: Where checkpoints, the log (`log.csv`) and TensorBoard files of this run live.
        batch_size: Rows per step. Default 4096.
        epochs: Passes over the training rows at the most. Default 3.
        evaluate_every: Steps between validations. Default `None`: four times per epoch.
        monitor: `"logloss"` or `"auc"` of the validation split. Default `"logloss"`.
        patience: Validations without a better one after which training stops; 0 for never. Default 4.
        seed: Seed of the row order. Default 0.
        tensorboard: Whether to write TensorBoard files. Default `True`.

    Returns:
        How it ended.

    Raises:
        NonFiniteLossError: The loss became infinite or not a number; what was checkpointed before stays.
        ValueError: A number out of range, an unknown monitor, a split without rows, or a directory with the
            checkpoint of another model or optimizer.
    """
    numbers = {
        "batch_size": (batch_size, 1),
        "epochs": (epochs, 1),
        "evaluate_every": (1 if evaluate_every is None else evaluate_every, 1),
        "patience": (patience, 0),
    }
    for name, (value, least) in numbers.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}.")
    for split in ("train", "validation"):
        if not data.num_rows(split):
            raise ValueError(
                f"The {split} split has no rows; rows per split: "
                f"{ {name: data.num_rows(name) for name in data.split_names} }."
            )
    directory = Path(directory)
    log = TrainingLog(directory / "log.csv", monitor, patience)
    best_directory = directory / "best"
    best_directory.mkdir(parents=True, exist_ok=True)
    steps_per_epoch = math.ceil(data.num_rows("train") / batch_size)
    total_steps = epochs * steps_per_epoch
    round_steps = min(evaluate_every or max(1, math.ceil(steps_per_epoch / 4)), total_steps)

    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    optimizer.build(model.trainable_variables)
    done = tf.Variable(0, dtype=tf.int64, trainable=False, name="steps_done")
    checkpoint = tf.train.Checkpoint(
        model=model, optimizer=optimizer, steps_done=done, random_states=random_states(model)
    )
    manager = tf.train.CheckpointManager(checkpoint, str(directory / "checkpoints"), max_to_keep=1)
    if manager.latest_checkpoint:
        _restore(checkpoint, manager.latest_checkpoint)
    resumed_at = int(done.numpy())
    log.read(up_to_step=resumed_at)

    rounds = _Rounds(data, log, manager, done, best_directory, batch_size, steps_per_epoch, total_steps)
    while rounds.step < total_steps and not log.should_stop:
        # All rounds but the last have the same number of steps; fit takes one number, so the rest is a second call.
        count, steps = divmod(total_steps - rounds.step, round_steps)
        count, steps = (count, round_steps) if count else (1, steps)
        batches = data.batches("train", batch_size, shuffle=True, seed=seed, start_step=rounds.step, epochs=None)
        callbacks: list[Any] = [rounds]
        if tensorboard:
            callbacks.append(keras.callbacks.TensorBoard(str(directory / "tensorboard"), write_graph=False))
        first = len(log.validations)
        try:
            model.fit(
                model_inputs(model, batches).prefetch(2),
                steps_per_epoch=steps,
                initial_epoch=first,
                epochs=first + count,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )
        finally:
            rounds.bar.close()
    best = log.best
    if best is None:
        raise ValueError(f"{directory} holds a checkpoint of step {resumed_at} but no log; remove it to start anew.")
    model.load_weights(best_directory / f"{best.step:09d}.weights.h5")
    return TrainingResult(
        steps=rounds.step,
        resumed_at=resumed_at,
        best=best,
        stopped_early=log.should_stop and rounds.step < total_steps,
        rows_per_second=float(np.median([line.rows_per_second for line in log.validations])),
        peak_memory_mib=peak_memory_mib(),
    )
