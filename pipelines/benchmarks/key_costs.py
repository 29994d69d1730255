"""Ids without a vocabulary beside a static table: milliseconds of a step, memory, and AUC on Criteo rows.

    python -m pipelines.benchmarks.key_costs --criteo train.txt.gz

A step is that of `deepfm` with row-wise Adagrad on the rows of `workload`; all tables take turns, step by step, in one
process. Memory is what a table of 16 columns with all its rows taken adds to a process of its own (Linux). The AUC is
that of the last tenth of the rows, after one pass over those before; the static table has a vocabulary of the training
rows.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import multiprocessing
import os
import resource
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.encoding import EncodedFeatures
from dynctr_tf.layers import FieldEmbedding, KeyEmbedding
from dynctr_tf.metrics import auc
from dynctr_tf.models import deepfm
from dynctr_tf.models.parts import Embedding
from dynctr_tf.optimizers import row_wise_optimizer
from dynctr_tf.training import ExpireKeys, set_seed
from dynctr_tf.training.memory import give_back_memory
from pipelines.benchmarks import workload
from pipelines.benchmarks.contenders import MEMORY_ENVIRONMENT

_BIG = 0x9E3779B97F4A7C15
_NAMES = [f"f{number}" for number in range(workload.NUM_FIELDS)]


def keys_of(ids: np.ndarray) -> np.ndarray:
    """Any int64 key for each id; 0 for 0."""
    with np.errstate(over="ignore"):
        mixed = ids.astype(np.uint64) * np.uint64(_BIG)
        keys: np.ndarray = (mixed ^ (mixed >> np.uint64(32))).astype(np.int64)
    return keys


def index_kinds() -> list[str]:
    """The kinds of index that can be had here."""
    found = importlib.util.find_spec("tensorflow_recommenders_addons") is not None
    return ["tensorflow", "tfra"] if found else ["tensorflow"]


def compiled(model: keras.Model) -> keras.Model:
    """Compiles a model as this page trains it."""
    model.compile(row_wise_optimizer(), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    return model


def step_seconds(num_ids: int, batch_size: int, steps: int) -> dict[str, float]:
    """Median seconds of a step, after as many steps before, in which the keys take their rows."""
    per_field = num_ids // workload.NUM_FIELDS
    rows = workload.make_rows(num_ids, batch_size)
    ids = rows.ids + 1 + per_field * np.arange(workload.NUM_FIELDS, dtype=np.int64)
    sizes = [per_field] * workload.NUM_FIELDS
    models = {"static": (compiled(deepfm(EncodedFeatures.from_sizes(sizes))), ids.astype(np.int32))}
    for kind in index_kinds():
        embedding = Embedding(num_keys=num_ids, index_kind=kind)
        models[kind] = (compiled(deepfm(EncodedFeatures.of_keys(_NAMES), embedding=embedding)), keys_of(ids))
    taken: dict[str, list[float]] = {name: [] for name in models}
    for step in range(2 * workload.NUM_BATCHES + steps):
        part = slice(step % workload.NUM_BATCHES * batch_size, (step % workload.NUM_BATCHES + 1) * batch_size)
        for name, (model, inputs) in models.items():
            batch = {"fields": tf.constant(inputs[part])}, tf.constant(rows.labels[part])
            start = time.perf_counter()
            model.train_on_batch(*batch)
            taken[name].append(time.perf_counter() - start)
    return {name: float(np.median(seconds[2 * workload.NUM_BATCHES :])) for name, seconds in taken.items()}


def memory_mib(num_ids: int) -> dict[str, float]:
    """What a table of 16 columns adds to a process of its own once all its rows are taken."""
    os.environ.update(MEMORY_ENVIRONMENT)  # which the new processes take over
    added = {}
    for kind in ["static", *index_kinds()]:
        with multiprocessing.get_context("spawn").Pool(1) as process:
            added[kind] = process.apply(_added_mib, (kind, num_ids))
    return added


def _added_mib(kind: str, num_ids: int) -> float:
    def made(size: int) -> Any:
        layer = FieldEmbedding(size + 1, 16) if kind == "static" else KeyEmbedding(size, 16, index_kind=kind)
        layer.build((None, 1))
        return layer

    small = made(10)  # what a first table loads is not of the table
    before = _resident_mib()
    layer = made(num_ids)
    keys = keys_of(np.arange(1, num_ids + 1))
    for start in range(0, num_ids if kind != "static" else 0, 1 << 16):
        layer.add_keys(keys[start : start + (1 << 16)])
    del keys
    added = round(_resident_mib() - before, 1)
    del small, layer
    return added


def _resident_mib() -> float:
    give_back_memory()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def criteo_keys(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The keys of Criteo's rows, int64 `(rows, 39)`, and the labels; numbers are rounded logarithms."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        table = [line.rstrip("\n").split("\t") for line in lines]
    columns = list(zip(*table, strict=True))
    keys = np.empty((len(table), 39), np.int64)
    for place, column in enumerate(columns[1:]):
        values = [
            (str(int(np.log2(1 + max(float(text), 0)) * 2)) if text else "") if place < 13 else text for text in column
        ]
        distinct, numbers = np.unique(np.array(values), return_inverse=True)
        hashed = tf.strings.to_hash_bucket_fast([f"{place}={value}" for value in distinct], 2**63 - 1).numpy()
        keys[:, place] = hashed[numbers]
    return keys, np.array(columns[0], np.float32)


def criteo_auc(path: Path, batch_size: int, seed: int) -> dict[str, float]:
    """The AUC of a static table, of keys, and of keys in a third of the rows."""
    keys, labels = criteo_keys(path)
    cut = len(keys) * 9 // 10
    known, _ = np.unique(keys[:cut], return_counts=True)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    ids = np.where(known[place] == keys, place + 1, 0)
    features = EncodedFeatures.of_keys(_NAMES)
    static = EncodedFeatures.from_sizes([len(known) - 38] + [1] * 38)  # one space of ids, whatever their fields
    found = {"distinct": float(len(known))}
    for name, size in (("static", 0), ("keys", len(known)), ("keys, a third of the rows", len(known) // 3)):
        set_seed(seed)
        embedding = Embedding(num_keys=size)
        model = compiled(deepfm(features if size else static, embedding=embedding))
        inputs = keys if size else ids.astype(np.int32)
        expiry = [ExpireKeys(every=20)] if size == len(known) // 3 else []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # keys that find no row
            model.fit(
                {"fields": inputs[:cut]},
                labels[:cut],
                batch_size=batch_size,
                verbose=0,
                shuffle=False,
                callbacks=expiry,
            )
        logits = np.concatenate(
            [
                np.asarray(model({"fields": tf.constant(inputs[start : start + 8192])}, training=False))[:, 0]
                for start in range(cut, len(keys), 8192)
            ]
        )
        found[name] = auc(labels[cut:], logits.astype(np.float64))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-ids", type=int, default=1_000_000, help="ids of the table (1000000)")
    parser.add_argument("--batch-size", type=int, default=4096, help="rows of a step (4096)")
    parser.add_argument("--steps", type=int, default=40, help="steps that are timed (40)")
    parser.add_argument("--criteo", type=Path, help="Criteo's train.txt.gz; without it no AUC is measured")
    arguments = parser.parse_args()
    seconds = step_seconds(arguments.num_ids, arguments.batch_size, arguments.steps)
    print(json.dumps({"step_ms": {name: round(1e3 * value, 1) for name, value in seconds.items()}}), flush=True)
    if arguments.criteo:
        for seed in range(2):
            print(json.dumps({"seed": seed, "auc": criteo_auc(arguments.criteo, 512, seed)}), flush=True)
    print(json.dumps({"memory_mib": memory_mib(arguments.num_ids)}), flush=True)


if __name__ == "__main__":
    main()
