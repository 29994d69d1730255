"""Rows that two replicas do not share evenly in the last batch of an epoch, in several files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def uneven_data(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """3183 training rows in seven blocks: 50 batches of 64, the last of 47."""
    from dynctr_tf.datasets import SyntheticCtrRows
    from dynctr_tf.encoding import Encoder, write_encoded_dataset

    source = SyntheticCtrRows(num_train=3183, num_validation=2000, num_test=2000, num_users=100, num_items=50)
    directory: Path = tmp_path_factory.mktemp("uneven") / "encoded"
    encoder = Encoder.fit(source, progress=False)
    return write_encoded_dataset(source, encoder, directory, progress=False, rows_per_block=500)
