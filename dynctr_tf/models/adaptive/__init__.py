"""Models whose dense layers APG adapts to each instance, and a function that makes your own model adaptive."""

from dynctr_tf.models.adaptive.make_adaptive import make_adaptive
from dynctr_tf.models.discovery import functions_of

_FUNCTIONS = functions_of(__name__, __path__)
globals().update(_FUNCTIONS)
__all__ = ["make_adaptive", *_FUNCTIONS]
