"""The workload for comparing training and inference speed, in NumPy only, and the timing of calls.

39 categorical fields, `num_ids // 39` ids each, drawn from Zipf(1.2) modulo that number with
`default_rng(0)`, uniform labels, batch 4096, embedding size 16, Adam at 1e-3, an MLP of 400-400-400.
Every contender, ours or a peer's, makes its batches here, so that all of them see the same rows.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

NUM_FIELDS = 39
EMBEDDING_DIM = 16
HIDDEN_UNITS = (400, 400, 400)
LEARNING_RATE = 1e-3
NUM_BATCHES = 8
LATENCY_BATCHES = ((1, 200), (64, 200), (512, 100))
"""Batch sizes whose latency is measured, with the number of calls for each median."""


class Rows(NamedTuple):
    """`ids` int32 `(rows, 39)`, each field counting from 0, and `labels` float32 `(rows,)`."""

    ids: np.ndarray
    labels: np.ndarray


def make_rows(num_ids: int, batch_size: int) -> Rows:
    """Makes the rows of eight batches."""
    rng = np.random.default_rng(0)
    ids = rng.zipf(1.2, size=(NUM_BATCHES * batch_size, NUM_FIELDS)) % (num_ids // NUM_FIELDS)
    labels = rng.integers(0, 2, size=(NUM_BATCHES * batch_size, 1))
    return Rows(ids.astype(np.int32), labels.astype(np.float32)[:, 0])


def seconds_of(call: Callable[[], Any], repetitions: int) -> float:
    """Median seconds of a call, after two warm-up calls."""
    taken = []
    for index in range(repetitions + 2):
        start = time.perf_counter()
        call()
        if index >= 2:
            taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def latency_of(call: Callable[[], Any], calls: int, seconds: float = 5.0) -> float:
    """Median seconds of a small request, after ten warm-up calls.

    Args:
        call: The request.
        calls: How often it is made.
        seconds: Slow requests end earlier, after this time and thirty calls. Default 5.0.
    """
    taken: list[float] = []
    begin = time.perf_counter()
    while len(taken) < calls and (len(taken) < 30 or time.perf_counter() - begin < seconds):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[10:])


def peak_memory_mib() -> int:
    """The peak resident memory of this process so far, MiB; on Linux without the memory of its parent.

    As `dynctr_tf.training.peak_memory_mib`, which interpreters without TensorFlow cannot import.
    """
    status = Path("/proc/self/status")
    if status.exists():
        entry = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
        return int(entry.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def endless_batches(inputs: Any, labels: np.ndarray, batch_size: int) -> Any:
    """A `tf.data.Dataset` of the rows without end; an element is a whole batch.

    Cutting a batch row by row costs more than a step of a small model. The tuner of tf.data is off, because an iterator
    that is deleted waits for the tuner's sleep, which doubles up to a minute: some runs of `fit` took 5.1 or 10.2
    seconds, whatever they did.

    Args:
        inputs: One array `(rows, fields)`, or arrays by name.
        labels: `(rows, ...)`.
        batch_size: Rows of a batch; must divide the rows.
    """
    import tensorflow as tf

    whole = tf.nest.map_structure(lambda values: values.reshape(-1, batch_size, *values.shape[1:]), (inputs, labels))
    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensor_slices(whole).repeat().prefetch(2).with_options(options)


def print_figures(peer: str, model: str, num_ids: int, figures: Mapping[str, float], variant: str = "float32") -> None:
    """Prints the figures of one contender as one line of JSON; the peak of memory is added where it is not given."""
    peak = {"peak_memory_mib": peak_memory_mib()}
    print(json.dumps({"library": peer, "model": model, "num_ids": num_ids, "variant": variant, **peak, **figures}))
    sys.stdout.flush()
