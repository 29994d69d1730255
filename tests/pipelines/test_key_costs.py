"""What ids without a vocabulary cost: keys of Criteo's rows, and steps that are timed."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from pipelines.benchmarks.key_costs import criteo_keys, index_kinds, keys_of, step_seconds


def test_equal_values_of_a_column_have_one_key_and_those_of_two_columns_have_two(tmp_path: Path) -> None:
    lines = [["1", *(["3"] * 13), *(["ab"] * 26)], ["0", *([""] * 13), *(["ab"] * 25), "cd"]]
    with gzip.open(tmp_path / "train.txt.gz", "wt", encoding="utf-8") as file:
        file.writelines("\t".join(line) + "\n" for line in lines)
    keys, labels = criteo_keys(tmp_path / "train.txt.gz")
    assert labels.tolist() == [1.0, 0.0] and len(np.unique(keys[0])) == 39 and keys.all()
    assert (keys[0] == keys[1]).tolist() == [False] * 13 + [True] * 25 + [False]
    assert keys_of(np.arange(1000))[0] == 0 and len(np.unique(keys_of(np.arange(1000)))) == 1000


def test_steps_are_timed() -> None:
    seconds = step_seconds(390, batch_size=4, steps=2)
    assert list(seconds) == ["static", *index_kinds()] and min(seconds.values()) > 0
