"""Trains a FuxiCTR model on rows that this library encoded, as `pipelines.compare` trains ours. Needs torch, fuxictr
and its model zoo's folder in FUXICTR_ZOO.

`python -m pipelines.peers.fuxictr_train JOB.json FOLDER` reads what to train from the file, searches, trains the
best with every seed, and leaves in FOLDER the test logits of each seed and last `result.json`.
"""

from __future__ import annotations

import inspect
import math
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from dynctr_tf.durable_files import check_checksums, read_json, write_array, write_json
from pipelines.benchmarks import workload
from pipelines.peers.fuxictr_zoo import build, feature_map, model_class, zoo_model

# FuxiCTR's models give probabilities in float32; nearer to 0 or 1 than this, they would be 0 or 1.
_LEAST_PROBABILITY = 1e-7
_DROPOUTS = (0.0, 0.1, 0.2, 0.3)
_REGULARIZERS = (0.0, 1e-6, 1e-5, 1e-4)


class Split(NamedTuple):
    """`ids` int32 `(rows, fields)`, each field counting from 0, and `labels` float32 `(rows,)`."""

    ids: np.ndarray
    labels: np.ndarray

    def batch(self, rows: Any) -> dict[str, torch.Tensor]:
        """Some of the rows, as FuxiCTR takes them: ids count from 1, since its 0 is padding, which is not trained."""
        ids = torch.from_numpy(self.ids[rows].astype(np.int64) + 1)
        fields = {f"f{index}": ids[:, index] for index in range(ids.shape[1])}
        return {**fields, "label": torch.from_numpy(self.labels[rows, None].astype(np.float32))}


class Training(NamedTuple):
    """The result of one training at its best validation: the smaller the score, the better."""

    score: float
    best_step: int
    rows_per_second: float
    parameters: int
    test_logits: np.ndarray


def read_split(folder: Path, name: str) -> Split:
    """Reads the rows that `pipelines.compare` wrote for other libraries."""
    return Split(np.load(folder / f"{name}_ids.npy", mmap_mode="r"), np.load(folder / f"{name}_labels.npy"))


def logits_of(model: Any, split: Split, batch_size: int) -> np.ndarray:
    """The logits of all rows of a split, float64."""
    model.eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(split.labels), batch_size):
            output = model.forward(split.batch(slice(start, start + batch_size)))
            parts.append(output["y_pred"][:, 0].double().numpy())
    probabilities = np.clip(np.concatenate(parts), _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    return np.log(probabilities) - np.log1p(-probabilities)


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """The mean negative log-likelihood of the labels."""
    return float(np.mean(np.logaddexp(0.0, logits) - labels * logits))


def score(monitor: str, logits: np.ndarray, labels: np.ndarray) -> float:
    """The number that picks the best step and the best settings, the smaller the better: the log loss, or 1 - AUC."""
    return log_loss(logits, labels) if monitor == "logloss" else 1.0 - float(roc_auc_score(labels, logits))


def batches(num_rows: int, batch_size: int, epochs: int, seed: int) -> Iterator[np.ndarray]:
    """The numbers of the rows of every step, shuffled anew in each epoch; the last batch of an epoch may be smaller."""
    order = np.random.default_rng(seed)
    for _ in range(epochs):
        shuffled = order.permutation(num_rows)
        for start in range(0, num_rows, batch_size):
            yield np.sort(shuffled[start : start + batch_size])


def train(job: Mapping[str, Any], splits: Mapping[str, Split], drawn: Mapping[str, Any], seed: int) -> Training:
    """Trains once, with the batches, checks and early stop of `dynctr_tf.training.train`.

    Args:
        job: What `pipelines.compare` wrote.
        splits: `"train"`, `"validation"` and `"test"`.
        drawn: Drawn arguments of the model, beside those of all trainings.
        seed: Of the weights, the order of rows and dropout.
    """
    torch.manual_seed(seed)
    fields = {f"f{index}": {"type": "categorical", "vocab_size": size + 1} for index, size in enumerate(job["sizes"])}
    folder, class_name, arguments = zoo_model(job["model"], job["hidden_units"])
    features = feature_map(fields, job["embedding_dim"])
    model = build(folder, class_name, features, job["embedding_dim"], **arguments, **drawn)
    batch_size = job["batch_size"]
    steps_per_epoch = math.ceil(len(splits["train"].labels) / batch_size)
    every = job["evaluate_every"] or math.ceil(steps_per_epoch / 4)
    best: tuple[float, int, np.ndarray] | None = None
    step, in_vain, seconds = 0, 0, 0.0
    for rows in batches(len(splits["train"].labels), batch_size, job["epochs"], seed):
        begin = time.perf_counter()
        model.train()
        model.train_step(splits["train"].batch(rows))
        seconds += time.perf_counter() - begin
        step += 1
        if step % every and step < job["epochs"] * steps_per_epoch:
            continue
        logits, labels = logits_of(model, splits["validation"], 4 * batch_size), splits["validation"].labels
        if not math.isfinite(loss := log_loss(logits, labels)):
            raise ArithmeticError(f"{job['model']}: the validation logloss is {loss} after step {step} with {drawn}.")
        reached = score(job["monitor"], logits, labels)
        if best is None or reached < best[0]:
            best, in_vain = (reached, step, logits_of(model, splits["test"], 4 * batch_size)), 0
        else:
            in_vain += 1
            if in_vain == job["patience"]:
                break
    if best is None:
        raise ValueError(f"No step was trained: {len(splits['train'].labels)} rows, {job['epochs']} epochs.")
    parameters = sum(tensor.numel() for tensor in model.parameters() if tensor.requires_grad)
    return Training(best[0], best[1], step * batch_size / seconds, parameters, best[2])


def draw(job: Mapping[str, Any], learning_rate: float, rng: np.random.Generator) -> dict[str, Any]:
    """Draws dropout and the penalty on the embedding tables, beside a learning rate that was drawn as ours are."""
    drawn: dict[str, Any] = {"learning_rate": learning_rate}
    folder, class_name, _ = zoo_model(job["model"], job["hidden_units"])
    dropout, penalty = float(rng.choice(_DROPOUTS)), float(rng.choice(_REGULARIZERS))
    known = inspect.signature(model_class(folder, class_name)).parameters
    for name, parameter in known.items():
        if name.endswith("dropout"):
            # Some models take several dropout rates.
            places = parameter.default
            drawn[name] = [dropout] * len(places) if isinstance(places, list) else dropout
    # The name of the penalty on tables in models without a network.
    drawn.update({name: penalty for name in known if name in ("embedding_regularizer", "regularizer")})
    return drawn


def main() -> None:
    """Searches, trains and writes."""
    job, folder = read_json(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    check_checksums(job["rows"], f"Delete the folder {job['rows']} and start the comparison again.")
    splits = {name: read_split(Path(job["rows"]), name) for name in ("train", "validation", "test")}
    rng = np.random.default_rng(job["search_seed"])
    candidates = [{"learning_rate": job["learning_rate"]}, *(draw(job, rate, rng) for rate in job["learning_rates"])]
    found = candidates[0]
    if job["trials"]:
        scores = []
        for drawn in candidates:
            scores.append(train(job, splits, drawn, job["search_seed"]).score)
            what = "logloss" if job["monitor"] == "logloss" else "1 - AUC"
            print(f"validation {what} {scores[-1]:.5f} with {drawn}", flush=True)
        found = candidates[int(np.argmin(scores))]
    runs = []
    for seed in range(job["seeds"]):
        runs.append(train(job, splits, found, seed))
        write_array(folder / f"seed{seed}.npy", runs[-1].test_logits)
    result = {
        "job": job,
        "found": found,
        "parameters": runs[0].parameters,
        "rows_per_second": [run.rows_per_second for run in runs],
        "best_steps": [run.best_step for run in runs],
        "peak_memory_mib": workload.peak_memory_mib(),
    }
    write_json(folder / "result.json", result)


if __name__ == "__main__":
    main()
