"""Initial values that differ from weight to weight."""

from __future__ import annotations

from typing import Any

from tensorflow import keras


def distinct_initializer(initializer: Any, index: int) -> Any:
    """Returns a fresh initializer for the `index`-th weight that one argument starts.

    One initializer object used twice, or one whole-number seed, gives two weights of equal shape the same
    start, and two factors that start alike may stay alike. Here each weight has an object of its own; a seed grows by
    `index`.

    Args:
        initializer: What a Keras layer takes: a name, a configuration or an object.
        index: Which of the weights it is for, from 0.

    Example:

    >>> from tensorflow import keras
    >>> one = keras.initializers.RandomNormal(seed=7)
    >>> bool((distinct_initializer(one, 0)((2, 2)) == distinct_initializer(one, 1)((2, 2))).numpy().any())
    False
    """
    given = keras.initializers.get(initializer)
    config = given.get_config()
    if isinstance(config.get("seed"), int):
        config["seed"] += index
    return type(given).from_config(config)
