"""Models of fields whose parameters are generated, gated or masked per instance."""

from dynctr_tf.models.discovery import functions_of

_FUNCTIONS = functions_of(__name__, __path__)
globals().update(_FUNCTIONS)
__all__ = [*_FUNCTIONS]
