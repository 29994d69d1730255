"""Reading the next batch while this one is worked on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Batch = TypeVar("_Batch")


def read_ahead(batches: Iterator[_Batch]) -> Iterator[_Batch]:
    """Gives the same batches, and reads one ahead in a thread, since reading is done outside of Python's lock.

    An error of the reader comes out where its batch would have.

    Args:
        batches: What is read; none of its elements is `None`.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read_ahead") as reader:
        pending = reader.submit(next, batches, None)
        while (batch := pending.result()) is not None:
            pending = reader.submit(next, batches, None)
            yield batch
