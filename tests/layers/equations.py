"""What the tests of layers write equations with: random inputs and weights, and functions in NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf.stack import variable_path


class Drawn:
    """Random numbers from a seed of the file that draws them, so that no file changes the numbers of another.

    Args:
        seed: The seed.
    """

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def floats(self, *shape: int) -> np.ndarray:
        return self.random.normal(size=shape).astype(np.float32)

    def randomise(self, layer: Any, size: float = 1.0) -> dict[str, np.ndarray]:
        """Gives every weight, biases too, random values; returns these by the last part of their names."""
        layer.set_weights([size * self.floats(*weight.shape) for weight in layer.get_weights()])
        names = [variable_path(weight).split("/")[-1] for weight in layer.weights]
        return dict(zip(names, layer.get_weights(), strict=True))

    def with_random_weights(self, layer: Any, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Calls the layer on an array, or on the list of several, and gives it random weights as `randomise` does."""
        layer([tf.constant(one) for one in inputs] if len(inputs) > 1 else tf.constant(inputs[0]))
        return self.randomise(layer, 0.5)

    def randomised(self, layer: Any, *inputs: Any) -> Any:
        """Calls the layer, and gives it random weights."""
        layer(*inputs)
        self.randomise(layer, 0.5)
        return layer


def arrays(*weights: Any) -> list[np.ndarray]:
    return [tf.convert_to_tensor(weight).numpy() for weight in weights]


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(tf.convert_to_tensor(found).numpy(), np.asarray(expected), rtol=2e-4, atol=2e-5)


def set_weights(layer: Any, *values: Any) -> None:
    layer.set_weights([np.array(value, np.float32) for value in values])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def pairs_of(fields: int) -> list[tuple[int, int]]:
    return list(itertools.combinations(range(fields), 2))
