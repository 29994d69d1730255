"""One function per published model, and their catalogue."""

from dynctr_tf.models.afm import afm
from dynctr_tf.models.afn import afn
from dynctr_tf.models.apg import apg
from dynctr_tf.models.autoint import autoint
from dynctr_tf.models.can import can
from dynctr_tf.models.catalogue import (
    CATALOGUE,
    Choice,
    LogUniform,
    ModelEntry,
    build_model,
    model_entry,
)
from dynctr_tf.models.dcn import dcn
from dynctr_tf.models.dcn_v2 import dcn_v2
from dynctr_tf.models.dcn_v2_mix import dcn_v2_mix
from dynctr_tf.models.deep_crossing import deep_crossing
from dynctr_tf.models.deep_network import dnn
from dynctr_tf.models.deepfm import deepfm
from dynctr_tf.models.dien import dien
from dynctr_tf.models.din import din
from dynctr_tf.models.dpn import dpn
from dynctr_tf.models.dpn_field import dpn_field
from dynctr_tf.models.dyjoint import dyjoint
from dynctr_tf.models.dymlp import dymlp
from dynctr_tf.models.dynint import dynint
from dynctr_tf.models.factorization_machine import fm
from dynctr_tf.models.fibinet import fibinet
from dynctr_tf.models.gatenet import gatenet
from dynctr_tf.models.hofm import hofm
from dynctr_tf.models.kfatt import kfatt
from dynctr_tf.models.lhuc import lhuc
from dynctr_tf.models.logistic_regression import lr
from dynctr_tf.models.m2m import m2m
from dynctr_tf.models.make_adaptive import make_adaptive
from dynctr_tf.models.masknet import masknet
from dynctr_tf.models.mmoe import mmoe
from dynctr_tf.models.nfm import nfm
from dynctr_tf.models.optmsm import optmsm
from dynctr_tf.models.parts import Deep, Embedding, Generator, Hidden, History, Operation, Tower, encoded_inputs
from dynctr_tf.models.pepnet import pepnet
from dynctr_tf.models.per_scenario import per_scenario
from dynctr_tf.models.ple import ple
from dynctr_tf.models.pnn import pnn
from dynctr_tf.models.poso import poso
from dynctr_tf.models.sdpn import sdpn
from dynctr_tf.models.shared_bottom import shared_bottom
from dynctr_tf.models.star import star
from dynctr_tf.models.transformer import transformer
from dynctr_tf.models.wide_deep import wide_deep
from dynctr_tf.models.xdeepfm import xdeepfm
from dynctr_tf.models.xdeepint import xdeepint

__all__ = [
    "CATALOGUE",
    "Choice",
    "Deep",
    "Embedding",
    "Generator",
    "Hidden",
    "History",
    "LogUniform",
    "ModelEntry",
    "Operation",
    "Tower",
    "afm",
    "afn",
    "apg",
    "autoint",
    "build_model",
    "can",
    "dcn",
    "dcn_v2",
    "dcn_v2_mix",
    "deep_crossing",
    "deepfm",
    "dien",
    "din",
    "dnn",
    "dpn",
    "dpn_field",
    "dyjoint",
    "dymlp",
    "dynint",
    "encoded_inputs",
    "fibinet",
    "fm",
    "hofm",
    "kfatt",
    "lr",
    "make_adaptive",
    "model_entry",
    "nfm",
    "pnn",
    "sdpn",
    "transformer",
    "wide_deep",
    "xdeepfm",
    "xdeepint",
    "gatenet",
    "lhuc",
    "m2m",
    "masknet",
    "mmoe",
    "optmsm",
    "pepnet",
    "per_scenario",
    "ple",
    "poso",
    "shared_bottom",
    "star",
]
