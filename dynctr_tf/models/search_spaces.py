"""Search spaces that several models share."""

from __future__ import annotations

from types import MappingProxyType

from dynctr_tf.models.entry import Choice, LogUniform, SearchSpace
from dynctr_tf.models.parts.operation import OPERATIONS

# Under Adam the model regularises the rows of a batch; G-FTRL has its own penalties and needs 0 here.
_ROW_L2 = Choice((0.0, 1e-6, 1e-5, 1e-4, 1e-3))
EMBEDDING: SearchSpace = MappingProxyType(
    {"embedding.dim": Choice((8, 16, 32)), "embedding.row_regularizer_l2": _ROW_L2}
)
DENSE: SearchSpace = MappingProxyType(
    {
        "deep.units": Choice(tuple((width,) * depth for depth in (1, 2, 3, 4) for width in (128, 256, 400, 512, 1024))),
        "deep.dropout": Choice((0.0, 0.1, 0.2, 0.3)),
        "deep.kernel_regularizer_l2": LogUniform(1e-4, 1e-3),
    }
)
POLYNOMIAL: SearchSpace = MappingProxyType(
    {
        # The paper's 16, and 32: each number of sub-spaces divides both.
        "embedding.dim": Choice((16, 32)),
        "num_layers": Choice((1, 2, 3, 4)),
        "num_subspaces": Choice((1, 2, 4, 8, 16)),
        "embedding.row_regularizer_l2": _ROW_L2,
    }
)
GENERATOR: SearchSpace = MappingProxyType({"generator.reduction_ratio": Choice((2.0, 4.0, 8.0, 16.0))})
ORTHOGONAL: SearchSpace = MappingProxyType({"orthogonal_weight": LogUniform(1e-4, 1e-1)})
# DPN's models, whose paper has embeddings of 10.
_DPN: SearchSpace = MappingProxyType({"embedding.dim": Choice((10, 16, 32)), "embedding.row_regularizer_l2": _ROW_L2})
_KERNELS = Choice((2, 4, 8))
FIELD_OPERATION: SearchSpace = MappingProxyType({**_DPN, "num_kernels": _KERNELS})
TOWER: SearchSpace = MappingProxyType(
    {
        **_DPN,
        **DENSE,
        "operation.kind": Choice(OPERATIONS),
        "operation.num_kernels": _KERNELS,
        "operation.rank": Choice((16, 32)),
    }
)
HISTORY: SearchSpace = MappingProxyType(
    {
        **_DPN,
        "deep.units": Choice(((80, 40), (200, 80), (400, 400, 400))),
        "deep.dropout": Choice((0.0, 0.1, 0.2, 0.3)),
        "history.num_kernels": _KERNELS,
        "history.kernel_size": Choice((3, 5, 7)),
        "history.convolution_kind": Choice(("full", "depthwise", "separable")),
        "history.context_kind": Choice(("none", "convolution", "separable")),
    }
)
# Of APG's layers; ranks and inner widths as shares of the smaller side, since the widths of layers are searched too.
ADAPTIVE: SearchSpace = MappingProxyType(
    {
        "adaptive.rank": Choice(("auto", 0.02, 0.04, 0.08)),
        "adaptive.over_parameterisation": Choice((None, 0.1, 0.2, 0.4)),
        "adaptive.dynamic_bias": Choice((False, True)),
        "adaptive.identity_start": Choice((False, True)),
    }
)
# The models of scenarios are compared at equal effort: each searches one width of its shared part, one of its towers.
WIDTHS = Choice(((64,), (128, 64), (256, 128)))
TOWERS = Choice(((), (32,), (64, 32)))
TRAINED: SearchSpace = MappingProxyType({**EMBEDDING, "deep.dropout": DENSE["deep.dropout"]})
NETWORK: SearchSpace = MappingProxyType({**TRAINED, "deep.units": Choice(((64, 32), (128, 64), (256, 128, 64)))})
EXPERTS: SearchSpace = MappingProxyType({**TRAINED, "expert_units": WIDTHS, "tower_units": TOWERS})
