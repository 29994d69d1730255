"""Models of fields whose parameters are generated per instance."""

from __future__ import annotations

from types import MappingProxyType

from dynctr_tf.models.catalogue.entry import Choice, ModelEntry
from dynctr_tf.models.catalogue.search_spaces import FIELD_OPERATION, GENERATOR, ORTHOGONAL, POLYNOMIAL, TOWER
from dynctr_tf.models.dpn import dpn
from dynctr_tf.models.dpn_field import dpn_field
from dynctr_tf.models.dynint import dynint

DYNINT = "DynInt: Dynamic Interaction Modeling for Large-scale Click-Through Rate Prediction"
DPN = "Dynamic Parameterized Network for CTR Prediction"

DYNAMIC_MODELS = (
    ModelEntry(
        "dynint-da",
        dynint,
        title=DYNINT,
        paper="arXiv 2301.08139",
        equation="2 and 4",
        optimizer="row_wise_adagrad",
        fixed=MappingProxyType({"mode": "da"}),
        search_space=MappingProxyType({**POLYNOMIAL, **GENERATOR}),
    ),
    ModelEntry(
        "dynint-dgp",
        dynint,
        title=DYNINT,
        paper="arXiv 2301.08139",
        equation="2, 5, 7, 8 and 11",
        optimizer="row_wise_adagrad",
        fixed=MappingProxyType({"mode": "dgp"}),
        search_space=MappingProxyType({**POLYNOMIAL, **GENERATOR, **ORTHOGONAL, "rank": Choice((16, 32, 64, 128))}),
    ),
    ModelEntry(
        "dynint-dwp",
        dynint,
        title=DYNINT,
        paper="arXiv 2301.08139",
        equation="2, 6, 9, 10 and 12",
        optimizer="row_wise_adagrad",
        fixed=MappingProxyType({"mode": "dwp"}),
        search_space=MappingProxyType({**POLYNOMIAL, **GENERATOR, **ORTHOGONAL, "rank": Choice((1, 2, 3, 4))}),
    ),
    ModelEntry(
        "dpn",
        dpn,
        title=DPN,
        paper="arXiv 2111.04983",
        equation="3-5",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**TOWER, "contexts": Choice(("x0", "z0", "previous"))}),
    ),
    ModelEntry(
        "dpn_field",
        dpn_field,
        title=DPN,
        paper="arXiv 2111.04983",
        equation="3",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType(
            {
                **FIELD_OPERATION,
                "deep.units": Choice(((100, 100), (200, 200))),
                "aggregator": Choice(("summation", "self", "attention", "concat")),
            }
        ),
    ),
)
