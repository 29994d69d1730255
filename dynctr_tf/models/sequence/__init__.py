"""Models of a history of behaviours, with and without generated parameters."""

from dynctr_tf.models.discovery import functions_of

_FUNCTIONS = functions_of(__name__, __path__)
globals().update(_FUNCTIONS)
__all__ = [*_FUNCTIONS]
