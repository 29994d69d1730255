"""The gate of embeddings."""

from __future__ import annotations

import pytest
from equations import Drawn, close, sigmoid

from dynctr_tf.layers import EmbeddingGate

DRAWN = Drawn(21)
floats, randomised = DRAWN.floats, DRAWN.randomised


@pytest.mark.parametrize("granularity", ["field", "element"])
@pytest.mark.parametrize("shared", [False, True])
def test_it_follows_its_equation(granularity: str, shared: bool) -> None:
    field_map = floats(3, 4, 5)
    layer = randomised(EmbeddingGate(granularity, shared), field_map)
    (kernel,) = layer.get_weights()
    expected = [
        [field_map[n, f] * sigmoid(field_map[n, f] @ kernel[0 if shared else f]) for f in range(4)] for n in range(3)
    ]
    close(layer(field_map), expected)
