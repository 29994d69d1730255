"""What models are composed of: options that belong together, each with what it builds."""

from dynctr_tf.models.parts.adaptive import Adaptive, Condition
from dynctr_tf.models.parts.deep import Deep, Hidden, Tower, kernel_regularizer
from dynctr_tf.models.parts.embedding import Embedding
from dynctr_tf.models.parts.generator import Generator
from dynctr_tf.models.parts.history import History
from dynctr_tf.models.parts.inputs import encoded_inputs
from dynctr_tf.models.parts.logits import flat, logit, unbiased_logit
from dynctr_tf.models.parts.operation import Operation

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
