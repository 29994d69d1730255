"""Every difference between Keras 2 and Keras 3 that the library meets, in one file.

The library speaks `tf.keras` and runs on three stacks: the newest TensorFlow with Keras 3, the same with
tf_keras (`TF_USE_LEGACY_KERAS=1`, set before TensorFlow is first imported), and TensorFlow 2.15 with
Keras 2.15. What the three do alike is called directly; what they do differently is asked for here.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

KERAS_3: bool = int(keras.__version__.split(".")[0]) >= 3
"""Whether `tf.keras` is Keras 3 in this process."""


def raw_variable(variable: Any) -> tf.Variable:
    """Returns the `tf.Variable` behind a Keras variable.

    A Keras 3 variable that is given to a `tf` operation is read whole, and its gradient is dense; only the
    `tf.Variable` inside is gathered by row with an `IndexedSlices` gradient. On Keras 2 the two are one.
    """
    return variable if isinstance(variable, tf.Variable) else variable.value


def uncast_weight_options() -> dict[str, bool]:
    """Returns the options of `Layer.add_weight` that keep a weight as it is under a mixed policy.

    Without them Keras 3 gives the layer a bfloat16 copy of the whole weight, and Keras 2 a wrapper.
    """
    return {"autocast": False} if KERAS_3 else {"experimental_autocast": False}
