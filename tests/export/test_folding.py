"""Folded models answer as the trained ones do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.export.folding import fold
from dynctr_tf.models import deepfm, make_adaptive

Dense = keras.layers.Dense
X = np.random.default_rng(3).normal(size=(5, 6)).astype(np.float32)


def nested() -> Any:
    x, h = keras.Input((6,)), keras.Input((6,))
    tower = keras.Model(h, keras.layers.BatchNormalization()(Dense(5, "tanh", name="inner")(h)), name="tower")
    shared = Dense(6, "relu", name="shared")
    return keras.Model(x, Dense(1, name="logit")(tower(shared(shared(x)) + x)))


def test_nested_model_with_a_shared_layer() -> None:
    model = make_adaptive(nested(), rank=2, over_parameterisation=4, bias="generated")
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
    base = deepfm(features, embedding_dim=4, hidden_units=(8, 4), batch_norm=batch_norm)
    model = make_adaptive(base, select="mlp", rank=[3, 2], over_parameterisation=[6, 4])
    batch = {"fields": np.array([[1, 6, 12], [4, 10, 18]], np.int32)}
    folded = fold(model)
    np.testing.assert_allclose(folded(batch).numpy(), model(batch).numpy(), rtol=1e-5, atol=1e-5)
    saved = (12 + 3 + 3 + 8) * 6 - (12 + 8) * 3 + (8 + 2 + 2 + 4) * 4 - (8 + 4) * 2
    assert model.count_params() - folded.count_params() == saved


def test_model_without_a_graph_is_refused() -> None:
    with pytest.raises(ValueError, match="Only functional models"):
        fold(keras.Sequential([Dense(3)]))
