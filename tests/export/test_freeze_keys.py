"""A model of keys without a vocabulary as it is served: raw int64 keys, plain TensorFlow."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.encoding import EncodedFeatures
from dynctr_tf.export import freeze_keys
from dynctr_tf.models import deepfm
from dynctr_tf.models.parts import Deep, Embedding

KEYS = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, (50, 2))


def trained() -> keras.Model:
    model = deepfm(EncodedFeatures.of_keys(["user", "item"]), embedding=Embedding(4, num_keys=200), deep=Deep((8,)))
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    model.fit({"fields": KEYS}, np.arange(50) % 2, batch_size=10, verbose=0)
    return model


def test_the_export_answers_raw_keys_as_the_model_does(tmp_path: Path) -> None:
    model = trained()
    with pytest.raises(ValueError, match=r"embedding finds rows in a hash table .*freeze_keys"):
        tf.saved_model.save(model, str(tmp_path / "live"))
    frozen = freeze_keys(model)
    assert frozen.count_params() < model.count_params() and frozen.get_layer("embedding").num_keys == 100
    asked = np.concatenate([KEYS, KEYS[:, ::-1] + 1, np.zeros((1, 2), np.int64)])  # known, unknown and padding keys
    expected = model({"fields": asked}, training=False).numpy()
    np.testing.assert_allclose(frozen({"fields": asked}), expected, rtol=1e-6, atol=1e-7)
    frozen.export(str(tmp_path / "1"))
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    answer = loaded.signatures["serving_default"]
    (name,) = answer.structured_input_signature[1]
    np.testing.assert_allclose(
        next(iter(answer(**{name: tf.constant(asked)}).values())), expected, rtol=1e-6, atol=1e-7
    )
    graph = tf.compat.v1.GraphDef()
    graph.CopyFrom(answer.graph.as_graph_def())
    nodes = [*graph.node, *(node for function in attrgetter("library.function")(graph) for node in function.node_def)]
    used = {node.op for node in nodes}
    assert "LowerBound" in used and not [name for name in used if "Table" in name or ">" in name]


def test_nested_models_and_what_cannot_be_frozen() -> None:
    inner = trained()
    keys = keras.Input((2,), dtype="int64", name="keys")
    outer = keras.Model(keys, inner({"fields": keys}))
    np.testing.assert_allclose(freeze_keys(outer)(KEYS), outer(KEYS), rtol=1e-6, atol=1e-7)
    empty = deepfm(EncodedFeatures.of_keys(["user"]), embedding=Embedding(4, num_keys=20), deep=Deep((8,)))
    with pytest.raises(ValueError, match="No key of embedding has a row yet"):
        freeze_keys(empty)
    with pytest.raises(ValueError, match="has no KeyEmbedding"):
        freeze_keys(deepfm(EncodedFeatures.from_sizes([5, 5]), deep=Deep((8,))))
