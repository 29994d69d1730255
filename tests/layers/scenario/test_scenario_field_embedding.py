"""A table for each scenario."""

from __future__ import annotations

import numpy as np
from equations import Drawn, close
from towers import SCENARIO

from dynctr_tf.layers import ScenarioFieldEmbedding

floats = Drawn(21).floats


def test_a_table_for_each_scenario() -> None:
    layer = ScenarioFieldEmbedding(10, 3, 5)
    ids = np.array([[1, 0], [9, 2], [3, 0], [1, 1], [4, 4], [0, 5], [7, 7]], np.int32)
    found = layer([SCENARIO, ids]).numpy()
    tables = layer.get_weights()[0].reshape(3, 10, 3)
    for row in range(7):
        for place in range(2):
            own = (
                tables[:, ids[row, place]].mean(0) if SCENARIO[row] < 2 else tables[SCENARIO[row] - 2, ids[row, place]]
            )
            close(found[row, place], np.zeros(3) if ids[row, place] == 0 else own)
