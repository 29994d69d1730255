"""The penalty of DynInt's equations 11 and 12."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.losses import sum_of_cosines


def test_of_three_vectors_by_hand() -> None:
    """(3, 4) and (0, 2): 4 / 5; (3, 4) and (-1, 0): 3 / 5; (0, 2) and (-1, 0): 0."""
    assert float(sum_of_cosines(tf.constant([[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]]))) == pytest.approx(1.4)


def test_equation_with_loops() -> None:
    vectors = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    expected = np.zeros((2, 3))
    for place in np.ndindex(2, 3):
        for i in range(4):
            for j in range(i + 1, 4):
                one, other = vectors[place][i], vectors[place][j]
                expected[place] += abs(one @ other) / math.sqrt((one @ one) * (other @ other))
    np.testing.assert_allclose(sum_of_cosines(tf.constant(vectors)).numpy(), expected, rtol=1e-5)


def test_right_angles_and_zeros_cost_nothing() -> None:
    assert float(sum_of_cosines(3.0 * tf.eye(4))) == 0.0
    assert float(sum_of_cosines(tf.constant([[0.0, 0.0], [1.0, 1.0]]))) == 0.0


def test_narrow_numbers_are_summed_in_float32() -> None:
    assert sum_of_cosines(tf.ones((2, 2), tf.bfloat16)).dtype == tf.float32
