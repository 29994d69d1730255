"""What the processes of a cluster do around a training: serve, wait for each other, start again."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf.training.cluster import Cluster
from dynctr_tf.training.partners import SAY_EVERY, say_who_listens
from dynctr_tf.training.strategies import is_chief, is_multi_worker

_RESTARTS = "DYNCTR_TF_RESTARTS"

# The errors that TensorFlow's collectives raise when a worker is lost.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnknownError,
)


def serve_chief(cluster: Cluster, *, grace_seconds: float = 60.0, poll_seconds: float = 1.0) -> None:
    """Serves the chief of a parameter-server job as the worker or server that this process is.

    Returns when the chief, once seen, has been gone for `grace_seconds`; within them a killed chief can be started
    again.

    Args:
        cluster: The cluster, with a task of type `"worker"` or `"ps"`.
        grace_seconds: How long a chief may be absent. Default 60.0.
        poll_seconds: Seconds between two looks for the chief. Default 1.0.

    Raises:
        ValueError: The task is the chief.
    """
    if cluster.is_chief:
        raise ValueError("The chief does not serve itself: make the strategy with make_strategy.")
    say_who_listens(cluster)
    # A step waits for servers in a thread; on few cores TensorFlow would have no other thread for their answers.
    threads = max(os.cpu_count() or 1, len(cluster.jobs["worker"]) + 1, 4)
    server = tf.distribute.Server(
        tf.train.ClusterSpec({job: list(addresses) for job, addresses in cluster.jobs.items()}),
        job_name=cluster.task_type,
        task_index=cluster.task_index,
        protocol="grpc",
        config=tf.compat.v1.ConfigProto(inter_op_parallelism_threads=threads),
    )
    print(f"{cluster.task_type} {cluster.task_index} serves the chief at {server.target}", flush=True)
    host, _, port = cluster.jobs["chief"][0].rpartition(":")
    seen: float | None = None
    started = said = time.monotonic()
    while seen is None or time.monotonic() - seen < grace_seconds:
        try:
            with socket.create_connection((host, int(port)), timeout=5.0):
                seen = time.monotonic()
        except OSError:
            if seen is None and time.monotonic() - said >= SAY_EVERY:
                said = time.monotonic()
                print(f"waiting for chief 0 ({host}:{port}), {said - started:.0f} s now", flush=True)
        time.sleep(poll_seconds)


def make_coordinator(strategy: tf.distribute.Strategy) -> Any:
    """Makes the `ClusterCoordinator` of a chief, whose process can end while it waits for a killed worker.

    TensorFlow's destructor of the coordinator takes a lock. The thread that waits for a lost worker holds that lock,
    and Python freezes the thread when it ends, so that the destructor would wait for ever. So the destructor is never
    called: everything that it stops ends with the process.
    """
    coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(coordinator))
    return coordinator


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """Returns when all workers of a multi-worker job have called it; at once under other strategies."""
    if is_multi_worker(strategy):

        @tf.function
        def count() -> tf.Tensor:
            return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda: tf.ones([])), axis=None)

        int(count())


def text_of_chief(strategy: tf.distribute.Strategy, text: str = "") -> str:
    """Gives every worker of a multi-worker job the text of the chief; all must call it, and it waits for all.

    Args:
        strategy: The strategy; under others than multi-worker the text comes back as it is.
        text: The chief's text; what other workers pass is not used.
    """
    if not is_multi_worker(strategy):
        return text

    def total(own: np.ndarray) -> np.ndarray:
        parts = strategy.experimental_distribute_values_from_function(lambda _: tf.constant(own))
        return np.asarray(strategy.reduce(tf.distribute.ReduceOp.SUM, parts, axis=None))

    letters = np.frombuffer(text.encode() if is_chief(strategy) else b"", np.uint8)
    size = int(total(np.array(len(letters), np.int32)))
    own = np.zeros(size, np.int32)
    own[: len(letters)] = letters
    return total(own).astype(np.uint8).tobytes().decode()


class WorkerLost(BaseException):
    """Another worker of the job is gone. Not an `Exception`, because it ends the process and is not a failed trial."""


@contextlib.contextmanager
def lost_workers_end_the_process(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns the errors of a lost worker into `WorkerLost`, where several workers train in step."""
    try:
        yield
    except _LOST as error:
        if is_multi_worker(strategy):
            raise WorkerLost(str(error)) from error
        raise


@contextlib.contextmanager
def restart_when_a_worker_is_lost(max_restarts: int) -> Iterator[None]:
    """Replaces this process by a new one, with the same command line, when training stops because a worker is lost.

    When a worker is killed, its step is lost and the others get an error from TensorFlow, whose collectives cannot
    take a worker back. Started again, they wait until the killed worker is started too, and all continue from the last
    checkpoint.

    Args:
        max_restarts: How often at the most; the count goes from process to process in the environment.
    """
    try:
        yield
    except (*_LOST, WorkerLost) as error:
        done = int(os.environ.get(_RESTARTS, "0"))
        reason = str(error).strip().splitlines()[0][:200]
        if done >= max_restarts:
            raise RuntimeError(
                f"Another worker was lost ({reason}), after {done} restarts. Start all workers again: they go on from "
                "the last checkpoint."
            ) from error
        print(f"another worker was lost ({reason}); starting again ({done + 1} of {max_restarts})", flush=True)
        os.environ[_RESTARTS] = str(done + 1)
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
