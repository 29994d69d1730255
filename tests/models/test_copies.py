"""Copies of models answer as their originals on every input: what layers hold beside weights, what is frozen, types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding.feature_encoder import FeatureEncoder, describe_encoding
from dynctr_tf.export import fold, with_scenario_tables
from dynctr_tf.layers import AdaptiveDense, FieldEmbedding, GeneratedTowers, GroupCondition
from dynctr_tf.models import make_adaptive
from dynctr_tf.models.adaptive.graph_copy import batch_for
from dynctr_tf.schema import Feature, Schema

Dense = keras.layers.Dense
RANDOM = np.random.default_rng(4)
X = RANDOM.normal(5, 20, size=(16, 6)).astype(np.float32)
SEQUENCE = RANDOM.normal(size=(4, 5, 3)).astype(np.float32)
WORDS = tf.constant([["red"], ["green"], ["something else"], ["blue"]])


def with_head(inputs: Any, hidden: Any) -> Any:
    """A model that goes on with what a case is about, and ends in a layer to be made adaptive and one of one unit."""
    return keras.Model(inputs, Dense(1, name="logit")(Dense(8, "relu", name="hidden")(hidden)))


def of_ids(layer: Any, dtype: str, width: int = 1) -> Any:
    ids = keras.Input((width,), dtype=dtype)
    return with_head(ids, keras.layers.Flatten()(keras.layers.Embedding(20, 4)(layer(ids))))


def adapted(layer: Any, data: Any) -> Any:
    layer.adapt(data)
    return layer


def normalized() -> Any:
    x = keras.Input((6,))
    return with_head(x, adapted(keras.layers.Normalization(name="norm"), X)(x))


def text() -> Any:
    words = keras.Input((1,), dtype="string")
    layer = keras.layers.TextVectorization(output_sequence_length=3)
    ids = adapted(layer, np.array(["a red car", "a blue car"]))(words)
    return with_head(words, keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(20, 4, mask_zero=True)(ids)))


def encoded() -> Any:
    schema = Schema((Feature("colour", "categorical"), Feature("shape", "categorical")), label="click")
    encoder = FeatureEncoder(schema, describe_encoding(schema, {"colour": 2, "shape": 3}), bins={})
    encoder.set_vocabulary("colour", ["red", "green"])
    encoder.set_vocabulary("shape", ["a", "b", "c"])
    raw = {name: keras.Input((), dtype="string", name=name) for name in ("colour", "shape")}
    return with_head(raw, keras.layers.Flatten()(FieldEmbedding(12, 4)(encoder(raw)["fields"])))


def counted() -> Any:
    x = keras.Input((3,), dtype="int64")
    return with_head(x, keras.layers.CategoryEncoding(num_tokens=5, output_mode="multi_hot")(x))


def trained_normalization() -> Any:
    x = keras.Input((6,))
    model = with_head(x, keras.layers.BatchNormalization()(x))
    model.compile("sgd", "mse")
    model.fit(X / 20, X[:, :1] / 20, epochs=2, verbose=0)
    return model


class Shift(keras.layers.Layer):  # type: ignore[misc]
    """Holds a weight and, beside it, a number that is set from outside."""

    shift = 0.0

    def build(self, shape: Any) -> None:
        self.offset = self.add_weight(name="offset", shape=(shape[-1],), initializer="ones")
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs + self.offset + self.shift

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


def shifted(value: Any) -> Any:
    x, layer = keras.Input((6,)), Shift(name="shift")
    layer.shift = value
    return with_head(x, layer(x))


def recurrent() -> Any:
    x = keras.Input((5, 3))
    return with_head(x, keras.layers.GRU(4, dropout=0.2)(keras.layers.Masking()(x)))


def attended() -> Any:
    x = keras.Input((5, 3))
    return with_head(
        x, keras.layers.Flatten()(keras.layers.MultiHeadAttention(2, 2, name="mha")(x, x, use_causal_mask=True))
    )


def nested() -> Any:
    """Nested models, functional and sequential, called twice; two inputs, two outputs; an adapted layer within."""
    h = keras.Input((6,))
    norm = adapted(keras.layers.Normalization(), X)
    tower = keras.Model(h, Dense(5, "relu", name="inside")(norm(h)), name="tower")
    top = keras.Sequential(
        [keras.Input((5,)), Dense(4, "tanh"), keras.layers.Dropout(0.3), keras.layers.PReLU()], name="top"
    )
    x, y = keras.Input((6,), name="x"), keras.Input((6,), name="y")
    left, right = tower(x), tower(y)
    return keras.Model([x, y], [Dense(1)(top(left + right)), top(right)])


def doubled(x: Any) -> Any:
    return 2.0 * x


def from_lambda() -> Any:
    x = keras.Input((6,))
    return with_head(x, keras.layers.Lambda(lambda t: doubled(t))(x))


COPIED: dict[str, tuple[Callable[[], Any], Any]] = {
    "Normalization": (normalized, X),
    "StringLookup": (lambda: of_ids(adapted(keras.layers.StringLookup(), np.array(["red", "green"])), "string"), WORDS),
    "IntegerLookup": (
        lambda: of_ids(adapted(keras.layers.IntegerLookup(), np.array([100, 7, 7, 55])), "int64"),
        tf.constant([[100], [7], [1], [55]], tf.int64),
    ),
    "Discretization": (lambda: of_ids(adapted(keras.layers.Discretization(num_bins=4), X), "float32", 6), X),
    "TextVectorization": (text, WORDS),
    "Hashing": (lambda: of_ids(keras.layers.Hashing(20), "string"), WORDS),
    "CategoryEncoding": (counted, tf.constant([[1, 4, 4], [0, 2, 1]], tf.int64)),
    "FeatureEncoder": (
        encoded,
        {"colour": tf.constant(["red", "green", "x"]), "shape": tf.constant(["a", "c", "b"])},
    ),
    "BatchNormalization": (trained_normalization, X),
    "a number beside the weights": (lambda: shifted(7.0), X),
    "a recurrence behind a mask": (recurrent, SEQUENCE),
    "a call argument": (attended, SEQUENCE),
    "nested models": (nested, [X, 2 * X]),
    "Lambda": (from_lambda, X),
    "Sequential": (
        lambda: keras.Sequential([keras.Input((6,)), keras.layers.Normalization(mean=3.0, variance=9.0), Dense(2)]),
        X,
    ),
}


def answers(model: Any, inputs: Any) -> list[np.ndarray]:
    return [np.asarray(output) for output in tf.nest.flatten(model(inputs, training=False))]


def assert_alike(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for left, right in zip(one, other, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5 * max(1.0, np.abs(left).max()))


@pytest.mark.parametrize("name", COPIED)
def test_copies_answer_as_the_model_does(name: str) -> None:
    make, inputs = COPIED[name]
    model = make()
    before = answers(model, inputs)
    adaptive = make_adaptive(model, rank=1.0, start_from_kernel=True)
    assert any(isinstance(layer, AdaptiveDense) for layer in adaptive._flatten_layers())
    assert_alike(before, answers(adaptive, inputs))
    assert_alike(before, answers(fold(adaptive), inputs))
    assert_alike(before, answers(with_scenario_tables(model), inputs))
    for one, other in zip(before, answers(model, inputs), strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_a_copy_leaves_the_model_as_it_is() -> None:
    model = trained_normalization()
    weights, before = model.get_weights(), answers(model, X)
    adaptive = make_adaptive(model, rank=1.0, start_from_kernel=True)
    adaptive.compile("sgd", "mse")
    adaptive.fit(X / 20, np.ones((16, 1), np.float32), verbose=0)
    assert any(np.abs(one - other).max() > 0 for one, other in zip(before, answers(adaptive, X), strict=True))
    for one, other in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


class OwnStep(keras.Model):  # type: ignore[misc]
    """A model with a training step of its own."""

    def train_step(self, data: Any) -> dict[str, Any]:
        """Returns a number that tells this step from others."""
        return {"own": tf.constant(self.temperature)}


def test_type_of_the_model_stays() -> None:
    x = keras.Input((6,))
    model = OwnStep(x, Dense(1)(Dense(4, name="hidden")(x)), name="mine")
    model.temperature = 3.0
    for copy in (make_adaptive(model), fold(make_adaptive(model)), with_scenario_tables(model)):
        assert type(copy) is OwnStep and copy.name == "mine"
        copy.compile("sgd", "mse")
        assert copy.fit(X, X[:, :1], verbose=0).history["own"] == [3.0]


class OtherConstructor(keras.Model):  # type: ignore[misc]
    """A model that a copy cannot be made of."""

    def __init__(self, temperature: float, inputs: Any, outputs: Any) -> None:
        super().__init__(inputs, outputs)
        self.temperature = temperature


def test_type_that_cannot_be_made_is_refused() -> None:
    x = keras.Input((6,))
    with pytest.raises(ValueError, match="OtherConstructor.*cannot be made as"):
        make_adaptive(OtherConstructor(2.0, x, Dense(1)(Dense(4)(x))))


class HeldTensor(Shift):
    """Holds a tensor where neither weights nor configuration show it."""

    held: Any = None

    def call(self, inputs: Any) -> Any:
        return super().call(inputs) + (0.0 if self.held is None else self.held[0])


def test_state_that_cannot_be_found_is_refused_by_name() -> None:
    x, layer = keras.Input((6,)), HeldTensor(name="holder")
    layer.held = [tf.constant(5.0)]
    with pytest.raises(ValueError, match="'holder' of type HeldTensor cannot be copied.*gives other outputs"):
        make_adaptive(with_head(x, layer(x)))


def test_what_is_frozen_stays_frozen() -> None:
    x = keras.Input((6,))
    frozen = Dense(4, name="frozen")
    model = with_head(x, keras.layers.BatchNormalization(name="norm", trainable=False)(frozen(x)))
    frozen.trainable = False
    adaptive = make_adaptive(model, select="hidden")
    assert not adaptive.get_layer("frozen").trainable and not adaptive.get_layer("norm").trainable
    assert len(adaptive.get_layer("frozen").non_trainable_weights) == 2
    with pytest.raises(ValueError, match="'frozen': it is frozen"):
        make_adaptive(model)
    started = make_adaptive(model, rank=1.0, start_from_kernel=True)
    assert not started.get_layer("frozen").trainable
    assert_alike(answers(model, X), answers(started, X))


@pytest.mark.skipif(not stack.KERAS_3, reason="Keras 2 has neither LoRA nor quantization.")
def test_lora_and_quantization() -> None:
    x = keras.Input((6,))
    tuned, small = Dense(4, name="tuned"), Dense(4, name="small")
    model = with_head(x, small(tuned(x)))
    tuned.enable_lora(2)
    tuned.lora_kernel_b.assign(np.ones((2, 4)))
    small.quantize("int8")
    adaptive = make_adaptive(model, select="hidden", rank=1.0, start_from_kernel=True)
    assert adaptive.get_layer("tuned").lora_enabled
    assert [w.trainable for w in adaptive.get_layer("tuned").weights] == [w.trainable for w in tuned.weights]
    assert_alike(answers(model, X), answers(adaptive, X))
    assert_alike(answers(model, X), answers(make_adaptive(model, select="tuned", rank=None, start_from_kernel=True), X))
    with pytest.raises(ValueError, match="'tuned': it is frozen"):
        make_adaptive(model, select="tuned")
    with pytest.raises(ValueError, match="'small': its quantization would be lost"):
        make_adaptive(model, select="small", start_from_kernel=True)


def test_check_leaves_what_layers_remember() -> None:
    x = keras.Input(batch_size=4, shape=(5, 3))
    model = with_head(x, keras.layers.LSTM(4, stateful=True, name="lstm")(x))
    model(SEQUENCE)
    adaptive = make_adaptive(model, rank=1.0, start_from_kernel=True)
    assert_alike(answers(model, SEQUENCE), answers(adaptive, SEQUENCE))


def test_scenario_tables_keep_what_other_layers_hold() -> None:
    x, scenario = keras.Input((6,)), keras.Input((), dtype="int32")
    norm = adapted(keras.layers.Normalization(), X)
    model = keras.Model([x, scenario], GeneratedTowers(5, hidden_units=(4,), unknown="error")(norm(x), scenario))
    inputs = [X[:5], np.array([2, 3, 4, 2, 3], np.int32)]
    assert_alike(answers(model, inputs), answers(with_scenario_tables(model), inputs))


class OneNumber(keras.layers.Layer):  # type: ignore[misc]
    """Refuses all inputs but one."""

    def call(self, inputs: Any) -> Any:
        check = tf.debugging.assert_equal(inputs, tf.fill(tf.shape(inputs), 77.0))
        with tf.control_dependencies([] if check is None else [check]):
            return tf.identity(inputs)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


def test_sample_is_taken_where_no_batch_can_be_made() -> None:
    x = keras.Input((1,))
    model = with_head(x, OneNumber()(x))
    with pytest.raises(ValueError, match="Give a batch of your data as sample"):
        make_adaptive(model)
    make_adaptive(model, sample=tf.constant([[77.0]]))


def test_ids_of_the_batch_lie_within_what_layers_take() -> None:
    ids, few = keras.Input((3,), dtype="int32"), keras.Input((), dtype="uint8")
    embedded = FieldEmbedding(4, 2)(ids)
    model = keras.Model([ids, few], [embedded, keras.layers.Embedding(3, 2)(few)])
    made = batch_for(model)
    assert made[0].dtype == tf.int32 and tf.reduce_max(made[0]) < 4 and tf.reduce_max(made[1]) < 3


def test_a_column_of_ids_that_numbers_groups() -> None:
    ids = keras.Input((3,), dtype="int32")
    group = GroupCondition(4, 2, column=1, first_id=15)(ids)
    hidden = AdaptiveDense(5, 2)(keras.layers.Flatten()(FieldEmbedding(20, 4)(ids)), group)
    model = keras.Model(ids, Dense(1)(hidden))
    inputs = tf.constant([[1, 15, 19], [3, 18, 4]])
    assert_alike(answers(model, inputs), answers(fold(model, group_tables=True), inputs))


@pytest.mark.parametrize(
    "options",
    [
        {"rank": 1.0},
        {"rank": 8, "over_parameterisation": 12, "identity_start": True, "bias_kind": "dynamic"},
        {"rank": None, "depth": 2},
        {"rank": 1.0, "factor_kind": "generated", "bias_kind": "dynamic"},
        {"rank": 1.0, "factor_kind": "generated", "materialise": True},
    ],
)
def test_adaptive_layers_start_from_the_kernel(options: dict[str, Any]) -> None:
    x, z = keras.Input((6,), name="x"), keras.Input((3,), name="z")
    hidden = Dense(8, "relu", name="hidden", bias_initializer="normal")(x)
    model = keras.Model({"x": x, "z": z}, Dense(1)(keras.layers.Concatenate()([hidden, z])))
    inputs = {"x": X, "z": X[:, :3]}
    adaptive = make_adaptive(model, condition_of="z", start_from_kernel=True, **options)
    assert_alike(answers(model, inputs), answers(adaptive, inputs))
    adaptive.compile(keras.optimizers.SGD(1e-3), "mse")
    before = adaptive.get_weights()
    adaptive.fit(inputs, X[:, :1], verbose=0)
    moved = [np.abs(one - other).max() > 0 for one, other in zip(before, adaptive.get_weights(), strict=True)]
    assert sum(moved) >= len(moved) - 3  # a generator's layers below its last, which starts at zero, move a step later


def test_low_rank_starts_from_the_nearest_kernel() -> None:
    layer = AdaptiveDense(8, rank=2)
    layer(X)
    kernel = RANDOM.normal(size=(6, 8))
    layer.start_from(kernel)
    left, sizes, right = np.linalg.svd(kernel, full_matrices=False)
    nearest = (left[:, :2] * sizes[:2]) @ right[:2]
    np.testing.assert_allclose(layer(X).numpy(), X @ nearest, rtol=1e-4, atol=1e-3)
    with pytest.raises(ValueError, match=r"takes a kernel of shape \(6, 8\), got \(8, 6\)"):
        layer.start_from(kernel.T)
