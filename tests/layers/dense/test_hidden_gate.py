"""The gate of hidden layers."""

from __future__ import annotations

from equations import Drawn, close, sigmoid

from dynctr_tf.layers import HiddenGate

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised
X = floats(7, 5)


def test_it_follows_its_equation() -> None:
    hidden = randomised(HiddenGate(), X)
    close(hidden(X), X * sigmoid(X @ hidden.get_weights()[0]))
    scaled = HiddenGate(gate_scale=2.0)
    scaled(X)
    scaled.set_weights(hidden.get_weights())
    close(scaled(X), 2.0 * hidden(X).numpy())
