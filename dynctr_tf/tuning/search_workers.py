"""The processes of a search: keras-tuner's chief, and workers that are started again when they crash."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras_tuner
from tqdm.auto import tqdm

from dynctr_tf.child_processes import child_environment
from dynctr_tf.tuning.search_oracles import ended_trials
from dynctr_tf.tuning.search_trials import write_record

# A worker that ended while it trained a trial gets the trial once more; if it ends again, the trial has failed.
_CRASHES_PER_TRIAL = 2
_ENVIRONMENT = ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID")


def role_of_process() -> str:
    """What keras-tuner's environment variables make of this process: `"alone"`, `"chief"` or `"worker"`."""
    missing = [name for name in _ENVIRONMENT if name not in os.environ]
    if len(missing) == len(_ENVIRONMENT):
        return "alone"
    if missing:
        raise ValueError(
            f"keras-tuner's workers need {', '.join(_ENVIRONMENT)} in the environment; {', '.join(missing)} is missing."
        )
    return "chief" if "chief" in os.environ["KERASTUNER_TUNER_ID"] else "worker"


@contextlib.contextmanager
def chief_of_workers(workers: int, role: str) -> Iterator[dict[str, str] | None]:
    """Makes this process the chief of workers on this machine, and returns the environment that they need."""
    if role == "chief" or workers == 1:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    addresses = dict(zip(_ENVIRONMENT, ("127.0.0.1", str(port), "chief"), strict=True))
    os.environ.update(addresses)
    try:
        yield addresses
    finally:
        for name in addresses:
            del os.environ[name]


def share_of_cores(workers: int) -> dict[str, str]:
    """The environment that keeps one of several training processes to its part of the cores.

    Args:
        workers: How many train at a time. What the user's environment sets stays.
    """
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    return {name: os.environ.get(name, threads) for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")}


def serve_workers(
    loop: keras_tuner.Tuner,
    workers: int,
    command: Sequence[str],
    addresses: Mapping[str, str],
    place: Path,
    bar: tqdm[Any],
) -> None:
    """Starts the workers, answers them as keras-tuner's chief until all have ended, and restarts those that crashed."""
    oracle = loop.oracle
    shares = share_of_cores(workers)

    def launch(number: int) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **shares, **addresses, "KERASTUNER_TUNER_ID": f"worker{number}"}
        environment.update(child_environment())
        with (place / f"worker{number}.log").open("ab") as log:
            return subprocess.Popen(list(command), env=environment, stdout=log, stderr=subprocess.STDOUT)

    running = {number: launch(number) for number in range(workers)}
    crashes: dict[tuple[int, str], int] = {}
    # It ends by itself, long after the last worker; nobody waits for it.
    threading.Thread(target=loop.search, kwargs={"verbose": 0}, daemon=True).start()
    try:
        while running:
            time.sleep(0.1)
            bar.update(ended_trials(oracle) - bar.n)
            for number, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[number]
                if process.returncode == 0:
                    continue
                trial = oracle.ongoing_trials.get(f"worker{number}")
                key = (number, "" if trial is None else trial.trial_id)
                crashes[key] = crashes.get(key, 0) + 1
                if crashes[key] >= _CRASHES_PER_TRIAL:
                    _give_up(place, number, process.returncode, trial)
                running[number] = launch(number)
    finally:
        for process in running.values():
            process.kill()
            process.wait()
        bar.update(ended_trials(oracle) - bar.n)


def _give_up(place: Path, number: int, status: int, trial: Any) -> None:
    """Records a trial as failed if it ends its worker each time; without a trial, workers themselves do not start."""
    log = place / f"worker{number}.log"
    if trial is None:
        end = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        raise RuntimeError(f"Worker {number} ended with status {status} before it trained a trial; {log} ends:\n{end}")
    name = f"trial_{trial.trial_id}"
    error = f"the process that trained it ended with status {status}, {_CRASHES_PER_TRIAL} times; see {log}"
    write_record(place / name, name, {}, math.nan, error, {})
