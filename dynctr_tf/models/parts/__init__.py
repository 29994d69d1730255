"""The parts of models: options that belong together, and the layers that they build."""

from dynctr_tf.models.parts.adaptive import Adaptive
from dynctr_tf.models.parts.condition import Condition
from dynctr_tf.models.parts.deep import Deep
from dynctr_tf.models.parts.embedding import Embedding
from dynctr_tf.models.parts.encoded_inputs import encoded_inputs
from dynctr_tf.models.parts.flat import flat
from dynctr_tf.models.parts.generator import Generator
from dynctr_tf.models.parts.hidden import Hidden
from dynctr_tf.models.parts.history import History
from dynctr_tf.models.parts.kernel_regularizer import kernel_regularizer
from dynctr_tf.models.parts.logit import logit
from dynctr_tf.models.parts.operation import Operation
from dynctr_tf.models.parts.tower import Tower
from dynctr_tf.models.parts.unbiased_logit import unbiased_logit

__all__ = [
    "Adaptive",
    "Condition",
    "Deep",
    "Embedding",
    "Generator",
    "Hidden",
    "History",
    "Operation",
    "Tower",
    "encoded_inputs",
    "flat",
    "kernel_regularizer",
    "logit",
    "unbiased_logit",
]
