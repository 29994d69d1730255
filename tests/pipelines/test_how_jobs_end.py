"""How a job ends: by a signal, by an error, and with the job that started it."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tensorflow as tf

from dynctr_tf.durable_files import DamagedFileError
from pipelines import errors_as_messages

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}

SLEEPER = """
import argparse, os, sys, time
from pathlib import Path
from pipelines import errors_as_messages
with errors_as_messages(argparse.ArgumentParser(prog="job")):
    Path(sys.argv[1]).write_text(str(os.getpid()))
    try:
        time.sleep(120)
    finally:
        Path(sys.argv[1] + ".closed").touch()
"""

PARENT = """
import subprocess, sys, os, time
from dynctr_tf.child_processes import child_environment
subprocess.Popen([sys.executable, "sleeper.py", "child"], env={**os.environ, **child_environment()})
time.sleep(120)
"""

COMPARE = """
import argparse
from pathlib import Path
from pipelines import errors_as_messages
from dynctr_tf.jobs.child_jobs import Job, run_all
with errors_as_messages(argparse.ArgumentParser(prog="compare")):
    run_all([(3, lambda: [Job(name, ["sleeper", name], Path(name + ".log")) for name in "abc"])], 2)
"""


def wait_for(ready: Callable[[], Any], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(folder: Path, script: str, *words: str) -> subprocess.Popen[str]:
    (folder / "sleeper.py").write_text(SLEEPER, encoding="utf-8")
    (folder / "script.py").write_text(script, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "script.py", *words],
        cwd=folder,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_signals,
    )


def _heed_signals() -> None:
    """Undoes what a shell or `nohup` asks of what it starts in the background: to ignore these signals."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return False


def pid_in(file: Path) -> int:
    wait_for(lambda: file.exists() and file.read_text(encoding="utf-8"))
    return int(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_job_with_a_word(number: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path, SLEEPER, "ready")
    pid_in(tmp_path / "ready")
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "Traceback" not in said
    assert f"job: stopped by {number.name}." in said and "start again with the same command, and it goes on" in said
    assert (tmp_path / "ready.closed").exists()


def test_a_child_ends_with_its_parent_and_a_grandchild_of_another_way_does_not(tmp_path: Path) -> None:
    process = start(tmp_path, PARENT)
    child = pid_in(tmp_path / "child")
    # What inherits the environment without being the child that it names.
    environment = {**ENVIRONMENT, "DYNCTR_TF_PARENT": f"{process.pid}:{child}"}
    with subprocess.Popen([sys.executable, "sleeper.py", "other"], cwd=tmp_path, env=environment) as other:
        pid_in(tmp_path / "other")
        process.kill()
        process.communicate()
        wait_for(lambda: not alive(child), 30)
        assert other.poll() is None
        other.kill()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_comparison_that_is_stopped_leaves_no_training_running(number: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path, COMPARE)
    pids = [pid_in(tmp_path / name) for name in "ab"]
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    wait_for(lambda: not any(map(alive, pids)), 30)
    assert not (tmp_path / "c").exists() and "Traceback" not in said
    if number == signal.SIGTERM:
        assert process.returncode == 143 and "compare: stopped by SIGTERM" in said
        # They were asked to end and had the time to.
        assert (tmp_path / "a.closed").exists() and "stopped by SIGTERM" in (tmp_path / "a.log").read_text()


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/log.csv"), 1, "'runs/log.csv'. The disk is full: free"),
        (OSError(errno.EROFS, "Read-only file system", "x"), 1, "'x'. Give a place that can be written to, then start"),
        (DamagedFileError("a.block is damaged. Delete it."), 1, "job: a.block is damaged. Delete it."),
        (tf.errors.ResourceExhaustedError(None, None, "log; No space left on device"), 1, "The disk is full: free"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM when\nallocating"), 1, "OOM when allocating Not enough mem"),
        (tf.errors.DataLossError(None, None, "checksum\n" * 400), 1, "DataLossError: checksum checksum"),
        (MemoryError("Unable to allocate 1 TiB"), 1, "Unable to allocate 1 TiB. Not enough memory: take a smaller"),
        (pa.ArrowKeyError("no such column"), 1, "ArrowKeyError"),
        (pa.ArrowInvalid("CSV parse error"), 2, "error: CSV parse error"),
        (RecursionError("maximum recursion depth exceeded"), 1, "RecursionError: maximum"),
        (ValueError("epochs must be at least 1"), 2, "job: error: epochs must be at least 1"),
        (RuntimeError("No trial succeeded:\n1: no"), 1, "RuntimeError: No trial succeeded:\n1: no"),
        (FloatingPointError("The loss is nan"), 1, "FloatingPointError: The loss is nan"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_error_ends_a_job_with_a_message(
    error: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended, errors_as_messages(argparse.ArgumentParser(prog="job")):
        raise error
    text = capsys.readouterr().err
    assert ended.value.code == status and said in text and len(text) < 1000
    with pytest.raises(KeyError), errors_as_messages(argparse.ArgumentParser(prog="job")):
        raise KeyError("a mistake of the library keeps its traceback")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device", "x"), KeyboardInterrupt()])
def test_a_job_that_begins_anew_promises_nothing(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), errors_as_messages(argparse.ArgumentParser(prog="job"), goes_on=False):
        raise error
    assert "goes on" not in capsys.readouterr().err
