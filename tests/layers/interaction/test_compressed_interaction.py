"""CIN."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, close

from dynctr_tf import layers

DRAWN = Drawn(11)
floats, with_random_weights = DRAWN.floats, DRAWN.with_random_weights


@pytest.mark.parametrize("sizes", [(3, 2), (8, 6, 2)])  # below and above the number of fields
@pytest.mark.parametrize("split_half", [False, True])
@pytest.mark.parametrize("activation", ["tanh", None])  # without one, the last layer goes another way
def test_compressed_interaction_is_its_equations(
    sizes: tuple[int, ...], split_half: bool, activation: str | None
) -> None:
    if split_half and sizes == (3, 2):
        sizes = (4, 2)
    x0 = floats(2, 5, 3)
    layer = layers.CompressedInteraction(sizes, activation=activation, split_half=split_half)
    weights = with_random_weights(layer, x0)
    x, sums = x0, []
    for k, size in enumerate(sizes, start=1):
        kernel = weights[f"kernel_{k}"].reshape(x.shape[1], 5, size)
        y = np.zeros((2, size, 3))
        for n, h, d in np.ndindex(2, size, 3):
            y[n, h, d] = weights[f"bias_{k}"][h]
            for i, j in np.ndindex(x.shape[1], 5):
                y[n, h, d] += kernel[i, j, h] * x[n, i, d] * x0[n, j, d]
        y = np.tanh(y) if activation else y
        halved = split_half and k < len(sizes)
        sums.append(y[:, : size // 2 if halved else size].sum(axis=2))
        x = y[:, size // 2 if halved else 0 :]
    close(layer(tf.constant(x0)), np.concatenate(sums, axis=1))


def test_compressed_interaction_by_hand() -> None:
    layer = layers.CompressedInteraction((1, 1), kernel_initializer="ones")
    # (1 + 2)^2 = 9 and (3 + 4)^2 = 49, then 9 * 3 = 27 and 49 * 7 = 343; sums over the two entries
    assert layer(tf.constant([[[1.0, 3.0], [2.0, 4.0]]])).numpy().tolist() == [[58.0, 370.0]]
