"""Which fields a trained run depends on and what its dynamic part generates: the run's model, rows and reports."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tqdm import tqdm

from dynctr_tf.code_digest import code_digest
from dynctr_tf.durable_files import DamagedFileError, make_folder, read_json, write_json
from dynctr_tf.encoding import EncodedDataset
from dynctr_tf.encoding.id_names import IdNames
from dynctr_tf.evaluation.dynamic_report import Column, DynamicReport, explain_dynamic_part
from dynctr_tf.evaluation.generated_weights import generated_weights
from dynctr_tf.evaluation.importance import Importance, field_importance_of, permutation_importance
from dynctr_tf.evaluation.json_records import to_plain
from dynctr_tf.jobs.preparing import prepare
from dynctr_tf.jobs.settings import JobSettings, job_settings
from dynctr_tf.jobs.settings_file import read_file
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.training.best_weights import load_best_weights
from dynctr_tf.training.large_weights import large_weights_unfilled
from dynctr_tf.uris import is_uri

_FIELDS = "fields.json"


class TrainedRun(NamedTuple):
    """A run of `train` that has weights.

    Attributes:
        directory: Its folder.
        settings: Its settings.
        data: Its encoded rows.
        model: The model with the weights of the best validation, on one device.
        step: The step of that validation.
    """

    directory: Path
    settings: JobSettings
    data: EncodedDataset
    model: keras.Model
    step: int


def open_run(directory: str | Path) -> TrainedRun:
    """Opens a run of `train`: its rows, and its model with the weights of the best validation.

    The rows are those that the run encoded; where they are gone they are prepared again from the files.

    Raises:
        ValueError: The folder holds no run, or the rows are no longer those that it was trained on.
        DamagedFileError: A file of it is damaged.
    """
    directory = Path(directory)
    if not (directory / "settings.toml").is_file() or not (directory / "about.json").is_file():
        state = "holds no run of `train`" if directory.is_dir() else "is not a folder"
        raise ValueError(
            f"{directory} {state}: there is no settings.toml in it. Give a folder such as runs/NAME. A model of your "
            "own is explained in code: dynctr_tf.evaluation.permutation_importance, explain_dynamic_part."
        )
    settings = job_settings(read_file(directory / "settings.toml"))
    about = read_json(directory / "about.json")
    encoded = about["encoded"]
    if is_uri(encoded) or Path(encoded, "index.json").is_file():
        data = EncodedDataset.open(encoded, readers=settings.data.readers)
    else:
        data = prepare(settings.data)
    if data.fingerprint != about["rows"]:
        raise ValueError(
            f"The rows in {data.directory} are not those that {directory} was trained on: the files, the schema or the "
            "code that encodes have changed since. Train again with the same command."
        )
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if settings.training.mixed_precision else "float32")
    with large_weights_unfilled():
        model = build_model(settings.model.name, data.features, **settings.model.options)
    return TrainedRun(directory, settings, data, model, load_best_weights(model, directory, by_pieces=True))


class SampledRows(NamedTuple):
    """Some rows of a split.

    Attributes:
        numbers: Their numbers in the split, ascending.
        inputs: The entries that the model takes.
        labels: Their labels.
        weights: Their weights; `None` where rows have none.
    """

    numbers: np.ndarray
    inputs: dict[str, np.ndarray]
    labels: np.ndarray
    weights: np.ndarray | None


def sampled_rows(run: TrainedRun, split: str, most: int, seed: int = 0) -> SampledRows:
    """Reads rows of a split: all, or as many as are wanted, drawn at random.

    Args:
        run: The run.
        split: The split.
        most: How many rows at most.
        seed: Of the draw. Default 0.

    Raises:
        ValueError: An unknown split, one without rows, or fewer than one row wanted.
    """
    if most < 1:
        raise ValueError(f"The number of rows must be at least 1, got {most}.")
    total = run.data.num_rows(split)
    numbers = np.arange(total)
    if total > most:
        numbers = np.sort(np.random.default_rng(seed).choice(total, most, replace=False))
    parts: list[dict[str, np.ndarray]] = []
    start = 0
    for batch in run.data.batches(split, run.settings.evaluation.batch_size):
        size = len(batch[1])
        low, high = np.searchsorted(numbers, [start, start + size])
        chosen = numbers[low:high] - start
        start += size
        entries = {name: batch[0][name] for name in run.model.input}
        parts.append({name: entry.numpy()[chosen] for name, entry in entries.items()})
    inputs = {name: np.concatenate([part[name] for part in parts]) for name in run.model.input}
    weights = run.data.column(split, "weight")[numbers] if run.data.schema.row_weight else None
    return SampledRows(numbers, inputs, run.data.column(split, "label")[numbers], weights)


def prediction(run: TrainedRun) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """Returns a function from encoded rows to the run's logits."""

    @tf.function(reduce_retracing=True)
    def answer(inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.reshape(tf.cast(run.model(inputs, training=False), tf.float32), [-1])

    def predict(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([answer(batch).numpy() for batch in _batches(inputs, run.settings.evaluation.batch_size)])

    return predict


def _batches(inputs: Mapping[str, np.ndarray], size: int) -> Iterator[dict[str, tf.Tensor]]:
    rows = len(next(iter(inputs.values())))
    for start in range(0, rows, size):
        yield {name: tf.constant(entry[start : start + size]) for name, entry in inputs.items()}


def explain_importance(
    run: TrainedRun,
    rows: SampledRows,
    folder: Path,
    *,
    permutations: int = 5,
    replicates: int = 200,
    seed: int = 0,
) -> Importance:
    """Measures the importance of all fields, and keeps each as it is done: started again, it goes on.

    Args:
        run: The run.
        rows: The rows.
        folder: Where finished fields are kept.
        permutations: As in `permutation_importance`. Default 5.
        replicates: As in `permutation_importance`. Default 200.
        seed: As in `permutation_importance`. Default 0.

    Raises:
        ValueError: As `permutation_importance`.
    """
    made_of = [
        run.data.fingerprint,
        run.step,
        dataclasses.asdict(run.settings.model),
        hashlib.sha256(rows.numbers.tobytes()).hexdigest(),
        permutations,
        replicates,
        seed,
        code_digest("evaluation", "metrics", "layers", "models"),
        *(hashlib.sha256(np.ascontiguousarray(weight).tobytes()).hexdigest() for weight in run.model.get_weights()),
    ]
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True, default=repr).encode()).hexdigest()[:16]
    place = make_folder(folder) / _FIELDS
    try:
        kept = read_json(place)
        done = [field_importance_of(entry) for entry in kept["fields"]] if kept.get("key") == key else []
    except (FileNotFoundError, DamagedFileError):
        done = []
    if done:
        print(f"{len(done)} of {len(run.data.features.entries)} fields are known from an earlier start")

    def keep(field: Any) -> None:
        done.append(field)
        write_json(place, {"key": key, "fields": to_plain(done)})

    return permutation_importance(
        prediction(run),
        rows.inputs,
        rows.labels,
        run.data.features,
        weights=rows.weights,
        permutations=permutations,
        replicates=replicates,
        seed=seed,
        known=tuple(done),
        on_field=keep,
    )


def explain_generated(run: TrainedRun, rows: SampledRows, split: str, *, by: str | None = None) -> DynamicReport:
    """Reports what the dynamic part of a run's model generates.

    Args:
        run: The run.
        rows: The rows.
        split: The split that they are of.
        by: The field whose values group the rows. Default `None`: the scenario or group where there is one, else the
            field that explains most of the differences.

    Raises:
        ValueError: A name that no single-valued field has.
    """
    features = run.data.features
    known = [field.name for field in features.single_valued]
    if by is not None and by not in known:
        raise ValueError(unknown_name_message("field for --by", by, known))
    if by is None:
        by = next((field.name for field in features.single_valued if field.role in ("scenario", "group")), None)
    size = min(run.settings.evaluation.batch_size, 2048)
    steps = -(-len(rows.labels) // size)
    bar = tqdm(_batches(rows.inputs, size), total=steps, desc="reading what is generated", disable=None)
    generated = generated_weights(run.model, bar)
    if not generated:
        return explain_dynamic_part([], {})
    names = IdNames(run.data.encoder())
    columns, values = {}, {}
    for entry in features.entries:
        ids = run.data.column(split, feature=entry.name)[rows.numbers]
        values[entry.name] = names.shown(entry.name, ids)
        if entry.name in known:
            columns[entry.name] = Column(*names.numbered(entry.name, ids))
    return explain_dynamic_part(
        generated,
        columns,
        by=by,
        labels=rows.labels,
        logits=prediction(run)(rows.inputs),
        raw_values=values,
        row_numbers=rows.numbers,
        field_names=[field.name for field in features.fields],
    )
