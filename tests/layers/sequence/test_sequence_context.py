"""What a history is about, as one vector."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.layers import SequenceContext

X = np.array([[[1.0], [2.0], [6.0]], [[4.0], [9.0], [9.0]]], np.float32)
MASK = np.array([[1, 1, 1], [1, 0, 0]], bool)


def test_it_is_the_mean_of_what_there_is() -> None:
    assert SequenceContext()(X).numpy().tolist() == [[3.0], pytest.approx([22 / 3])]
    assert SequenceContext()(X, mask=MASK).numpy().tolist() == [[3.0], [4.0]]


@pytest.mark.parametrize("kind", ["convolution", "separable"])
def test_a_convolution_reads_neighbours_first(kind: str) -> None:
    """The taps 1, 10 and 100 on 1, 2, 6 with nothing around: 210, 621, 62; on 4 alone: 40, and its own place counts."""
    layer = SequenceContext(kind, activation=None)
    layer(X)
    taps = np.array([1.0, 10.0, 100.0], np.float32).reshape(3, 1, 1)
    layer.set_weights(
        [taps, *([np.ones((1, 1, 1), np.float32)] if kind == "separable" else []), np.zeros(1, np.float32)]
    )
    np.testing.assert_allclose(layer(X, mask=MASK).numpy(), [[(210 + 621 + 62) / 3], [40.0]], rtol=1e-6)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="must be odd"):
        SequenceContext("convolution", kernel_size=2)
    with pytest.raises(ValueError, match="Did you mean 'separable'"):
        SequenceContext("seperable")
    assert tf.convert_to_tensor(SequenceContext()(X)).shape == (2, 1)
