"""Models with one set of parameters for all instances: the baselines of the papers."""

from dynctr_tf.models.discovery import functions_of

globals().update(functions_of(__name__, __path__))
__all__ = sorted(functions_of(__name__, __path__))
