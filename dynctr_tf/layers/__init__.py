"""Keras layers: embedding, dense and interaction parts, and the dynamic layers that replace them."""

from dynctr_tf.layers.dense import MLP, LogitSum
from dynctr_tf.layers.dynamic import (
    DynamicActivation,
    GeneratedParameters,
    ParameterGenerator,
    WeightedParameters,
)
from dynctr_tf.layers.embedding import FieldEmbedding, ValuePooling
from dynctr_tf.layers.interaction import (
    CrossLayer,
    FactorizationMachine,
    FieldSumOutput,
    MergeSubspaces,
    PolynomialInteraction,
    SplitSubspaces,
)

__all__ = [
    "MLP",
    "CrossLayer",
    "DynamicActivation",
    "FactorizationMachine",
    "FieldEmbedding",
    "FieldSumOutput",
    "GeneratedParameters",
    "LogitSum",
    "MergeSubspaces",
    "ParameterGenerator",
    "PolynomialInteraction",
    "SplitSubspaces",
    "ValuePooling",
    "WeightedParameters",
]
