"""The ANOVA kernel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, close

from dynctr_tf import layers

floats = Drawn(11).floats


@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_anova_kernel_is_the_sum_over_all_sets(order: int) -> None:
    x = floats(3, 6, 4)
    expected = np.zeros((3, 1))
    for chosen in itertools.combinations(range(6), order):
        expected += x[:, list(chosen)].prod(axis=1).sum(axis=1, keepdims=True)
    close(layers.AnovaKernel(order)(tf.constant(x)), expected)
    if order == 2:
        close(layers.FactorizationMachine()(tf.constant(x)), expected)


def test_anova_kernel_by_hand() -> None:
    # 1*2*3 + 1*2*4 + 1*3*4 + 2*3*4 = 6 + 8 + 12 + 24
    assert layers.AnovaKernel(3)(tf.constant([[[1.0], [2.0], [3.0], [4.0]]])).numpy().tolist() == [[50.0]]


def test_anova_kernel_keeps_small_terms_among_large_fields() -> None:
    """The formula by powers would subtract sums of cubes near 1e12 here, and lose the answer."""
    x = np.array([[[1e4], [1e-4], [1.0], [0.0]]], np.float32)
    close(layers.AnovaKernel(3)(tf.constant(x)), [[1.0]])
