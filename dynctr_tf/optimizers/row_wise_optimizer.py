"""The default optimizer of the deep and the dynamic models."""

from __future__ import annotations

from typing import Any

from dynctr_tf.optimizers.composite_optimizer import CompositeOptimizer
from dynctr_tf.optimizers.dynint_optimizer import EMBEDDING_PATTERN
from dynctr_tf.optimizers.lazy_adam import LazyAdam
from dynctr_tf.optimizers.row_wise_adagrad import RowWiseAdagrad


def row_wise_optimizer(
    learning_rate: Any = 0.02,
    *,
    initial_accumulator_value: float = 0.0,
    first_order_factor: float = 0.1,
    weight_decay: float | None = None,
    dense_learning_rate: Any = 0.001,
    dense_beta_1: float = 0.9,
    dense_beta_2: float = 0.999,
    dense_epsilon: float = 1e-7,
    dense_weight_decay: float | None = None,
    dense_clipnorm: float | None = None,
    embedding_pattern: str = EMBEDDING_PATTERN,
    name: str = "row_wise_optimizer",
) -> CompositeOptimizer:
    """Makes row-wise Adagrad for the embedding tables and Adam for the rest.

    Use it first for any model with embedding tables. It was better than `LazyAdam` and than dense Adam on Criteo and
    Avazu rows with every model that was tried, and it has the least state: one number per row.

    Args:
        learning_rate: The tables' rate: a positive float or a `LearningRateSchedule`. 0.01 to 0.02 suit embeddings; a
            factorization machine alone wants more, up to 0.1. Default 0.02.
        initial_accumulator_value: As in `RowWiseAdagrad`. Default 0.0.
        first_order_factor: As in `RowWiseAdagrad`. Default 0.1.
        weight_decay: The decay of touched rows. Default `None`: none.
        dense_learning_rate: Adam's learning rate, as `learning_rate`. Default 0.001.
        dense_beta_1: Adam's decay of the first moment. Default 0.9.
        dense_beta_2: Adam's decay of the second moment. Default 0.999.
        dense_epsilon: Adam's epsilon. Default 1e-7.
        dense_weight_decay: The decay of the dense weights, biases included. Default `None`: none.
        dense_clipnorm: The greatest norm of the gradient of all dense weights together. Default `None`: no limit.
        embedding_pattern: What the paths of the tables match, as in `CompositeOptimizer`.
            Default `EMBEDDING_PATTERN`: the variables of each layer whose name contains "embedding".
        name: Name of the optimizer. Default `"row_wise_optimizer"`.

    Raises:
        ValueError: As `RowWiseAdagrad`, `LazyAdam` and `CompositeOptimizer`.

    Example:

    >>> [member.name for member in row_wise_optimizer(0.01).members()]
    ['row_wise_adagrad', 'adam']

    Reference: as `RowWiseAdagrad` and `LazyAdam`, which is Adam for dense weights.
    """
    tables = RowWiseAdagrad(
        learning_rate,
        initial_accumulator_value=initial_accumulator_value,
        first_order_factor=first_order_factor,
        weight_decay=weight_decay,
    )
    rest = LazyAdam(
        dense_learning_rate,
        beta_1=dense_beta_1,
        beta_2=dense_beta_2,
        epsilon=dense_epsilon,
        weight_decay=dense_weight_decay,
        global_clipnorm=dense_clipnorm,
        name="adam",
    )
    return CompositeOptimizer([(embedding_pattern, tables), (".*", rest)], name=name)
