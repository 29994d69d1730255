"""The catalogue of models: name, function, paper, defaults, optimizer and search space of each."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.models.afm import afm
from dynctr_tf.models.afn import afn
from dynctr_tf.models.autoint import autoint
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
from dynctr_tf.models.dynamic_tower import OPERATIONS
from dynctr_tf.models.dynint import dynint
from dynctr_tf.models.factorization_machine import fm
from dynctr_tf.models.fibinet import fibinet
from dynctr_tf.models.hofm import hofm
from dynctr_tf.models.kfatt import kfatt
from dynctr_tf.models.logistic_regression import lr
from dynctr_tf.models.nfm import nfm
from dynctr_tf.models.pnn import pnn
from dynctr_tf.models.sdpn import sdpn
from dynctr_tf.models.transformer import transformer
from dynctr_tf.models.wide_deep import wide_deep
from dynctr_tf.models.xdeepfm import xdeepfm
from dynctr_tf.models.xdeepint import xdeepint
from dynctr_tf.nearest import unknown_name_message


@dataclasses.dataclass(frozen=True)
class Choice:
    """A hyper-parameter that takes one of some values.

    Args:
        values: The values.
    """

    values: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class LogUniform:
    """A hyper-parameter that is drawn uniformly on a logarithmic scale.

    Args:
        low: Smallest value, above 0.
        high: Largest value.
    """

    low: float
    high: float


SearchSpace = Mapping[str, Choice | LogUniform]


@dataclasses.dataclass(frozen=True)
class ModelEntry:
    """What the catalogue knows of a model.

    Args:
        name: Its name in configurations and reports.
        function: The function that builds it.
        title: The paper's title.
        paper: Where it is: `"arXiv ..."` or a conference.
        equation: Which equations of it the model is.
        optimizer: The kind of optimizer that it is trained with unless told otherwise: `"group_ftrl"` (G-FTRL
            on the table, FTRL on the rest) or `"lazy_adam"`.
        fixed: Options that this name stands for, such as the mode of DynInt. Default none.
        search_space: Options of the model to search. Default none.
    """

    name: str
    function: Callable[..., Any]
    title: str
    paper: str
    equation: str
    optimizer: str
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    search_space: SearchSpace = dataclasses.field(default_factory=dict)

    @property
    def defaults(self) -> dict[str, Any]:
        """The options that may be given to the model, with their defaults."""
        parameters = inspect.signature(self.function).parameters.values()
        return {
            parameter.name: parameter.default
            for parameter in parameters
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name not in (*self.fixed, "name")
        }

    def build(self, features: EncodedFeatures, **options: Any) -> Any:
        """Builds the model.

        Args:
            features: The description that the encoder gives.
            **options: Options of its function.

        Raises:
            ValueError: An option that it does not have, or a value that its function refuses.
        """
        known = self.defaults
        for option in options:
            if option not in known:
                raise ValueError(unknown_name_message(f"option of model {self.name!r}", option, known))
        return self.function(features, **self.fixed, **options, name=self.name.replace("-", "_"))


# The rows of a batch are regularised by the model under Adam; G-FTRL has penalties of its own and wants 0 here.
_ROW_L2 = Choice((0.0, 1e-6, 1e-5, 1e-4, 1e-3))
_EMBEDDING: SearchSpace = MappingProxyType({"embedding_dim": Choice((8, 16, 32)), "row_regularizer_l2": _ROW_L2})
_DENSE: SearchSpace = MappingProxyType(
    {
        "hidden_units": Choice(
            tuple((width,) * depth for depth in (1, 2, 3, 4) for width in (128, 256, 400, 512, 1024))
        ),
        "dropout": Choice((0.0, 0.1, 0.2, 0.3)),
        "kernel_regularizer_l2": LogUniform(1e-4, 1e-3),
    }
)
_POLYNOMIAL: SearchSpace = MappingProxyType(
    {
        "num_layers": Choice((1, 2, 3, 4)),
        "num_subspaces": Choice((1, 2, 4, 8, 16)),
        "row_regularizer_l2": _ROW_L2,
    }
)
_GENERATOR: SearchSpace = MappingProxyType({"reduction_ratio": Choice((2.0, 4.0, 8.0, 16.0))})
_ORTHOGONAL: SearchSpace = MappingProxyType({"orthogonal_weight": LogUniform(1e-4, 1e-1)})
OPTIMIZER_SEARCH_SPACES: Mapping[str, SearchSpace] = MappingProxyType(
    {
        # Arguments of `dynint_optimizer`: G-FTRL on the table, FTRL (dense) on the rest; penalties under a loss
        # summed over the batch.
        "group_ftrl": MappingProxyType(
            {
                "learning_rate": LogUniform(1e-2, 1e-1),
                "l2": LogUniform(1e-2, 1e1),
                "l21": LogUniform(1e-2, 1e1),
                "dense_learning_rate": LogUniform(1e-2, 1e-1),
                "dense_l1": LogUniform(1e-3, 1e0),
                "dense_l2": LogUniform(1e-3, 1e0),
            }
        ),
        # The papers search 1e-4 to 1e-3 on tens of millions of rows; smaller data, with fewer steps, wants more.
        "lazy_adam": MappingProxyType({"learning_rate": LogUniform(1e-4, 1e-2)}),
    }
)
"""For each kind of optimizer the options that a search draws, and from what."""

_DYNINT = "DynInt: Dynamic Interaction Modeling for Large-scale Click-Through Rate Prediction"

_DPN = "Dynamic Parameterized Network for CTR Prediction"
_OPERATION: SearchSpace = MappingProxyType(
    {"embedding_dim": Choice((10, 16, 32)), "num_kernels": Choice((2, 4, 8)), "row_regularizer_l2": _ROW_L2}
)
_TOWER: SearchSpace = MappingProxyType(
    {**_OPERATION, **_DENSE, "operation": Choice(OPERATIONS), "rank": Choice((16, 32))}
)
_HISTORY: SearchSpace = MappingProxyType(
    {
        **_OPERATION,
        "hidden_units": Choice(((80, 40), (200, 80), (400, 400, 400))),
        "dropout": Choice((0.0, 0.1, 0.2, 0.3)),
        "kernel_size": Choice((3, 5, 7)),
        "form": Choice(("full", "depthwise", "separable")),
        "context": Choice(("none", "convolution", "separable")),
    }
)

_ENTRIES = (
    ModelEntry(
        "lr",
        lr,
        title="Logistic regression",
        paper="none; the linear baseline of the papers",
        equation="none",
        optimizer="group_ftrl",
    ),
    ModelEntry(
        "fm",
        fm,
        title="Factorization Machines",
        paper="ICDM 2010",
        equation="1",
        optimizer="lazy_adam",
        search_space=_EMBEDDING,
    ),
    ModelEntry(
        "dnn",
        dnn,
        title="Multi-layer perceptron on embeddings",
        paper="none; the deep baseline of the papers",
        equation="none",
        optimizer="lazy_adam",
        search_space=MappingProxyType({**_EMBEDDING, **_DENSE}),
    ),
    ModelEntry(
        "dcn_v2",
        dcn_v2,
        title="DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank Systems",
        paper="arXiv 2008.13535",
        equation="1-4",
        optimizer="lazy_adam",
        search_space=MappingProxyType(
            {
                **_EMBEDDING,
                **_DENSE,
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
        optimizer="group_ftrl",
        search_space=_POLYNOMIAL,
    ),
    ModelEntry(
        "dynint-da",
        dynint,
        title=_DYNINT,
        paper="arXiv 2301.08139",
        equation="2 and 4",
        optimizer="group_ftrl",
        fixed=MappingProxyType({"mode": "da"}),
        search_space=MappingProxyType({**_POLYNOMIAL, **_GENERATOR}),
    ),
    ModelEntry(
        "dynint-dgp",
        dynint,
        title=_DYNINT,
        paper="arXiv 2301.08139",
        equation="2, 5, 7, 8 and 11",
        optimizer="group_ftrl",
        fixed=MappingProxyType({"mode": "dgp"}),
        search_space=MappingProxyType({**_POLYNOMIAL, **_GENERATOR, **_ORTHOGONAL, "rank": Choice((16, 32, 64, 128))}),
    ),
    ModelEntry(
        "dynint-dwp",
        dynint,
        title=_DYNINT,
        paper="arXiv 2301.08139",
        equation="2, 6, 9, 10 and 12",
        optimizer="group_ftrl",
        fixed=MappingProxyType({"mode": "dwp"}),
        search_space=MappingProxyType({**_POLYNOMIAL, **_GENERATOR, **_ORTHOGONAL, "rank": Choice((1, 2, 3, 4))}),
    ),
    ModelEntry(
        "dpn",
        dpn,
        title=_DPN,
        paper="arXiv 2111.04983",
        equation="3-5",
        optimizer="lazy_adam",
        search_space=MappingProxyType({**_TOWER, "contexts": Choice(("x0", "z0", "previous"))}),
    ),
    ModelEntry(
        "dpn_field",
        dpn_field,
        title=_DPN,
        paper="arXiv 2111.04983",
        equation="3",
        optimizer="lazy_adam",
        search_space=MappingProxyType(
            {
                **_OPERATION,
                "hidden_units": Choice(((100, 100), (200, 200))),
                "aggregator": Choice(("summation", "self", "attention", "concat")),
            }
        ),
    ),
    ModelEntry(
        "dymlp",
        dymlp,
        title=_DPN,
        paper="arXiv 2111.04983",
        equation="3-5, section on production",
        optimizer="lazy_adam",
        search_space=MappingProxyType({**_TOWER, "field_units": Choice((0, 2, 4))}),
    ),
    ModelEntry(
        "dyjoint",
        dyjoint,
        title=_DPN,
        paper="arXiv 2111.04983",
        equation="3-8, section on production",
        optimizer="lazy_adam",
        search_space=MappingProxyType({**_TOWER, "mode": Choice(("base", "freq"))}),
    ),
    ModelEntry(
        "sdpn",
        sdpn,
        title=_DPN,
        paper="arXiv 2111.04983",
        equation="6-8",
        optimizer="lazy_adam",
        search_space=_HISTORY,
    ),
    ModelEntry(
        "din",
        din,
        title="Deep Interest Network for Click-Through Rate Prediction",
        paper="arXiv 1706.06978",
        equation="3 and section 4.3",
        optimizer="lazy_adam",
        fixed=MappingProxyType({"homogeneous": False, "heterogeneous": False}),
        search_space=_HISTORY,
    ),
    ModelEntry(
        "din-heter",
        din,
        title=_DPN,
        paper="arXiv 2111.04983",
        equation="8, with DIN",
        optimizer="lazy_adam",
        fixed=MappingProxyType({"homogeneous": False, "heterogeneous": True}),
        search_space=_HISTORY,
    ),
    ModelEntry(
        "dien",
        dien,
        title="Deep Interest Evolution Network for Click-Through Rate Prediction",
        paper="arXiv 1809.03672",
        equation="section 4",
        optimizer="lazy_adam",
        fixed=MappingProxyType({"homogeneous": False, "heterogeneous": False}),
        search_space=_HISTORY,
    ),
    ModelEntry(
        "dien-heter",
        dien,
        title=_DPN,
        paper="arXiv 2111.04983",
        equation="8, with DIEN",
        optimizer="lazy_adam",
        fixed=MappingProxyType({"homogeneous": False, "heterogeneous": True}),
        search_space=_HISTORY,
    ),
    ModelEntry(
        "transformer",
        transformer,
        title="Attention Is All You Need",
        paper="arXiv 1706.03762",
        equation="1",
        optimizer="lazy_adam",
        fixed=MappingProxyType({"homogeneous": False, "heterogeneous": False}),
        search_space=_HISTORY,
    ),
    ModelEntry(
        "transformer-homo",
        transformer,
        title=_DPN,
        paper="arXiv 2111.04983",
        equation="6 and 7, with attention",
        optimizer="lazy_adam",
        fixed=MappingProxyType({"homogeneous": True, "heterogeneous": False}),
        search_space=_HISTORY,
    ),
    ModelEntry(
        "transformer-heter",
        transformer,
        title=_DPN,
        paper="arXiv 2111.04983",
        equation="8, with attention",
        optimizer="lazy_adam",
        fixed=MappingProxyType({"homogeneous": False, "heterogeneous": True}),
        search_space=_HISTORY,
    ),
    ModelEntry(
        "kfatt",
        kfatt,
        title="Kalman Filtering Attention for User Behavior Modeling in CTR Prediction",
        paper="NeurIPS 2020",
        equation="KFAtt-base, KFAtt-freq",
        optimizer="lazy_adam",
        fixed=MappingProxyType({"homogeneous": False, "heterogeneous": False}),
        search_space=MappingProxyType({**_HISTORY, "mode": Choice(("base", "freq"))}),
    ),
    ModelEntry(
        "afm",
        afm,
        title="Attentional Factorization Machines: Learning the Weight of Feature Interactions via Attention Networks",
        paper="arXiv 1708.04617",
        equation="3-6",
        optimizer="lazy_adam",
        search_space=MappingProxyType(
            {
                **_EMBEDDING,
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
        optimizer="lazy_adam",
        search_space=MappingProxyType({**_EMBEDDING, "order": Choice((3, 4))}),
    ),
    ModelEntry(
        "nfm",
        nfm,
        title="Neural Factorization Machines for Sparse Predictive Analytics",
        paper="arXiv 1708.05027",
        equation="3-7",
        optimizer="lazy_adam",
        search_space=MappingProxyType({**_EMBEDDING, **_DENSE}),
    ),
    ModelEntry(
        "wide_deep",
        wide_deep,
        title="Wide & Deep Learning for Recommender Systems",
        paper="arXiv 1606.07792",
        equation="3",
        optimizer="lazy_adam",
        search_space=MappingProxyType({**_EMBEDDING, **_DENSE}),
    ),
    ModelEntry(
        "deepfm",
        deepfm,
        title="DeepFM: A Factorization-Machine based Neural Network for CTR Prediction",
        paper="arXiv 1703.04247",
        equation="1-4",
        optimizer="lazy_adam",
        search_space=MappingProxyType({**_EMBEDDING, **_DENSE}),
    ),
    ModelEntry(
        "deep_crossing",
        deep_crossing,
        title="Deep Crossing: Web-Scale Modeling without Manually Crafted Combinatorial Features",
        paper="KDD 2016",
        equation="section 4",
        optimizer="lazy_adam",
        search_space=MappingProxyType({**_EMBEDDING, **_DENSE}),
    ),
    ModelEntry(
        "dcn",
        dcn,
        title="Deep & Cross Network for Ad Click Predictions",
        paper="arXiv 1708.05123",
        equation="3-5",
        optimizer="lazy_adam",
        search_space=MappingProxyType({**_EMBEDDING, **_DENSE, "num_layers": Choice((1, 2, 3, 4))}),
    ),
    ModelEntry(
        "crossnet",
        dcn,
        title="Deep & Cross Network for Ad Click Predictions",
        paper="arXiv 1708.05123",
        equation="3",
        optimizer="lazy_adam",
        fixed=MappingProxyType({"hidden_units": ()}),
        search_space=MappingProxyType({**_EMBEDDING, "num_layers": Choice((1, 2, 3, 4))}),
    ),
    ModelEntry(
        "dcn_v2_mix",
        dcn_v2_mix,
        title="DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank Systems",
        paper="arXiv 2008.13535",
        equation="3 and 4",
        optimizer="lazy_adam",
        search_space=MappingProxyType(
            {
                **_EMBEDDING,
                **_DENSE,
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
        optimizer="lazy_adam",
        fixed=MappingProxyType({"hidden_units": ()}),
        search_space=MappingProxyType(
            {
                **_EMBEDDING,
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
        optimizer="lazy_adam",
        search_space=MappingProxyType({**_EMBEDDING, **_DENSE, "product": Choice(("inner", "outer", "both"))}),
    ),
    ModelEntry(
        "xdeepfm",
        xdeepfm,
        title="xDeepFM: Combining Explicit and Implicit Feature Interactions for Recommender Systems",
        paper="arXiv 1803.05170",
        equation="6-10",
        optimizer="lazy_adam",
        search_space=MappingProxyType(
            {
                **_EMBEDDING,
                **_DENSE,
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
        optimizer="lazy_adam",
        fixed=MappingProxyType({"hidden_units": ()}),
        search_space=MappingProxyType(
            {
                **_EMBEDDING,
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
        optimizer="lazy_adam",
        fixed=MappingProxyType({"hidden_units": ()}),
        search_space=MappingProxyType(
            {
                **_EMBEDDING,
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
        optimizer="lazy_adam",
        search_space=MappingProxyType(
            {
                **_EMBEDDING,
                **_DENSE,
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
        optimizer="lazy_adam",
        search_space=MappingProxyType(
            {
                **_EMBEDDING,
                **_DENSE,
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
        optimizer="lazy_adam",
        fixed=MappingProxyType({"dnn_hidden_units": ()}),
        search_space=MappingProxyType({**_EMBEDDING, **_DENSE, "num_neurons": Choice((64, 256, 800, 1200))}),
    ),
    ModelEntry(
        "afn-plus",
        afn,
        title="Adaptive Factorization Network: Learning Adaptive-Order Feature Interactions",
        paper="arXiv 1909.03276",
        equation="6-9",
        optimizer="lazy_adam",
        search_space=MappingProxyType({**_EMBEDDING, **_DENSE, "num_neurons": Choice((64, 256, 800, 1200))}),
    ),
)

CATALOGUE: Mapping[str, ModelEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""All models, by name."""


def model_entry(name: str) -> ModelEntry:
    """Returns what the catalogue knows of a model.

    Args:
        name: Its name.

    Raises:
        ValueError: There is none of this name; the message names the nearest.

    Example:

    >>> model_entry("dynint-dgp").optimizer
    'group_ftrl'
    """
    if name not in CATALOGUE:
        raise ValueError(unknown_name_message("model", str(name), CATALOGUE))
    return CATALOGUE[name]


def build_model(name: str, features: EncodedFeatures, **options: Any) -> Any:
    """Builds a model of the catalogue.

    Use it where the name comes from a configuration; in code, call the model's function.

    Args:
        name: Its name in the catalogue.
        features: The description that the encoder gives.
        **options: Options of its function.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`, not compiled.

    Raises:
        ValueError: An unknown name or option, with the nearest known one, or a value that is refused.

    Example:

    >>> build_model("fm", EncodedFeatures.from_sizes([10, 20]), embedding_dim=4).output_shape
    (None, 1)
    """
    return model_entry(name).build(features, **options)


def describe_models() -> str:
    """Describes all models of the catalogue for a person: title, paper, optimizer, and options with types and defaults.

    Example:

    >>> print("\\n".join(describe_models().splitlines()[:3]))
    lr
      Logistic regression
      paper: none; the linear baseline of the papers
    """
    return "\n\n".join(_described(entry) for entry in CATALOGUE.values())


def _described(entry: ModelEntry) -> str:
    lines = [entry.name, f"  {entry.title}", f"  paper: {entry.paper}"]
    if entry.equation != "none":
        lines.append(f"  equations: {entry.equation}")
    lines.append(f"  optimizer: {entry.optimizer}")
    if entry.fixed:
        lines.append("  stands for: " + ", ".join(f"{name}={value!r}" for name, value in entry.fixed.items()))
    # The modules of the models have postponed annotations, so these are texts.
    parameters = inspect.signature(entry.function).parameters
    options = [(name, str(parameters[name].annotation), repr(value)) for name, value in entry.defaults.items()]
    if options:
        lines.append("  options:")
        widths = [max(len(row[column]) for row in options) for column in range(2)]
        lines += [f"    {name:{widths[0]}}  {kind:{widths[1]}}  default {value}" for name, kind, value in options]
    return "\n".join(lines)
