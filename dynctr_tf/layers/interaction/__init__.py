"""Static interaction layers."""

from dynctr_tf.layers.interaction.cross_network import CrossLayer
from dynctr_tf.layers.interaction.factorization_machine import FactorizationMachine
from dynctr_tf.layers.interaction.field_sum_output import FieldSumOutput
from dynctr_tf.layers.interaction.pin import PolynomialInteraction
from dynctr_tf.layers.interaction.subspace import MergeSubspaces, SplitSubspaces

__all__ = [
    "CrossLayer",
    "FactorizationMachine",
    "FieldSumOutput",
    "MergeSubspaces",
    "PolynomialInteraction",
    "SplitSubspaces",
]
