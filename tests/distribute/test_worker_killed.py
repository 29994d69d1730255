"""A worker of two is killed while the job trains, and started again: the job ends as one that was left alone."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from processes import Job

from dynctr_tf import stack

WORDS = ("-m", "pipelines.train", "--strategy", "multi_worker", "--model.name", "dnn", "--model.embedding.dim")
WORDS += ("4", "--model.deep.units=[16]", "--model.deep.dropout=0.0", "--data.directory", "data")
WORDS += ("--data.options.num_train", "6000", "--data.options.num_validation", "500", "--data.options.num_test", "500")
WORDS += ("--training.batch_size", "128", "--training.evaluate_every", "12", "--training.epochs", "2")
WORDS += ("--training.patience", "0", "--training.tensorboard", "false", "--optimizer.name", "lazy_adam")
WORDS += ("--export.directory", "models", "--evaluation.replicates", "40")
WORDS += ("--export.even_if_worse_than_base_rate", "true", "--run-directory")


def log_lines(run: Path) -> list[dict[str, str]]:
    if not (run / "log.csv").exists():
        return []
    with (run / "log.csv").open(encoding="utf-8", newline="") as file:
        return [
            {key: value for key, value in line.items() if key != "rows_per_second"} for line in csv.DictReader(file)
        ]


def best_weights(run: Path) -> dict[str, np.ndarray]:
    *_, file = sorted((run / "best").glob("*/state.index"))
    reader = tf.train.load_checkpoint(str(file.with_suffix("")))
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith("weights/")]
    return {name: reader.get_tensor(name) for name in names}


@pytest.mark.slow
@pytest.mark.skipif(stack.KERAS_3, reason="Keras 3 cannot; test_strategies tests that it says so")
def test_a_killed_worker_costs_no_step(tmp_path: Path, capsys: Any) -> None:
    with Job(tmp_path, {"worker": 2}) as job:
        job.start_all(*WORDS, "whole")
        job.finish()
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert len(log_lines(whole)) == 8  # 94 steps in rounds of 12
    folder = tmp_path / "second"
    folder.mkdir()
    (folder / "data").symlink_to(tmp_path / "data")
    with Job(folder, {"worker": 2}) as job:
        job.start_all(*WORDS, str(parts))
        job.wait_until(lambda: len(log_lines(parts)) >= 2)
        job.processes["worker", 1].send_signal(signal.SIGKILL)
        job.processes["worker", 1].wait()
        assert len(log_lines(parts)) < 8 and not (parts / "evaluation.json").exists()
        # The chief starts itself again; only the killed worker is started by somebody else.
        job.start(("worker", 1), *WORDS, str(parts))
        job.finish()
        printed = job.printed(("worker", 0))
    resumed = json.loads((parts / "result.json").read_text(encoding="utf-8"))["resumed_at"]
    with capsys.disabled():
        print(
            f"\nresumed at step {resumed}; " + next(line for line in printed.splitlines() if "was lost" in line)[:200]
        )
    assert 0 < resumed < 94 and "another worker was lost" in printed and f"resumed at step {resumed}" in printed
    assert log_lines(parts) == log_lines(whole)
    expected, found = best_weights(whole), best_weights(parts)
    assert len(expected) > 3 and sorted(expected) == sorted(found)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert list((folder / "models").glob("*/1/saved_model.pb"))
