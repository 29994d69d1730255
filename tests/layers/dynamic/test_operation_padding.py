"""Padding and lengths of operations on sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.layers.dynamic import DynamicConvolution, QueryOperation
from dynctr_tf.layers.sequence import SequenceContext

RANDOM = np.random.default_rng(9)
X = RANDOM.normal(size=(4, 5, 3)).astype(np.float32)
Q = RANDOM.normal(size=(4, 6)).astype(np.float32)
LENGTHS = np.array([5, 1, 0, 3])
MASK = np.arange(5) < LENGTHS[:, None]


LAYERS = {
    "full": lambda: DynamicConvolution(4, 5),
    "outputs": lambda: DynamicConvolution(4, 3, mixed="outputs"),
    "depthwise, local": lambda: DynamicConvolution(kind="depthwise", context_kind="convolution"),
    "separable, local": lambda: DynamicConvolution(4, kind="separable", context_kind="separable"),
    "query": lambda: QueryOperation(4),
    "query, local": lambda: QueryOperation(4, context_kind="separable"),
    "context": lambda: SequenceContext("convolution"),
}


def apply(layer: Any, x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.array(layer(Q[: len(x)], x, mask=mask) if isinstance(layer, QueryOperation) else layer(x, mask=mask))


@pytest.mark.parametrize("name", LAYERS)
def test_padding_never_changes_an_output(name: str) -> None:
    layer = LAYERS[name]()
    expected = apply(layer, X, MASK)
    assert np.isfinite(expected).all()
    garbage = np.where(MASK[:, :, None], X, 1e4).astype(np.float32)
    longer = np.concatenate([garbage, np.full((4, 3, 3), np.nan, np.float32)], axis=1)
    longer_mask = np.concatenate([MASK, np.zeros((4, 3), bool)], axis=1)
    for x, mask in ((garbage, MASK), (longer, longer_mask)):
        found = apply(layer, x, mask)
        if expected.ndim == 3:
            assert not found[:, 5:].any()
            found = found[:, :5]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    for row in range(4):
        if name.startswith("query"):
            alone = np.array(layer(Q[row : row + 1], X[row : row + 1], mask=MASK[row : row + 1]))
        else:
            alone = apply(layer, X[row : row + 1], MASK[row : row + 1])
        np.testing.assert_allclose(alone[0], expected[row], atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_any_length_in_one_graph(name: str) -> None:
    layer = LAYERS[name]()

    @tf.function(
        input_signature=[tf.TensorSpec([None, 6]), tf.TensorSpec([None, None, 3]), tf.TensorSpec([None, None], tf.bool)]
    )
    def run(query: tf.Tensor, x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        return layer(query, x, mask=mask) if isinstance(layer, QueryOperation) else layer(x, mask=mask)

    for length in (1, 2, 5):
        found = np.array(run(Q, X[:, :length], MASK[:, :length]))
        np.testing.assert_allclose(found, apply(layer, X[:, :length], MASK[:, :length]), atol=1e-5)
