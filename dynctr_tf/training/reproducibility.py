"""Same seed, same run."""

from __future__ import annotations

import tensorflow as tf
from tensorflow import keras


def set_seed(seed: int, *, deterministic: bool = True) -> None:
    """Seeds Python, NumPy and TensorFlow, and optionally asks TensorFlow for operations that repeat to the bit.

    Call it before a model is built: initial weights draw from these seeds.

    Args:
        seed: The seed.
        deterministic: Whether operations must give the same bits at each run, which some of them do only
            in a slower form (on GPUs above all). It cannot be taken back in the same process. Default `True`.
    """
    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
