"""The stages of a job, from settings to a judged model. The jobs call them one after another."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.encoding import EncodedDataset, EncodedFeatures
from dynctr_tf.encoding.id_names import IdNames
from dynctr_tf.evaluation import (
    CalibrationSlices,
    Evaluation,
    ScenarioReport,
    calibration_slices,
    evaluate,
    scenario_report,
)
from dynctr_tf.jobs.checks import check_evaluation as check_evaluation
from dynctr_tf.jobs.checks import check_model as check_model
from dynctr_tf.jobs.checks import training_click_rate
from dynctr_tf.jobs.checks import worse_than_base_rate as worse_than_base_rate
from dynctr_tf.jobs.keys import UNTOUCHED, key_callbacks, optimizer_options_for_keys
from dynctr_tf.jobs.option_tables import rate_schedule
from dynctr_tf.jobs.pretrained import load_vectors, sizes_of_vectors
from dynctr_tf.jobs.settings import JobSettings
from dynctr_tf.metrics import all_negatives
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.optimizers.registry import make_optimizer, optimizer_of, suited_optimizer_options
from dynctr_tf.training import TrainingResult, plan_steps, set_seed, train
from dynctr_tf.training.checkpoints import Checkpoints
from dynctr_tf.training.cluster import Cluster, read_cluster
from dynctr_tf.training.strategies import check_strategy, make_strategy, unreplicated_weights
from dynctr_tf.training.tpu import prepare_for_tpu
from dynctr_tf.training.weight_limit import refuse_weights_that_do_not_fit
from dynctr_tf.training.workers import restart_when_a_worker_is_lost, serve_chief


@functools.lru_cache(maxsize=1)
def _strategy(name: str, replicas: int | None, tpu_address: str | None) -> tf.distribute.Strategy:
    return make_strategy(name, replicas=replicas, tpu_address=tpu_address)


def training_strategy(settings: JobSettings) -> tf.distribute.Strategy:
    """The strategy that the settings name, made once in a process; a job asks for it before anything else.

    Raises:
        ValueError: A strategy that this stack, this machine or TF_CONFIG does not allow.
    """
    training = settings.training
    return _strategy(training.strategy or "none", training.replicas, training.tpu_address)


def as_part_of_cluster(settings: JobSettings, job: Callable[[], Any], *, grace_seconds: float = 60.0) -> None:
    """Runs a job as the part that this process has in it: alone, or as the task that TF_CONFIG gives it.

    Args:
        settings: The settings of the job.
        job: The job. Workers and servers of parameter-server training do not run it; they serve the chief.
        grace_seconds: How many seconds they wait for a chief that has gone. Default 60.0.

    Raises:
        ValueError: A strategy that this stack cannot do, or a wrong TF_CONFIG.
    """
    strategy = settings.training.strategy or "none"
    check_strategy(strategy)
    if strategy == "parameter_server":
        cluster = read_cluster(strategy)
        if not cluster.is_chief:
            serve_chief(cluster, grace_seconds=grace_seconds)
            return
    if strategy == "multi_worker":
        with restart_when_a_worker_is_lost(settings.training.max_restarts):
            job()
    else:
        job()


def task_of_cluster(settings: JobSettings) -> Cluster | None:
    """The cluster that TF_CONFIG names and this process's place in it; `None` where a job has one process."""
    strategy = settings.training.strategy
    return read_cluster(strategy) if strategy in ("multi_worker", "parameter_server") else None


def check_one_at_a_time(settings: JobSettings, workers: int) -> None:
    """Refuses several trainings at a time where one training takes the whole cluster.

    Raises:
        ValueError: More than one worker; the message says what to do.
    """
    strategy = settings.training.strategy
    if workers > 1 and strategy in ("multi_worker", "parameter_server"):
        raise ValueError(
            f"Each training takes the whole cluster under the strategy {strategy!r}; got --workers {workers}, "
            "take --workers 1."
        )


def _replicas_in_step(settings: JobSettings) -> int:
    """How many replicas share a batch. It does not make the strategy, which would take the cluster for this process."""
    training = settings.training
    if training.strategy is None or training.strategy == "parameter_server":
        return 1
    if training.strategy == "tpu":
        return int(training_strategy(settings).num_replicas_in_sync)
    gpus = max(1, len(tf.config.list_physical_devices("GPU")))
    if training.strategy == "mirrored":
        return training.replicas or gpus
    jobs = read_cluster(training.strategy).jobs
    return gpus * sum(len(jobs.get(job, ())) for job in ("chief", "worker"))


def complete_settings(settings: JobSettings, data: EncodedDataset, *, say: bool = True) -> JobSettings:
    """Completes the settings: batch size, steps between validations, patience, rates that suit the model.

    The first three follow from the number of training rows, see `dynctr_tf.training.plan_steps`, the last from the
    model and the optimizer, see `suited_optimizer_options` of `dynctr_tf.optimizers.registry`.
    Every job calls this once its data is prepared. A second call with the completed settings changes nothing.

    Args:
        settings: The settings of the job.
        data: The encoded rows.
        say: Whether to print what was chosen. Default `True`.
    """
    training = settings.training
    plan = plan_steps(
        data.num_rows("train"),
        batch_size=training.batch_size,
        evaluate_every=training.evaluate_every,
        patience=training.patience,
        replicas=_replicas_in_step(settings),
    )
    if say and plan.chosen:
        print(plan.to_text())
    chosen: dict[str, Any] = {
        "batch_size": plan.batch_size,
        "evaluate_every": plan.evaluate_every,
        "patience": plan.patience,
    }
    model, optimizer = settings.model, optimizer_of(settings.model.name, settings.optimizer.name)
    rates = {
        **suited_optimizer_options(model.name, settings.optimizer.name),
        **optimizer_options_for_keys(settings, optimizer.name),
    }
    for name, value in rates.items():
        if say and name not in settings.optimizer.options:
            shown = value if isinstance(value, str) else f"{value:g}"
            print(f"optimizer.options.{name} {shown}, which suits {model.name if name != UNTOUCHED else 'keys'}")
    return dataclasses.replace(
        settings,
        optimizer=dataclasses.replace(settings.optimizer, options={**rates, **settings.optimizer.options}),
        training=dataclasses.replace(training, **chosen),
        model=dataclasses.replace(model, options={**model.options, **sizes_of_vectors(settings, data.features)}),
    )


def build_optimizer(settings: JobSettings, steps: int | None = None) -> Any:
    """Makes the optimizer that the settings name, the model's own where they name none.

    Args:
        settings: The settings of the job.
        steps: The steps of the whole training, for a cosine that ends with it. Default `None`: not known.

    Raises:
        ValueError: An unknown optimizer or option, with the nearest known one, or a value that is refused.
    """
    return make_optimizer(
        optimizer_of(settings.model.name, settings.optimizer.name).name,
        settings.optimizer.options,
        batch_size=settings.training.batch_size,
        schedule=rate_schedule(settings.optimizer, steps),
    )


@contextlib.contextmanager
def _xla_clusters() -> Iterator[None]:
    """Lets XLA compile what it can in this context, in which no weight may be made: XLA takes no shape as argument."""
    tf.config.optimizer.set_jit("autoclustering")
    try:
        yield
    finally:
        tf.config.optimizer.set_jit(False)


def build_for_training(
    settings: JobSettings, features: EncodedFeatures, steps: int | None = None
) -> tuple[keras.Model, Any]:
    """Builds the model and its optimizer, under the strategy and with the seed of the settings.

    Args:
        settings: The settings of the job, completed.
        features: The description that the encoder gives.
        steps: As in `build_optimizer`. Default `None`: not known.
    """
    training = settings.training
    strategy = training_strategy(settings)
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if training.mixed_precision else "float32")
    # Updates reach parameter servers in an order that no seed fixes.
    set_seed(training.seed, deterministic=training.deterministic and training.strategy != "parameter_server")
    # Servers share the weights, so these may exceed the memory of this process.
    alone = training.strategy != "parameter_server"
    slots = optimizer_of(settings.model.name, settings.optimizer.name).slots
    with strategy.scope(), refuse_weights_that_do_not_fit(slots) if alone else contextlib.nullcontext():
        model = build_model(settings.model.name, features, **settings.model.options)
    with strategy.scope():
        optimizer = build_optimizer(settings, steps)
    if training.strategy == "tpu":
        prepare_for_tpu(model, optimizer)
    return model, optimizer


def fit_model(
    settings: JobSettings,
    data: EncodedDataset,
    directory: Path,
    after_checkpoint: Callable[[], object] | None = None,
) -> tuple[keras.Model, TrainingResult]:
    """Builds the model and trains it, or goes on with the training that `directory` holds.

    The model lives under the strategy that the settings name; `model_for_export` gives one that does not.

    Args:
        settings: The settings of the job.
        data: The encoded rows.
        directory: The folder of the run.
        after_checkpoint: As in `dynctr_tf.training.train`. Default `None`.
    """
    settings = complete_settings(settings, data, say=False)
    training = settings.training
    steps = math.ceil(data.num_rows("train") / (training.batch_size or 1)) * training.epochs
    model, optimizer = build_for_training(settings, data.features, steps)
    if not Checkpoints(directory).steps():
        for line in load_vectors(settings, data.encoder(), model):
            print(line)
    with _xla_clusters() if training.xla else contextlib.nullcontext():
        result = train(
            model,
            data,
            optimizer,
            directory=directory,
            batch_size=training.batch_size,
            epochs=training.epochs,
            evaluate_every=training.evaluate_every,
            monitor=training.monitor,
            patience=training.patience,
            seed=training.seed,
            tensorboard=training.tensorboard,
            callbacks=key_callbacks(settings, model),
            after_checkpoint=after_checkpoint,
        )
    return model, result


def model_for_export(settings: JobSettings, data: EncodedDataset, model: keras.Model) -> keras.Model:
    """The trained model on one device, for what has nothing to do with training; itself, where it lives there."""
    if settings.training.strategy is None:
        return model
    plain = build_model(settings.model.name, data.features, **settings.model.options)
    plain.set_weights(unreplicated_weights(model))
    return plain


def scenario_names(data: EncodedDataset) -> list[str] | None:
    """The scenarios of a data set in the order of their indices; `None` where they have no names."""
    feature = next((feature for feature in data.schema.features if feature.role == "scenario"), None)
    if feature is None:
        return None
    vocabulary = data.encoder().vocabularies.get(feature.shares_vocabulary_with or feature.name)
    return None if vocabulary is None else ["(missing)", "(unknown)", *vocabulary.values.to_pylist()]


def judge(settings: JobSettings, data: EncodedDataset, logits: np.ndarray, split: str = "test") -> Evaluation:
    """Scores a model's logits for a split, every metric with its interval."""
    schema = data.schema
    group_by = settings.evaluation.group_by
    return evaluate(
        data.column(split, "label"),
        logits,
        name=settings.model.name,
        weights=data.column(split, "weight") if schema.row_weight else None,
        groups=data.column(split, feature=group_by) if group_by else None,
        true_probability=data.column(split, "true_probability") if schema.true_probability else None,
        base_rate=training_click_rate(data),
        replicates=settings.evaluation.replicates,
    )


def judge_served(settings: JobSettings, data: EncodedDataset, logits: np.ndarray) -> Evaluation | None:
    """Scores the test split as if no row without a click had been left out of the data; `None` where none was.

    The logits are the served ones, and each row without a click also counts for those that were left out.
    """
    rate = settings.data.negative_sampling_rate
    if rate is None or rate == 1.0:
        return None
    schema = data.schema
    weights = data.column("test", "weight") if schema.row_weight else None
    rows = all_negatives(data.column("test", "label"), logits, weights, rate=rate)
    group_by = settings.evaluation.group_by
    return evaluate(
        rows.labels,
        rows.logits,
        name=f"{settings.model.name}, as served",
        weights=rows.weights,
        groups=data.column("test", feature=group_by) if group_by else None,
        replicates=settings.evaluation.replicates,
    )


def judge_slices(settings: JobSettings, data: EncodedDataset, logits: np.ndarray) -> CalibrationSlices | None:
    """Calibration of the served click rates by the fields that the settings name; `None` where they name none."""
    if settings.evaluation.slice_by is None:
        return None
    names = IdNames(data.encoder())
    columns = {}
    for name in settings.evaluation.slice_by.split(","):
        field = next(field for field in data.features.single_valued if field.name == name.strip())
        columns[field.name] = names.numbered(field.name, data.column("test", feature=field.name))
    weights = data.column("test", "weight") if data.schema.row_weight else None
    rate = settings.data.negative_sampling_rate or 1.0
    rows = all_negatives(data.column("test", "label"), logits, weights, rate=rate)
    return calibration_slices(rows.labels, rows.logits, columns, weights=rows.weights)


def judge_scenarios(
    settings: JobSettings,
    data: EncodedDataset,
    predictions: Mapping[str, Any],
    *,
    single: str | None = None,
    split: str = "test",
) -> ScenarioReport | None:
    """Scores models scenario by scenario; `None` where the data has no scenarios.

    Args:
        settings: The settings of the job.
        data: The encoded rows.
        predictions: For each model the logits of its runs.
        single: The model among them that is one per scenario, against which the others are tested. Default `None`.
        split: The rows. Default `"test"`.
    """
    if not data.features.num_scenarios:
        return None
    schema = data.schema
    return scenario_report(
        data.column(split, "label"),
        predictions,
        data.column(split, "scenario"),
        single=single,
        names=scenario_names(data),
        weights=data.column(split, "weight") if schema.row_weight else None,
        true_probability=data.column(split, "true_probability") if schema.true_probability else None,
        base_rate=training_click_rate(data),
        replicates=settings.evaluation.replicates,
    )
