"""Folded models answer as the trained ones do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras
from test_export import LOAD, Rows

from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.encoding import Encoder
from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.export import export_model, fold
from dynctr_tf.export.raw_requests import raw_tensors
from dynctr_tf.layers import AdaptiveDense, AdaptiveMLP, GroupCondition
from dynctr_tf.models import Adaptive, Condition, Deep, Embedding, apg, deepfm, make_adaptive

Dense = keras.layers.Dense
X = np.random.default_rng(3).normal(size=(5, 6)).astype(np.float32)


def nested() -> Any:
    x, h = keras.Input((6,)), keras.Input((6,))
    tower = keras.Model(h, keras.layers.BatchNormalization()(Dense(5, "tanh", name="inner")(h)), name="tower")
    shared = Dense(6, "relu", name="shared")
    return keras.Model(x, Dense(1, name="logit")(tower(shared(shared(x)) + x)))


def test_nested_model_with_a_shared_layer() -> None:
    model = make_adaptive(nested(), rank=2, over_parameterisation=4, bias_kind="dynamic")
    model.compile("sgd", loss="mse")
    model.fit(X, np.ones((5, 1), np.float32), verbose=0)
    folded = fold(model)
    np.testing.assert_allclose(folded(X).numpy(), model(X).numpy(), rtol=1e-5, atol=1e-5)
    assert folded.count_params() < model.count_params()
    assert folded.get_layer("tower").get_layer("inner").over_parameterisation is None
    assert [layer.name for layer in folded.layers if "shared" in layer.name] == ["shared"]


@pytest.mark.parametrize("batch_norm", [False, True])
def test_model_of_the_library(batch_norm: bool) -> None:
    features = EncodedFeatures.from_sizes([5, 6, 7])
    base = deepfm(features, embedding=Embedding(4), deep=Deep((8, 4), batch_norm=batch_norm))
    model = make_adaptive(base, select="mlp", rank=[3, 2], over_parameterisation=[6, 4])
    batch = {"fields": np.array([[1, 6, 12], [4, 10, 18]], np.int32)}
    folded = fold(model)
    np.testing.assert_allclose(folded(batch).numpy(), model(batch).numpy(), rtol=1e-5, atol=1e-5)
    saved = (12 + 3 + 3 + 8) * 6 - (12 + 8) * 3 + (8 + 2 + 2 + 4) * 4 - (8 + 4) * 2
    assert model.count_params() - folded.count_params() == saved


def random_weights(model: Any) -> None:
    random = np.random.default_rng(7)
    model.set_weights([random.normal(0, 0.5, weight.shape) for weight in model.get_weights()])


def test_groups_get_tables_in_place_of_generators() -> None:
    group = keras.Input((), dtype="int32", name="group")
    options = {"rank": 2, "over_parameterisation": 4, "bias_kind": "dynamic", "depth": 2}
    model = make_adaptive(nested(), condition=GroupCondition(3, 5), condition_of=group, **options)
    random_weights(model)
    groups = np.array([2, 0, 1, 2, 2], np.int32)
    served = fold(model, group_tables=True)
    np.testing.assert_allclose(served([X, groups]).numpy(), model([X, groups]).numpy(), rtol=1e-4, atol=1e-5)
    inner = served.get_layer("tower").get_layer("inner")
    assert isinstance(inner, AdaptiveDense)
    assert (inner.num_groups, inner.generator) == (3, None)
    assert not any(isinstance(layer, GroupCondition) for layer in served._flatten_layers())
    # U and V of both layers, what is generated for each group, and the logit: nothing else is left.
    layers = [(6, 6), (6, 5)]
    expected = sum((m + units) * 2 + 3 * (4 + units) for m, units in layers) + 4 * 5 + 6
    assert served.count_params() == expected
    other = fold(served)
    np.testing.assert_allclose(other([X, groups]).numpy(), served([X, groups]).numpy(), rtol=1e-5, atol=1e-6)


def test_condition_that_is_used_elsewhere_too_stays() -> None:
    x, group = keras.Input((6,)), keras.Input((), dtype="int32")
    z = GroupCondition(3, 6, name="groups")(group)
    dense = AdaptiveDense(6, 2, name="core")
    y = Dense(1)(dense(dense(x, condition=z), x) + z)
    model = keras.Model([x, group], y)
    random_weights(model)
    groups = np.array([2, 0, 1, 2, 2], np.int32)
    served = fold(model, group_tables=True)
    np.testing.assert_allclose(served([X, groups]).numpy(), model([X, groups]).numpy(), rtol=1e-4, atol=1e-5)
    kinds = {layer.name: layer.num_groups for layer in served.layers if isinstance(layer, AdaptiveDense)}
    assert kinds == {"core": 3, "core_2": None}


def test_tables_without_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="no adaptive layer whose condition is the output of a GroupCondition"):
        fold(make_adaptive(nested(), rank=2), group_tables=True)


@pytest.mark.parametrize("group_tables", [False, True])
def test_exported_model_is_folded_and_answers_without_the_library(group_tables: bool, tmp_path: Path) -> None:
    source = Rows()
    encoder = Encoder.fit(source, progress=False)
    model = apg(
        encoder.features, base="dnn", condition=Condition("group", dim=6), embedding=Embedding(4), deep=Deep((8, 4)),
        adaptive=Adaptive(2, 16),
    )  # fmt: skip
    random_weights(model)
    sample = source.columns.slice(0, 30)
    path = export_model(model, encoder, tmp_path / "clicks", sample, group_tables=group_tables)
    requests = {f"serving_default:{name}": value.numpy() for name, value in raw_tensors(sample, source.schema).items()}
    np.savez(tmp_path / "requests.npz", **requests)
    loader = LOAD.replace('"examples": {}, "encoded": {}', "")
    words = [str(path), str(tmp_path / "requests.npz"), str(tmp_path / "answers.npz")]
    done = subprocess.run([sys.executable, "-c", loader, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    encoded = encoder.encode_batch(RowBatch(sample, np.zeros(30, np.int8)))
    expected = model({name: tf.constant(encoded[name]) for name in model.input}).numpy()[:, 0]
    np.testing.assert_allclose(
        np.load(tmp_path / "answers.npz")["serving_default:logit"], expected, rtol=1e-5, atol=1e-5
    )
    shapes = [tuple(shape) for _, shape in tf.train.list_variables(str(path / "variables" / "variables"))]
    mlp = model.get_layer("mlp")
    assert isinstance(mlp, AdaptiveMLP)
    assert not any(16 in shape for shape in shapes)  # the inner width of the factors
    core = (encoder.features.num_scenarios, 4)  # a 2 x 2 core for each scenario
    assert (core in shapes) is group_tables


def test_export_can_leave_the_factors(tmp_path: Path) -> None:
    source = Rows()
    encoder = Encoder.fit(source, progress=False)
    model = apg(encoder.features, base="dnn", embedding=Embedding(4), deep=Deep((8,)), adaptive=Adaptive(2, 16))
    path = export_model(model, encoder, tmp_path / "clicks", source.columns.slice(0, 5), fold=False)
    shapes = [tuple(shape) for _, shape in tf.train.list_variables(str(path / "variables" / "variables"))]
    assert any(16 in shape for shape in shapes)
    with pytest.raises(ValueError, match="leave fold at True"):
        export_model(model, encoder, tmp_path / "clicks", source.columns, fold=False, group_tables=True)


def test_model_without_a_graph_is_refused() -> None:
    with pytest.raises(ValueError, match="Only functional models"):
        fold(keras.Sequential([Dense(3)]))
