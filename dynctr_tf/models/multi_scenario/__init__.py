"""Models of several scenarios, and those of personal gates that their papers build on."""

from dynctr_tf.models.discovery import functions_of

_FUNCTIONS = functions_of(__name__, __path__)
globals().update(_FUNCTIONS)
__all__ = [*_FUNCTIONS]
