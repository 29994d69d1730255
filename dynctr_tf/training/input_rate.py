"""Whether reading rows keeps up with the workers that train on them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

ENOUGH = 1.25
"""How many times as fast as the workers a reader must be, so that none of them waits for rows."""


class InputRate:
    """The rows that a process reads for workers in a second, beside those that they train on.

    Example:

    >>> rate = InputRate()
    >>> with rate.training(rows=100), rate.reading():
    ...     pass
    >>> rate.rows, rate.seconds >= rate.reading_seconds
    (100, True)
    """

    def __init__(self) -> None:
        self.rows = 0
        self.seconds = 0.0
        self.reading_seconds = 0.0

    @contextlib.contextmanager
    def training(self, rows: int) -> Iterator[None]:
        """Within it rows are read and trained on, to the last one."""
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start
        self.rows += rows

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Within it a batch is awaited from the reader."""
        start = time.perf_counter()
        yield
        self.reading_seconds += time.perf_counter() - start

    @property
    def keeps_up(self) -> bool:
        """Whether rows come faster than the workers take them, so that none of these waits for rows."""
        return self.seconds >= ENOUGH * self.reading_seconds

    def to_text(self) -> str:
        """Says both rates, and whether the reader keeps up; rows/s."""
        read = self.rows / max(self.reading_seconds, 1e-9)
        trained = self.rows / max(self.seconds, 1e-9)
        answer = "no worker waits for rows" if self.keeps_up else "the workers wait for rows: reading is the limit"
        return f"input: {read:,.0f} rows/s read, {trained:,.0f} rows/s trained on; {answer}"
