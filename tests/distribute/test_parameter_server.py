"""One chief, two workers and two servers as processes on this machine; Keras 2 alone can do it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import JOB, Job

from dynctr_tf import stack
from dynctr_tf.metrics import auc

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(stack.KERAS_3, reason="Keras 3 cannot; test_strategies tests that it says so"),
]
CLUSTER = {"chief": 1, "worker": 2, "ps": 2}
WORDS = ("optimizers=lazy_adam", "epochs=4", "evaluate_every=50")


def test_two_servers_and_two_workers_one_of_them_killed_and_then_the_chief(
    uneven_data: Any, tmp_path: Path, capsys: Any
) -> None:
    data = str(uneven_data.directory)
    alone = tmp_path / "alone"
    served = tmp_path / "served"
    for folder in (alone, served):
        folder.mkdir()
    with Job(alone) as job:
        job.start_all(str(JOB), "none", data, str(alone), *WORDS)
        job.finish()
    with Job(served, CLUSTER) as job:
        job.start_all(str(JOB), "parameter_server", data, str(served), *WORDS)
        log = served / "lazy_adam" / "log.csv"

        def validations() -> int:
            return len(log.read_text(encoding="utf-8").splitlines()) - 1 if log.exists() else 0

        job.wait_until(lambda: validations() >= 1)
        # The other worker takes over the batches of this one, which comes back later.
        job.processes["worker", 1].send_signal(signal.SIGKILL)
        job.processes["worker", 1].wait()
        job.start(("worker", 1), str(JOB), "parameter_server", data, str(served), *WORDS)
        job.wait_until(lambda: validations() >= 2)
        # Started again, it goes on from the slices that the servers wrote.
        job.processes["chief", 0].send_signal(signal.SIGKILL)
        job.processes["chief", 0].wait()
        job.start(("chief", 0), str(JOB), "parameter_server", data, str(served), *WORDS)
        job.finish([("chief", 0)])

    found = json.loads((served / "lazy_adam.json").read_text(encoding="utf-8"))
    assert found["steps"] == 200 and found["resumed_at"] >= 100
    # The table lies in two shards on two servers.
    shards = {name: place for name, place in found["devices"].items() if "/part_" in name}
    assert len(shards) == 2 and all("embedding" in name for name in shards)
    assert sorted(place.split("/")[3] for place in shards.values()) == ["task:0", "task:1"]
    assert all("/job:ps/" in place for place in found["devices"].values())
    rows = sum(found["shapes"][name][0] for name in shards)
    assert rows == uneven_data.features.num_ids

    label = uneven_data.column("test", "label")
    areas = {}
    for folder in (alone, served):
        areas[folder.name] = auc(label, np.load(folder / "lazy_adam.npz")["logits"])
        best = json.loads((folder / "lazy_adam.json").read_text(encoding="utf-8"))["best"]
        areas[f"{folder.name}, validation"] = best["val_auc"]
    with capsys.disabled():
        print(f"\nAUC: {areas}; shards {shards}")
    assert abs(areas["alone, validation"] - areas["served, validation"]) < 0.02
    assert abs(areas["alone"] - areas["served"]) < 0.03
