"""A tower generated for each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn, arrays, close, relu
from towers import run_tower

from dynctr_tf.layers import InstanceTower

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised
X, Z = floats(7, 5), floats(7, 4)


@pytest.mark.parametrize("rank", [None, 1])
def test_instance_tower_follows_its_equation(rank: int | None) -> None:
    layer = randomised(InstanceTower((4,), 2, rank, code_dim=3, activation="tanh"), X, Z)
    assert set(layer.downs) == (set() if rank is None else {"0", "1"})
    codes = relu(Z @ arrays(layer.generator.kernels[0])[0] + arrays(layer.generator.biases[0])[0])

    def bank_of(bank: Any, x: np.ndarray, code: np.ndarray) -> np.ndarray:
        kernels, static, biases, bias = arrays(bank.kernels, bank.unmixed_kernel, bank.biases, bank.unmixed_bias)
        return x @ (np.tensordot(code, kernels[0], 1) + static[0, 0]) + code @ biases + bias

    expected = []
    for row in range(7):
        x = X[row]
        for index, bank in enumerate(layer.banks):
            if str(index) in layer.downs:
                down, up = layer.downs[str(index)], layer.ups[str(index)]
                x = bank_of(bank, x @ arrays(down.kernel)[0], codes[row]) @ arrays(up.kernel)[0] + arrays(up.bias)[0]
            else:
                x = bank_of(bank, x, codes[row])
            x = np.tanh(x) if index == 0 else x
        expected.append(x)
    close(layer(X, Z), expected)


def test_generated_tower_of_a_constant_condition_is_static() -> None:
    layer = randomised(InstanceTower((4, 3), 2, code_dim=3, activation="tanh"), X, Z)
    constant = np.repeat(Z[:1], 7, axis=0)
    (code,) = layer.generator(tf.constant(Z[:1])).numpy()
    tower = []
    for bank in layer.banks:
        kernels, static, biases, bias = arrays(bank.kernels, bank.unmixed_kernel, bank.biases, bank.unmixed_bias)
        tower.append((np.tensordot(code, kernels[0], 1) + static[0, 0], code @ biases + bias))
    close(layer(X, constant), run_tower(X, tower))
