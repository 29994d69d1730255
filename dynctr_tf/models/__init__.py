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
from dynctr_tf.models.dien import dien
from dynctr_tf.models.din import din
from dynctr_tf.models.dpn import dpn
from dynctr_tf.models.dpn_field import dpn_field
from dynctr_tf.models.dyjoint import dyjoint
from dynctr_tf.models.dymlp import dymlp
from dynctr_tf.models.dynint import dynint
from dynctr_tf.models.factorization_machine import fm
from dynctr_tf.models.inputs import embedded_fields, encoded_inputs
from dynctr_tf.models.kfatt import kfatt
from dynctr_tf.models.logistic_regression import lr
from dynctr_tf.models.sdpn import sdpn
from dynctr_tf.models.transformer import transformer
from dynctr_tf.models.xdeepint import xdeepint

__all__ = [
    "CATALOGUE",
    "OPTIMIZER_SEARCH_SPACES",
    "Choice",
    "LogUniform",
    "ModelEntry",
    "build_model",
    "dcn_v2",
    "dien",
    "din",
    "dnn",
    "dpn",
    "dpn_field",
    "dyjoint",
    "dymlp",
    "dynint",
    "embedded_fields",
    "encoded_inputs",
    "fm",
    "kfatt",
    "lr",
    "model_entry",
    "sdpn",
    "transformer",
    "xdeepint",
]
