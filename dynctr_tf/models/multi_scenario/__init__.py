"""Models of several scenarios, and those of personal gates that their papers build on."""

from dynctr_tf.models.discovery import functions_of

globals().update(functions_of(__name__, __path__))
__all__ = sorted(functions_of(__name__, __path__))
