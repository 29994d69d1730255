"""The penalty of kernels."""

from __future__ import annotations

from typing import Any

from tensorflow import keras


def kernel_regularizer(l2: float) -> Any:
    """Returns the L2 regularizer of kernels, or `None` where the penalty is 0."""
    return keras.regularizers.L2(l2) if l2 else None
