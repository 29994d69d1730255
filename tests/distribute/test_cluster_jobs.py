"""The jobs that train many models, on clusters: every process of one is started with the same command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import Job

from dynctr_tf import stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(stack.KERAS_3, reason="Keras 3 cannot; test_strategies tests that it says so"),
]
SMALL = ("--data.directory", "data", "--data.options.num_train", "2000", "--data.options.num_validation", "400")
SMALL += ("--data.options.num_test", "400", "--training.batch_size", "100", "--training.epochs", "1")
SMALL += ("--training.tensorboard", "false", "--evaluation.replicates", "40", "--optimizer.name", "lazy_adam")
COMPARE = ("-m", "pipelines.compare", *SMALL, "--models", "lr", "fm", "--seeds", "1", "--output", "compared")


def test_workers_in_step_search_and_compare(tmp_path: Path, capsys: Any) -> None:
    with Job(tmp_path, {"worker": 2}) as job:
        job.start_all(*COMPARE, "--strategy", "multi_worker", "--trials", "1")
        job.finish()
        printed = job.printed(("worker", 0))
        assert "adjusted p" in printed and "adjusted p" not in job.printed(("worker", 1))
    compared = tmp_path / "compared"
    assert (compared / "comparison.json").exists() and (compared / "fm-seed0-worker1.log").exists()
    assert len(list(compared.glob("tune-fm/trial_*/record.json"))) == 2  # the start and one that was drawn
    # What the search found gives one process the same model.
    best = ("--config", "compared/tune-fm/best.toml", "--strategy", "none", "--export.directory", "none")
    with Job(tmp_path) as job:
        job.start_all("-m", "pipelines.train", *best, "--run-directory", "alone")
        job.finish()
    alone, together = (np.load(folder / "test_logits.npy") for folder in (tmp_path / "alone", compared / "fm-seed0"))
    with capsys.disabled():
        print(f"\nlogits of one process and of two at most {np.abs(alone - together).max():.1e} apart")
    np.testing.assert_allclose(alone, together, atol=1e-4)


def test_servers_stay_from_one_training_to_the_next(tmp_path: Path) -> None:
    with Job(tmp_path, {"chief": 1, "worker": 1, "ps": 1}) as job:
        job.start_all(*COMPARE, "--strategy", "parameter_server", "--trials", "1")
        job.finish([("chief", 0)])
        assert "adjusted p" in job.printed(("chief", 0))
        assert all(job.processes[task].poll() is None for task in (("worker", 0), ("ps", 0)))
    for model in ("lr", "fm"):
        result = json.loads((tmp_path / "compared" / f"{model}-seed0" / "result.json").read_text(encoding="utf-8"))
        assert result["steps"] == 20
