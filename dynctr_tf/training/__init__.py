"""Fitting models: seeds, rounds of steps with exact validation, early stopping, resume, several devices or machines."""

from dynctr_tf.training.best_weights import load_best_weights
from dynctr_tf.training.carry_over import carry_over, indexed_features
from dynctr_tf.training.cluster import Cluster, read_cluster
from dynctr_tf.training.expire_keys import ExpireKeys
from dynctr_tf.training.field_vectors import LoadedVectors, field_vectors, fields_with_vectors, load_field_vectors
from dynctr_tf.training.fit import NonFiniteLossError, TrainingResult, predict_logits, restore_training, train
from dynctr_tf.training.memory import peak_memory_mib
from dynctr_tf.training.reproducibility import machine_record, set_seed
from dynctr_tf.training.steps import StepPlan, plan_steps
from dynctr_tf.training.strategies import STRATEGIES, make_strategy
from dynctr_tf.training.tpu import prepare_for_tpu
from dynctr_tf.training.traffic import BytesPerStep, bytes_per_step
from dynctr_tf.training.training_log import TrainingLog, Validation
from dynctr_tf.training.workers import serve_chief

__all__ = [
    "STRATEGIES",
    "BytesPerStep",
    "Cluster",
    "ExpireKeys",
    "LoadedVectors",
    "NonFiniteLossError",
    "StepPlan",
    "TrainingLog",
    "TrainingResult",
    "Validation",
    "bytes_per_step",
    "carry_over",
    "field_vectors",
    "fields_with_vectors",
    "indexed_features",
    "load_best_weights",
    "load_field_vectors",
    "machine_record",
    "make_strategy",
    "peak_memory_mib",
    "predict_logits",
    "plan_steps",
    "prepare_for_tpu",
    "read_cluster",
    "restore_training",
    "serve_chief",
    "set_seed",
    "train",
]
