"""The jobs that a person starts: `python -m pipelines.train`, `tune`, `compare`, `benchmark`, `schema`."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from dynctr_tf.child_processes import end_with_parent


def _prefer_faster_products() -> None:
    """Turns oneDNN off if the CPU has no AVX-512, unless the environment sets it; call it before TensorFlow's import.

    On such CPUs TensorFlow's own matrix products are faster (on two cores with AVX2, those of a step of the benchmark's
    DNN take 100 ms and not 120, a request of one row 0.6 ms and not 2.5), and they sum in one order.
    """
    flags = Path("/proc/cpuinfo")
    if flags.exists() and "avx512f" not in flags.read_text(encoding="utf-8"):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


def _keep_memory() -> None:
    """Lets TensorFlow keep the memory of tensors for the next step, unless the environment sets it.

    The C library returns the memory of a tensor of 32 MiB or more to the system, and the system clears it page by page
    when it is allocated again: a training step of xDeepFM then takes 1.9 times as long, one of PNN 1.1 times (two
    cores, batch 4096). TensorFlow's own allocator keeps it. Its limit of 64 GiB is raised to the memory of the machine.
    """
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")
    if hasattr(os, "sysconf") and {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= os.sysconf_names.keys():
        mebibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
        os.environ.setdefault("TF_CPU_BFC_MEM_LIMIT_IN_MB", str(max(2**16, mebibytes)))


def allow_xla_on_cpu() -> None:
    """Lets `tf.config.optimizer.set_jit` reach the CPU; call it before TensorFlow's import.

    A whole step cannot be compiled (`jit_compile=True`), because the number of distinct ids differs between batches.
    `set_jit("autoclustering")` compiles what it can of the rest.
    """
    os.environ["TF_XLA_FLAGS"] = f"{os.environ.get('TF_XLA_FLAGS', '')} --tf_xla_cpu_global_jit".strip()


_prefer_faster_products()
_keep_memory()
# A job that another job started ends when that one ends, also while it still imports TensorFlow.
end_with_parent()

PAIRS = Path(__file__).parent / "configs"
"""Settings files of data sets and models, `<data set>/<model>.toml`."""


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SECONDS_TO_STOP = 60.0
_ADVICE = {
    errno.ENOSPC: "The disk is full: free some space",
    errno.EDQUOT: "The quota is used up: free some space",
    errno.EIO: "The disk or the file system has failed: repair it",
    errno.EACCES: "Give a place that this account may write to",
    errno.EPERM: "Give a place that this account may write to",
    errno.EROFS: "Give a place that can be written to",
}


class Stopped(KeyboardInterrupt):
    """A signal asked the job to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def _signals_stop_the_job() -> Iterator[None]:
    """Raises `Stopped` in the main thread when Ctrl-C is pressed, or the system or a scheduler asks the job to end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    deadlines: list[threading.Timer] = []

    def stop(number: int, _: FrameType | None) -> None:
        # If something swallows the exception or never returns, the job ends in another way.
        deadlines.append(threading.Timer(_SECONDS_TO_STOP, os._exit, (128 + number,)))
        deadlines[-1].daemon = True
        deadlines[-1].start()
        raise Stopped(number)

    # An ignored signal stays ignored: nohup.
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for deadline in deadlines:
            deadline.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _in_one_line(error: BaseException) -> str:
    """An error of a library, whose text may be a page, as one line of bounded length."""
    line = " ".join(str(error).split())
    return f"{type(error).__name__}: {line if len(line) <= 600 else line[:597] + '...'}"


def _errors_of_libraries() -> tuple[type[BaseException], ...]:
    """The errors of TensorFlow and pyarrow, if they are loaded."""
    found: list[type[BaseException]] = []
    if "tensorflow" in sys.modules:
        found.append(sys.modules["tensorflow"].errors.OpError)
    if "pyarrow" in sys.modules:
        found.append(sys.modules["pyarrow"].ArrowException)
    return tuple(found)


def _full(error: BaseException) -> bool:
    return "No space left on device" in str(error)


@contextmanager
def errors_as_messages(parser: argparse.ArgumentParser, *, goes_on: bool = True) -> Iterator[None]:
    """Ends the program with a message in place of a traceback, and says what to do.

    The exit status is 2 for bad input of the user (an option, a setting, a row); 1 for failures while running (a loss
    that is not finite, an export that differs, a damaged file, a full disk); and 128 plus the signal's number if a
    signal ended the job.

    Args:
        parser: The parser of the job, which knows the job's name.
        goes_on: Whether the job, started again, goes on from what it saved. Default `True`.
    """
    try:
        with _signals_stop_the_job():
            yield
    except KeyboardInterrupt as stopped:
        number = stopped.number if isinstance(stopped, Stopped) else int(signal.SIGINT)
        kept = " What was saved is kept: start again with the same command, and it goes on." if goes_on else ""
        parser.exit(128 + number, f"\n{parser.prog}: stopped by {signal.Signals(number).name}.{kept}\n")
    except Exception as error:
        from dynctr_tf.durable_files import DamagedFileError

        again = "start again with the same command"
        again += ": it goes on from what was saved." if goes_on else "."
        if isinstance(error, DamagedFileError):
            said = str(error)
        elif isinstance(error, OSError) and error.errno in _ADVICE:
            said = f"{_in_one_line(error)}. {_ADVICE[error.errno]}, then {again}"
        elif isinstance(error, MemoryError):
            said = f"{_in_one_line(error)}. Not enough memory: take a smaller model or batch, or a larger machine."
        elif isinstance(error, ValueError):
            parser.error(str(error))
        elif isinstance(error, _errors_of_libraries()):
            said = _in_one_line(error) + (f" The disk is full: free some space, then {again}" if _full(error) else "")
            if type(error).__name__ == "ResourceExhaustedError" and not _full(error):
                said += " Not enough memory: take a smaller model or batch, or a larger machine."
        elif isinstance(error, RecursionError):
            said = _in_one_line(error)
        elif isinstance(error, (RuntimeError, FloatingPointError, OSError)):
            said = f"{type(error).__name__}: {error}"
        else:
            raise
        parser.exit(1, f"{parser.prog}: {said}\n")
