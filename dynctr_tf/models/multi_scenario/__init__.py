"""Models of several scenarios, and models with personal gates on which their papers build."""

from dynctr_tf.models.discovery import functions_of

_FUNCTIONS = functions_of(__name__, __path__)
globals().update(_FUNCTIONS)
__all__ = [*_FUNCTIONS]
