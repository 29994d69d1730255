"""Dense parts, a gate on hidden layers, and the sum that makes the logit."""

from dynctr_tf.layers.dense.batch_normalization import BatchNormalization
from dynctr_tf.layers.dense.dense import Dense
from dynctr_tf.layers.dense.expert_mixture import ExpertMixture
from dynctr_tf.layers.dense.hidden_gate import HiddenGate
from dynctr_tf.layers.dense.logit_sum import LogitSum
from dynctr_tf.layers.dense.mlp import MLP
from dynctr_tf.layers.dense.parallel_mlp import ParallelMLP
from dynctr_tf.layers.dense.residual_unit import ResidualUnit
from dynctr_tf.layers.dense.stop_gradient import StopGradient

__all__ = [
    "BatchNormalization",
    "Dense",
    "ExpertMixture",
    "HiddenGate",
    "LogitSum",
    "MLP",
    "ParallelMLP",
    "ResidualUnit",
    "StopGradient",
]
