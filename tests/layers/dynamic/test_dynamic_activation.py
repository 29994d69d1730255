"""DynInt-DA."""

from __future__ import annotations

import numpy as np
import pytest
from crossed_maps import CONDITION, X0, D, F, N, X, built, crossed, generated_with_loops, output_of
from equations import Drawn, sigmoid

from dynctr_tf.layers import DynamicActivation

DRAWN = Drawn(12)


@pytest.mark.parametrize("fields_last", [True, False])
@pytest.mark.parametrize("gate", ["field", "element"])
def test_dynamic_activation_is_equation_4(gate: str, fields_last: bool) -> None:
    layer = DynamicActivation(gate, fields_last=fields_last, reduction_ratio=2.0)
    weights = built(DRAWN, layer, fields_last)
    g = 2 * sigmoid(generated_with_loops(weights, CONDITION))
    g = g[:, :, None] if gate == "field" else g.reshape(N, D, F).transpose(0, 2, 1)
    expected = crossed(np.stack([weights["kernel"].T] * N), X, X0, g)
    np.testing.assert_allclose(output_of(layer, fields_last), expected, rtol=1e-4, atol=1e-4)
