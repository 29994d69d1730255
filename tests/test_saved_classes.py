"""`import dynctr_tf` is enough to load a saved model, before Keras is imported or after."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorflow import keras

from dynctr_tf.encoding import EncodedFeatures
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.optimizers import LazyAdam
from dynctr_tf.saved_classes import saved_classes


def test_every_registered_class_is_found() -> None:
    for name, module in saved_classes().items():
        __import__(module)
        assert getattr(sys.modules[module], name).__name__ == name
    registered = {name for name in keras.saving.get_custom_objects() if name.startswith("dynctr_tf>")}
    assert registered == {f"dynctr_tf>{name}" for name in saved_classes()}


@pytest.mark.parametrize("first", ["dynctr_tf", "keras"])
def test_a_model_is_loaded_by_the_package_alone(tmp_path: Path, first: str) -> None:
    """With its optimizer, by which it trains on."""
    model = build_model("dynint_dgp", EncodedFeatures.from_sizes([20, 30, 5]))
    model.compile(LazyAdam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    ids = np.stack([np.arange(8), np.arange(8) + 25, np.full(8, 54)], axis=1).astype(np.int32)
    model.fit({"fields": ids}, np.arange(8) % 2, verbose=0)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "expected.npy", model.predict({"fields": ids}, verbose=0))
    np.save(tmp_path / "ids.npy", ids)
    imports = ["import dynctr_tf", "from tensorflow import keras"]
    code = "\n".join(
        [
            *(imports if first == "dynctr_tf" else imports[::-1]),
            "import sys, numpy as np",
            "if sys.argv[1] == 'dynctr_tf': assert 'dynctr_tf.layers' not in sys.modules",
            "model = keras.models.load_model('model.keras')",
            "found = model.predict({'fields': np.load('ids.npy')}, verbose=0)",
            "np.testing.assert_allclose(found, np.load('expected.npy'), rtol=1e-5, atol=1e-6)",
            "assert type(model.optimizer).__name__ == 'LazyAdam'",
        ]
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", code, first], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
