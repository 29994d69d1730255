"""Every model of the catalogue gives the outputs that were recorded, on weights and inputs that are fixed.

The weights are drawn with NumPy by the names of model and weight and by shape, so that they are the same on all stacks
and whatever an initializer does. What fails here answers otherwise than it did: a trained model of users
would too. Where that is meant, record anew and look at the difference:

    python tests/models/test_outputs_on_fixed_weights.py
"""

from __future__ import annotations

import collections
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import FEATURES, SMALL, batch_of, logits

from dynctr_tf import stack
from dynctr_tf.models import build_model

RECORD = Path(__file__).with_name("outputs_on_fixed_weights.json")
ROWS = 6


def fixed_weights(model: Any) -> list[np.ndarray]:
    """Numbers for all weights; by the last part of a name, since the parts before it differ between Keras 2 and 3."""
    met: collections.Counter[str] = collections.Counter()
    drawn = []
    for weight in model.weights:
        leaf = stack.variable_path(weight).split("/")[-1]
        key = f"{leaf}/{'x'.join(map(str, weight.shape))}"
        met[key] += 1
        random = np.random.default_rng(zlib.crc32(f"{model.name}/{key}/{met[key]}".encode()))
        numbers = random.normal(0.1, 0.5, tuple(weight.shape))
        drawn.append((np.abs(numbers) + 0.5 if "variance" in leaf else numbers).astype(np.float32))
    return drawn


def outputs(name: str) -> list[float]:
    model = build_model(name, FEATURES, **SMALL[name])
    model.set_weights(fixed_weights(model))
    return [float(f"{value:.6g}") for value in logits(model, batch_of(ROWS, seed=17))[:, 0]]


@pytest.mark.parametrize("name", SMALL)
def test_outputs_are_those_recorded(name: str) -> None:
    recorded = json.loads(RECORD.read_text())
    assert list(recorded) == list(SMALL), "a model came or went: record anew, as the head of this file says"
    np.testing.assert_allclose(outputs(name), recorded[name], rtol=1e-5, atol=1e-5)


def test_rows_differ() -> None:
    """Outputs that are alike would tell nothing."""
    for name, values in json.loads(RECORD.read_text()).items():
        assert len(set(values)) >= ROWS - 1 and np.ptp(values) > 1e-3, name


if __name__ == "__main__":
    lines = ",\n".join(f'  "{name}": {json.dumps(outputs(name))}' for name in SMALL)
    RECORD.write_text(f"{{\n{lines}\n}}\n")
