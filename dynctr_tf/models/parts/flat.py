"""A field map as one vector."""

from __future__ import annotations

from typing import Any

from tensorflow import keras


def flat(x: Any, name: str = "flatten") -> Any:
    """Returns a field map as one vector; a vector as it is.

    Args:
        x: `(batch, n, dim)` or `(batch, n)`.
        name: Name of the layer. Default `"flatten"`.
    """
    return keras.layers.Flatten(name=name)(x) if len(x.shape) > 2 else x
