"""Models of fields whose parameters are generated, gated or masked per instance."""

from dynctr_tf.models.discovery import functions_of

globals().update(functions_of(__name__, __path__))
__all__ = sorted(functions_of(__name__, __path__))
