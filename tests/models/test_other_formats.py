"""Keras' own export of a model, and TFLite made of it, answer as the model does."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_models import FEATURES, SMALL, batch_of, logits
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.models import build_model


@pytest.mark.skipif(not stack.KERAS_3, reason="Keras 2 writes other argument names")
@pytest.mark.parametrize(
    ("name", "built_in"),
    [
        ("deepfm", True),  # static
        ("dynint_dgp", True),  # dynamic
        ("transformer", True),  # of sequences
        ("dien", False),  # recurrent: lists of tensors need TensorFlow's own operations, which not all TFLites have
        ("star", True),  # of several scenarios, in blocks
        ("per_scenario", True),  # with a table of embeddings for each
        ("apg_dnn", True),  # adaptive
    ],
)
def test_keras_export_looks_rows_up_alone_and_becomes_tflite(name: str, built_in: bool, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model, batch = build_model(name, FEATURES, **SMALL[name]), batch_of(3)
    # Weights of a size that tells the rows apart.
    random = np.random.default_rng(1)
    model.set_weights([weight + np.abs(random.normal(0, 0.2, weight.shape)) for weight in model.get_weights()])
    expected = logits(model, batch)
    assert np.ptp(expected) > 0.01
    model.export(str(tmp_path), verbose=False)
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    graph = served.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in attrgetter("library.function")(graph) for node in function.node_def)]
    assert not {"Unique", "SparseTensorDenseMatMul"} & {node.op for node in nodes}
    arguments = {"input_last_items_30d" if "/" in key else key: batch[key] for key in model.input}
    (answer,) = served(**{key: tf.constant(value) for key, value in arguments.items()}).values()
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-6)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path))
    if not built_in:
        with pytest.raises(Exception, match="TensorList"):
            converter.convert()
        return
    run = tf.lite.Interpreter(model_content=converter.convert()).get_signature_runner()
    (answer,) = run(**arguments).values()
    np.testing.assert_allclose(answer, expected, rtol=1e-5, atol=1e-6)
