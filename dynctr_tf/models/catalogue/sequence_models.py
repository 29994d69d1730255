"""Models of a history of behaviours, with and without generated parameters."""

from __future__ import annotations

from types import MappingProxyType

from dynctr_tf.models.catalogue.entry import Choice, ModelEntry
from dynctr_tf.models.catalogue.search_spaces import HISTORY, TOWER
from dynctr_tf.models.dien import dien
from dynctr_tf.models.din import din
from dynctr_tf.models.dyjoint import dyjoint
from dynctr_tf.models.dymlp import dymlp
from dynctr_tf.models.kfatt import kfatt
from dynctr_tf.models.sdpn import sdpn
from dynctr_tf.models.transformer import transformer

DPN = "Dynamic Parameterized Network for CTR Prediction"

SEQUENCE_MODELS = (
    ModelEntry(
        "dymlp",
        dymlp,
        title=DPN,
        paper="arXiv 2111.04983",
        equation="3-5, section on production",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**TOWER, "field_units": Choice((0, 2, 4))}),
    ),
    ModelEntry(
        "dyjoint",
        dyjoint,
        title=DPN,
        paper="arXiv 2111.04983",
        equation="3-8, section on production",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType(
            {**TOWER, "history.num_kernels": Choice((2, 4, 8)), "mode": Choice(("base", "freq"))}
        ),
    ),
    ModelEntry(
        "sdpn",
        sdpn,
        title=DPN,
        paper="arXiv 2111.04983",
        equation="6-8",
        optimizer="row_wise_adagrad",
        fixed=MappingProxyType({"history.homogeneous": True, "history.heterogeneous": True}),
        search_space=HISTORY,
    ),
    ModelEntry(
        "din",
        din,
        title="Deep Interest Network for Click-Through Rate Prediction",
        paper="arXiv 1706.06978",
        equation="3 and section 4.3",
        optimizer="row_wise_adagrad",
        search_space=HISTORY,
    ),
    ModelEntry(
        "din-heter",
        din,
        title=DPN,
        paper="arXiv 2111.04983",
        equation="8, with DIN",
        optimizer="row_wise_adagrad",
        fixed=MappingProxyType({"history.homogeneous": False, "history.heterogeneous": True}),
        search_space=HISTORY,
    ),
    ModelEntry(
        "dien",
        dien,
        title="Deep Interest Evolution Network for Click-Through Rate Prediction",
        paper="arXiv 1809.03672",
        equation="interest extractor and interest evolving layers",
        optimizer="row_wise_adagrad",
        search_space=HISTORY,
    ),
    ModelEntry(
        "dien-heter",
        dien,
        title=DPN,
        paper="arXiv 2111.04983",
        equation="8, with DIEN",
        optimizer="row_wise_adagrad",
        fixed=MappingProxyType({"history.homogeneous": False, "history.heterogeneous": True}),
        search_space=HISTORY,
    ),
    ModelEntry(
        "transformer",
        transformer,
        title="Attention Is All You Need",
        paper="arXiv 1706.03762",
        equation="1",
        optimizer="row_wise_adagrad",
        search_space=HISTORY,
    ),
    ModelEntry(
        "transformer-homo",
        transformer,
        title=DPN,
        paper="arXiv 2111.04983",
        equation="6 and 7, with attention",
        optimizer="row_wise_adagrad",
        fixed=MappingProxyType({"history.homogeneous": True, "history.heterogeneous": False}),
        search_space=HISTORY,
    ),
    ModelEntry(
        "transformer-heter",
        transformer,
        title=DPN,
        paper="arXiv 2111.04983",
        equation="8, with attention",
        optimizer="row_wise_adagrad",
        fixed=MappingProxyType({"history.homogeneous": False, "history.heterogeneous": True}),
        search_space=HISTORY,
    ),
    ModelEntry(
        "kfatt",
        kfatt,
        title="Kalman Filtering Attention for User Behavior Modeling in CTR Prediction",
        paper="NeurIPS 2020",
        equation="KFAtt-base, KFAtt-freq",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**HISTORY, "mode": Choice(("base", "freq"))}),
    ),
)
