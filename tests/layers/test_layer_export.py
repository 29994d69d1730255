"""DPN's layers in a SavedModel answer as in Python, for any batch size and without the library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from layer_contract import as_model, listed, model_inputs
from operation_cases import CASES

from dynctr_tf import stack

# That SavedModels of models answer alike is tested on every stack.
pytestmark = pytest.mark.skipif(not stack.KERAS_3, reason="one stack is enough for the layers alone")


def caller(model: Any) -> Any:
    return lambda *given: model(list(given))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, list[np.ndarray]]]:
    """All layers in one SavedModel, loaded again, and what each of them gave before."""
    module, expected = tf.Module(), {}
    module.models = []
    for index, (name, case) in enumerate(CASES.items()):
        model = as_model(case.make(), case)
        arrays = model_inputs(case)
        expected[name] = [output.numpy() for output in listed(model(arrays))]
        signature = [tf.TensorSpec([None, *array.shape[1:]], array.dtype) for array in arrays]
        module.models.append(model)
        setattr(module, f"layer_{index}", tf.function(caller(model), signature))
    path = str(tmp_path_factory.mktemp("exported_layers"))
    tf.saved_model.save(module, path)
    return tf.saved_model.load(path), expected


@pytest.mark.parametrize("name", CASES)
def test_exported_layer_answers_alike(name: str, exported: Any) -> None:
    loaded, expected = exported
    call = getattr(loaded, f"layer_{list(CASES).index(name)}")
    arrays = [tf.constant(array) for array in model_inputs(CASES[name])]
    for one, other in zip(expected[name], listed(call(*arrays)), strict=True):
        np.testing.assert_allclose(other.numpy(), one, rtol=1e-5, atol=1e-6)
    # The negatives of DIEN's loss are of other rows, which a batch of one does not have, but its outputs are its own.
    for one, other in zip(expected[name], listed(call(*(array[:1] for array in arrays))), strict=True):
        np.testing.assert_allclose(other.numpy(), one[:1], rtol=1e-4, atol=1e-5)
