"""The output of xDeepInt."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn

from dynctr_tf.layers import FieldSumOutput, SplitSubspaces

floats = Drawn(3).floats


@pytest.mark.parametrize("fields_last", [True, False])
@pytest.mark.parametrize("h", [1, 2])
def test_field_sum_output_is_equation_2(h: int, fields_last: bool) -> None:
    x = floats(3, 5, 4)
    layer = FieldSumOutput(h, fields_last=fields_last)
    stacked = SplitSubspaces(h, fields_last=fields_last)(tf.constant(x))
    layer(stacked)
    w, b = floats(5, 1), floats(1)
    layer.set_weights([w, b])
    expected = [sum(sum(w[f, 0] * x[n, f, d] for f in range(5)) + b[0] for d in range(4)) for n in range(3)]
    np.testing.assert_allclose(layer(stacked).numpy()[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_field_sum_output_by_hand() -> None:
    layer, x = FieldSumOutput(), tf.constant([[[1.0, 2.0], [3.0, 4.0]]])
    layer(x)
    layer.set_weights([np.array([[10.0], [100.0]], np.float32), np.array([0.5], np.float32)])
    # 10 * (1 + 2) + 100 * (3 + 4) and the bias once for each of the two entries of an embedding
    assert layer(x).numpy().tolist() == [[731.0]]
