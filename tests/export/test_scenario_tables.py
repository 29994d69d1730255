"""Served models of several scenarios generate nothing, and answer as the trained ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras
from test_export import Rows

from dynctr_tf.encoding import Encoder
from dynctr_tf.encoding.encoded_features import EncodedFeatures, Field
from dynctr_tf.export import export_model
from dynctr_tf.export.scenario_tables import has_scenario_towers, with_scenario_tables
from dynctr_tf.layers import GeneratedTowers, SeparateTowers, StarTowers
from dynctr_tf.models import Deep, Embedding, build_model, dnn

FIELDS = (Field("user", "user", 1, 8), Field("page", "scenario", 9, 5), Field("item", "item", 14, 9))
FEATURES = EncodedFeatures(FIELDS, num_scenarios=5)
SCENARIO = np.array([2, 3, 4, 0, 1, 2], np.int32)
BATCH = {
    "fields": np.stack([1 + np.arange(6), 9 + SCENARIO, 14 + np.arange(6)], axis=1).astype(np.int32),
    "scenario": SCENARIO,
}
SMALL: dict[str, Any] = {"embedding.dim": 3}
OPTIONS: dict[str, dict[str, Any]] = {
    "optmsm": {"encoder_units": (5,), "tower_units": (8, 4)},
    "optmsm, low rank": {"encoder_units": (8,), "tower_units": (8,), "rank": 2},
    "star": {"deep.units": (5,)},
    "m2m": {"expert_units": (5,), "attention_dim": 3},
    "ple": {"expert_units": (5,), "tower_units": (4,)},
}


def trained(name: str, **options: Any) -> Any:
    model = build_model(name.split(",")[0], FEATURES, **SMALL, **OPTIONS[name], **options)
    random = np.random.default_rng(0)
    model.set_weights([np.abs(random.normal(0, 0.5, weight.shape)) for weight in model.get_weights()])
    return model


def logits(model: Any) -> np.ndarray:
    return model({key: tf.constant(value) for key, value in BATCH.items()}, training=False).numpy()


@pytest.mark.parametrize("name", OPTIONS)
def test_tables_answer_as_the_trained_model(name: str) -> None:
    model = trained(name)
    assert has_scenario_towers(model)
    served = with_scenario_tables(model)
    np.testing.assert_allclose(logits(served), logits(model), rtol=1e-5, atol=1e-5)
    kinds = {type(layer) for layer in served.layers}
    assert not kinds & {GeneratedTowers, StarTowers}
    towers = [layer for layer in served.layers if isinstance(layer, SeparateTowers)]
    assert towers and all(layer.stored_mean and not layer.tables[0][0].trainable for layer in towers)
    assert not has_scenario_towers(served)
    assert not any("generator" in getattr(weight, "path", weight.name) for weight in served.weights)
    np.testing.assert_allclose(logits(with_scenario_tables(served)), logits(model), rtol=1e-5, atol=1e-5)


def test_tables_of_a_trained_mixed_precision_model_are_float32() -> None:
    model = trained("optmsm")
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        mixed = build_model("optmsm", FEATURES, **SMALL, **OPTIONS["optmsm"])
        mixed.set_weights(model.get_weights())
        served = with_scenario_tables(mixed)
        assert logits(served).dtype == np.float32
        np.testing.assert_allclose(logits(served), logits(mixed), rtol=0.02, atol=0.02)
    finally:
        keras.mixed_precision.set_global_policy("float32")


def test_written_graph_holds_tables_and_no_generator(tmp_path: Path) -> None:
    model = trained("optmsm, low rank")
    module = tf.Module()
    module.model = with_scenario_tables(model)
    signature = {key: tf.TensorSpec([None, *value.shape[1:]], tf.int32, key) for key, value in BATCH.items()}
    module.score = tf.function(lambda batch: module.model(batch, training=False), input_signature=[signature])
    tf.saved_model.save(module, str(tmp_path / "served"))
    loaded = tf.saved_model.load(str(tmp_path / "served"))
    found = loaded.score({key: tf.constant(value) for key, value in BATCH.items()}).numpy()
    np.testing.assert_allclose(found, logits(model), rtol=1e-5, atol=1e-5)
    files = str(tmp_path / "served" / "variables" / "variables")
    shapes = {tuple(shape) for _, shape in tf.train.list_variables(files)}
    assert (4, 2, 2) in shapes  # three scenarios and their mean, a core of rank 2 each
    assert (1, 8, 2, 2) not in shapes  # the kernels that the hypernetwork mixes


def test_exported_model_generates_nothing(tmp_path: Path) -> None:
    source = Rows()
    encoder = Encoder.fit(source, progress=False)
    model = build_model("optmsm", encoder.features, **SMALL, **OPTIONS["optmsm"])
    path = export_model(model, encoder, tmp_path / "clicks", source.columns.slice(0, 20))
    # Of four axes are the kernels that a hypernetwork mixes. That the answers agree, the export has checked itself.
    shapes = [shape for _, shape in tf.train.list_variables(str(path / "variables" / "variables"))]
    assert any(len(shape) == 3 and shape[0] == encoder.features.num_scenarios - 1 for shape in shapes)
    assert not any(len(shape) == 4 for shape in shapes)


def test_models_without_scenarios_are_left_alone() -> None:
    assert not has_scenario_towers(dnn(EncodedFeatures.from_sizes([4]), embedding=Embedding(2), deep=Deep((3,))))
    with pytest.raises(ValueError, match="Only functional models"):
        with_scenario_tables(keras.Sequential([keras.layers.Dense(3)]))
