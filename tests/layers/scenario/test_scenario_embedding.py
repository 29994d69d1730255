"""An embedding of scenarios."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from equations import Drawn, close
from towers import SCENARIO

from dynctr_tf import stack
from dynctr_tf.layers import ScenarioEmbedding

floats = Drawn(21).floats


def test_scenario_embedding_of_unknown_scenarios_is_the_mean() -> None:
    layer = ScenarioEmbedding(5, 3)
    found = layer(SCENARIO).numpy()
    table = layer.get_weights()[0]
    close(found, [table.mean(0) if index < 2 else table[index - 2] for index in SCENARIO])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(SCENARIO))
    gradient = tape.gradient(loss, stack.raw_variable(layer.embeddings))
    # Dense, with the two rows of unknown scenarios shared out and repeated scenarios summed.
    close(gradient, np.repeat([[2 + 2 / 3], [1 + 2 / 3], [2 + 2 / 3]], 3, axis=1))
