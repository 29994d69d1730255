"""Columns whose process is killed when it makes them for the first time."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from dynctr_tf.datasets.bad_rows import Problem

MARK = "LOST_WORKER"


def lose_once(cells: Mapping[str, pa.Array]) -> tuple[Mapping[str, pa.Array], list[Problem]]:
    """Kills this process, unless the file that the environment names shows that one was killed."""
    mark = os.environ.get(MARK)
    if mark is not None and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {}, []
