"""One training run with `model.fit`: exact validation, early stopping, best checkpoint, resume without loss."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tqdm.auto import tqdm

from dynctr_tf.durable_files import make_folder, only_process
from dynctr_tf.encoding.encoded_dataset import EncodedDataset
from dynctr_tf.figures import figures_text
from dynctr_tf.metrics import auc, log_loss
from dynctr_tf.stack import random_states, raw_variable, variable_path
from dynctr_tf.training.best_weights import all_weights, weights_alone
from dynctr_tf.training.checkpoints import Checkpoints
from dynctr_tf.training.input_rate import InputRate
from dynctr_tf.training.memory import peak_memory_mib
from dynctr_tf.training.replica_batches import check_divisible, even_batches, replica_batches
from dynctr_tf.training.run_record import check_goes_on
from dynctr_tf.training.steps import plan_steps
from dynctr_tf.training.strategies import in_step, is_chief, is_multi_worker, is_parameter_server
from dynctr_tf.training.training_log import TrainingLog, Validation
from dynctr_tf.training.workers import make_coordinator, wait_for_all


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


SCORING_BATCH = 4096
"""Rows that are scored at a time.

On a CPU 16,384 are not faster (39 fields: xDeepFM 5 % faster, AutoInt 15 % slower, DNN, PNN and DynInt alike), and take
more memory than the training does (xDeepFM 1,675 MiB in all, and 1,128 with 4096).
"""


def model_inputs(model: keras.Model, batches: tf.data.Dataset) -> tf.data.Dataset:
    """Keeps of every encoded batch the entries that the model takes."""
    names = sorted(model.input)

    @tf.autograph.experimental.do_not_convert
    def select(inputs: dict[str, tf.Tensor], *rest: tf.Tensor) -> tuple[Any, ...]:
        return ({name: inputs[name] for name in names}, *rest)

    return batches.map(select)


class _Scorer:
    """Gives the logits of a split under the strategy of a model; what it traces serves every call.

    Keras' `predict` would make the data set and its iterator's graph again for each validation.
    """

    def __init__(self, model: keras.Model, data: EncodedDataset, split: str, batch_size: int) -> None:
        strategy = model.distribute_strategy
        replicas = strategy.num_replicas_in_sync if in_step(strategy) else 1
        self.rows = data.num_rows(split)
        batch_size = -(-min(batch_size, self.rows) // replicas) * replicas
        self.batches = model_inputs(model, data.batches(split, batch_size))
        if in_step(strategy):
            self.batches = replica_batches(strategy, self.batches, batch_size)

        # One graph for full batches and the last one, which is smaller.
        signature = None if in_step(strategy) else [self.batches.element_spec[0]]

        @tf.function(input_signature=signature, reduce_retracing=signature is None)
        def forward(inputs: dict[str, tf.Tensor]) -> Any:
            if in_step(strategy):
                parts = strategy.run(lambda own: model(own, training=False), args=(inputs,))
                # In the order of the replicas, which is that of the rows.
                return strategy.gather(parts, axis=0)
            return model(inputs, training=False)

        self.forward = forward

    def logits(self) -> np.ndarray:
        parts = [self.forward(inputs).numpy() for inputs, *_ in self.batches]
        # The rows that fill up the last batch are at the end.
        return np.concatenate(parts).astype(np.float64).reshape(-1)[: self.rows]


def predict_logits(model: keras.Model, data: EncodedDataset, split: str, batch_size: int = SCORING_BATCH) -> np.ndarray:
    """The model's logits for all rows of a split, float64 `(rows,)`, in the order of `data.column(split, ...)`.

    If the model was built in the scope of a strategy, all replicas score rows. The workers of a multi-worker job must
    all call it, and each gets all logits. With parameter servers the chief scores.
    """
    return _Scorer(model, data, split, batch_size).logits()


def _training_state(model: keras.Model, optimizer: Any) -> tuple[tf.train.Checkpoint, tf.Variable]:
    """Compiles the model and builds the optimizer; returns all that changes in a training, and the steps done."""
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    with model.distribute_strategy.scope():
        optimizer.build(model.trainable_variables)
    done = tf.Variable(0, dtype=tf.int64, trainable=False, name="steps_done")
    checkpoint = tf.train.Checkpoint(
        # The model too, for what layers hold beside weights.
        model=model,
        weights=all_weights(model),
        optimizer=optimizer,
        steps_done=done,
        random_states=random_states(model),
    )
    return checkpoint, done


def restore_training(model: keras.Model, optimizer: Any, directory: str | Path) -> int:
    """Reads back the best state of a training that is over: weights, optimizer state and random state.

    Use it to continue from there with other rows. The optimizer state is that of the best weights, even if the training
    continued after them.

    Args:
        model: A model like the one that was trained, new.
        optimizer: An optimizer like the one that it was trained by, new.
        directory: The `directory` of that `train`.

    Returns:
        The step of the best state.

    Raises:
        ValueError: There is no checkpoint, there is none of the best state, or it is of another model or optimizer.
        DamagedFileError: It is damaged.
    """
    checkpoint, _ = _training_state(model, optimizer)
    checkpoints = Checkpoints(Path(directory))
    found = checkpoints.find()
    if found is None:
        raise ValueError(f"{directory} holds no checkpoint of a training; train first.")
    best = int(found[1]["best_step"])
    if best not in checkpoints.steps():
        raise ValueError(
            f"{directory} has the best weights, of step {best:,}, but not the optimizer state that belongs to them: it "
            "was trained by an earlier version of this library. Train again, and continue from that."
        )
    checkpoints.restore(checkpoint, best)
    return best


def _is_finite(weight: tf.Variable) -> bool:
    with tf.device(weight.device):  # of a shard, its server
        return bool(tf.reduce_all(tf.math.is_finite(weight)))


class _Rounds(keras.callbacks.Callback):
    """The work between the rounds of steps that `fit` calls epochs: validate, record, keep, stop."""

    def __init__(
        self,
        data: EncodedDataset,
        log: TrainingLog,
        checkpoints: Checkpoints,
        checkpoint: tf.train.Checkpoint,
        done: tf.Variable,
        batch_size: int,
        steps_per_epoch: int,
        total_steps: int,
        after_checkpoint: Callable[[], object] | None,
    ) -> None:
        super().__init__()
        self.after_checkpoint = after_checkpoint
        self.bar = tqdm(disable=True)
        self.data = data
        self.log = log
        self.checkpoints = checkpoints
        self.checkpoint = checkpoint
        self.done = done
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.step = int(done.numpy())
        self.total_steps = total_steps
        self.validates = log.monitor != "none"
        if self.validates:
            self.labels = data.column("validation", "label")
            self.weights = data.column("validation", "weight") if data.schema.row_weight else None
        self.step_seconds: list[float] = []
        self._scorer: _Scorer | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.chief = is_chief(self.model.distribute_strategy)
        self.bar = tqdm(
            total=self.total_steps,
            initial=self.step,
            unit="step",
            desc="training",
            mininterval=1.0,
            disable=not self.chief,
        )

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.step_seconds.clear()
        self.last_time = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        now = time.perf_counter()
        self.step_seconds.append(now - self.last_time)
        self.last_time = now
        self.step += 1
        self.bar.update()
        # The running mean of the round, which is finite as long as the loss of every step is.
        self._check(float((logs or {})["loss"]))

    def finish_round(self, steps: int, loss: float) -> None:
        """Counts the steps of a round whose steps ran in no order, so that no step has a time of its own."""
        seconds = (time.perf_counter() - self.last_time) / steps
        self.step_seconds.extend([seconds] * steps)
        self.step += steps
        self.bar.update(steps)
        self._check(loss)

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss):
            self._refuse(f"The training loss is {loss}")

    def _refuse(self, what: str) -> None:
        raise NonFiniteLossError(
            f"{what} at step {self.step}. Lower the learning rate or look at the rows of that step; the last good "
            f"checkpoint is {self.checkpoints.newest or 'none yet'}."
        )

    def _validation_logits(self) -> np.ndarray:
        if self._scorer is None:
            self._scorer = _Scorer(self.model, self.data, "validation", SCORING_BATCH)
        return self._scorer.logits()

    def _validate(self) -> tuple[float, float]:
        """Logloss and AUC of the validation split; NaN where there is none.

        The last update of the round may have spoilt the weights, which no training loss has seen yet.
        """
        if not self.validates:
            for weight in self.model.trainable_weights:
                if not _is_finite(raw_variable(weight)):
                    self._refuse(f"The weights {variable_path(weight)} are no longer finite")
            return math.nan, math.nan
        logits = self._validation_logits()
        if not np.isfinite(logits).all():
            self._refuse("The validation split has logits that are not finite")
        return log_loss(self.labels, logits, self.weights), auc(self.labels, logits, self.weights)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = {} if logs is None else logs
        val_logloss, val_auc = self._validate()
        rate = self.batch_size / float(np.median(self.step_seconds))
        validation = Validation(
            step=self.step,
            epoch=self.step / self.steps_per_epoch,
            train_loss=float(logs["loss"]),
            val_logloss=val_logloss,
            val_auc=val_auc,
            learning_rate=float(tf.convert_to_tensor(self.model.optimizer.learning_rate).numpy()),
            rows_per_second=rate,
        )
        logs.update(val_logloss=validation.val_logloss, val_auc=validation.val_auc)
        self.log.append(validation)
        best = self.log.best or validation
        # Every worker of a multi-worker job saves, because reading some variables takes all workers; only the chief's
        # files are kept. The checkpoint says that the round is done, so it comes after the weights that it names.
        if best is validation and self.validates:
            self.checkpoints.save_best(weights_alone(self.model), self.step)
        self.done.assign(self.step)
        about = {"best_step": best.step, "validations": self.log.as_records()}
        self.checkpoints.save(self.checkpoint, self.step, about)
        self.log.write()
        if self.after_checkpoint is not None:
            self.after_checkpoint()
        shown = {"loss": figures_text(validation.train_loss), "rows_per_s": f"{rate:,.0f}"}
        if self.validates:
            shown |= {"val_logloss": figures_text(validation.val_logloss), "val_auc": f"{validation.val_auc:.4f}"}
        self.bar.set_postfix(shown)
        if self.log.should_stop:
            self.model.stop_training = True


def _check_same_step(strategy: tf.distribute.Strategy, step: int, directory: Path) -> None:
    """Refuses workers that found different checkpoints."""
    if not is_multi_worker(strategy):
        return

    @tf.function
    def steps_of_all() -> tf.Tensor:
        return strategy.gather(strategy.run(lambda: tf.constant([step], tf.int64)), axis=0)

    steps = steps_of_all().numpy()
    if len(set(steps.tolist())) > 1:
        raise ValueError(
            f"The workers found checkpoints of different steps under {directory}: {steps.tolist()}. All of them must "
            "see the same directory, on a file system that they share."
        )


def _fit_on_servers(
    model: keras.Model,
    batches: tf.data.Dataset,
    rounds: _Rounds,
    first: int,
    count: int,
    steps: int,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    """What `fit` does, with each batch given to the worker that is free.

    `fit` lets each worker read a data set of its own, so that a fast worker would read its rows again before a
    slow one has read its own once, and rows that a worker had read ahead would be lost with it.
    """
    strategy = model.distribute_strategy
    coordinator = make_coordinator(strategy)

    @tf.function
    def step(*batch: Any) -> None:
        strategy.run(lambda *own: model.train_step(own), args=batch)

    listed = keras.callbacks.CallbackList(callbacks, model=model)
    model.stop_training = False
    listed.on_train_begin()
    rows = iter(batches)
    rate = InputRate()
    for epoch in range(first, first + count):
        listed.on_epoch_begin(epoch)
        model.reset_metrics()
        with rate.training(steps * rounds.batch_size):
            for _ in range(steps):
                with rate.reading():
                    batch = next(rows)
                coordinator.schedule(step, args=batch)
            coordinator.join()
        loss = float(model.metrics[0].result().numpy())
        rounds.finish_round(steps, loss)
        listed.on_epoch_end(epoch, {"loss": loss})
        if model.stop_training:
            break
    listed.on_train_end()
    print(rate.to_text(), flush=True)


def train(
    model: keras.Model,
    data: EncodedDataset,
    optimizer: Any,
    *,
    directory: str | Path,
    batch_size: int | None = None,
    epochs: int = 3,
    evaluate_every: int | None = None,
    monitor: str = "logloss",
    patience: int | None = None,
    seed: int = 0,
    tensorboard: bool = True,
    callbacks: Sequence[Any] = (),
    after_checkpoint: Callable[[], object] | None = None,
) -> TrainingResult:
    """Trains a model on the encoded training split, and picks up where an interrupted run of the same call stopped.

    The model is compiled with the cross-entropy of its logit and fitted with `model.fit`, in rounds of
    `evaluate_every` steps. After each round the validation split is scored exactly, the best weights and a
    checkpoint of everything (weights, optimizer state, random state, step, validations) are kept under
    `directory`, and the log is written. A run that was killed, or whose machine lost its power, continues from its last
    checkpoint at the same row of the data and gives the same numbers as an uninterrupted run. Two checkpoints are kept:
    if the newest is damaged, the run continues from the other, says so, and ends in the same way. At the end the model
    has the weights of the best validation.

    A model that was built, like its optimizer, in the scope of a strategy of `make_strategy` is trained by it.
    Mirrored, multi-worker and TPU replicas share each batch evenly, and end with the weights that one replica would
    have had, except for rounding (and except for batch normalization and dropout, which each replica does for its own
    rows). The workers of a multi-worker job must all see `directory`; the chief writes it. With parameter servers the
    chief reads the rows and hands each batch to the next worker that is free, so that a row is read once. If a worker
    dies, its batch goes to another. The order in which updates reach the servers is then not repeatable.

    Args:
        model: A model whose output is the logit, `(batch, 1)`. Build it after `set_seed`; otherwise the dropout of a
            resumed run on Keras 2 drops other entries than that of an uninterrupted one.
        data: The encoded data, with the split `train` and, where there is something to monitor, `validation`.
        optimizer: A Keras optimizer.
        directory: The folder of checkpoints, the log (`log.csv`) and TensorBoard files of this run.
        batch_size: Rows per step. Default `None`: from the number of training rows, see `plan_steps`.
        epochs: Passes over the training rows at the most. Default 3.
        evaluate_every: Steps between validations. Default `None`: four times per epoch.
        monitor: `"logloss"` or `"auc"` of the validation split, which pick the best weights; or `"none"`: there is no
            such split, all epochs are trained, and the last weights stay. Default `"logloss"`.
        patience: Validations without a better one after which training stops; 0 for never. Default `None`: those of
            two epochs.
        seed: Seed of the row order. Default 0.
        tensorboard: Whether to write TensorBoard files. Default `True`.
        callbacks: Further callbacks of `model.fit`, such as `ExpireKeys`. For them the end of an epoch is the end of a
            round, before it is validated and checkpointed. What they count must be in the weights, or they count anew
            when a training goes on. Default none.
        after_checkpoint: Called by the chief when a checkpoint and the log are written, such as to copy the directory
            elsewhere; the training waits for it, and ends with its error. Default `None`.

    Returns:
        How it ended.

    Raises:
        NonFiniteLossError: The loss became infinite or not a number; what was checkpointed before stays.
        ValueError: A number out of range, an unknown monitor, a split without rows, or a directory with the
            checkpoint of other rows, another model or optimizer, or another batch size, seed, monitor or number of
            steps between validations, or with checkpoints that are all damaged (`DamagedFileError`).
        BusyError: Another process trains in the directory.
        OSError: A file cannot be written; what was saved before stays.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}.")
    validates = monitor != "none"
    for split in ("train", "validation") if validates else ("train",):
        if not data.num_rows(split):
            raise ValueError(
                f"The {split} split has no rows; rows per split: "
                f"{ {name: data.num_rows(name) for name in data.split_names} }."
            )
    strategy = model.distribute_strategy
    replicas = strategy.num_replicas_in_sync if in_step(strategy) else 1
    plan = plan_steps(
        data.num_rows("train"),
        batch_size=batch_size,
        evaluate_every=evaluate_every,
        patience=patience,
        replicas=replicas,
    )
    batch_size, patience, steps_per_epoch = plan.batch_size, plan.patience, plan.steps_per_epoch
    check_divisible(batch_size, replicas)
    directory = Path(directory)
    with contextlib.ExitStack() as cleared:
        # Where this process writes: the chief into the run's directory, another worker into a temporary one.
        own = directory
        if not is_chief(strategy):
            own = Path(cleared.enter_context(tempfile.TemporaryDirectory(prefix="worker-")))
        log = TrainingLog(own / "log.csv", monitor, patience if validates else 0)
        if is_chief(strategy):
            make_folder(own)
            cleared.enter_context(only_process(own / "lock", f"trains in {own}"))
        total_steps = epochs * steps_per_epoch
        round_steps = min(plan.evaluate_every, total_steps)

        checkpoint, done = _training_state(model, optimizer)
        shared, checkpoints = Checkpoints(directory), Checkpoints(own)
        found = shared.find()
        check_goes_on(
            directory,
            resumes=found is not None,
            note=is_chief(strategy),
            rows=data.fingerprint,
            batch_size=batch_size,
            seed=seed,
            evaluate_every=evaluate_every,
            monitor=monitor,
        )
        resumed_at, about = (0, None) if found is None else found
        best_is_lost = False
        if about is not None:
            shared.restore(checkpoint, resumed_at)
            best_is_lost = validates and about["best_step"] == resumed_at and not shared.best_is_whole(resumed_at)
        _check_same_step(strategy, resumed_at, directory)
        checkpoints.clean(resumed_at)
        if about is not None:
            log.restore(about["validations"])
            if best_is_lost:  # which the checkpoint has too
                checkpoints.save_best(weights_alone(model), resumed_at)
        elif log.path.exists():
            print(f"There is no checkpoint under {directory} any more: training starts at step 0.", flush=True)

        called = after_checkpoint if is_chief(strategy) else None
        rounds = _Rounds(data, log, checkpoints, checkpoint, done, batch_size, steps_per_epoch, total_steps, called)
        while rounds.step < total_steps and not log.should_stop:
            # All rounds but the last have the same number of steps; fit takes one number, so the rest is a second call.
            count, steps = divmod(total_steps - rounds.step, round_steps)
            count, steps = (count, round_steps) if count else (1, steps)
            batches = data.batches("train", batch_size, shuffle=True, seed=seed, start_step=rounds.step, epochs=None)
            batches = model_inputs(model, batches)
            every: list[Any] = [*callbacks, rounds]
            if tensorboard and is_chief(strategy):
                every.append(keras.callbacks.TensorBoard(str(directory / "tensorboard"), write_graph=False))
            first = len(log.validations)
            try:
                if is_parameter_server(strategy):
                    _fit_on_servers(model, even_batches(batches, batch_size), rounds, first, count, steps, every)
                else:
                    model.fit(
                        replica_batches(strategy, batches, batch_size) if in_step(strategy) else batches.prefetch(2),
                        steps_per_epoch=steps,
                        initial_epoch=first,
                        epochs=first + count,
                        callbacks=every,
                        shuffle=False,
                        verbose=0,
                    )
            finally:
                rounds.bar.close()
        best = log.best
        if best is None:
            raise ValueError(f"The checkpoint of step {resumed_at} under {directory} has no validations.")
        wait_for_all(strategy)  # for the chief, to have written the best weights
        if validates:
            with strategy.scope():
                shared.restore_best(weights_alone(model), best.step)
    return TrainingResult(
        steps=rounds.step,
        resumed_at=resumed_at,
        best=best,
        stopped_early=log.should_stop and rounds.step < total_steps,
        rows_per_second=float(np.median([line.rows_per_second for line in log.validations])),
        peak_memory_mib=peak_memory_mib(),
    )
