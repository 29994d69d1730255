"""Every operation on files may fail, and the power at any moment: each run ends right or says which file it is.

`DYNCTR_ALL_FAULTS=1` lets every operation fail and looks at every state that a loss of power may leave, which takes
some ten minutes on two cores; without it a sample is looked at.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import power_loss
import pytest
from tensorflow import keras

from dynctr_tf.encoding import EncodedDataset, Encoder, write_encoded_dataset
from dynctr_tf.models import Deep, Embedding
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.optimizers import LazyAdam
from dynctr_tf.stack import KERAS_3
from dynctr_tf.training import set_seed, train

ROOT = Path(__file__).parents[2]
ALL = bool(os.environ.get("DYNCTR_ALL_FAULTS"))
COMPILER = shutil.which("cc") or shutil.which("gcc")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if COMPILER is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler on Linux")
    built = tmp_path_factory.mktemp("library") / "failing_files.so"
    source = Path(__file__).parent / "failing_files.c"
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-o", str(built), str(source), "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    return built


@pytest.mark.slow
@pytest.mark.skipif(not KERAS_3, reason="files are written in the same way on every stack")
@pytest.mark.parametrize(("job", "share"), [("encode", 11), ("train", 31), ("search", 5)])
def test_a_failed_operation_is_named_and_the_next_run_ends_as_without(
    job: str, share: int, library: Path, tmp_path: Path
) -> None:
    # All of them in two processes at a time.
    parts = [(1, 2), (2, 2)] if ALL else [(1, share)]
    environment = {**os.environ, "LD_PRELOAD": str(library), "FAILING_FILES": str(library)}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda part: sweep(job, *part, tmp_path, environment), parts))
    found = {name: [one[name] for one in done] for name in done[0]}
    print({**found, "wrong": sum(map(len, found["wrong"]))})
    assert not any(found["wrong"]), "\n".join(sum(found["wrong"], []))
    # Most operations are needed; those that only tidy up are not.
    assert sum(found["named"]) > 2 * sum(found["harmless"]), found


def sweep(job: str, first: int, share: int, place: Path, environment: dict[str, str]) -> dict[str, Any]:
    folder = place / f"from {first}"
    folder.mkdir()
    words = [str(Path(__file__).parent / "fault_sweep.py"), job, str(first), str(share), str(folder)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def sampled(recorder: power_loss.Recorder, most: int) -> list[power_loss.Tree]:
    states = list(recorder.states.values())
    if ALL or len(states) <= most:
        return states
    return [states[round(place)] for place in np.linspace(0, len(states) - 1, most)]


def test_the_power_fails_while_rows_are_encoded(small_source: Any, tmp_path: Path) -> None:
    encoder = Encoder.fit(small_source, progress=False)
    (tmp_path / "root").mkdir()
    with power_loss.recorded(tmp_path / "root") as recorder:
        write_encoded_dataset(small_source, encoder, tmp_path / "root" / "data", rows_per_block=2048, progress=False)
    expected = EncodedDataset.open(tmp_path / "root" / "data")
    ends = {"data": 0, "nothing": 0}
    states = sampled(recorder, 1000)
    for number, tree in enumerate(states):
        place = tmp_path / f"lost-{number}"
        power_loss.make(tree, place)
        if (place / "data").exists():  # then all of it is there
            data = EncodedDataset.open(place / "data")
            assert data.encoder().fingerprint == encoder.fingerprint
            assert np.array_equal(data.row_keys("train"), expected.row_keys("train"))
            ends["data"] += 1
        else:
            ends["nothing"] += 1
        shutil.rmtree(place)
    assert ends["data"] >= 1 and ends["nothing"] >= 1, ends


@pytest.mark.slow
def test_the_power_fails_while_a_model_trains(small_data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What reads the rows, which lie elsewhere, is traced once.
    monkeypatch.setattr(small_data, "batches", functools.lru_cache(maxsize=None)(small_data.batches))

    def run(place: Path) -> tuple[list[np.ndarray], int]:
        keras.backend.clear_session()
        set_seed(0)
        model = build_model("dnn", small_data.features, embedding=Embedding(2), deep=Deep((4,)))
        options: dict[str, Any] = {"batch_size": 1000, "epochs": 1, "evaluate_every": 1, "tensorboard": False}
        result = train(model, small_data, LazyAdam(0.1), directory=place / "run", **options)
        return model.get_weights(), result.resumed_at

    (tmp_path / "root").mkdir()
    with power_loss.recorded(tmp_path / "root") as recorder:
        expected, _ = run(tmp_path / "root")
    resumed = set()
    for number, tree in enumerate(sampled(recorder, 7)):
        place = tmp_path / f"lost-{number}"
        power_loss.make(tree, place)
        weights, step = run(place)
        assert all(np.array_equal(a, b) for a, b in zip(weights, expected, strict=True)), tree.keys()
        assert not list(place.rglob("*.unfinished-*"))
        resumed.add(step)
        shutil.rmtree(place)
    assert 0 in resumed and len(resumed) >= 3, f"{resumed} of {len(recorder.states)} states"
