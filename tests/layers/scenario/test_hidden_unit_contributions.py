"""Amplitudes of each group."""

from __future__ import annotations

from equations import Drawn, close, sigmoid
from towers import SCENARIO

from dynctr_tf.layers import HiddenUnitContributions

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised
X = floats(7, 5)


def test_it_follows_its_equation() -> None:
    layer = randomised(HiddenUnitContributions(5), X, SCENARIO)
    expected = X * 2 * sigmoid(layer.get_weights()[0][SCENARIO])
    close(layer(X, SCENARIO), expected)
    close(layer(X, group=SCENARIO), expected)
