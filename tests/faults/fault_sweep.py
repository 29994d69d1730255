"""Lets operations on files fail, one in each run, and looks at what each run says and how the next one ends.

Run by `test_faults.py` in a process into which `failing_files.c` is loaded: `fault_sweep.py JOB FIRST SHARE FOLDER`,
where every SHARE-th operation of the job fails, from the FIRST on. Prints a JSON object.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import gc
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.datasets import SyntheticCtrRows
from dynctr_tf.encoding import EncodedDataset, Encoder, write_encoded_dataset
from dynctr_tf.models import Deep, Embedding
from dynctr_tf.models.catalogue import LogUniform, build_model
from dynctr_tf.optimizers import LazyAdam
from dynctr_tf.training import set_seed, train
from dynctr_tf.tuning import search

SOURCE = SyntheticCtrRows(num_train=300, num_validation=60, num_test=60, num_users=20, num_items=20)


def encoded(place: Path) -> list[np.ndarray]:
    """Encodes rows, unless that was done, and reads them."""
    if not (place / "data").exists():
        write_encoded_dataset(SOURCE, ENCODER, place / "data", rows_per_block=128, progress=False)
    data = EncodedDataset.open(place / "data")
    assert data.encoder().fingerprint == ENCODER.fingerprint
    return [data.row_keys(split) for split in data.split_names]


def trained(place: Path) -> list[np.ndarray]:
    """Trains for three rounds of a step."""
    keras.backend.clear_session()
    set_seed(0)
    model = build_model("dnn", DATA.features, embedding=Embedding(2), deep=Deep((4,)))
    options: dict[str, Any] = {"batch_size": 100, "epochs": 1, "evaluate_every": 1, "tensorboard": False}
    result = train(model, DATA, LazyAdam(0.1), directory=place / "run", **options)
    lines = (place / "run" / "log.csv").read_text(encoding="utf-8").splitlines()
    shown = [float(number) for line in lines[1:] for number in line.split(",")[:-1]]
    return [*model.get_weights(), np.array(shown), np.array([result.steps, result.best.val_logloss])]


def searched(place: Path) -> list[np.ndarray]:
    """Searches two trials that train nothing."""

    def score(values: Mapping[str, Any], folder: Path) -> float:
        return float(values["rate"])

    trials = search(score, {"rate": LogUniform(1e-4, 1e-1)}, trials=2, directory=place / "search")
    return [np.array([trial.score for trial in trials])]


JOBS: dict[str, Callable[[Path], list[np.ndarray]]] = {"encode": encoded, "train": trained, "search": searched}


def equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return len(first) == len(second) and all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def main(name: str, first: int, share: int, folder: Path) -> None:
    faults = ctypes.CDLL(os.environ["FAILING_FILES"])
    faults.faults_failed.restype = ctypes.c_char_p
    job = JOBS[name]

    def run(place: Path, at: int, number: int) -> tuple[list[np.ndarray] | None, str, str]:
        """Gives the result, what was said in place of one, and which operation failed."""
        result, said = None, ""
        faults.faults_arm(str(place).encode(), at, number)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                result = job(place)
        except OSError as error:
            said = f"{error}"
        except Exception as error:
            said = f"TRACEBACK {type(error).__name__}: {str(error)[:500]}"
        failed = faults.faults_failed().decode()
        faults.faults_arm(b"", 0, 0)
        return result, said, failed

    expected = job(folder / "expected")
    found: dict[str, Any] = {"operations": 0, "named": 0, "harmless": 0, "wrong": []}
    place = folder / "counted"
    place.mkdir()
    faults.faults_arm(str(place).encode(), 0, 0)
    job(place)
    found["operations"] = faults.faults_count()
    faults.faults_arm(b"", 0, 0)
    for at in range(first, found["operations"] + 1, share):
        place = folder / f"fault-{at}"
        place.mkdir()
        number = (errno.ENOSPC, errno.EIO)[(at // share) % 2]
        result, said, failed = run(place, at, number)
        again, wrong, _ = run(place, 0, 0)
        if again is None or not equal(again, expected):
            found["wrong"].append(f"{at} {failed}: said {said!r}, the next run: {wrong or 'another result'}")
        elif result is None and not (os.strerror(number) in said and str(place) in said):
            found["wrong"].append(f"{at} {failed}: said {said!r}")
        elif result is not None and not equal(result, expected):
            found["wrong"].append(f"{at} {failed}: another result")
        else:
            found["named" if result is None else "harmless"] += 1
        left = [str(path) for path in place.rglob("*") if ".unfinished-" in path.name]
        if left:
            found["wrong"].append(f"{at} {failed}: left {left}")
        shutil.rmtree(place)
        gc.collect()
        print(
            f"{at} of {found['operations']}: {failed}: {said or 'harmless'}; {len(found['wrong'])} wrong",
            file=sys.stderr,
            flush=True,
        )
    print(json.dumps(found))


if __name__ == "__main__":
    job, first, share, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    ENCODER = Encoder.fit(SOURCE, progress=False)
    write_encoded_dataset(SOURCE, ENCODER, folder / "own", progress=False)
    DATA = EncodedDataset.open(folder / "own")
    # Two thirds of a training of three steps are tracing, of the same each time: its files lie elsewhere.
    DATA.batches = functools.lru_cache(maxsize=None)(DATA.batches)  # type: ignore[method-assign]
    tf.config.run_functions_eagerly(True)
    (folder / "expected").mkdir()
    main(job, first, share, folder)
