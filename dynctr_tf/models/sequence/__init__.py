"""Models of a history of behaviours, with and without generated parameters."""

from dynctr_tf.models.discovery import functions_of

globals().update(functions_of(__name__, __path__))
__all__ = sorted(functions_of(__name__, __path__))
