"""Our side of FuxiCTR in `pipelines.compare`: the rows that it trains on, and the description of its job."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dynctr_tf.durable_files import DamagedFileError, new_folder, read_array, read_json, write_checksums
from dynctr_tf.jobs.settings import JobSettings
from pipelines.benchmarks import workload

if TYPE_CHECKING:
    from dynctr_tf.encoding import EncodedDataset

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
    from dynctr_tf.models.catalogue import LogUniform, model_entry
    from dynctr_tf.tuning import catalogue_space, with_own_space

    name, training = settings.model.name, settings.training
    options = {**model_entry(name).defaults, **settings.model.options}
    # FuxiCTR always trains with Adam.
    adam = settings.optimizer.name in ("lazy_adam", "adam")
    space = catalogue_space(name, "lazy_adam")
    if adam:
        space, _ = with_own_space(space, settings.search.space, name, settings.optimizer.name)
    rate = settings.optimizer.options.get("learning_rate") if adam else None
    drawn = space.get("optimizer.learning_rate")
    bounds = (drawn.low, drawn.high) if rate is None and isinstance(drawn, LogUniform) else (rate, rate)
    job = {
        "model": name,
        "rows_fingerprint": data.fingerprint,
        "rows": str(rows.absolute()),
        "sizes": [field.num_ids for field in data.features.single_valued],
        "embedding_dim": options.get("embedding.dim", workload.EMBEDDING_DIM),
        "hidden_units": list(options.get("deep.units", ())),
        "learning_rate": workload.LEARNING_RATE if rate is None else rate,
        "learning_rates": bounds,
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
