"""Processes that do tasks at the same time, and yield the results in order; none of them imports TensorFlow."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow

from dynctr_tf.child_processes import child_environment, end_with_parent

_AHEAD = 2
_START = "from dynctr_tf.encoding.worker_pool import serve; serve({})"


class WorkerLostError(RuntimeError):
    """A process of a pool has ended before its work was done."""


class _Worker:
    """A process, and the tickets of the tasks that it has not answered."""

    def __init__(self) -> None:
        self.connection, theirs = Pipe()
        # Functions may come from wherever this process imports, such as the folder of its script.
        paths = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), *sys.path]))
        # The system's allocator gives memory back when it is asked to; others keep what a stage needed for the next.
        environment = {"ARROW_DEFAULT_MEMORY_POOL": "system", **os.environ, **child_environment(), "PYTHONPATH": paths}
        # Processes share the work, so each has one thread; those that hash with TensorFlow leave a GPU's memory alone.
        environment.update({"OMP_NUM_THREADS": "1", "ARROW_IO_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"})
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START.format(theirs.fileno())], pass_fds=(theirs.fileno(),), env=environment
        )
        theirs.close()
        self.tickets: deque[int] = deque()

    def send(self, ticket: int, function: Callable[[Any], Any], task: Any) -> None:
        try:
            self.connection.send_bytes(pickle.dumps((function, task), protocol=5))
        except OSError as error:
            raise self.lost() from error
        self.tickets.append(ticket)

    def receive(self) -> tuple[int, bool, Any]:
        """Waits for an answer: the ticket of its task, whether it was done, and the result or the error."""
        try:
            done, result = pickle.loads(self.connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise self.lost() from error
        return self.tickets.popleft(), done, result

    def lost(self) -> WorkerLostError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5.0)
        status = self.process.returncode
        how = (
            f"by signal {signal.Signals(-status).name}"
            if status is not None and status < 0
            else f"with status {status}"
        )
        return WorkerLostError(
            f"A process that prepares rows ended {how}. SIGKILL mostly means that the machine had no memory left: take "
            "fewer processes."
        )


class WorkerPool:
    """Some processes that call functions on tasks.

    When to use: with `with`, around work that is cut into tasks; what a function keeps in its module stays there
    between the tasks of one process.

    Args:
        processes: How many there are, at least 1.

    Example:

    >>> with WorkerPool(2) as pool:
    ...     list(pool.map(abs, [-1, 2, -3]))
    [1, 2, 3]
    """

    def __init__(self, processes: int) -> None:
        self._workers: list[_Worker] = []
        try:
            for _ in range(processes):
                self._workers.append(_Worker())
        except BaseException:
            self.close()
            raise

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The processes' numbers."""
        return tuple(worker.process.pid for worker in self._workers)

    def map(self, function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        """Yields the results of a function for tasks, in their order; a few tasks are done ahead.

        Raises:
            WorkerLostError: A process has ended.
            Exception: What the function raised.
        """
        given, open_, results, ticket = iter(tasks), deque[int](), dict[int, tuple[bool, Any]](), 0
        exhausted = False
        while True:
            while not exhausted and len(open_) < (_AHEAD + 1) * len(self._workers):
                worker = min(self._workers, key=lambda each: len(each.tickets))
                if len(worker.tickets) >= _AHEAD:
                    break
                try:
                    task = next(given)
                except StopIteration:
                    exhausted = True
                    break
                worker.send(ticket, function, task)
                open_.append(ticket)
                ticket += 1
            if not open_:
                return
            if open_[0] in results:
                done, result = results.pop(open_.popleft())
                if not done:  # the first that went wrong, whichever process was faster
                    raise result
                yield result
                continue
            busy = {worker.connection: worker for worker in self._workers if worker.tickets}
            for connection in wait(list(busy)):
                answered, done, result = busy[connection].receive()  # type: ignore[index]
                results[answered] = (done, result)

    def each(self, function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
        """Calls a function once in each process, with a task for each.

        Raises:
            WorkerLostError: A process has ended.
            Exception: What the function raised.
        """
        for worker, task in zip(self._workers, tasks, strict=True):
            worker.send(0, function, task)
        answers = [worker.receive() for worker in self._workers]
        for _, done, result in answers:
            if not done:
                raise result
        return [result for _, _, result in answers]

    def close(self) -> None:
        """Ends the processes, whatever they do."""
        for worker in self._workers:
            worker.connection.close()
            worker.process.terminate()
        for worker in self._workers:
            try:
                worker.process.wait(5.0)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def sendable(error: BaseException) -> BaseException:
    """Returns the error, or one with the same text if it cannot be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def serve(descriptor: int) -> None:
    """Does the tasks that come over a connection until it is closed; what a process of a pool runs."""
    end_with_parent()
    # Ctrl-C reaches the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The processes share the cores.
    pyarrow.set_cpu_count(1)
    connection = Connection(descriptor)
    tasks: queue.Queue[bytes] = queue.Queue()

    def read() -> None:
        # Always read, so that neither side waits until the other has read what it sends.
        try:
            while True:
                tasks.put(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            function, task = pickle.loads(tasks.get())
            answer = pickle.dumps((True, function(task)), protocol=5)
        except BaseException as error:
            answer = pickle.dumps((False, sendable(error)), protocol=5)
        connection.send_bytes(answer)
