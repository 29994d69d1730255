"""The decorator of classes that are saved with models."""

from __future__ import annotations

from typing import Any, TypeVar

from dynctr_tf.stack.versions import keras_saving

_Class = TypeVar("_Class", bound=type[Any])


def serializable(cls: _Class) -> _Class:
    """Lets Keras save objects of a class with a model, and find the class when the model is loaded.

    Write it over each layer, optimizer and regularizer of this library: `dynctr_tf.saved_classes` looks for it, so that
    `import dynctr_tf` alone is enough to load a saved model. `get_config` has to return every argument.

    Args:
        cls: The class. Its name is the one that saved models know, so no two may share it.
    """
    registered: _Class = keras_saving.register_keras_serializable(package="dynctr_tf")(cls)
    return registered
