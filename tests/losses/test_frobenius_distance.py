"""The squared Frobenius distance of the cosines from the identity."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.losses import frobenius_distance


def test_of_three_vectors_by_hand() -> None:
    """The cosines 0.8, 0.6 and 0, each twice in the matrix: 2 * (0.64 + 0.36)."""
    assert float(frobenius_distance(tf.constant([[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]]))) == pytest.approx(2.0)


def test_equation_with_loops() -> None:
    vectors = np.random.default_rng(1).normal(size=(3, 4, 5))
    expected = []
    for matrix in vectors:
        unit = np.stack([row / np.linalg.norm(row) for row in matrix])
        expected.append(np.linalg.norm(unit @ unit.T - np.eye(4), "fro") ** 2)
    np.testing.assert_allclose(frobenius_distance(tf.constant(vectors)).numpy(), expected, rtol=1e-6)


def test_a_vector_of_zeros_lacks_its_own_cosine() -> None:
    assert float(frobenius_distance(tf.constant([[0.0, 0.0], [1.0, 1.0]]))) == pytest.approx(1.0)
