"""Click-through-rate models whose parameters are generated per instance, in TensorFlow and Keras.

The rooms are imported one by one: `from dynctr_tf.models import dynint`, `from dynctr_tf.layers import ...`.
Importing the package alone makes its data sets known to tensorflow-datasets, so that `tfds.load` finds them, and its
classes to Keras, so that `keras.models.load_model` does; each when that package is imported. Nothing else is imported.
"""

import importlib
import sys
from types import ModuleType

from dynctr_tf.after_import import after_import
from dynctr_tf.saved_classes import offer_saved_classes
from dynctr_tf.version import __version__

__all__ = ["__version__"]

_BASE = "dynctr_tf.datasets.row_source_builder"


def _register_data_sets(_: ModuleType) -> None:
    # The files of builders import this one. Where it is the one that imports TFDS, they come after it.
    if _BASE not in sys.modules or hasattr(sys.modules[_BASE], "RowSourceBuilder"):
        importlib.import_module("dynctr_tf.datasets").register_builders()


offer_saved_classes()
after_import(("tensorflow_datasets", _BASE), _register_data_sets, complete="load")
