"""Dense parts and the sum that makes the logit."""

from dynctr_tf.layers.dense.logit_sum import LogitSum
from dynctr_tf.layers.dense.mlp import MLP
from dynctr_tf.layers.dense.residual_unit import ResidualUnit

__all__ = ["MLP", "LogitSum", "ResidualUnit"]
