"""Embeddings of one size to another."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, close

from dynctr_tf import stack
from dynctr_tf.layers import FieldProjection

X = Drawn(4).floats(5, 3, 2)


def test_each_embedding_is_multiplied_by_one_matrix() -> None:
    layer = FieldProjection(4)
    found = layer(tf.constant(X))
    kernel = stack.raw_variable(layer.kernel).numpy()
    assert kernel.shape == (2, 4)
    close(found, [[[sum(x[m] * kernel[m, d] for m in range(2)) for d in range(4)] for x in row] for row in X])


def test_padding_stays_zero() -> None:
    np.testing.assert_array_equal(FieldProjection(4)(tf.zeros((2, 3, 2))).numpy(), np.zeros((2, 3, 4)))


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="output_dim must be at least 1, got 0"):
        FieldProjection(0)
    with pytest.raises(ValueError, match=r"field map \(batch, fields, dim\)"):
        FieldProjection(4)(tf.zeros((2, 3)))
