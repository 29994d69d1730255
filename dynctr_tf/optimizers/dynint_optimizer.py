"""The optimizer of the papers xDeepInt and DynInt."""

from __future__ import annotations

import math
from typing import Any

from dynctr_tf.optimizers.composite_optimizer import CompositeOptimizer
from dynctr_tf.optimizers.group_ftrl import GroupFtrl

ROWS_OF_THE_STRENGTHS = 36_672_494
"""The training rows of the author's script for Criteo: 80 % of the file."""

EMBEDDING_PATTERN = r"[^/]*embedding[^/]*/.*"
"""The variables of any layer whose name contains "embedding"."""


def dynint_optimizer(
    batch_size: int,
    *,
    learning_rate: Any = 0.02,
    beta: float = 1.0,
    l2: float = 10.0,
    l21: float = 10.0,
    rows: int | None = None,
    untouched_rows: str = "auto",
    dense_learning_rate: Any = 0.02,
    dense_l1: float = 0.1,
    dense_l2: float = 0.2,
    dense_initial_accumulator_value: float = 0.1,
    dense_initial_weights: str = "keep",
    embedding_pattern: str = EMBEDDING_PATTERN,
    name: str = "dynint_optimizer",
) -> CompositeOptimizer:
    """Makes G-FTRL for the embedding tables and FTRL for the rest, as xDeepInt and DynInt are trained.

    Use it as it is to repeat the papers at their batch size of 4096, and as the start of a search for other
    data: the learning rates of the paper's search are 1e-2 to 1e-1, and `l21` decides how many ids survive.
    All strengths are in units of a loss summed over the batch, as in the author's code, and are converted to
    Keras' mean loss by `batch_size`.

    Args:
        batch_size: The number of rows of a global batch.
        learning_rate: G-FTRL's alpha: a positive float or a `LearningRateSchedule`. Default 0.02.
        beta: G-FTRL's beta. Default 1.0.
        l2: G-FTRL's lambda_2. Default 10.0.
        l21: G-FTRL's lambda_1. Default 10.0.
        rows: The number of training rows, where `l2` and `l21` are given for the author's 36.7 million: both are
            multiplied by the square root of the ratio, for they stand against sums of gradients, whose noise grows with
            the square root of the rows. Default `None`: they are taken as they are.
        untouched_rows: As in `GroupFtrl`. Default `"auto"`.
        dense_learning_rate: FTRL's learning rate, as `learning_rate`. Default 0.02.
        dense_l1: FTRL's l1. Default 0.1.
        dense_l2: FTRL's l2, not doubled: twice the 0.1 of the author's `tf.train.FtrlOptimizer`, which doubles
            it. Default 0.2.
        dense_initial_accumulator_value: FTRL's initial accumulator, that of `tf.train.FtrlOptimizer`.
            Default 0.1.
        dense_initial_weights: As `initial_weights` of `GroupFtrl`, for FTRL. Default `"keep"`, our reading: with
            `"forget"`, TensorFlow's FTRL, which the author's code has for xDeepInt, the layers that generate are zero
            at once, and DynInt's models are static ones; see below.
        embedding_pattern: What the paths of the tables match, as in `CompositeOptimizer`.
            Default `EMBEDDING_PATTERN`: the variables of each layer whose name contains "embedding", which are
            also the few rows of the scenario embedding of `optmsm` and `star`.
        name: Name of the optimizer. Default `"dynint_optimizer"`.

    Raises:
        ValueError: As `GroupFtrl` and `CompositeOptimizer`; a number of rows below 1.

    Example:

    >>> optimizer = dynint_optimizer(batch_size=4096, l21=1.0)
    >>> [member.name for member in optimizer.members()]
    ['g_ftrl', 'ftrl']

    On other numbers of rows the author's 10 is another penalty. On 86 000 training rows of Criteo it sets 91.5 % of the
    rows of the table to zero; 0.48, which `rows=86_000` makes of it, sets 25 % to zero with an AUC of .7558, 0.1 sets
    5.5 % with .7556, and 0.02 sets 1.4 % with .7556 (DynInt-DGP, one seed, an interval of .007 on either side; with
    `dense_initial_weights="forget"`).

    On the same rows all models of DynInt trained with `"forget"` have no weight left in any layer that generates, at a
    batch of 1024 and, DynInt-DA, at the author's strengths, rates and batch of 4096 too. Mean AUC of three seeds, batch
    1024: xDeepInt .7563 with `"forget"` and .7569 with `"keep"`, DynInt-DA .7560 and .7569, DynInt-DGP .7554 and .7565,
    DynInt-DWP .7560 and .7569.

    Reference: DynInt, arXiv 2301.08139, and xDeepInt, arXiv 2301.01089, name the two optimizers and the range
    of learning rates; the numbers are those of the author's script for Criteo (github.com/yanyachen/xDeepInt,
    `xdeepint/experiment/criteo/nn1.py`), where they belong to a batch of 4096.
    """
    if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
        raise ValueError(f"batch_size must be the number of rows of a global batch, at least 1, got {batch_size!r}.")
    if rows is not None:
        if not isinstance(rows, int) or isinstance(rows, bool) or rows < 1:
            raise ValueError(f"rows must be the number of training rows, at least 1, got {rows!r}.")
        scale = math.sqrt(rows / ROWS_OF_THE_STRENGTHS)
        l2, l21 = l2 * scale, l21 * scale
    tables = GroupFtrl(
        learning_rate,
        beta=beta,
        l2=l2,
        l21=l21,
        untouched_rows=untouched_rows,
        batch_size=batch_size,
        name="g_ftrl",
    )
    rest = GroupFtrl(
        dense_learning_rate,
        l1=dense_l1,
        l2=dense_l2,
        initial_accumulator_value=dense_initial_accumulator_value,
        initial_weights=dense_initial_weights,
        batch_size=batch_size,
        name="ftrl",
    )
    return CompositeOptimizer([(embedding_pattern, tables), (".*", rest)], name=name)
