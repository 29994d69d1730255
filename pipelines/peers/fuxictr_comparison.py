"""Our side of FuxiCTR in `pipelines.compare`: the rows that it trains on, and the description of its job."""

from __future__ import annotations

import hashlib
import json
import math
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dynctr_tf.durable_files import DamagedFileError, new_folder, read_array, read_json, write_checksums
from dynctr_tf.jobs.settings import JobSettings
from pipelines.benchmarks import workload

if TYPE_CHECKING:
    from dynctr_tf.encoding import EncodedDataset
    from dynctr_tf.models.catalogue import LogUniform, Uniform

_SPLITS = ("train", "validation", "test")


def write_rows(data: EncodedDataset, folder: Path) -> None:
    """Writes encoded rows as plain arrays: `<split>_ids.npy`, each field counting from 0, and `<split>_labels.npy`.

    Checksums of both are beside them.

    Args:
        data: The encoded rows; each split is in memory once.
        folder: A folder for the arrays alone; arrays that an earlier call wrote for the same rows stay.

    Raises:
        ValueError: Fields of several values, sequences or row weights, which this comparison does not pass on.
    """
    fields = data.features.single_valued
    several = [entry.name for entry in data.features.entries if entry not in fields]
    if several or data.schema.row_weight:
        raise ValueError(
            "FuxiCTR is compared on single-valued fields without row weights; this data set has "
            f"{', '.join(several) or 'row weights'}. Compare without --fuxictr-python."
        )
    if folder.exists() and any(folder.iterdir()):
        return
    with new_folder(folder) as partial:
        for split in _SPLITS:
            np.save(partial / f"{split}_labels.npy", data.column(split, "label"))
            ids = np.stack([data.column(split, feature=field.name) - field.first_id for field in fields], axis=1)
            np.save(partial / f"{split}_ids.npy", ids)
        write_checksums(partial)


def peer_job(settings: JobSettings, data: EncodedDataset, rows: Path, seeds: int, trials: int) -> dict[str, Any]:
    """The job of FuxiCTR, as `pipelines.peers.fuxictr_train` reads it.

    Args:
        settings: Those of our model of the same name.
        data: The encoded rows.
        rows: Where `write_rows` wrote them.
        seeds: Trainings with the best hyper-parameters.
        trials: Hyper-parameters drawn, beside the given ones.
    """
    from dynctr_tf.models.catalogue import model_entry

    name, training = settings.model.name, settings.training
    options = {**model_entry(name).defaults, **settings.model.options}
    rate, rates = _learning_rates(settings, trials)
    job = {
        "model": name,
        "rows_fingerprint": data.fingerprint,
        "rows": str(rows.absolute()),
        "sizes": [field.num_ids for field in data.features.single_valued],
        "embedding_dim": options.get("embedding.dim", workload.EMBEDDING_DIM),
        "hidden_units": list(options.get("deep.units", ())),
        "learning_rate": rate,
        "learning_rates": rates,
        "trials": trials,
        "seeds": seeds,
        "search_seed": training.seed,
        "batch_size": training.batch_size,
        "epochs": training.epochs,
        "evaluate_every": training.evaluate_every,
        "patience": training.patience,
        "monitor": training.monitor,
    }
    # The value after a round trip through JSON.
    read: dict[str, Any] = json.loads(json.dumps(job))
    return read


def _learning_rates(settings: JobSettings, trials: int) -> tuple[float, list[float]]:
    """The rate to start with, and that of each trial, drawn from where ours are.

    FuxiCTR always trains with Adam: a rate or a space of another optimizer of ours says nothing of its rates, which are
    then drawn as the catalogue does for Adam.
    """
    from dynctr_tf.models.catalogue import Choice
    from dynctr_tf.tuning import catalogue_space, with_own_space

    model, optimizer, key = settings.model.name, settings.optimizer, "optimizer.learning_rate"
    rate, space = None, catalogue_space(model, "lazy_adam")
    if optimizer.name in ("lazy_adam", "adam"):
        own, fixed = with_own_space({}, settings.search.space, model, optimizer.name)
        rate = fixed.get(key, optimizer.options.get("learning_rate"))
        # As in our search: a space of the user's own is searched also around a rate that is given, the catalogue's not.
        space = own if key in own or rate is not None or not settings.search.catalogue_space else space
    start = workload.LEARNING_RATE if rate is None else rate
    if key not in space:
        return start, [start] * trials
    draw, seed = space[key], settings.training.seed
    if isinstance(draw, Choice):
        # As our trials are never equal: each of a list before one comes again.
        order, rounds = random.Random(seed), math.ceil(trials / len(draw.values))
        listed = [float(rate) for _ in range(rounds) for rate in order.sample(draw.values, len(draw.values))]
        return start, listed[:trials]
    return start, [_drawn(key, draw, seed + trial) for trial in range(trials)]


def _drawn(key: str, draw: LogUniform | Uniform, seed: int) -> float:
    """A value of a space, drawn as keras-tuner draws ours."""
    import keras_tuner

    from dynctr_tf.tuning.search_space import declare, drawn_values

    tuned = keras_tuner.HyperParameters()
    declare(tuned, {key: draw})
    tuned.values[key] = tuned.space[0].random_sample(seed)
    return float(drawn_values(tuned, {key: draw})[key])


def peer_result(folder: Path) -> dict[str, Any] | None:
    """The job whose results a folder holds; `None` if it holds none, an empty job if the job is not known."""
    try:
        return dict(read_json(folder / "result.json").get("job", {}))
    except FileNotFoundError:
        return None
    except (ValueError, AttributeError, TypeError):
        return {}


def peer_finished(folder: Path, job: dict[str, Any]) -> bool:
    """Whether a folder holds the results of this very job, with undamaged logits."""
    try:
        for seed in range(job["seeds"]):
            read_array(folder / f"seed{seed}.npy")
    except (FileNotFoundError, DamagedFileError):
        return False
    return peer_result(folder) == job


def digest_of(job: dict[str, Any]) -> str:
    """Eight characters that change with the job."""
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:8]
