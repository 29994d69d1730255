"""A perceptron of adaptive layers."""

from __future__ import annotations

import numpy as np
from equations import Drawn

from dynctr_tf.layers import AdaptiveMLP

floats = Drawn(4).floats
X, Z = floats(4, 6), floats(4, 5)


def test_adaptive_perceptron_is_a_chain_of_adaptive_layers() -> None:
    layer = AdaptiveMLP((4, 3), "tanh", adaptive={"rank": [3, 2], "bias_kind": "dynamic"})
    layer(X, Z)
    assert [dense.rank for dense in layer.dense_layers] == [3, 2]
    first, second = layer.dense_layers
    np.testing.assert_allclose(layer(X, Z).numpy(), second(first(X, Z), Z).numpy(), rtol=1e-5, atol=1e-6)
    own = AdaptiveMLP((4, 3), adaptive={"rank": 2})
    own(X)
    first, second = own.dense_layers
    np.testing.assert_allclose(own(X).numpy(), second(first(X)).numpy(), rtol=1e-5, atol=1e-6)
