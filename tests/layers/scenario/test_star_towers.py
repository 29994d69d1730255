"""STAR: a shared tower times one of each scenario."""

from __future__ import annotations

from equations import Drawn, arrays, close
from towers import SCENARIO, TOWER, tower_of

from dynctr_tf.layers import StarTowers

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised
X = floats(7, 5)


def test_its_parameters_are_what_its_equation_says() -> None:
    star = randomised(StarTowers(**TOWER), X, SCENARIO)
    (kernel, bias), (kernels, biases) = arrays(*star.shared[0]), arrays(*star.tables[0])
    close(tower_of(star, 3)[0][0], kernel * kernels[2])
    close(tower_of(star, 3)[0][1], bias + biases[2])
    close(tower_of(star, 0)[0][0], kernel * kernels.mean(0))
