"""Layers part of whose parameters is generated per instance."""

from dynctr_tf.layers.dynamic.adaptive_dense import AdaptiveDense
from dynctr_tf.layers.dynamic.adaptive_mlp import AdaptiveMLP
from dynctr_tf.layers.dynamic.conditions import GroupCondition, MixCondition
from dynctr_tf.layers.dynamic.decomposed_dense import DecomposedDense
from dynctr_tf.layers.dynamic.dynamic_activation import DynamicActivation
from dynctr_tf.layers.dynamic.dynamic_convolution import DynamicConvolution
from dynctr_tf.layers.dynamic.field_operation import FieldOperation
from dynctr_tf.layers.dynamic.generated_parameters import GeneratedParameters
from dynctr_tf.layers.dynamic.generator import ParameterGenerator
from dynctr_tf.layers.dynamic.hyper_dense import HyperDense
from dynctr_tf.layers.dynamic.kernel_bank import KernelBank
from dynctr_tf.layers.dynamic.mixture_of_kernels import MixtureOfKernels
from dynctr_tf.layers.dynamic.query_operation import QueryOperation
from dynctr_tf.layers.dynamic.weighted_parameters import WeightedParameters

__all__ = [
    "AdaptiveDense",
    "AdaptiveMLP",
    "DecomposedDense",
    "DynamicActivation",
    "DynamicConvolution",
    "FieldOperation",
    "GeneratedParameters",
    "GroupCondition",
    "HyperDense",
    "KernelBank",
    "MixCondition",
    "MixtureOfKernels",
    "ParameterGenerator",
    "QueryOperation",
    "WeightedParameters",
]
