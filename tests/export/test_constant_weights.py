"""Weights as constants of a served graph: the same answers, without the variables, and casts that are done once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.encoding import EncodedFeatures
from dynctr_tf.export import constant_weights, with_constant_weights
from dynctr_tf.models import Deep, Embedding
from dynctr_tf.models.catalogue import build_model

FEATURES = EncodedFeatures.from_sizes([50, 40, 30])
SIGNATURE = {"fields": tf.TensorSpec((None, 3), tf.int32, name="fields")}
IDS = {"fields": tf.constant(np.random.default_rng(0).integers(1, 40, (20, 3)), tf.int32)}


def dnn() -> Any:
    keras.utils.set_random_seed(1)
    return build_model("dnn", FEATURES, embedding=Embedding(4, initial_scale=0.5), deep=Deep((8, 6)))


def variables_read(function: Any) -> list[str]:
    """What the graph still reads or gathers from variables: the kinds of the operations that a result depends on."""
    definition = tf.compat.v1.graph_util.extract_sub_graph(
        function.graph.as_graph_def(), [tensor.op.name for tensor in function.outputs]
    )
    return [node.op for node in definition.node if node.op in ("ReadVariableOp", "ResourceGather")]


def test_answers_are_the_model_s_and_the_table_alone_stays_a_variable() -> None:
    model = dnn()
    answer = with_constant_weights(lambda encoded: {"logit": model(encoded, training=False)}, SIGNATURE)
    expected = np.asarray(model(IDS, training=False))
    np.testing.assert_allclose(answer(IDS)["logit"].numpy(), expected, rtol=1e-6, atol=1e-7)
    assert variables_read(answer) == ["ResourceGather"]


def test_weights_are_those_of_the_moment_and_tables_those_of_the_request() -> None:
    model = dnn()
    answer = with_constant_weights(lambda encoded: model(encoded, training=False), SIGNATURE)
    before = answer(IDS).numpy()
    kernel = next(weight for weight in model.weights if weight.shape[0] == 8)
    kernel.assign(tf.zeros(kernel.shape))
    np.testing.assert_array_equal(answer(IDS).numpy(), before)
    table = next(weight for weight in model.weights if weight.shape[0] == FEATURES.num_ids)
    table.assign(tf.zeros(table.shape))
    assert np.abs(answer(IDS).numpy() - before).max() > 1e-3


@pytest.mark.parametrize("limit", ["LARGEST", "_LARGEST_GRAPH"])
def test_what_is_too_large_for_a_graph_stays_a_variable(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constant_weights, limit, 8 * 6 * 4)  # the bytes of the second kernel; the first has 12 x 8
    model = dnn()
    answer = with_constant_weights(lambda encoded: model(encoded, training=False), SIGNATURE)
    reads = variables_read(answer).count("ReadVariableOp")
    assert reads == (1 if limit == "LARGEST" else 6)
    np.testing.assert_allclose(answer(IDS).numpy(), np.asarray(model(IDS)), rtol=1e-6, atol=1e-7)


def test_kernels_in_bfloat16_are_cast_when_the_graph_is_made_ready() -> None:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = dnn()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    answer = with_constant_weights(lambda encoded: model(encoded, training=False), SIGNATURE)
    expected = np.asarray(model(IDS, training=False), np.float64)
    np.testing.assert_allclose(answer(IDS).numpy().astype(np.float64), expected, rtol=0.02, atol=0.02)
    assert variables_read(answer) == ["ResourceGather"]


@tf.custom_gradient
def square(x: tf.Tensor) -> Any:
    return x * x, lambda upstream: 2.0 * x * upstream


def test_custom_gradients_do_not_keep_a_graph_from_being_saved(tmp_path: Path) -> None:
    module = tf.Module()
    module.kernel = tf.Variable([[2.0], [3.0]])

    def answer(x: tf.Tensor) -> tf.Tensor:
        y = square(x @ module.kernel)
        return tf.cond(tf.reduce_sum(x) > 0.0, lambda: square(y + 1.0), lambda: y)  # and one in a nested function

    constant = with_constant_weights(answer, tf.TensorSpec((None, 2)))
    module.answer = tf.function(lambda x: constant(x), input_signature=[tf.TensorSpec((None, 2))])
    tf.saved_model.save(module, str(tmp_path / "saved"))
    assert tf.saved_model.load(str(tmp_path / "saved")).answer(tf.ones((1, 2))).numpy().tolist() == [[676.0]]
