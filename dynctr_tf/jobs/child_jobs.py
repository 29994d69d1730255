"""Jobs in processes of their own: some at a time, stopped together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import IO, Any, NamedTuple

from tqdm import tqdm

from dynctr_tf.child_processes import child_environment

# Seconds in which a job that was asked to end can finish its step and save.
_SECONDS_TO_STOP = 30.0


class Job(NamedTuple):
    """A pipeline with its options, run in a process of its own; what it prints goes to the file `log`."""

    model: str
    words: Sequence[str]
    log: Path
    interpreter: str = sys.executable
    environment: Mapping[str, str] | None = None

    def run(self, environment: Mapping[str, str], processes: _Processes) -> None:
        """Runs it. The new process finds the packages of this one, and ends when this one ends.

        Raises:
            RuntimeError: It failed; the end of what it said is in the message.
        """
        own = self.environment or {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        environment = {**os.environ, **own, **environment, **child_environment()}
        with self.log.open("w", encoding="utf-8") as file:
            status = processes.run([self.interpreter, "-m", *self.words], file, environment)
        if status:
            raise RuntimeError(
                f"{' '.join(self.words)} ended with {status}; its end says:\n"
                + "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
            )


class _Processes:
    """The processes that run at the moment, so that they can be stopped together."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()
        self._stopped = False

    def run(self, command: Sequence[str], output: IO[str], environment: Mapping[str, str]) -> int:
        """Runs a command to its end and returns its status."""
        with self._guard:
            if self._stopped:
                return -signal.SIGTERM
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
            self._running.add(process)
        try:
            return process.wait()
        finally:
            with self._guard:
                self._running.discard(process)

    def stop(self) -> None:
        """Asks all to end, ends those that do not, and lets none start."""
        with self._guard:
            self._stopped = True
            running = list(self._running)
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _SECONDS_TO_STOP
        while any(process.poll() is None for process in running) and time.monotonic() < deadline:
            time.sleep(0.1)
        for process in running:
            process.kill()


def run_all(
    phases: Sequence[tuple[int, Callable[[], Sequence[Job]]]],
    workers: int,
    after_each: Callable[[Sequence[Job]], object] | None = None,
) -> None:
    """Runs the jobs of each phase, some at a time, each with its share of the cores; the first failure ends it.

    Args:
        phases: For each phase, how many jobs it has, and a function that returns those which an earlier run has not
            done; a phase begins when the one before has ended.
        workers: Jobs at a time.
        after_each: Called when a job has ended, with those of its phase that have not ended. Default `None`.

    Raises:
        RuntimeError: A job failed. The other running jobs are waited for.
    """
    from dynctr_tf.tuning.search_workers import share_of_cores

    environment = share_of_cores(workers) if workers > 1 else {}
    processes = _Processes()
    total = sum(count for count, _ in phases)
    with tqdm(total=total, desc="trainings", unit="job") as bar, ThreadPoolExecutor(workers) as pool:
        for count, jobs_left in phases:
            jobs = jobs_left()
            _show_as_done(bar, count - len(jobs))
            running = {pool.submit(job.run, environment, processes): job for job in jobs}
            try:
                for ended in as_completed(running):
                    ended.result()
                    bar.set_postfix_str(running[ended].model)
                    bar.update()
                    if after_each is not None:
                        after_each([job for future, job in running.items() if not future.done()])
            except KeyboardInterrupt:  # or another signal: the jobs save what they have and end
                processes.stop()
                raise
            finally:
                for future in running:
                    future.cancel()


def _show_as_done(bar: tqdm[Any], jobs: int) -> None:
    """Shows jobs of an earlier run as done; the time left is computed from the others."""
    bar.n += jobs
    bar.initial += jobs
    bar.last_print_n += jobs
    bar.refresh()
