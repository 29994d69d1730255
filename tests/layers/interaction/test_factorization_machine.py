"""FM."""

from __future__ import annotations

import numpy as np
from equations import Drawn

from dynctr_tf.layers import FactorizationMachine

floats = Drawn(3).floats


def test_factorization_machine_sums_all_pairs() -> None:
    x = floats(3, 5, 4)
    expected = [sum(x[n, i] @ x[n, j] for i in range(5) for j in range(i)) for n in range(3)]
    np.testing.assert_allclose(FactorizationMachine()(x).numpy()[:, 0], expected, rtol=1e-4, atol=1e-5)
