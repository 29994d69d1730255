"""Which Keras `tf.keras` is."""

from __future__ import annotations

from tensorflow import keras
from tensorflow.keras import saving

# `tf.keras` of Keras 3.15 leaves this part out; a module that says `keras.saving` imports this one first.
if not hasattr(keras, "saving"):
    keras.saving = saving

# Neither tf_keras nor Keras 2.15 gives its version through `tf.keras`; only Keras 3 has `ops`.
KERAS_3: bool = hasattr(keras, "ops")
"""Whether `tf.keras` is Keras 3 in this process."""
