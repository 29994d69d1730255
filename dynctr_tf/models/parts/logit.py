"""The logit of a model, its output."""

from __future__ import annotations

from typing import Any

from tensorflow import keras

from dynctr_tf.models.parts.flat import flat


def logit(x: Any) -> Any:
    """Returns the logit of a vector, `(batch, 1)` in float32, the layer `"logit"`.

    Args:
        x: `(batch, n)`, or a field map, which is flattened.
    """
    return keras.layers.Dense(1, dtype="float32", name="logit")(flat(x))
