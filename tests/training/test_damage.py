"""A run whose files were damaged or lost ends as it would have, or says which file it is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorflow import keras

from dynctr_tf.durable_files import BusyError, DamagedFileError, read_json, write_checksums, write_json
from dynctr_tf.models import Deep, Embedding
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.optimizers import LazyAdam
from dynctr_tf.training import TrainingResult, set_seed, train
from dynctr_tf.training.checkpoints import Checkpoints

ROOT = Path(__file__).parents[2]


def fit(data: Any, directory: Path, epochs: int = 1, **options: Any) -> tuple[keras.Model, TrainingResult]:
    """A run of 12 steps with validations after 4, 8 and 12."""
    set_seed(0)
    model = build_model("dnn", data.features, embedding=Embedding(2), deep=Deep((4,), dropout=0.1))
    given = {"batch_size": 256, "evaluate_every": 4, "patience": 0, "tensorboard": False, **options}
    return model, train(model, data, LazyAdam(0.01), directory=directory, epochs=epochs, **given)


@pytest.fixture(scope="module")
def runs(small_data: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A finished run of one epoch, and the weights with which one of two epochs ends."""
    place = tmp_path_factory.mktemp("runs")
    _, first = fit(small_data, place / "one")
    # The best validation is the last, so that the checkpoint of step 8 needs other weights than that of step 12.
    assert first.best.step == 12
    shutil.copytree(place / "one", place / "two")
    model, second = fit(small_data, place / "two", epochs=2)
    assert second.resumed_at == 12
    return place / "one", model.get_weights(), second.best


def copied(runs: Any, place: Path) -> Path:
    shutil.copytree(runs[0], place / "run")
    return place / "run"


def ends_the_same(runs: Any, data: Any, run: Path, resumed_at: int) -> None:
    model, result = fit(data, run, epochs=2)
    assert result.resumed_at == resumed_at and result.best.step == runs[2].step
    assert result.best.val_logloss == runs[2].val_logloss
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), runs[1], strict=True))
    assert sorted(path.name for path in run.iterdir()) == ["best", "checkpoints", "lock", "log.csv", "trained_on.json"]
    # The newest two, and that of the best validation.
    steps = {int(folder.name) for folder in (run / "checkpoints").iterdir()}
    assert steps >= set(sorted(steps)[-2:]) | {result.best.step} and len(steps) <= 4


def flip(file: Path, share: float = 0.5) -> None:
    content = bytearray(file.read_bytes())
    content[int(share * (len(content) - 1))] ^= 0x10
    file.write_bytes(content)


@pytest.mark.parametrize("name", ["state.index", "state.data-00000-of-00001", "about.json", "checksums.json"])
def test_a_damaged_checkpoint_is_noticed_and_named(
    name: str, runs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(runs, tmp_path)
    file = run / "checkpoints" / "000000012" / name
    content = file.read_bytes()
    flipped = [lambda file, share=share: flip(file, share) for share in np.linspace(0, 1, 40)]
    for damage in [*flipped, lambda file: file.write_bytes(b""), Path.unlink]:
        damage(file)
        found = Checkpoints(run).find()
        said = capsys.readouterr().out
        if found is None or found[0] == 12:  # white space, or a number that is written in another way
            assert name.endswith(".json") and json.loads(file.read_bytes()) == json.loads(content)
        else:
            assert found[0] == 8 and str(file) in said and "Going on from the checkpoint of step 8." in said
        file.write_bytes(content)
    found = Checkpoints(run).find()
    assert found is not None and found[0] == 12 and not capsys.readouterr().out


def test_a_damaged_checkpoint_costs_one_round(runs: Any, small_data: Any, tmp_path: Path) -> None:
    run = copied(runs, tmp_path)
    flip(run / "checkpoints" / "000000012" / "state.data-00000-of-00001")
    ends_the_same(runs, small_data, run, resumed_at=8)


def test_best_weights_that_are_damaged_are_made_again(runs: Any, small_data: Any, tmp_path: Path) -> None:
    run = copied(runs, tmp_path)
    assert sorted(path.name for path in (run / "best").iterdir()) == ["000000008", "000000012"]
    for file in (run / "best").glob("*/state.data*"):
        flip(file)
    # Both checkpoints are of a best validation, so they have the weights too.
    ends_the_same(runs, small_data, run, resumed_at=12)


def test_best_weights_of_long_ago_are_named(runs: Any, small_data: Any, tmp_path: Path) -> None:
    run = copied(runs, tmp_path)
    (run / "best" / "000000008").rename(run / "best" / "000000004")
    for step in (8, 12):
        about = run / "checkpoints" / f"{step:09d}" / "about.json"
        write_json(about, {**read_json(about), "best_step": 4})
        write_checksums(about.parent)
    assert fit(small_data, run)[1].best.step == 12  # of the log; which is what the weights are looked up by
    flip(run / "best" / "000000004" / "state.data-00000-of-00001")
    with pytest.raises(DamagedFileError, match=r"state\.data.* is damaged: .* delete .*run to train anew"):
        fit(small_data, run)


def test_nothing_whole_is_named_and_not_trained_over(runs: Any, small_data: Any, tmp_path: Path) -> None:
    run = copied(runs, tmp_path)
    for folder in (run / "checkpoints").iterdir():
        flip(folder / "state.index")
    with pytest.raises(DamagedFileError, match=r"000000012/state\.index is damaged: .*\(2 looked at\); delete"):
        fit(small_data, run)
    assert len(list((run / "checkpoints").iterdir())) == 2


def test_the_log_is_written_anew_from_the_checkpoint(runs: Any, small_data: Any, tmp_path: Path) -> None:
    run = copied(runs, tmp_path)
    before = (run / "log.csv").read_bytes()
    for damage in (flip, lambda file: file.write_bytes(b""), Path.unlink):
        damage(run / "log.csv")
        _, result = fit(small_data, run)
        assert result.resumed_at == 12 and (run / "log.csv").read_bytes() == before


def test_lost_checkpoints_are_said(
    runs: Any, small_data: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(runs, tmp_path)
    shutil.rmtree(run / "checkpoints")
    assert fit(small_data, run)[1].resumed_at == 0
    assert "no checkpoint under" in capsys.readouterr().out
    (run / "checkpoints" / "checkpoint").touch()
    with pytest.raises(ValueError, match=r"checkpoints was written by an earlier version"):
        fit(small_data, run)


def test_a_path_that_looks_like_a_pattern(runs: Any, small_data: Any, tmp_path: Path) -> None:
    run = tmp_path / "run[1]\\*?{a}"
    shutil.copytree(runs[0], run)
    for left in (run / "log.unfinished-0a1b2c3d.csv", run / "checkpoints" / "000000016.unfinished-0a1b2c3d"):
        left.mkdir()
    ends_the_same(runs, small_data, run, resumed_at=12)


TRAIN = """
import sys, time
from dynctr_tf.durable_files import only_process
with only_process(sys.argv[1] + "/lock", "trains in " + sys.argv[1]):
    print("ready", flush=True)
    time.sleep(60)
"""


def test_a_directory_is_for_one_process(runs: Any, small_data: Any, tmp_path: Path) -> None:
    run = copied(runs, tmp_path)
    with subprocess.Popen([sys.executable, "-c", TRAIN, str(run)], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        start = time.monotonic()
        with pytest.raises(BusyError, match=rf"\(process {process.pid} on .*\) trains in .*run; wait for its end"):
            fit(small_data, run)
        assert time.monotonic() - start < 30
        process.kill()
    assert fit(small_data, run)[1].resumed_at == 12
