"""Click-through-rate models whose parameters are generated per instance, in TensorFlow and Keras.

The rooms are imported one by one: `from dynctr_tf.models import dynint`, `from dynctr_tf.layers import ...`.
Importing the package alone registers its data sets with tensorflow-datasets, so that `tfds.load` finds them, and its
classes with Keras, so that `keras.models.load_model` does.
"""

import dynctr_tf.datasets  # noqa: F401
from dynctr_tf.saved_classes import offer_saved_classes
from dynctr_tf.version import __version__

__all__ = ["__version__"]

offer_saved_classes()
