"""Models with one set of parameters for all instances: the baselines of the papers."""

from __future__ import annotations

from types import MappingProxyType

from dynctr_tf.models.afm import afm
from dynctr_tf.models.afn import afn
from dynctr_tf.models.autoint import autoint
from dynctr_tf.models.catalogue.entry import Choice, ModelEntry
from dynctr_tf.models.catalogue.search_spaces import DENSE, EMBEDDING, POLYNOMIAL
from dynctr_tf.models.dcn import dcn
from dynctr_tf.models.dcn_v2 import dcn_v2
from dynctr_tf.models.dcn_v2_mix import dcn_v2_mix
from dynctr_tf.models.deep_crossing import deep_crossing
from dynctr_tf.models.deep_network import dnn
from dynctr_tf.models.deepfm import deepfm
from dynctr_tf.models.factorization_machine import fm
from dynctr_tf.models.fibinet import fibinet
from dynctr_tf.models.hofm import hofm
from dynctr_tf.models.logistic_regression import lr
from dynctr_tf.models.nfm import nfm
from dynctr_tf.models.pnn import pnn
from dynctr_tf.models.wide_deep import wide_deep
from dynctr_tf.models.xdeepfm import xdeepfm
from dynctr_tf.models.xdeepint import xdeepint

STATIC_MODELS = (
    ModelEntry(
        "lr",
        lr,
        title="Logistic regression",
        paper="none; the linear baseline of the papers",
        equation="none",
        optimizer="group_ftrl",
        fixed=MappingProxyType({"embedding.dim": 1, "embedding.initial_scale": 0.0}),
    ),
    ModelEntry(
        "fm",
        fm,
        title="Factorization Machines",
        paper="ICDM 2010",
        equation="1",
        optimizer="row_wise_adagrad",
        search_space=EMBEDDING,
    ),
    ModelEntry(
        "dnn",
        dnn,
        title="Multi-layer perceptron on embeddings",
        paper="none; the deep baseline of the papers",
        equation="none",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**EMBEDDING, **DENSE}),
    ),
    ModelEntry(
        "dcn_v2",
        dcn_v2,
        title="DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank Systems",
        paper="arXiv 2008.13535",
        equation="1, 2 and section 3.4",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                **DENSE,
                "num_layers": Choice((1, 2, 3, 4)),
                "structure": Choice(("parallel", "stacked")),
            }
        ),
    ),
    ModelEntry(
        "xdeepint",
        xdeepint,
        title="xDeepInt: a hybrid architecture for modeling the vector-wise and bit-wise feature interactions",
        paper="arXiv 2301.01089",
        equation="2 and 3 of DynInt, arXiv 2301.08139",
        optimizer="row_wise_adagrad",
        search_space=POLYNOMIAL,
    ),
    ModelEntry(
        "afm",
        afm,
        title="Attentional Factorization Machines: Learning the Weight of Feature Interactions via Attention Networks",
        paper="arXiv 1708.04617",
        equation="2 and 4-6",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                "attention_dim": Choice((4, 8, 16)),
                "dropout": Choice((0.0, 0.2, 0.4)),
            }
        ),
    ),
    ModelEntry(
        "hofm",
        hofm,
        title="Higher-Order Factorization Machines",
        paper="arXiv 1607.07195",
        equation="5",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**EMBEDDING, "order": Choice((3, 4))}),
    ),
    ModelEntry(
        "nfm",
        nfm,
        title="Neural Factorization Machines for Sparse Predictive Analytics",
        paper="arXiv 1708.05027",
        equation="3-7",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**EMBEDDING, **DENSE}),
    ),
    ModelEntry(
        "wide_deep",
        wide_deep,
        title="Wide & Deep Learning for Recommender Systems",
        paper="arXiv 1606.07792",
        equation="3",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**EMBEDDING, **DENSE}),
    ),
    ModelEntry(
        "deepfm",
        deepfm,
        title="DeepFM: A Factorization-Machine based Neural Network for CTR Prediction",
        paper="arXiv 1703.04247",
        equation="1-4",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**EMBEDDING, **DENSE}),
    ),
    ModelEntry(
        "deep_crossing",
        deep_crossing,
        title="Deep Crossing: Web-Scale Modeling without Manually Crafted Combinatorial Features",
        paper="KDD 2016",
        equation="section 4",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**EMBEDDING, **DENSE}),
    ),
    ModelEntry(
        "dcn",
        dcn,
        title="Deep & Cross Network for Ad Click Predictions",
        paper="arXiv 1708.05123",
        equation="3-5",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**EMBEDDING, **DENSE, "num_layers": Choice((1, 2, 3, 4))}),
    ),
    ModelEntry(
        "crossnet",
        dcn,
        title="Deep & Cross Network for Ad Click Predictions",
        paper="arXiv 1708.05123",
        equation="3",
        optimizer="row_wise_adagrad",
        fixed=MappingProxyType({"deep.units": ()}),
        search_space=MappingProxyType({**EMBEDDING, "num_layers": Choice((1, 2, 3, 4))}),
    ),
    ModelEntry(
        "dcn_v2_mix",
        dcn_v2_mix,
        title="DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank Systems",
        paper="arXiv 2008.13535",
        equation="3 and 4",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                **DENSE,
                "num_layers": Choice((1, 2, 3, 4)),
                "rank": Choice((16, 32, 64)),
                "num_experts": Choice((2, 4)),
            }
        ),
    ),
    ModelEntry(
        "crossmix",
        dcn_v2_mix,
        title="DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank Systems",
        paper="arXiv 2008.13535",
        equation="3 and 4",
        optimizer="row_wise_adagrad",
        fixed=MappingProxyType({"deep.units": ()}),
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                "num_layers": Choice((1, 2, 3, 4)),
                "rank": Choice((16, 32, 64)),
                "num_experts": Choice((2, 4)),
            }
        ),
    ),
    ModelEntry(
        "pnn",
        pnn,
        title="Product-based Neural Networks for User Response Prediction",
        paper="arXiv 1611.00144",
        equation="sections III-A to III-C",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**EMBEDDING, **DENSE, "product": Choice(("inner", "outer", "both"))}),
    ),
    ModelEntry(
        "xdeepfm",
        xdeepfm,
        title="xDeepFM: Combining Explicit and Implicit Feature Interactions for Recommender Systems",
        paper="arXiv 1803.05170",
        equation="6, 7 and 15",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                **DENSE,
                "layer_sizes": Choice(((16,) * 2, (16,) * 3, (100,) * 2, (200,) * 3)),
            }
        ),
    ),
    ModelEntry(
        "cin",
        xdeepfm,
        title="xDeepFM: Combining Explicit and Implicit Feature Interactions for Recommender Systems",
        paper="arXiv 1803.05170",
        equation="6-8",
        optimizer="row_wise_adagrad",
        fixed=MappingProxyType({"deep.units": ()}),
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                "layer_sizes": Choice(((16,) * 2, (16,) * 3, (100,) * 2, (200,) * 3)),
            }
        ),
    ),
    ModelEntry(
        "autoint",
        autoint,
        title="AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural Networks",
        paper="arXiv 1810.11921",
        equation="5-9",
        optimizer="row_wise_adagrad",
        fixed=MappingProxyType({"deep.units": ()}),
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                "num_layers": Choice((1, 2, 3)),
                "num_heads": Choice((1, 2, 4)),
                "head_dim": Choice((8, 16, 32)),
            }
        ),
    ),
    ModelEntry(
        "autoint-plus",
        autoint,
        title="AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural Networks",
        paper="arXiv 1810.11921",
        equation="5-9 and section 5.5",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                **DENSE,
                "num_layers": Choice((1, 2, 3)),
                "num_heads": Choice((1, 2, 4)),
                "head_dim": Choice((8, 16, 32)),
            }
        ),
    ),
    ModelEntry(
        "fibinet",
        fibinet,
        title="FiBiNET: Combining Feature Importance and Bilinear feature Interaction for Click-Through Rate "
        "Prediction",
        paper="arXiv 1905.09433",
        equation="3-10",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                **DENSE,
                "mode": Choice(("all", "each", "interaction")),
                "reduction_ratio": Choice((2, 3, 5)),
            }
        ),
    ),
    ModelEntry(
        "afn",
        afn,
        title="Adaptive Factorization Network: Learning Adaptive-Order Feature Interactions",
        paper="arXiv 1909.03276",
        equation="6-8",
        optimizer="row_wise_adagrad",
        fixed=MappingProxyType({"dnn_units": ()}),
        search_space=MappingProxyType({**EMBEDDING, **DENSE, "num_neurons": Choice((64, 256, 800, 1200))}),
    ),
    ModelEntry(
        "afn-plus",
        afn,
        title="Adaptive Factorization Network: Learning Adaptive-Order Feature Interactions",
        paper="arXiv 1909.03276",
        equation="6-9",
        optimizer="row_wise_adagrad",
        search_space=MappingProxyType({**EMBEDDING, **DENSE, "num_neurons": Choice((64, 256, 800, 1200))}),
    ),
)
