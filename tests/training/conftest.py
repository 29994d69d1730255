"""Rows for many short trainings."""

from __future__ import annotations

import functools
from typing import Any

import pytest


@pytest.fixture(scope="session")
def small_data(small_data: Any) -> Any:
    """The same rows; what reads them is traced once for each way to read them, which takes longer than 12 steps."""
    from dynctr_tf.encoding import EncodedDataset

    data = EncodedDataset.open(small_data.directory)
    data.batches = functools.lru_cache(maxsize=None)(data.batches)  # type: ignore[method-assign]
    return data
