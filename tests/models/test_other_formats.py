"""Keras' own export of a model, and TFLite made of it, answer as the model does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from small_models import FEATURES, SMALL, batch_of, logits

from dynctr_tf import stack
from dynctr_tf.models import build_model


@pytest.mark.skipif(not stack.KERAS_3, reason="Keras 2 writes other argument names")
@pytest.mark.parametrize("name", ["deepfm", "dynint-dgp"])
def test_keras_export_looks_rows_up_alone_and_becomes_tflite(name: str, tmp_path: Path) -> None:
    model, batch = build_model(name, FEATURES, **SMALL[name]), batch_of(3)
    model.export(str(tmp_path), verbose=False)
    graph = tf.saved_model.load(str(tmp_path)).signatures["serving_default"].graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    assert not {"Unique", "SparseTensorDenseMatMul"} & {node.op for node in nodes}
    converted = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path)).convert()
    run = tf.lite.Interpreter(model_content=converted).get_signature_runner()
    arguments = {"input_last_items_30d" if "/" in key else key: value for key, value in batch.items()}
    (answer,) = run(**arguments).values()
    np.testing.assert_allclose(answer, logits(model, batch), rtol=1e-5, atol=1e-6)
