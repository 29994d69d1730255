"""Models of several scenarios, and those of gates, masks and co-actions that their papers build on."""

from __future__ import annotations

from types import MappingProxyType

from dynctr_tf.models.can import can
from dynctr_tf.models.catalogue.entry import Choice, LogUniform, ModelEntry
from dynctr_tf.models.catalogue.search_spaces import DENSE, EMBEDDING
from dynctr_tf.models.gatenet import gatenet
from dynctr_tf.models.lhuc import lhuc
from dynctr_tf.models.m2m import m2m
from dynctr_tf.models.masknet import masknet
from dynctr_tf.models.mmoe import mmoe
from dynctr_tf.models.optmsm import optmsm
from dynctr_tf.models.pepnet import pepnet
from dynctr_tf.models.per_scenario import per_scenario
from dynctr_tf.models.ple import ple
from dynctr_tf.models.poso import poso
from dynctr_tf.models.shared_bottom import shared_bottom
from dynctr_tf.models.star import star

# The models of scenarios are compared at equal effort: each searches one width of its shared part, one of its towers.
_WIDTHS = Choice(((64,), (128, 64), (256, 128)))
_TOWERS = Choice(((), (32,), (64, 32)))
_TRAINED = MappingProxyType({**EMBEDDING, "deep.dropout": DENSE["deep.dropout"]})
_NETWORK = MappingProxyType({**_TRAINED, "deep.units": Choice(((64, 32), (128, 64), (256, 128, 64)))})
_EXPERTS = MappingProxyType({**_TRAINED, "expert_units": _WIDTHS, "tower_units": _TOWERS})
MASKNET = "MaskNet: Introducing Feature-Wise Multiplication to CTR Ranking Models by Instance-Guided Mask"

MULTI_SCENARIO_MODELS = (
    ModelEntry(
        "optmsm",
        optmsm,
        title="OptMSM: Optimizing Multi-Scenario Modeling for Click-Through Rate Prediction",
        paper="arXiv 2306.13382",
        equation="none public: a reconstruction from the abstract",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType(
            {
                **_TRAINED,
                "encoder_units": _WIDTHS,
                "tower_units": _TOWERS,
                "orthogonal_weight": LogUniform(1e-4, 1e-1),
                "combine": Choice(("gate", "select", "concat", "film")),
                "hyper_rank": Choice((None, 4, 8)),
                "hyper_units": Choice((4, 8, 16)),
            }
        ),
    ),
    ModelEntry(
        "shared_bottom",
        shared_bottom,
        title="Multitask Learning",
        paper="Machine Learning 28, 1997",
        equation="none",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**_TRAINED, "bottom_units": _WIDTHS, "tower_units": _TOWERS}),
    ),
    ModelEntry(
        "mmoe",
        mmoe,
        title="Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts",
        paper="KDD 2018",
        equation="5-7",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**_EXPERTS, "num_experts": Choice((2, 4, 8))}),
    ),
    ModelEntry(
        "ple",
        ple,
        title="Progressive Layered Extraction (PLE): A Novel Multi-Task Learning Model",
        paper="RecSys 2020",
        equation="1-6",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType(
            {
                **_EXPERTS,
                "num_levels": Choice((1, 2)),
                "num_shared_experts": Choice((1, 2, 4)),
                "num_specific_experts": Choice((1, 2)),
            }
        ),
    ),
    ModelEntry(
        "star",
        star,
        title="One Model to Serve All: Star Topology Adaptive Recommender for Multi-Domain CTR Prediction",
        paper="arXiv 2101.11427",
        equation="section 3",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**_NETWORK, "partitioned_norm": Choice((True, False))}),
    ),
    ModelEntry(
        "pepnet",
        pepnet,
        title="PEPNet: Parameter and Embedding Personalized Network for Infusing with Personalized Prior Information",
        paper="KDD 2023",
        equation="1-6",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**_NETWORK, "reduction_ratio": Choice((2.0, 4.0, 8.0))}),
    ),
    ModelEntry(
        "m2m",
        m2m,
        title="Leaving No One Behind: A Multi-Scenario Multi-Task Meta Learning Approach for Advertiser Modeling",
        paper="arXiv 2201.06814",
        equation="section 4",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType(
            {**_TRAINED, "expert_units": _WIDTHS, "num_experts": Choice((2, 4, 8)), "num_tower_layers": Choice((1, 2))}
        ),
    ),
    ModelEntry(
        "per_scenario",
        per_scenario,
        title="One model per scenario",
        paper="none; the baseline that tells negative transfer",
        equation="none",
        optimizer="row_wise_adagrad",
        search_space=_NETWORK,
    ),
    ModelEntry(
        "lhuc",
        lhuc,
        title="Learning Hidden Unit Contributions for Unsupervised Acoustic Model Adaptation",
        paper="arXiv 1601.02828",
        equation="2 and 3",
        optimizer="row_wise_adagrad",
        search_space=_NETWORK,
    ),
    ModelEntry(
        "poso",
        poso,
        title="POSO: Personalized Cold Start Modules for Large-scale Recommender Systems",
        paper="arXiv 2108.04690",
        equation="section 3.3",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**_NETWORK, "reduction_ratio": Choice((2.0, 4.0, 8.0))}),
    ),
    ModelEntry(
        "gatenet",
        gatenet,
        title="GateNet: Gating-Enhanced Deep Network for Click-Through Rate Prediction",
        paper="arXiv 2007.03519",
        equation="3-5 and the hidden gate",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                **DENSE,
                "embedding_gate": Choice(("field", "element", None)),
                "hidden_gate": Choice((True, False)),
            }
        ),
    ),
    ModelEntry(
        "can",
        can,
        title="CAN: Feature Co-Action for Click-Through Rate Prediction",
        paper="arXiv 2011.05625",
        equation="section 4",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType(
            {
                **_TRAINED,
                "deep.units": Choice(((80, 40), (200, 80), (400, 400, 400))),
                "orders": Choice((1, 2, 3)),
                "independent_orders": Choice((False, True)),
            }
        ),
    ),
    *(
        ModelEntry(
            f"masknet-{mode}",
            masknet,
            title=MASKNET,
            paper="arXiv 2102.07619",
            equation="3-14",
            optimizer="row_wise_adagrad",
            fixed=MappingProxyType({"mode": mode}),
            search_space=MappingProxyType(
                {
                    **EMBEDDING,
                    "block_units": DENSE["deep.units"],
                    "reduction_ratio": Choice((1.0, 2.0, 3.0)),
                    "deep.dropout": DENSE["deep.dropout"],
                    "deep.kernel_regularizer_l2": DENSE["deep.kernel_regularizer_l2"],
                }
            ),
        )
        for mode in ("serial", "parallel")
    ),
)
