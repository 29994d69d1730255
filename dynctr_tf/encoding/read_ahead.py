"""Reads the next batch while this one is in work."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Batch = TypeVar("_Batch")


def read_ahead(batches: Iterator[_Batch]) -> Iterator[_Batch]:
    """Yields the same batches, and reads one ahead in a thread; readers release Python's lock.

    An error of the reader is raised in place of its batch.

    Args:
        batches: The batches, none of them `None`.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read_ahead") as reader:
        pending = reader.submit(next, batches, None)
        while (batch := pending.result()) is not None:
            pending = reader.submit(next, batches, None)
            yield batch
