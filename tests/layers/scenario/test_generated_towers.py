"""Towers that a hypernetwork generates for each scenario."""

from __future__ import annotations

import numpy as np
from equations import Drawn, arrays, close, relu
from towers import SCENARIO, TOWER, tower_of

from dynctr_tf.layers import GeneratedTowers

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised
X = floats(7, 5)


def test_its_parameters_are_what_its_equation_says() -> None:
    generated = randomised(GeneratedTowers(**TOWER, scenario_dim=6, code_dim=3), X, SCENARIO)
    (embeddings,) = arrays(generated.scenario_embeddings)
    codes = relu(embeddings @ arrays(generated.generator.kernels[0])[0] + arrays(generated.generator.biases[0])[0])
    bank = generated.banks[1]
    kernels, static, biases, bias = arrays(bank.kernels, bank.unmixed_kernel, bank.biases, bank.unmixed_bias)
    for row, code in enumerate([codes.mean(0), *codes]):
        close(tower_of(generated, row)[1][0], sum(code[j] * kernels[0, j] for j in range(3)) + static[0, 0])
        close(tower_of(generated, row)[1][1], code @ biases + bias)
    mean = np.mean([tower_of(generated, row)[1][0] for row in (1, 2, 3)], axis=0)
    close(tower_of(generated, 0)[1][0], mean)  # the mean code generates the mean tower
