"""Normalisation by scenario."""

from __future__ import annotations

import numpy as np
from equations import Drawn, close

from dynctr_tf.layers import PartitionedNormalization

floats = Drawn(21).floats


# ------------------------------------------------------------------------------------------------ partitioned norm


def test_partitioned_norm_follows_its_equation_and_skips_scenarios_of_one_row() -> None:
    layer = PartitionedNormalization(5, momentum=0.9)
    scenario = np.array([2, 2, 2, 3, 4, 4, 0, 1], np.int32)
    x = 3 + 2 * floats(8, 4)
    layer(x, scenario)
    gamma, beta, gammas, betas, *_ = (0.5 + floats(*weight.shape) for weight in layer.get_weights())
    mean, variance = floats(4, 4), 1 + np.square(floats(4, 4))
    layer.set_weights([gamma, beta, gammas, betas, mean, variance, np.full((4, 1), 50.0)])  # momentum rules by then
    found = layer(x, scenario, training=True).numpy()
    for row in range(8):
        index = scenario[row]
        rows = x if index < 2 else x[scenario == index]
        statistics = (rows.mean(0), rows.var(0)) if len(rows) > 1 else (mean[index - 1], variance[index - 1])
        own = (gammas.mean(0), betas.mean(0)) if index < 2 else (gammas[index - 2], betas[index - 2])
        unit = (x[row] - statistics[0]) / np.sqrt(statistics[1] + 0.001)
        close(found[row], unit * gamma * own[0] + beta + own[1])
    moved = layer.get_weights()[4]
    close(moved[0], 0.9 * mean[0] + 0.1 * x.mean(0))
    close(moved[1], 0.9 * mean[1] + 0.1 * x[:3].mean(0))
    np.testing.assert_array_equal(moved[2], mean[2])  # scenario 3 has one row
    served = layer(x, scenario).numpy()
    index = scenario[0] - 1
    unit = (x[0] - moved[index]) / np.sqrt(layer.get_weights()[5][index] + 0.001)
    close(served[0], unit * gamma * gammas[0] + beta + betas[0])


def test_partitioned_norm_serves_early_what_it_trained_with() -> None:
    layer = PartitionedNormalization(5)
    batches = [0.03 * floats(6, 4) + 2 for _ in range(3)]
    scenario = np.array([2, 2, 2, 2, 3, 3], np.int32)
    for x in batches:
        layer(x, scenario, training=True)
    mean, variance, count = layer.get_weights()[4:]
    close(mean[1], np.mean([x[:4].mean(0) for x in batches], axis=0))
    close(variance[1], np.mean([x[:4].var(0) for x in batches], axis=0))
    np.testing.assert_array_equal(count[:, 0], [3, 3, 3, 0])
    np.testing.assert_array_equal([mean[3], variance[3]], [np.zeros(4), np.ones(4)])  # never met
