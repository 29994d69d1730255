"""Finished models made adaptive: the user's own, nested, with shared layers and several inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import MLP, AdaptiveDense, AdaptiveMLP, GroupCondition, MixCondition
from dynctr_tf.models import Deep, Embedding, deepfm, make_adaptive

Dense = keras.layers.Dense
RANDOM = np.random.default_rng(2)
USER, ITEM = (RANDOM.normal(size=(5, 6)).astype(np.float32) for _ in range(2))
GROUP = np.array([0, 1, 2, 1, 0], np.int32)


def two_towers() -> Any:
    """Two inputs, a shared layer, a nested model, a raw operation, a residual sum and two outputs."""
    user, item = keras.Input((6,), name="user"), keras.Input((6,), name="item")
    shared = Dense(6, "relu", name="shared")
    h = keras.Input((6,))
    tower = keras.Model(h, keras.layers.BatchNormalization(name="norm")(Dense(4, name="inner")(h)), name="tower")
    left = tower(shared(user) + user)
    right = tower(shared(item))
    joined = keras.layers.Concatenate(name="joined")([left, right])
    outputs = [Dense(1, name="click")(joined), Dense(1, name="buy")(MLP((5, 3), dropout=0.1, name="deep")(joined))]
    return keras.Model({"user": user, "item": item}, outputs, name="two_towers")


def run(model: Any, **more: Any) -> list[np.ndarray]:
    given = {"user": USER, "item": ITEM, **more}
    return [output.numpy() for output in model({key: tf.constant(value) for key, value in given.items()})]


def test_names_shapes_and_other_weights_stay() -> None:
    model = two_towers()
    before = run(model)
    adaptive = make_adaptive(model, rank=2)
    assert [layer.name for layer in adaptive.layers if "user" not in layer.name] != []
    assert {layer.name for layer in model.layers} - {layer.name for layer in adaptive.layers} <= {"add"}
    assert [output.shape for output in run(adaptive)] == [(5, 1), (5, 1)]
    assert isinstance(adaptive.get_layer("shared"), AdaptiveDense)
    assert isinstance(adaptive.get_layer("tower").get_layer("inner"), AdaptiveDense)
    assert isinstance(adaptive.get_layer("deep"), AdaptiveMLP)
    for old, new in zip(model.get_layer("click").get_weights(), adaptive.get_layer("click").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    for one, other in zip(before, run(model), strict=True):
        np.testing.assert_array_equal(one, other)


def test_copy_computes_what_the_graph_says() -> None:
    adaptive = make_adaptive(two_towers(), rank=2)
    shared, tower = adaptive.get_layer("shared"), adaptive.get_layer("tower")
    left = tower(shared(tf.constant(USER)) + USER)
    right = tower(shared(tf.constant(ITEM)))
    joined = tf.concat([left, right], axis=1)
    click, buy = run(adaptive)
    np.testing.assert_allclose(click, adaptive.get_layer("click")(joined).numpy(), rtol=1e-4, atol=1e-5)
    deep = adaptive.get_layer("deep")(joined)
    np.testing.assert_allclose(buy, adaptive.get_layer("buy")(deep).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["group", "mix", "layer"])
def test_conditions_reach_every_adaptive_layer(kind: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "group": {
            "condition": GroupCondition(3, 4, name="groups"),
            "condition_of": keras.Input((), dtype="int32", name="group"),
        },
        "mix": {"condition": MixCondition("attention"), "condition_of": ["user", "item"]},
        "layer": {"condition_of": "joined", "select": ["deep"]},
    }[kind]
    keras.utils.set_random_seed(0)  # a hidden layer that happens to be dead on a row hides its condition
    adaptive = make_adaptive(two_towers(), rank=2, **options)
    more = {"group": GROUP} if kind == "group" else {}
    outputs = run(adaptive, **more)
    if kind == "group":
        moved = run(adaptive, group=(GROUP + 1) % 3)
        assert all(np.abs(one - other).min() > 0 for one, other in zip(outputs, moved, strict=True))
    labels = [np.ones((5, 1), np.float32)] * 2
    adaptive.compile("sgd", loss=["mse", "mse"])
    data = {"user": USER, "item": ITEM, **more}
    before = adaptive.get_weights()
    adaptive.fit(data, labels, epochs=1, verbose=0)
    assert any(np.abs(one - other).max() > 0 for one, other in zip(before, adaptive.get_weights(), strict=True))
    adaptive.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    for one, other in zip(run(adaptive, **more), run(loaded, **more), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_sequential_model_keeps_its_biases_and_activations() -> None:
    model = keras.Sequential(
        [keras.Input((6,)), Dense(8, "tanh", use_bias=False, name="a"), Dense(4, name="b"), Dense(1)]
    )
    adaptive = make_adaptive(model, select="[ab]", rank=0.5, bias_kind="dynamic")
    a, b = adaptive.get_layer("a"), adaptive.get_layer("b")
    assert (a.bias_kind, b.bias_kind, a.core_width, b.core_width) == ("none", "dynamic", 3, 2)
    assert a.activation is keras.activations.tanh
    assert adaptive(USER).shape == (5, 1)


def test_adaptive_twice_with_two_selections() -> None:
    once = make_adaptive(two_towers(), select="shared", rank=3)
    twice = make_adaptive(once, select="tower/.*inner", rank=2)
    assert (twice.get_layer("shared").rank, twice.get_layer("tower").get_layer("inner").rank) == (3, 2)
    for old, new in zip(once.get_layer("shared").get_weights(), twice.get_layer("shared").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_models_of_the_library() -> None:
    model = deepfm(EncodedFeatures.from_sizes([5, 6, 7]), embedding=Embedding(4), deep=Deep((8, 4)))
    adaptive = make_adaptive(model, select="mlp", rank=[3, 2])
    assert [dense.rank for dense in adaptive.get_layer("mlp").dense_layers] == [3, 2]
    assert adaptive({"fields": np.array([[1, 6, 12]], np.int32)}).shape == (1, 1)


def test_mixed_precision_stays_with_its_layer() -> None:
    x = keras.Input((6,))
    model = keras.Model(x, Dense(1, dtype="float32")(Dense(8, dtype="mixed_bfloat16", name="wide")(x)))
    adaptive = make_adaptive(model, rank=2)
    assert adaptive.get_layer("wide").compute_dtype == "bfloat16"
    assert adaptive(USER).dtype == tf.float32


class Block(keras.layers.Layer):  # type: ignore[misc]
    """A user's layer that hides a dense one."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = Dense(4, name="hidden_inside")

    def build(self, shape: Any) -> None:
        self.inner.build(shape)
        self.built = True

    def call(self, x: Any) -> Any:
        return self.inner(x)

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], 4)


def small(layer: Any, shape: tuple[int, ...] = (6,)) -> Any:
    x = keras.Input(shape)
    return keras.Model(x, Dense(1)(layer(x)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_adaptive(two_towers(), select="sharde"), "Did you mean 'shared'"),
        (lambda: make_adaptive(two_towers(), select="joined"), "of type Concatenate"),
        (lambda: make_adaptive(two_towers(), ranks=2), "Did you mean 'rank'"),
        (lambda: make_adaptive(two_towers(), bias_kind="static"), "bias_kind must be 'dynamic'"),
        (lambda: make_adaptive(two_towers(), condition=MixCondition()), "condition_of"),
        (lambda: make_adaptive(two_towers(), condition_of="joint"), "Did you mean 'joined'"),
        (lambda: make_adaptive(two_towers(), condition_of="joined"), "depends on an adaptive layer"),
        (lambda: make_adaptive(small(Block(name="block"))), "is inside of layer 'block'"),
        (lambda: make_adaptive(small(Dense(3, kernel_constraint="max_norm", name="d"))), "kernel_constraint"),
        (
            lambda: make_adaptive(small(Dense(3, bias_initializer="ones", name="d"))),
            "its bias_initializer would be lost",
        ),
        (lambda: make_adaptive(small(Dense(3, name="d"), (2, 6))), "'d' cannot be made adaptive"),
        (lambda: make_adaptive(small(Dense(1))), "no Dense or MLP layer"),
        (lambda: make_adaptive(keras.Sequential([Dense(3)])), "Only functional models"),
    ],
)
def test_what_cannot_be_converted_is_named(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
