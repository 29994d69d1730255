"""Layers that generate a part of their parameters for each instance."""

from dynctr_tf.layers.dynamic.adaptive_dense import AdaptiveDense
from dynctr_tf.layers.dynamic.adaptive_mlp import AdaptiveMLP
from dynctr_tf.layers.dynamic.co_action_unit import CoActionUnit
from dynctr_tf.layers.dynamic.conditions import GroupCondition, MixCondition
from dynctr_tf.layers.dynamic.decomposed_dense import DecomposedDense
from dynctr_tf.layers.dynamic.dynamic_activation import DynamicActivation
from dynctr_tf.layers.dynamic.dynamic_convolution import DynamicConvolution
from dynctr_tf.layers.dynamic.embedding_gate import EmbeddingGate
from dynctr_tf.layers.dynamic.field_operation import FieldOperation
from dynctr_tf.layers.dynamic.gate_unit import GateUnit
from dynctr_tf.layers.dynamic.generated_parameters import GeneratedParameters
from dynctr_tf.layers.dynamic.generated_towers import GeneratedTowers
from dynctr_tf.layers.dynamic.generator import ParameterGenerator
from dynctr_tf.layers.dynamic.hidden_gate import HiddenGate
from dynctr_tf.layers.dynamic.hidden_unit_contributions import HiddenUnitContributions
from dynctr_tf.layers.dynamic.hyper_dense import HyperDense
from dynctr_tf.layers.dynamic.instance_tower import InstanceTower
from dynctr_tf.layers.dynamic.kernel_bank import KernelBank
from dynctr_tf.layers.dynamic.light_convolution import LightConvolution
from dynctr_tf.layers.dynamic.mask_block import MaskBlock
from dynctr_tf.layers.dynamic.mixture_of_kernels import MixtureOfKernels
from dynctr_tf.layers.dynamic.orthogonal_set import OrthogonalSet
from dynctr_tf.layers.dynamic.partitioned_normalization import PartitionedNormalization
from dynctr_tf.layers.dynamic.personalized_attention import PersonalizedAttention
from dynctr_tf.layers.dynamic.personalized_bridge import PersonalizedBridge
from dynctr_tf.layers.dynamic.personalized_mlp import PersonalizedMLP
from dynctr_tf.layers.dynamic.query_operation import QueryOperation
from dynctr_tf.layers.dynamic.scenario_embedding import ScenarioEmbedding
from dynctr_tf.layers.dynamic.separate_towers import SeparateTowers
from dynctr_tf.layers.dynamic.shared_combination import SharedCombination
from dynctr_tf.layers.dynamic.star_towers import StarTowers
from dynctr_tf.layers.dynamic.weighted_parameters import WeightedParameters

__all__ = [
    "AdaptiveDense",
    "AdaptiveMLP",
    "CoActionUnit",
    "DecomposedDense",
    "DynamicActivation",
    "DynamicConvolution",
    "EmbeddingGate",
    "FieldOperation",
    "GateUnit",
    "GeneratedParameters",
    "GeneratedTowers",
    "GroupCondition",
    "HiddenGate",
    "HiddenUnitContributions",
    "HyperDense",
    "InstanceTower",
    "KernelBank",
    "LightConvolution",
    "MaskBlock",
    "MixCondition",
    "MixtureOfKernels",
    "OrthogonalSet",
    "ParameterGenerator",
    "PartitionedNormalization",
    "PersonalizedAttention",
    "PersonalizedBridge",
    "PersonalizedMLP",
    "QueryOperation",
    "ScenarioEmbedding",
    "SeparateTowers",
    "SharedCombination",
    "StarTowers",
    "WeightedParameters",
]
