"""A small encoded data set, made once, for the tests of the jobs; a store in memory, empty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def small_source() -> Any:
    """3000 training rows of the synthetic clicks, 500 of each other split."""
    from dynctr_tf.datasets import SyntheticCtrRows

    return SyntheticCtrRows(num_train=3000, num_validation=500, num_test=500, num_users=100, num_items=50)


@pytest.fixture(scope="session")
def small_data(small_source: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same rows, encoded."""
    from dynctr_tf.encoding import Encoder, write_encoded_dataset

    encoder = Encoder.fit(small_source, progress=False)
    directory = tmp_path_factory.mktemp("small_data") / "encoded"
    return write_encoded_dataset(small_source, encoder, directory, progress=False)


@pytest.fixture
def shaky_store() -> Iterator[None]:
    """The store `shaky://`, with nothing in it."""
    from shaky_store import Shaky, register

    register()
    Shaky.reset()
    yield
    Shaky.reset()
