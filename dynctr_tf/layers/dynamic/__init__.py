"""Layers that generate a part of their parameters for each instance."""

from dynctr_tf.layers.dynamic.adaptive_dense import AdaptiveDense
from dynctr_tf.layers.dynamic.adaptive_mlp import AdaptiveMLP
from dynctr_tf.layers.dynamic.co_action_unit import CoActionUnit
from dynctr_tf.layers.dynamic.decomposed_dense import DecomposedDense
from dynctr_tf.layers.dynamic.dynamic_activation import DynamicActivation
from dynctr_tf.layers.dynamic.dynamic_convolution import DynamicConvolution
from dynctr_tf.layers.dynamic.dynamic_generated_parameters import DynamicGeneratedParameters
from dynctr_tf.layers.dynamic.dynamic_weighted_parameters import DynamicWeightedParameters
from dynctr_tf.layers.dynamic.field_operation import FieldOperation
from dynctr_tf.layers.dynamic.gate_unit import GateUnit
from dynctr_tf.layers.dynamic.group_condition import GroupCondition
from dynctr_tf.layers.dynamic.hyper_dense import HyperDense
from dynctr_tf.layers.dynamic.instance_tower import InstanceTower
from dynctr_tf.layers.dynamic.kernel_bank import KernelBank
from dynctr_tf.layers.dynamic.light_convolution import LightConvolution
from dynctr_tf.layers.dynamic.mask_block import MaskBlock
from dynctr_tf.layers.dynamic.mix_condition import MixCondition
from dynctr_tf.layers.dynamic.mixture_of_kernels import MixtureOfKernels
from dynctr_tf.layers.dynamic.parameter_generator import ParameterGenerator
from dynctr_tf.layers.dynamic.personalized_attention import PersonalizedAttention
from dynctr_tf.layers.dynamic.personalized_bridge import PersonalizedBridge
from dynctr_tf.layers.dynamic.personalized_mlp import PersonalizedMLP
from dynctr_tf.layers.dynamic.query_operation import QueryOperation

__all__ = [
    "AdaptiveDense",
    "AdaptiveMLP",
    "CoActionUnit",
    "DecomposedDense",
    "DynamicActivation",
    "DynamicConvolution",
    "DynamicGeneratedParameters",
    "DynamicWeightedParameters",
    "FieldOperation",
    "GateUnit",
    "GroupCondition",
    "HyperDense",
    "InstanceTower",
    "KernelBank",
    "LightConvolution",
    "MaskBlock",
    "MixCondition",
    "MixtureOfKernels",
    "ParameterGenerator",
    "PersonalizedAttention",
    "PersonalizedBridge",
    "PersonalizedMLP",
    "QueryOperation",
]
