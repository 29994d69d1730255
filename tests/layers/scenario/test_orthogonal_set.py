"""The penalty of OptMSM as a layer."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, close

from dynctr_tf.layers import OrthogonalSet
from dynctr_tf.losses import orthogonality

floats = Drawn(21).floats


# -------------------------------------------------------------------------------------------- OptMSM's other layers


def test_orthogonality_values() -> None:
    vectors = floats(4, 3, 5)
    unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    cosine = np.mean([sum(abs(u[i] @ u[j]) for i in range(3) for j in range(i + 1, 3)) for u in unit])
    frobenius = np.mean([np.linalg.norm(u @ u.T - np.eye(3)) ** 2 for u in unit])
    close(orthogonality(tf.constant(vectors)), cosine)
    close(orthogonality(tf.constant(vectors), "frobenius"), frobenius)
    for form, value in (("cosine", cosine), ("frobenius", frobenius)):
        layer = OrthogonalSet(0.1, form)
        np.testing.assert_array_equal(layer(vectors).numpy(), vectors)
        close(layer.losses[0], 0.1 * value)
        assert float(orthogonality(tf.eye(4)[tf.newaxis], form)) == pytest.approx(0, abs=1e-6)
    silent = OrthogonalSet(0.0)
    silent(vectors)
    assert silent.losses == []
