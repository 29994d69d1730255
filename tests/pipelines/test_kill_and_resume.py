"""The job, killed for real and started again, ends as one that was left alone."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

ROOT = Path(__file__).parents[2]
DATA = ("--data.directory", "data", "--data.options.num_train", "6000")
DATA += ("--data.options.num_validation", "1000", "--data.options.num_test", "1000")
SMALL = ("--training.batch_size", "128", "--training.evaluate_every", "8", "--training.epochs", "2")
SMALL += ("--training.patience", "0", "--training.tensorboard", "false")
SMALL += ("--export.directory", "none", "--evaluation.replicates", "40")
MODELS = {
    "dynint_dgp": ("embedding.dim=8", "num_subspaces=4", "num_layers=2", "dropout=0.2"),
    "dnn": ("embedding.dim=4", "deep.units=[16]", "deep.dropout=0.3"),
    "fm": ("embedding.dim=4", "embedding.num_keys=2000"),
}
KEYS = {"fm": ("--keys.unseen_for", "9", "--keys.free_share", "0.2", "--keys.every", "5")}


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with (folder / "printed.txt").open("ab") as printed:
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines.train", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
            stdout=printed,
            stderr=subprocess.STDOUT,
        )


def finish(folder: Path, *words: str) -> None:
    assert start(folder, *words).wait(300) == 0, (folder / "printed.txt").read_text(encoding="utf-8")[-3000:]


def kill_when(
    process: subprocess.Popen[bytes],
    ready: Callable[[], bool],
    folder: Path,
    number: signal.Signals = signal.SIGKILL,
) -> None:
    deadline = time.monotonic() + 240
    while not ready():
        assert process.poll() is None, (folder / "printed.txt").read_text(encoding="utf-8")[-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(number)
    assert process.wait() == (-number if number == signal.SIGKILL else 128 + number)


def log_lines(run: Path) -> list[dict[str, str]]:
    if not (run / "log.csv").exists():
        return []
    with (run / "log.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        del line["rows_per_second"]
    return lines


def weights(run: Path) -> dict[str, np.ndarray]:
    *_, file = sorted((run / "best").glob("*/state.index"))
    reader = tf.train.load_checkpoint(str(file.with_suffix("")))
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith("weights/")]
    return {name: reader.get_tensor(name) for name in names}


def evaluation(run: Path) -> Any:
    return json.loads((run / "evaluation.json").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "signals"),
    [
        ("dynint_dgp", (signal.SIGKILL, signal.SIGTERM)),
        ("dnn", (signal.SIGKILL,)),
        ("fm", (signal.SIGKILL, signal.SIGKILL)),  # on keys, whose rows are freed
    ],
)
def test_a_killed_job_ends_as_one_that_was_left_alone(
    model: str, signals: tuple[signal.Signals, ...], tmp_path: Path
) -> None:
    options = [f"--model.{option}" for option in MODELS[model]]
    words = ("--model.name", model, *options, *DATA, *SMALL, *KEYS.get(model, ()), "--run-directory")
    finish(tmp_path, *words, "whole")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    total = len(log_lines(whole))
    assert total == 12  # 94 steps in rounds of 8

    # The second time, further on, by a signal that it can answer.
    for number in signals:
        enough = min(len(log_lines(parts)) + 2, total - 3)
        process = start(tmp_path, *words, "parts")
        kill_when(process, lambda enough=enough: len(log_lines(parts)) >= enough, tmp_path, number)
        assert enough <= len(log_lines(parts)) < total and not (parts / "evaluation.json").exists()
    said = (tmp_path / "printed.txt").read_text(encoding="utf-8")
    assert "Traceback" not in said
    assert ("stopped by SIGTERM. What was saved is kept: start again" in said) == (signal.SIGTERM in signals)
    finish(tmp_path, *words, "parts")

    resumed = json.loads((parts / "result.json").read_text(encoding="utf-8"))["resumed_at"]
    assert 0 < resumed < 94
    assert "resumed at step" in (tmp_path / "printed.txt").read_text(encoding="utf-8")
    if model in KEYS:
        (counts,) = json.loads((parts / "result.json").read_text(encoding="utf-8"))["keys"]
        assert counts["freed"] > 100
    assert log_lines(parts) == log_lines(whole)
    assert evaluation(parts) == evaluation(whole)
    np.testing.assert_array_equal(np.load(parts / "test_logits.npy"), np.load(whole / "test_logits.npy"))
    expected, found = weights(whole), weights(parts)
    assert len(expected) > 3 and sorted(found) == sorted(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.slow
def test_a_killed_preparation_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    words = ("--model.name", "lr", *DATA, *SMALL, "--run-directory", "run")
    # Many rows, so that the kill comes while they are written.
    many = [word if word != "6000" else "2000000" for word in words]
    data = tmp_path / "data"
    process = start(tmp_path, *many)
    kill_when(process, lambda: any(data.glob("*unfinished*/*.block")), tmp_path)
    left = [path for path in data.iterdir() if not path.name.endswith(".lock")]
    assert len(left) == 1 and "unfinished" in left[0].name and not list(data.rglob("index.json"))
    assert not (tmp_path / "run").exists()
    finish(tmp_path, *words)
    assert evaluation(tmp_path / "run")["name"] == "lr"
    assert not left[0].exists()
