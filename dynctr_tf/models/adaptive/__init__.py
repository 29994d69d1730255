"""Models whose dense layers are adapted to each instance by APG, and what makes a model of one's own adaptive."""

from dynctr_tf.models.adaptive.make_adaptive import make_adaptive
from dynctr_tf.models.discovery import functions_of

globals().update(functions_of(__name__, __path__))
__all__ = ["make_adaptive", *sorted(functions_of(__name__, __path__))]
