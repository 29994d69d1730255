"""Every model of the catalogue, saved and served, answers as it did."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_models import FEATURES, SMALL, batch_of, labels_of, logits
from tensorflow import keras

from dynctr_tf.models import build_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def same_start_each_time() -> None:
    keras.utils.set_random_seed(0)


LOADER = """
import json, sys
from pathlib import Path
import numpy as np
from tensorflow import keras
import dynctr_tf.layers
folder, differences = Path(sys.argv[1]), {}
batch = dict(np.load(folder / "batch.npz"))
for name in json.loads((folder / "names.json").read_text()):
    model = keras.models.load_model(folder / f"{name}.keras")
    differences[name] = float(np.abs(model(batch).numpy() - np.load(folder / f"{name}.npy")).max())
(folder / "differences.json").write_text(json.dumps(differences))
"""


@pytest.fixture(scope="module")
def differences(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    folder, batch = tmp_path_factory.mktemp("saved_models"), batch_of(16)
    np.savez(folder / "batch.npz", **batch)
    (folder / "names.json").write_text(json.dumps(list(SMALL)))
    for name, options in SMALL.items():
        model = build_model(name, FEATURES, **options)
        # Eagerly: tracing each step's graph is what training for all steps tests, and takes a second or two a model.
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.5), loss, run_eagerly=True)
        model.fit(batch, labels_of(batch), verbose=0)
        model.save(folder / f"{name}.keras")
        np.save(folder / f"{name}.npy", logits(model, batch))
    ran = subprocess.run([sys.executable, "-c", LOADER, str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    found: dict[str, float] = json.loads((folder / "differences.json").read_text())
    return found


@pytest.mark.parametrize("name", SMALL)
def test_saved_model_gives_the_same_in_a_new_process(name: str, differences: dict[str, float]) -> None:
    assert differences[name] <= 1e-6


@pytest.mark.parametrize("name", SMALL)
def test_an_empty_batch_is_answered(name: str) -> None:
    model = build_model(name, FEATURES, **SMALL[name])
    assert logits(model, batch_of(0)).shape == (0, 1)


@pytest.mark.parametrize("name", SMALL)
def test_saved_model_answers_without_the_library(name: str, tmp_path: Path) -> None:
    """The graph that is exported needs no layer of this library, nor its custom gradient."""
    model, batch = build_model(name, FEATURES, **SMALL[name]), batch_of(4)
    module = tf.Module()
    module.model = model
    signature = {
        key: tf.TensorSpec([None, *value.shape[1:]], tf.int32, re.sub(r"\W", "_", key)) for key, value in batch.items()
    }
    module.score = tf.function(lambda inputs: model(inputs, training=False), input_signature=[signature])
    tf.saved_model.save(module, str(tmp_path / "exported"))
    loaded = tf.saved_model.load(str(tmp_path / "exported"))
    tensors = {key: tf.constant(value) for key, value in batch.items()}
    np.testing.assert_allclose(loaded.score(tensors).numpy(), logits(model, batch), rtol=1e-5, atol=1e-7)
