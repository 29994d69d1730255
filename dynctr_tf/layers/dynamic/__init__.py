"""Layers part of whose parameters is generated per instance."""

from dynctr_tf.layers.dynamic.dynamic_activation import DynamicActivation
from dynctr_tf.layers.dynamic.generated_parameters import GeneratedParameters
from dynctr_tf.layers.dynamic.generator import ParameterGenerator
from dynctr_tf.layers.dynamic.weighted_parameters import WeightedParameters

__all__ = ["DynamicActivation", "GeneratedParameters", "ParameterGenerator", "WeightedParameters"]
