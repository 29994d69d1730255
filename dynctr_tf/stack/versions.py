"""Which Keras `tf.keras` is."""

from __future__ import annotations

from tensorflow import keras
from tensorflow.keras import saving as keras_saving

# `tf.keras` of Keras 3.15 leaves this part out; it is back where this package is imported.
if not hasattr(keras, "saving"):
    keras.saving = keras_saving

# Neither tf_keras nor Keras 2.15 gives its version through `tf.keras`; only Keras 3 has `ops`.
KERAS_3: bool = hasattr(keras, "ops")
"""Whether `tf.keras` is Keras 3 in this process."""
