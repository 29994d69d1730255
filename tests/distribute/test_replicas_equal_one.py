"""The same global batch and seed: two replicas, in one process or in two, end with the weights of one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import JOB, Job

from dynctr_tf import stack

OPTIMIZERS = ("adam", "lazy_adam", "group_ftrl")
WORDS = ("optimizers=adam,lazy_adam,group_ftrl", "evaluate_every=100", "epochs=2", "l2=0.001")


@pytest.fixture(scope="module")
def one(uneven_data: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    with Job(folder) as job:
        job.start_all(str(JOB), "none", str(uneven_data.directory), str(folder), *WORDS)
        job.finish()
    return folder


def check_equal(one: Path, other: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in OPTIMIZERS:
        a, b = np.load(one / f"{kind}.npz"), np.load(other / f"{kind}.npz")
        assert sorted(a.files) == sorted(b.files) and len(a.files) > 8
        found = json.loads((other / f"{kind}.json").read_text(encoding="utf-8"))
        assert found["steps"] == found["best"]["step"] == 100
        weights = [name for name in a.files if name.startswith("w")]
        apart = max(float(np.abs(a[name] - b[name]).max()) for name in weights)
        moved = max(float(np.abs(a[name] - a["s" + name[1:]]).max()) for name in weights)
        logits = float(np.abs(a["logits"] - b["logits"]).max())
        with capsys.disabled():
            print(f"\n{kind}: after 100 steps weights moved by {moved:.3f}, apart {apart:.2e}; logits {logits:.2e}")
        assert moved > 0.05 and apart < 1e-5 and logits < 1e-4


@pytest.mark.slow
def test_two_mirrored_replicas(uneven_data: Any, one: Path, tmp_path: Path, capsys: Any) -> None:
    with Job(tmp_path) as job:
        job.start_all(str(JOB), "mirrored", str(uneven_data.directory), str(tmp_path), *WORDS)
        job.finish()
    check_equal(one, tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.skipif(stack.KERAS_3, reason="Keras 3 cannot; test_strategies tests that it says so")
def test_two_workers(uneven_data: Any, one: Path, tmp_path: Path, capsys: Any) -> None:
    with Job(tmp_path, {"worker": 2}) as job:
        job.start_all(str(JOB), "multi_worker", str(uneven_data.directory), str(tmp_path), *WORDS, "read=true")
        job.finish()
    check_equal(one, tmp_path, capsys)
    # What the two processes read in an epoch, together, is the split.
    read = [np.load(tmp_path / f"read-{number}.npy") for number in (0, 1)]
    (batch,) = uneven_data.batches("train", 3183)
    expected = np.concatenate([batch[0]["fields"].numpy(), batch[1].numpy()[:, np.newaxis]], axis=1)
    assert len(read[0]) + len(read[1]) == 3183 and abs(len(read[0]) - len(read[1])) <= 32
    assert Counter(map(tuple, np.concatenate(read).tolist())) == Counter(map(tuple, expected.tolist()))
