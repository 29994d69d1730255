"""The rows of a step and the steps between validations, from the number of training rows."""

from __future__ import annotations

import dataclasses
import math

_LEAST_BATCH, _MOST_BATCH = 64, 4096
_STEPS_PER_EPOCH = 100
_FEW_STEPS = 300


@dataclasses.dataclass(frozen=True)
class StepPlan:
    """The steps of a training. Made by `plan_steps`.

    Attributes:
        rows: Training rows.
        batch_size: Rows per step, over all replicas.
        steps_per_epoch: Steps that read each row once.
        evaluate_every: Steps between validations.
        patience: Validations without a better one after which training stops; 0 for never.
        chosen: Those of these numbers that were not given, in words.
    """

    rows: int
    batch_size: int
    steps_per_epoch: int
    evaluate_every: int
    patience: int
    chosen: tuple[str, ...]

    def to_text(self) -> str:
        """Says what was chosen and why; empty where everything was given."""
        if not self.chosen:
            return ""
        return (
            f"{', '.join(self.chosen)}: {self.rows:,} training rows make {self.steps_per_epoch:,} steps an epoch of "
            f"{self.batch_size:,} rows"
        )


def plan_steps(
    rows: int,
    *,
    batch_size: int | None = None,
    evaluate_every: int | None = None,
    patience: int | None = None,
    replicas: int = 1,
) -> StepPlan:
    """Chooses batch size, steps between validations and patience, where they are not given.

    Use it where rows are few: an optimizer needs some hundred steps, and a batch that suits 40 million rows leaves two
    steps an epoch of 6,000. The batch size is the largest power of two from 64 to 4096 that leaves at least 100 steps
    an epoch, rounded up so that the replicas share it evenly. There are four validations an epoch, and training stops
    after two epochs without a better one.

    Args:
        rows: Training rows.
        batch_size: Rows per step. Default `None`: chosen.
        evaluate_every: Steps between validations. Default `None`: chosen.
        patience: Validations without a better one after which training stops; 0 for never. Default `None`: chosen.
        replicas: How many share each batch. Default 1.

    Raises:
        ValueError: No rows, or a number that is too small.

    Example:

    >>> plan = plan_steps(6_000)
    >>> plan.batch_size, plan.steps_per_epoch, plan.evaluate_every, plan.patience
    (64, 94, 24, 8)
    >>> plan_steps(46_000_000).batch_size
    4096
    """
    least = {"batch_size": 1, "evaluate_every": 1, "patience": 0}
    for name, value in (("batch_size", batch_size), ("evaluate_every", evaluate_every), ("patience", patience)):
        if value is not None and value < least[name]:
            raise ValueError(f"{name} must be at least {least[name]}, got {value}.")
    if rows < 1 or replicas < 1:
        raise ValueError(f"A training needs at least one row and one replica, got {rows} and {replicas}.")
    chosen = []
    if batch_size is None:
        whole = max(rows // _STEPS_PER_EPOCH, 1)
        batch_size = min(max(2 ** int(math.log2(whole)), _LEAST_BATCH), _MOST_BATCH)
        batch_size = math.ceil(batch_size / replicas) * replicas
        chosen.append(f"batch size {batch_size:,}")
    steps_per_epoch = math.ceil(rows / batch_size)
    if evaluate_every is None:
        evaluate_every = max(1, math.ceil(steps_per_epoch / 4))
        chosen.append(f"a validation every {evaluate_every:,} steps")
    if patience is None:
        patience = max(4, math.ceil(2 * steps_per_epoch / evaluate_every))
        chosen.append(f"patience {patience}")
    return StepPlan(rows, batch_size, steps_per_epoch, evaluate_every, patience, tuple(chosen))


def unfinished(steps: int, best_step: int, *, stopped_early: bool, epochs: int) -> str:
    """Says that a training was too short to judge, and what to do; empty if it was long enough.

    Args:
        steps: Steps that it had.
        best_step: The step of its best validation.
        stopped_early: Whether patience ended it.
        epochs: The passes over the rows that it was given.

    Example:

    >>> unfinished(282, 282, stopped_early=False, epochs=3)
    'NOTE: the training had 282 steps only and was still improving when it ended; more may help: --training.epochs 6'
    """
    found = []
    if steps < _FEW_STEPS and not stopped_early:
        found.append(f"had {steps:,} steps only")
    if best_step >= steps and not stopped_early:
        found.append("was still improving when it ended")
    if not found:
        return ""
    return f"NOTE: the training {' and '.join(found)}; more may help: --training.epochs {2 * epochs}"
