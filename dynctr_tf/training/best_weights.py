"""The weights of a finished or interrupted training, for a model that answers and is not trained further."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf.durable_files import DamagedFileError
from dynctr_tf.stack import raw_variable, whole_variables
from dynctr_tf.training.checkpoints import Checkpoints


def all_weights(model: keras.Model) -> list[Any]:
    """Returns the weights of a model one by one, tables in shards as a whole, for a checkpoint.

    From the model itself, Keras 3 shows TensorFlow no layer that another layer has appended to a list of its own, and a
    checkpoint would have no moving average of it.
    """
    return [raw_variable(weight) for weight in whole_variables(model.weights)]


def weights_alone(model: keras.Model) -> tf.train.Checkpoint:
    """Returns the checkpoint that best weights are written with and read with."""
    return tf.train.Checkpoint(weights=all_weights(model))


def load_best_weights(model: keras.Model, directory: str | Path, *, by_pieces: bool = False) -> int:
    """Gives a model the weights of the best validation that a training in a folder has had so far.

    Args:
        model: A model like the one that was trained.
        directory: The folder that was given to `train`.
        by_pieces: Whether large weights are read some rows at a time, so that memory holds them once. The weights must
            then be on one device. Default `False`.

    Returns:
        The step of that validation.

    Raises:
        ValueError: The folder holds no training, or the training of another model.
        DamagedFileError: The training in it is damaged.
    """
    checkpoints = Checkpoints(Path(directory))
    found = checkpoints.find()
    if found is None:
        raise ValueError(f"{directory} holds no checkpoint: it is not a run, or its training has not begun.")
    step = int(found[1]["best_step"])
    if not checkpoints.best_is_whole(step):
        raise DamagedFileError(
            f"The best weights in {directory} are damaged; start the training again with the same command, which "
            "makes them again from its checkpoint."
        )
    if by_pieces:
        checkpoints.restore_best_by_pieces(all_weights(model), step)
    else:
        checkpoints.restore_best(weights_alone(model), step)
    return step
