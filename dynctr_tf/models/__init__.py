"""One function per published model, and their catalogue."""

from dynctr_tf.models.catalogue import (
    CATALOGUE,
    OPTIMIZER_SEARCH_SPACES,
    Choice,
    LogUniform,
    ModelEntry,
    build_model,
    model_entry,
)
from dynctr_tf.models.dcn_v2 import dcn_v2
from dynctr_tf.models.deep_network import dnn
from dynctr_tf.models.dynint import dynint
from dynctr_tf.models.factorization_machine import fm
from dynctr_tf.models.inputs import embedded_fields, encoded_inputs
from dynctr_tf.models.logistic_regression import lr
from dynctr_tf.models.xdeepint import xdeepint

__all__ = [
    "CATALOGUE",
    "OPTIMIZER_SEARCH_SPACES",
    "Choice",
    "LogUniform",
    "ModelEntry",
    "build_model",
    "dcn_v2",
    "dnn",
    "dynint",
    "embedded_fields",
    "encoded_inputs",
    "fm",
    "lr",
    "model_entry",
    "xdeepint",
]
