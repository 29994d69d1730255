"""Same seed, same run."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras

from dynctr_tf.stack import keep_random_state_in_variables


def set_seed(seed: int, *, deterministic: bool = True) -> None:
    """Seeds Python, NumPy and TensorFlow, and optionally asks TensorFlow for operations that repeat to the bit.

    Call it before a model is built: initial weights draw from these seeds, and on Keras 2 dropout in layers made
    after it keeps its state where `train` finds it, so that a resumed run drops what an uninterrupted one does.

    Args:
        seed: The seed.
        deterministic: Whether operations must give the same bits at each run, which some of them do only
            in a slower form (on GPUs above all). It cannot be taken back in the same process. Default `True`.
    """
    keras.utils.set_random_seed(seed)
    keep_random_state_in_variables()
    if deterministic:
        tf.config.experimental.enable_op_determinism()
