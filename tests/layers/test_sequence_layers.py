"""The static sequence layers against loops, Keras' own layers, hand-computed numbers and padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.layers.sequence import (
    AttentionDecoder,
    AttentionGRU,
    Dice,
    KalmanFilteringAttention,
    NextBehaviourLoss,
    SelfAttentionEncoder,
    TargetAttention,
)

RANDOM = np.random.default_rng(10)
X = RANDOM.normal(size=(4, 5, 4)).astype(np.float32)
Q = RANDOM.normal(size=(4, 4)).astype(np.float32)
A = RANDOM.uniform(size=(4, 5)).astype(np.float32)
IDS = np.array([[1, 2, 1, 1, 3], [4, 0, 0, 0, 0], [0, 0, 0, 0, 0], [5, 5, 5, 0, 0]], np.int32)
LENGTHS = np.array([5, 1, 0, 3])
MASK = np.arange(5) < LENGTHS[:, None]


def randomise(layer: Any) -> None:
    layer.set_weights([RANDOM.normal(size=weight.shape).astype(np.float32) for weight in layer.weights])


def softmax(v: np.ndarray) -> np.ndarray:
    e = np.exp(v - v.max())
    return e / e.sum()


def sigmoid(v: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-v))


def two_layers(x: np.ndarray, network: Any) -> np.ndarray:
    w1, b1, w2, b2 = (np.array(weight) for weight in network)
    return np.maximum(x @ w1 + b1, 0) @ w2 + b2


LAYERS = {
    "din": (lambda: TargetAttention((8,)), lambda x, ids: ([Q[: len(x)], x], {})),
    "din, softmax": (lambda: TargetAttention((8,), softmax=True), lambda x, ids: ([Q[: len(x)], x], {})),
    "kfatt": (lambda: KalmanFilteringAttention(num_heads=2), lambda x, ids: ([Q[: len(x)], x], {})),
    "kfatt, freq": (lambda: KalmanFilteringAttention(mode="freq"), lambda x, ids: ([Q[: len(x)], x], {"key_ids": ids})),
    "encoder": (lambda: SelfAttentionEncoder(), lambda x, ids: (x, {})),
    "encoder, sessions": (lambda: SelfAttentionEncoder(session_length=2), lambda x, ids: (x, {})),
    "decoder": (lambda: AttentionDecoder(), lambda x, ids: ([Q[: len(x)], x], {})),
    "augru": (lambda: AttentionGRU(3), lambda x, ids: ([x, np.full(x.shape[:2], 0.4, np.float32)], {})),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_padding_never_changes_an_output(name: str, training: bool) -> None:
    make, arguments = LAYERS[name]
    layer = make()
    keywords = {"training": training} if name.startswith("din") else {}

    def run(x: np.ndarray, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        inputs, more = arguments(x, ids)
        return np.array(layer(inputs, mask=mask, **more, **keywords))

    expected = run(X, IDS, MASK)
    assert np.isfinite(expected).all()
    garbage = np.where(MASK[:, :, None], X, 1e4).astype(np.float32)
    longer = np.concatenate([garbage, np.full((4, 2, 4), np.nan, np.float32)], axis=1)
    longer_mask = np.pad(MASK, [(0, 0), (0, 2)])
    for x, mask, ids in ((garbage, MASK, IDS + 5 * ~MASK), (longer, longer_mask, np.pad(IDS, [(0, 0), (0, 2)]))):
        found = run(x, ids, mask)
        found = found[:, :5] if expected.ndim == 3 else found
        np.testing.assert_allclose(found, expected, atol=1e-5)
    if not training:
        for row in range(4):
            alone = slice(row, row + 1)
            if name not in ("encoder", "encoder, sessions", "augru"):
                inputs = [Q[alone], X[alone]]
                more = {"key_ids": IDS[alone]} if "freq" in name else {}
                found = np.array(layer(inputs, mask=MASK[alone], **more, **keywords))
            else:
                found = run(X[alone], IDS[alone], MASK[alone])
            np.testing.assert_allclose(found[0], expected[row], atol=1e-5)


def test_dice_is_its_formula() -> None:
    layer = Dice()
    layer(X[:, 0])
    layer.alpha.assign(np.array([0.0, 0.5, 1.0, -1.0]))
    x = X.reshape(-1, 4)
    p = sigmoid((x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-9))
    expected = p * x + np.array([0.0, 0.5, 1.0, -1.0]) * (1 - p) * x
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(np.array(layer(x, training=True))[:, 2], x[:, 2], atol=1e-5)  # alpha = 1


@pytest.mark.parametrize("normalise", [False, True])
def test_target_attention_is_its_formula(normalise: bool) -> None:
    layer = TargetAttention((6,), "sigmoid", softmax=normalise)
    weigher = TargetAttention((6,), "sigmoid", softmax=normalise, return_weights=True)
    layer([Q, X], mask=MASK)
    weigher([Q, X], mask=MASK)
    randomise(layer)
    weigher.set_weights(layer.get_weights())
    w = layer.get_weights()
    for b in range(4):
        a = np.zeros(5)
        for t in range(LENGTHS[b]):
            features = np.concatenate([Q[b], X[b, t], Q[b] - X[b, t], Q[b] * X[b, t]])
            hidden = sigmoid(features @ w[0] + w[1])
            a[t] = hidden @ w[2][:, 0] + (0 if normalise else w[3][0])
        if normalise and LENGTHS[b]:
            a[: LENGTHS[b]] = softmax(a[: LENGTHS[b]])
        np.testing.assert_allclose(weigher([Q, X], mask=MASK)[b], a, atol=1e-4)
        np.testing.assert_allclose(layer([Q, X], mask=MASK)[b], a @ X[b], atol=1e-4)


def test_a_batch_without_any_behaviour_leaves_dice_sound() -> None:
    layer = TargetAttention((6,))
    found = np.array(layer([Q, X], mask=np.zeros((4, 5), bool), training=True))
    assert not found.any()
    assert all(np.isfinite(weight).all() for weight in layer.get_weights())


@pytest.mark.parametrize("mode", ["base", "freq"])
@pytest.mark.parametrize("prior", [False, True])
def test_kalman_filtering_attention_is_its_formula(mode: str, prior: bool) -> None:
    layer = KalmanFilteringAttention(mode=mode, prior=prior, project=False, hidden_units=3)
    keywords = {"key_ids": IDS} if mode == "freq" else {}
    layer([Q, X], mask=MASK, **keywords)
    randomise(layer)
    found = np.array(layer([Q, X], mask=MASK, **keywords))
    for b in range(4):
        numerator, denominator = np.zeros(4), 0.0
        if prior:
            p = np.exp(two_layers(Q[b], layer.precision_network)[0])
            numerator, denominator = two_layers(Q[b], layer.mean_network) * p, p
        if mode == "base":
            for t in range(LENGTHS[b]):
                numerator += np.exp(Q[b] @ X[b, t]) * X[b, t]
                denominator += np.exp(Q[b] @ X[b, t])
        else:
            # The keys are given by ids alone in this test: equal ids have equal keys.
            for key in set(IDS[b, : LENGTHS[b]]):
                places = [t for t in range(LENGTHS[b]) if IDS[b, t] == key]
                for t in places:
                    p = np.exp(Q[b] @ X[b, t])
                    s = np.exp(two_layers(X[b, t], layer.variance_network)[0])
                    weight = 1 / (1 / p + s / len(places)) / len(places)
                    numerator += weight * X[b, t]
                    denominator += weight
        expected = numerator / denominator if denominator else np.zeros(4)
        np.testing.assert_allclose(found[b], expected, rtol=1e-3, atol=1e-3)


def test_kalman_filtering_by_hand_and_repetition() -> None:
    values = np.array([[[2.0], [8.0], [8.0], [8.0]]], np.float32)
    keys, q = np.zeros((1, 4, 1), np.float32), np.zeros((1, 1), np.float32)
    base = KalmanFilteringAttention(prior=False, project=False)
    assert float(base([q, values, keys])[0, 0]) == pytest.approx(26 / 4)
    freq = KalmanFilteringAttention(mode="freq", prior=False, project=False)
    freq([q, values, keys], key_ids=np.array([[1, 2, 2, 2]]))
    freq.set_weights([np.zeros(weight.shape) for weight in freq.weights])
    # Precisions 1, variances 1: 1 / (1 + 1) for the one click, 1 / (1 + 1 / 3) for the three.
    found = float(freq([q, values, keys], key_ids=np.array([[1, 2, 2, 2]]))[0, 0])
    assert found == pytest.approx((0.5 * 2 + 0.75 * 8) / 1.25, rel=1e-5)


def test_without_prior_and_with_projection_it_is_multi_head_attention() -> None:
    layer, attention = (
        KalmanFilteringAttention(num_heads=2, prior=False),
        keras.layers.MultiHeadAttention(2, 2, use_bias=False),
    )
    layer([Q, X])
    attention(Q[:, None], X)
    query, key, value, _ = attention.get_weights()
    # Keras divides by the square root of a head's width.
    layer.set_weights([query / np.sqrt(2), key, value])
    attention.set_weights([query, key, value, np.eye(4, dtype=np.float32).reshape(2, 2, 4)])
    np.testing.assert_allclose(layer([Q, X]), attention(Q[:, None], X)[:, 0], atol=1e-5)


def test_sessions_do_not_see_each_other() -> None:
    layer = SelfAttentionEncoder(session_length=2)
    expected = np.array(layer(X))
    changed = X.copy()
    changed[:, 2:4] += 1
    found = np.array(layer(changed))
    np.testing.assert_allclose(found[:, [0, 1, 4]], expected[:, [0, 1, 4]], atol=1e-6)
    assert np.abs(found[:, 2] - expected[:, 2]).max() > 0.01
    blocks = np.tile(np.arange(5) // 2, (4, 1))
    whole = SelfAttentionEncoder()
    whole(X)
    whole.set_weights(layer.get_weights())
    np.testing.assert_allclose(whole(X, sessions=blocks), expected, atol=1e-6)


@pytest.mark.parametrize("gate", ["augru", "agru"])
def test_attention_gru_is_its_formula(gate: str) -> None:
    layer = AttentionGRU(3, gate)
    layer([X, A], mask=MASK)
    randomise(layer)
    kernel, gates, candidate, bias = layer.get_weights()
    for b in range(4):
        h = np.zeros(3)
        for t in range(LENGTHS[b]):
            from_x = X[b, t] @ kernel + bias
            g = sigmoid(from_x[:-3] + h @ gates)
            c = np.tanh(from_x[-3:] + (g[-3:] * h) @ candidate)
            u = A[b, t] * g[:3] if gate == "augru" else A[b, t]
            h = (1 - u) * h + u * c
        np.testing.assert_allclose(layer([X, A], mask=MASK)[b], h, atol=1e-5)


@pytest.mark.parametrize("given", [False, True])
def test_next_behaviour_loss_is_its_formula(given: bool) -> None:
    layer = NextBehaviourLoss(0.5, (3,))
    negatives = X[:, ::-1].copy()
    inputs = [X, X, negatives] if given else [X, X]
    np.testing.assert_array_equal(layer(inputs, mask=MASK), X)
    randomise(layer)
    w = layer.get_weights()
    layer(inputs, mask=MASK)

    def f(h: np.ndarray, e: np.ndarray) -> float:
        return float(sigmoid(sigmoid(np.concatenate([h, e]) @ w[0] + w[1]) @ w[2] + w[3])[0])

    loss, steps = 0.0, 0
    for b in range(4):
        for t in range(LENGTHS[b] - 1):
            loss -= np.log(f(X[b, t], X[b, t + 1]))
            steps += 1
            if given or MASK[b - 1, t + 1]:
                loss -= np.log(1 - f(X[b, t], negatives[b, t + 1] if given else X[b - 1, t + 1]))
    assert float(layer.losses[-1]) == pytest.approx(0.5 * loss / steps, rel=1e-4)


def test_next_behaviour_loss_of_one_row_and_of_nothing() -> None:
    layer = NextBehaviourLoss()
    layer([X[:1], X[:1]])
    assert np.isfinite(float(layer.losses[-1])) and float(layer.losses[-1]) > 0
    layer([X, X], mask=np.zeros((4, 5), bool))
    assert float(layer.losses[-1]) == 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KalmanFilteringAttention(mode="frequency"), "freq"),
        (lambda: KalmanFilteringAttention(mode="freq")([Q, X]), "key_ids"),
        (lambda: KalmanFilteringAttention(num_heads=3)([Q, X]), "units"),
        (lambda: AttentionGRU(gate="aigru"), "augru"),
        (lambda: TargetAttention(()), "hidden_units"),
        (lambda: TargetAttention()([Q[:, :2], X]), "one known width"),
    ],
)
def test_bad_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_the_loss_reaches_a_model() -> None:
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, NextBehaviourLoss(hidden_units=(3,))([inputs, inputs]))
    model.compile("sgd", "mse")
    before = model.get_weights()[0].copy()
    model.fit(X, X, verbose=0)
    assert np.abs(model.get_weights()[0] - before).max() > 0
    assert tf.is_tensor(model.losses[0]) or model.losses
