"""Fitting models: seeds, rounds of steps with exact validation, early stopping, resume."""

from dynctr_tf.training.fit import NonFiniteLossError, TrainingResult, peak_memory_mib, predict_logits, train
from dynctr_tf.training.reproducibility import set_seed
from dynctr_tf.training.training_log import TrainingLog, Validation

__all__ = [
    "NonFiniteLossError",
    "TrainingLog",
    "TrainingResult",
    "Validation",
    "peak_memory_mib",
    "predict_logits",
    "set_seed",
    "train",
]
