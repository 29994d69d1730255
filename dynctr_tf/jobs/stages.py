"""The stages of a job, from settings to a judged model. The jobs call them one after another."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.datasets.key_features import give_keys
from dynctr_tf.datasets.registry import check_option_types, row_source, row_source_options
from dynctr_tf.datasets.row_files import is_uri, uri_within
from dynctr_tf.datasets.row_source import RowSource
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.durable_files import only_process
from dynctr_tf.encoding import EncodedDataset, EncodedFeatures
from dynctr_tf.encoding.beam_preparation import prepare_on_beam
from dynctr_tf.encoding.block_folder import BlockFolder
from dynctr_tf.encoding.cluster_preparation import RunTasks, prepare_on_cluster
from dynctr_tf.encoding.id_names import IdNames
from dynctr_tf.encoding.preparation import prepare_encoded_dataset
from dynctr_tf.encoding.row_writer import INDEX
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
from dynctr_tf.jobs.keys import UNTOUCHED, ids_text, key_callbacks, optimizer_options_for_keys
from dynctr_tf.jobs.option_tables import rate_schedule
from dynctr_tf.jobs.pretrained import load_vectors, sizes_of_vectors
from dynctr_tf.jobs.records import check_unchanged, data_record
from dynctr_tf.jobs.settings import DataSettings, JobSettings
from dynctr_tf.metrics import all_negatives
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.optimizers.registry import make_optimizer, optimizer_of, suited_optimizer_options, suited_options
from dynctr_tf.training import TrainingResult, plan_steps, set_seed, train
from dynctr_tf.training.checkpoints import Checkpoints
from dynctr_tf.training.cluster import Cluster, read_cluster
from dynctr_tf.training.partners import absent_partners
from dynctr_tf.training.strategies import check_strategy, make_strategy, unreplicated_weights
from dynctr_tf.training.tpu import prepare_for_tpu
from dynctr_tf.training.weight_limit import refuse_weights_that_do_not_fit
from dynctr_tf.training.workers import restart_when_a_worker_is_lost, serve_chief


def open_source(settings: DataSettings) -> RowSource:
    """Opens the raw rows that the settings name, with their schema and split.

    Raises:
        ValueError: A setting that the data set does not take, or one that it does not accept.
    """
    accepted = row_source_options(settings.name)
    given = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name in ("name", "options", "directory", "readers", "processes", "negative_sampling_rate", "keys"):
            continue
        if field.name in accepted:
            if value is not None:
                given[field.name] = value
        elif value != field.default:
            raise ValueError(_setting_not_taken(settings, field.name, accepted))
    for name, value in settings.options.items():
        if name in given:
            raise ValueError(
                f"data.options.{name} is given, and data.{name} too; leave out one of the two (got {value!r})."
            )
    check_option_types(settings.name, settings.options)
    source = row_source(settings.name, **given, **settings.options)
    if settings.keys is not None:
        give_keys(source, settings.keys)
    return source


def _setting_not_taken(settings: DataSettings, name: str, accepted: Mapping[str, Any]) -> str:
    value = getattr(settings, name)
    if settings.name == "tabular_file" and name in ("min_count", "max_size", "binning"):
        where = "of a numeric feature" if name == "binning" else 'of each feature, under "vocabulary",'
        return (
            f"data.{name} is not taken with a file of your own: set it in the schema, as {name!r} {where} in "
            f"{settings.schema or 'the schema file'} (got {value!r})."
        )
    taken = [f"data.{field.name}" for field in dataclasses.fields(settings) if field.name in accepted]
    hint = (
        " A file of your own has --data.name tabular_file."
        if name in ("path", "validation_path", "test_path", "schema")
        else ""
    )
    return f"The data set {settings.name!r} takes no data.{name} (got {value!r}).{hint} It takes: {', '.join(taken)}."


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


def prepare(
    settings: DataSettings, cluster: Cluster | None = None, runner: Sequence[str] | RunTasks | None = None
) -> EncodedDataset:
    """Encodes the raw rows to disk, or opens the rows that an earlier job encoded by the same rules.

    The folder is named after the content of the files, the schema, the settings and the code that encodes. In a
    multi-worker job the chief encodes and the other workers wait for it. If several jobs start together, the first one
    encodes, and locks the empty file `.NAME.lock` beside the folder while it does. The file stays afterwards and means
    nothing then. At a URI encoded data is opened and never made.

    Args:
        settings: The settings of the data.
        cluster: The cluster of a multi-worker job. Default `None`: the job has one process.
        runner: Options of a pipeline of Apache Beam that encodes, or the function of another cluster, as
            `dynctr_tf.encoding.cluster_preparation.prepare_on_cluster` takes it. Default `None`: this machine does.

    Raises:
        RuntimeError: A file was changed while it was read.
        ValueError: A runner for rows that are not read from files of one's own; a URI where these rows do not lie.
    """
    source = open_source(settings)
    fingerprint, about = data_record(settings, source)
    if is_uri(settings.directory):
        return _open_at_uri(settings, f"{settings.name}-{fingerprint}")
    directory = Path(settings.directory) / f"{settings.name}-{fingerprint}"
    # A folder gets its name only when it is whole.
    made = directory / INDEX
    if cluster is not None and not cluster.is_chief and not made.exists():
        print(f"waiting for the chief to encode {directory.resolve()}, on a file system that all workers share")
        start = said = time.monotonic()
        while not made.exists():
            time.sleep(1.0)
            if time.monotonic() - said >= 30.0:
                said = time.monotonic()
                absent = absent_partners(cluster)
                silent = f"; nobody answers at {', '.join(absent)}" if absent else ""
                print(f"still waiting for the chief to encode, {said - start:.0f} s now{silent}", flush=True)
    if not made.exists():  # An existing folder is read without a lock, also one of another account.
        lock = directory.with_name(f".{directory.name}.lock")
        with only_process(lock, "encodes the same rows", wait_seconds=None):
            if not made.exists():
                return _encode(source, settings, directory, about, runner)
    print(f"encoded data: {directory} (from an earlier run)")
    return EncodedDataset.open(directory, readers=settings.readers)


def _open_at_uri(settings: DataSettings, name: str) -> EncodedDataset:
    place = uri_within(settings.directory, name)
    if INDEX not in BlockFolder(place).sizes():
        raise ValueError(
            f"data.directory {settings.directory} has no folder {name} with these rows, and nothing is written there. "
            f"Prepare them with --data.directory runs/data, and copy runs/data/{name} to {place}."
        )
    data = EncodedDataset.open(place, readers=settings.readers)
    print(f"encoded data: {place}, read by {data.readers} requests at a time")
    return data


def _encode(
    source: RowSource,
    settings: DataSettings,
    directory: Path,
    about: dict[str, Any],
    runner: Sequence[str] | RunTasks | None,
) -> EncodedDataset:
    def check() -> None:
        check_unchanged(source, settings, about)

    if runner is None:
        prepare_encoded_dataset(source, directory, processes=settings.processes, about=about, check=check)
    elif not isinstance(source, TabularFile):
        raise ValueError(f"Rows of {settings.name!r} are not read in shards; leave out --runner.")
    elif callable(runner):
        prepare_on_cluster(source, directory, runner, about=about, check=check)
    else:
        prepare_on_beam(source, directory, runner, about=about, check=check)
    data = EncodedDataset.open(directory, readers=settings.readers)
    rows = ", ".join(f"{data.num_rows(split):,} {split}" for split in data.split_names)
    print(f"encoded data: {directory}: {rows} rows; {data.features.num_fields} fields, {ids_text(data.features)}")
    for note in getattr(source, "split_notes", ()):
        print(note)
    for reason, count in source.skipped.items():
        print(f"skipped {count:,} rows: {reason}")
    return data


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
    """Completes the settings: batch size, steps between validations, patience, options that suit model and optimizer.

    The first three follow from the number of training rows, see `dynctr_tf.training.plan_steps`, the last from the
    model and the optimizer, see `suited_options` and `suited_optimizer_options` of `dynctr_tf.optimizers.registry`.
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
    suited = suited_options(model.name, settings.optimizer.name)
    for path, value in suited.items():
        if say and path not in model.options:
            print(f"model.{path} {value:g}, which suits {optimizer.name}")
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
        model=dataclasses.replace(
            model, options={**suited, **model.options, **sizes_of_vectors(settings, data.features)}
        ),
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


def fit_model(settings: JobSettings, data: EncodedDataset, directory: Path) -> tuple[keras.Model, TrainingResult]:
    """Builds the model and trains it, or goes on with the training that `directory` holds.

    The model lives under the strategy that the settings name; `model_for_export` gives one that does not.
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
