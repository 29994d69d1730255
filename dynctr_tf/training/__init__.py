"""Fitting models: seeds, rounds of steps with exact validation, early stopping, resume, several devices or machines."""

from dynctr_tf.training.fit import NonFiniteLossError, TrainingResult, predict_logits, train
from dynctr_tf.training.memory import peak_memory_mib
from dynctr_tf.training.reproducibility import machine_record, set_seed
from dynctr_tf.training.steps import StepPlan, plan_steps
from dynctr_tf.training.strategies import (
    STRATEGIES,
    BytesPerStep,
    Cluster,
    bytes_per_step,
    make_strategy,
    prepare_for_tpu,
    read_cluster,
    serve_chief,
)
from dynctr_tf.training.training_log import TrainingLog, Validation

__all__ = [
    "STRATEGIES",
    "BytesPerStep",
    "Cluster",
    "NonFiniteLossError",
    "StepPlan",
    "TrainingLog",
    "TrainingResult",
    "Validation",
    "bytes_per_step",
    "machine_record",
    "make_strategy",
    "peak_memory_mib",
    "predict_logits",
    "plan_steps",
    "prepare_for_tpu",
    "read_cluster",
    "serve_chief",
    "set_seed",
    "train",
]
