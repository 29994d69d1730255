"""Optimizers whose step costs what the touched rows cost, and one that joins several."""

from dynctr_tf.optimizers.adam import Adam
from dynctr_tf.optimizers.composite_optimizer import Assignment, CompositeOptimizer
from dynctr_tf.optimizers.dynint_optimizer import EMBEDDING_PATTERN, dynint_optimizer
from dynctr_tf.optimizers.group_ftrl import GroupFtrl
from dynctr_tf.optimizers.lazy_adam import LazyAdam
from dynctr_tf.optimizers.rate_schedule import RateSchedule
from dynctr_tf.optimizers.registry import (
    OPTIMIZERS,
    OptimizerEntry,
    describe_optimizers,
    make_optimizer,
    optimizer_entry,
    optimizer_names,
)
from dynctr_tf.optimizers.row_wise_adagrad import RowWiseAdagrad
from dynctr_tf.optimizers.row_wise_optimizer import row_wise_optimizer
from dynctr_tf.optimizers.sparse_adagrad import SparseAdagrad
from dynctr_tf.optimizers.sparse_optimizer import SparseOptimizer, sum_repeated_ids

__all__ = [
    "EMBEDDING_PATTERN",
    "OPTIMIZERS",
    "Adam",
    "Assignment",
    "CompositeOptimizer",
    "GroupFtrl",
    "LazyAdam",
    "OptimizerEntry",
    "RateSchedule",
    "RowWiseAdagrad",
    "SparseAdagrad",
    "SparseOptimizer",
    "describe_optimizers",
    "dynint_optimizer",
    "make_optimizer",
    "optimizer_entry",
    "optimizer_names",
    "row_wise_optimizer",
    "sum_repeated_ids",
]
