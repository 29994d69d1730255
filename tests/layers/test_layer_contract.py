"""Every layer keeps the contract of layers, and every public layer is among the cases."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import adaptive_cases
import interaction_cases
import numpy as np
import operation_cases
import pytest
import scenario_cases
from layer_contract import CASES as FIRST_CASES
from layer_contract import POLICIES, as_model, check_integers, check_layer, check_policy, listed, model_inputs
from tensorflow import keras

from dynctr_tf import layers

CASES = {
    **FIRST_CASES,
    **operation_cases.CASES,
    **interaction_cases.CASES,
    **adaptive_cases.CASES,
    **scenario_cases.CASES,
}
ROOT = Path(__file__).parents[2]
LOADER = """
import json, sys
from pathlib import Path
import numpy as np
from tensorflow import keras
import dynctr_tf.layers
folder, differences = Path(sys.argv[1]), {}
for index, name in enumerate(json.loads((folder / "names.json").read_text())):
    stored = np.load(folder / f"{index}.npz")
    model = keras.models.load_model(folder / f"{index}.keras")
    inputs = [stored[f"in{k}"] for k in range(len(model.inputs))]
    outputs = model(inputs)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    differences[name] = max(float(np.abs(o.numpy() - stored[f"out{k}"]).max()) for k, o in enumerate(outputs))
(folder / "differences.json").write_text(json.dumps(differences))
"""


@pytest.fixture(autouse=True)
def same_start_each_time() -> None:
    """Rounding to bfloat16 is judged by the size of the outputs, and some starts leave outputs that nearly cancel."""
    keras.utils.set_random_seed(0)


@pytest.mark.parametrize("name", CASES)
def test_layer_keeps_the_contract(name: str) -> None:
    check_layer(CASES[name])


@pytest.mark.parametrize("name", CASES)
def test_layer_takes_whole_numbers_of_any_dtype(name: str) -> None:
    check_integers(CASES[name])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("policy", POLICIES)
def test_layer_computes_in_every_policy(name: str, policy: str) -> None:
    check_policy(CASES[name], policy)


def test_every_public_layer_is_checked() -> None:
    checked = {type(case.make()).__name__ for case in CASES.values()}
    assert checked == set(layers.__all__)


def test_every_public_layer_has_a_test_in_its_room() -> None:
    modules = [getattr(layers, name).__module__.split(".")[-2:] for name in layers.__all__]
    assert not [pair for pair in modules if not (Path(__file__).parent / pair[0] / f"test_{pair[1]}.py").exists()]


@pytest.fixture(scope="module")
def differences(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Saves all layers here and loads them in one new process, which tells how far its outputs lie off."""
    folder = tmp_path_factory.mktemp("saved_layers")
    (folder / "names.json").write_text(json.dumps(list(CASES)))
    for index, case in enumerate(CASES.values()):
        model = as_model(case.make(), case)
        model.save(folder / f"{index}.keras")
        outputs = listed(model(model_inputs(case)))
        arrays = {f"in{k}": array for k, array in enumerate(model_inputs(case))}
        arrays |= {f"out{k}": output.numpy() for k, output in enumerate(outputs)}
        np.savez(folder / f"{index}.npz", **arrays)
    ran = subprocess.run([sys.executable, "-c", LOADER, str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
    found: dict[str, float] = json.loads((folder / "differences.json").read_text())
    return found


@pytest.mark.parametrize("name", CASES)
def test_saved_layer_gives_the_same_in_a_new_process(name: str, differences: dict[str, float]) -> None:
    assert differences[name] <= 1e-6
