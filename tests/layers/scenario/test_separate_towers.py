"""A tower for each scenario."""

from __future__ import annotations

from equations import Drawn, arrays, close
from towers import SCENARIO, TOWER, tower_of

from dynctr_tf.layers import SeparateTowers

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised
X = floats(7, 5)


def test_its_parameters_are_what_its_equation_says() -> None:
    separate = randomised(SeparateTowers(**TOWER), X, SCENARIO)
    kernels, biases = arrays(*separate.tables[1])
    close(tower_of(separate, 2)[1][0], kernels[1])
    close(tower_of(separate, 0)[1][0], kernels.mean(0))  # the mean tower
    close(tower_of(separate, 0)[1][1], biases.mean(0))
