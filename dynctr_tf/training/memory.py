"""What a process holds in memory, and giving back what it no longer needs."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory_mib() -> float:
    """The largest resident memory of this process so far, in MiB.

    On Linux it counts this program only: `getrusage` also counts the memory of the process that started it.
    """
    if _STATUS.exists():
        return _status_mib("VmHWM")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 * 1024.0 if sys.platform == "darwin" else 1024.0)


def resident_memory_mib() -> float:
    """What this process holds in memory now, MiB; `nan` where the system does not say."""
    return _status_mib("VmRSS") if _STATUS.exists() else float("nan")


def virtual_memory_mib() -> float:
    """The addresses that this process has taken, MiB; `nan` where the system does not say."""
    return _status_mib("VmSize") if _STATUS.exists() else float("nan")


def give_back_memory() -> None:
    """Collects objects that nothing refers to, and gives free memory back to the system if the C library can
    (glibc)."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _status_mib(entry: str) -> float:
    lines = _STATUS.read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith(f"{entry}:")).split()[1]) / 1024.0
