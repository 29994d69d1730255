"""The random state of layers such as dropout, which a checkpoint has to hold."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf.stack.variables import raw_variable
from dynctr_tf.stack.versions import KERAS_3


def keep_random_state_in_variables() -> None:
    """Lets layers such as dropout, made from now on, keep their random state where a checkpoint can find it.

    Keras 3 does so anyway. Keras 2 otherwise uses operations whose state lies in the runtime and ends with the process.
    """
    if not KERAS_3:
        keras.backend.experimental.enable_tf_random_generator()


def random_states(model: Any) -> list[tf.Variable]:
    """Returns the variables that hold the random state of a model's layers, which no checkpoint of the model has.

    On Keras 2 they exist for layers made after `keep_random_state_in_variables`.
    """
    if KERAS_3:
        weights = {id(weight) for weight in model.weights}
        metrics = {id(variable) for variable in model.metrics_variables}
        rest = [variable for variable in model.variables if id(variable) not in weights | metrics]
        return [raw_variable(variable) for variable in rest]
    generators = [getattr(layer, "_random_generator", None) for layer in model._flatten_layers()]
    for generator in generators:
        if generator is not None:
            generator._maybe_init()
    states = [getattr(generator, "_generator", None) for generator in generators]
    return [generator.state for generator in states if generator is not None]
