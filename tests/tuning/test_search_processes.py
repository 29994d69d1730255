"""Searches in several processes, and searches that are killed for real."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dynctr_tf.models.catalogue import Choice, LogUniform
from dynctr_tf.stack import KERAS_3
from dynctr_tf.tuning import search

ROOT = Path(__file__).parents[2]
# Trials of a third of a second; trial 1 ends its process, trial 2 fails.
SCRIPT = """
import json, os, sys, time
from pathlib import Path
from dynctr_tf.models.catalogue import Choice, LogUniform
from dynctr_tf.tuning import search

def train(values, folder):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "begun").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(float(os.environ["SECONDS_EACH"]))
    if os.environ.get("CRASH") and folder.name == "trial_1":
        os.abort()
    if values["units"] == (2,):
        raise ValueError("two units are refused")
    return values["rate"]

space = {"rate": LogUniform(1e-4, 1e-1), "units": Choice(((1,), (2,)))}
workers = int(os.environ["WORKERS"])
trials = search(train, space, trials=6, directory="search", workers=workers, worker_command=[sys.executable, __file__])
if trials:
    print(json.dumps([[trial.name, trial.values["rate"], trial.error] for trial in trials]))
"""


def start(folder: Path, workers: int = 1, seconds: float = 0.0, **more: str) -> subprocess.Popen[str]:
    (folder / "script.py").write_text(SCRIPT, encoding="utf-8")
    environment = {**os.environ, "WORKERS": str(workers), "SECONDS_EACH": str(seconds), **more}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, str(folder / "script.py")],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> list[Any]:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err[-3000:]
    return list(json.loads(out.strip().splitlines()[-1]))


def wait_for(ready: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, process.communicate()[1][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def processes_of(folder: Path) -> list[int]:
    """The processes that run the script of a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if str(folder / "script.py").encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not KERAS_3, reason="processes are the same on every stack")
def test_workers_a_crash_and_a_kill_of_the_whole_search(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()

    def train(values: Mapping[str, Any], folder: Path) -> float:
        if values["units"] == (2,):
            raise ValueError("two units are refused")
        return float(values["rate"])

    space = {"rate": LogUniform(1e-4, 1e-1), "units": Choice(((1,), (2,)))}
    trials = search(train, space, trials=6, directory=tmp_path / "alone")
    expected = [[trial.name, trial.values["rate"], trial.error] for trial in trials]
    assert len(expected) == 6 and any(error and "two units are refused" in error for *_, error in expected)

    # The search and its two workers are killed after the first trial that ended.
    records = lambda: list((shared / "search").glob("trial_*/record.json"))  # noqa: E731
    process = start(shared, workers=2, seconds=0.5, CRASH="1")
    wait_for(records, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 120  # a worker that has just been launched must come so far as to notice
    while processes_of(shared):
        assert time.monotonic() < deadline, "a worker goes on without its search"
        time.sleep(0.05)
    kept = {file: file.stat().st_mtime_ns for file in records()}
    assert 0 < len(kept) < 6

    # Started again it goes on, and names the trial that ends its process each time.
    found = ended(start(shared, workers=2, seconds=0.3, CRASH="1"))
    assert all(file.stat().st_mtime_ns == when for file, when in kept.items())
    names = {name: error for name, _, error in found}
    assert len(names) == 6 and "ended with status -6, 2 times" in names["trial_1"]
    # The draws, results and errors of the others are those of the search that was left alone in one process.
    others = sorted(row for row in expected if row[0] != "trial_1")
    assert sorted(row for row in found if row[0] != "trial_1") == others
    begun = {file.parent.name: file.read_text().split() for file in shared.glob("search/trial_*/begun")}
    assert len({pid for pids in begun.values() for pid in pids}) >= 3  # two workers, and what came after a crash


@pytest.mark.slow
@pytest.mark.skipif(not KERAS_3, reason="processes are the same on every stack")
def test_a_worker_that_does_not_start_is_told(tmp_path: Path) -> None:
    code = (
        "from dynctr_tf.models.catalogue import Choice\nfrom dynctr_tf.tuning import search\nimport sys\n"
        "search(lambda v, f: 0.0, {'a': Choice((1, 2))}, trials=2, directory='search', workers=2,"
        " worker_command=[sys.executable, '-c', 'raise SystemExit(\"no such setting\")'])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert "ended with status 1 before it trained a trial" in done.stderr and "no such setting" in done.stderr
