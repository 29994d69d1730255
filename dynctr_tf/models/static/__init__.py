"""Models with one set of parameters for all instances: the baselines of the papers."""

from dynctr_tf.models.discovery import functions_of

_FUNCTIONS = functions_of(__name__, __path__)
globals().update(_FUNCTIONS)
__all__ = [*_FUNCTIONS]
