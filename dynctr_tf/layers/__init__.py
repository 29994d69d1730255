"""Keras layers: embedding, dense and interaction parts, and the dynamic layers that replace them."""

from dynctr_tf.layers.dense import MLP, LogitSum
from dynctr_tf.layers.dynamic import (
    DecomposedDense,
    DynamicActivation,
    GeneratedParameters,
    HyperDense,
    KernelBank,
    MixtureOfKernels,
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
    "DecomposedDense",
    "DynamicActivation",
    "FactorizationMachine",
    "FieldEmbedding",
    "FieldSumOutput",
    "GeneratedParameters",
    "HyperDense",
    "KernelBank",
    "LogitSum",
    "MergeSubspaces",
    "MixtureOfKernels",
    "ParameterGenerator",
    "PolynomialInteraction",
    "SplitSubspaces",
    "ValuePooling",
    "WeightedParameters",
]
