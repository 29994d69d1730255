"""Padding, and what layers of sequences refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dynctr_tf.layers.sequence import (
    AttentionDecoder,
    AttentionGRU,
    KalmanFilteringAttention,
    SelfAttentionEncoder,
    TargetAttention,
)

RANDOM = np.random.default_rng(10)
X = RANDOM.normal(size=(4, 5, 4)).astype(np.float32)
Q = RANDOM.normal(size=(4, 4)).astype(np.float32)
IDS = np.array([[1, 2, 1, 1, 3], [4, 0, 0, 0, 0], [0, 0, 0, 0, 0], [5, 5, 5, 0, 0]], np.int32)
LENGTHS = np.array([5, 1, 0, 3])
MASK = np.arange(5) < LENGTHS[:, None]


LAYERS = {
    "din": (lambda: TargetAttention((8,)), lambda x, ids: ([Q[: len(x)], x], {})),
    "din, softmax": (lambda: TargetAttention((8,), softmax=True), lambda x, ids: ([Q[: len(x)], x], {})),
    "kfatt": (lambda: KalmanFilteringAttention(num_heads=2), lambda x, ids: ([Q[: len(x)], x], {})),
    "kfatt, freq": (lambda: KalmanFilteringAttention(kind="freq"), lambda x, ids: ([Q[: len(x)], x], {"key_ids": ids})),
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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KalmanFilteringAttention(kind="frequency"), "freq"),
        (lambda: KalmanFilteringAttention(kind="freq")([Q, X]), "key_ids"),
        (lambda: KalmanFilteringAttention(num_heads=3)([Q, X]), "value_dim"),
        (lambda: AttentionGRU(kind="aigru"), "augru"),
        (lambda: TargetAttention(()), "hidden_units"),
        (lambda: TargetAttention()([Q[:, :2], X]), "one known width"),
    ],
)
def test_bad_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
