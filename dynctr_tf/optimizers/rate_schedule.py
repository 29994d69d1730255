"""Learning rates that warm up, and fall along a cosine or in steps."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.nearest import unknown_name_message

SHAPES = ("constant", "cosine", "step")
"""The courses that a rate can take after its warm-up."""


@stack.serializable
class RateSchedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A learning rate that rises linearly from near 0 and then stays, or falls along a cosine or in steps.

    Use it for an optimizer, or with a peak of 1 as the common factor of a `CompositeOptimizer`. In step s, from 0,
    with t the steps since the warm-up:

        rate = peak * (s + 1) / warmup_steps                                          while s < warmup_steps
        constant: rate = peak
        cosine:   rate = peak * (end + (1 - end) * (1 + cos(pi t / decay_steps)) / 2), peak * end from decay_steps on
        step:     rate = peak * end ^ floor(t / decay_steps)

    Args:
        peak: Positive float. The rate after the warm-up. Default 1.0.
        shape: `"constant"`, `"cosine"` or `"step"`. Default `"constant"`.
        warmup_steps: Steps of the rise. Default 0.
        decay_steps: Steps of the cosine, or between two steps down. Default `None`: none, for `"constant"`.
        end: The share of the peak at the end of the cosine, or what each step down multiplies by, in [0, 1).
            Default `None`: 0 for the cosine, 0.1 for steps.

    Raises:
        ValueError: An unknown shape, a peak or a number of steps that is not positive, an end outside [0, 1).

    Example:

    >>> schedule = RateSchedule(0.1, "step", warmup_steps=2, decay_steps=10)
    >>> [round(float(schedule(step)), 3) for step in (0, 1, 2, 11, 12)]
    [0.05, 0.1, 0.1, 0.1, 0.01]

    Reference: the cosine is that of Loshchilov and Hutter, arXiv 1608.03983, without restarts.
    """

    def __init__(
        self,
        peak: float = 1.0,
        shape: str = "constant",
        warmup_steps: int = 0,
        decay_steps: int | None = None,
        end: float | None = None,
    ) -> None:
        super().__init__()
        if shape not in SHAPES:
            raise ValueError(unknown_name_message("learning-rate schedule", str(shape), SHAPES))
        if not 0 < peak < float("inf"):
            raise ValueError(f"The peak of a learning-rate schedule must be positive, got {peak!r}.")
        if warmup_steps < 0:
            raise ValueError(f"warmup_steps must be at least 0, got {warmup_steps!r}.")
        if shape != "constant" and (decay_steps is None or decay_steps < 1):
            raise ValueError(f"The schedule {shape!r} needs decay_steps of at least 1, got {decay_steps!r}.")
        if end is not None and not 0 <= end < 1:
            raise ValueError(f"end must be a share of the peak in [0, 1), got {end!r}.")
        self.peak = float(peak)
        self.shape = shape
        self.warmup_steps = int(warmup_steps)
        self.decay_steps = decay_steps
        self.end = end

    def __call__(self, step: Any) -> tf.Tensor:
        """Returns the rate of a step: what optimizers call."""
        step = tf.cast(tf.convert_to_tensor(step), tf.float32)
        since = tf.maximum(step - self.warmup_steps, 0.0)
        share = tf.ones_like(step)
        if self.shape == "cosine":
            end = self.end or 0.0
            progress = tf.minimum(since / float(self.decay_steps or 1), 1.0)
            share = end + (1.0 - end) * 0.5 * (1.0 + tf.cos(math.pi * progress))
        elif self.shape == "step":
            share = tf.pow(0.1 if self.end is None else self.end, tf.floor(since / float(self.decay_steps or 1)))
        if self.warmup_steps:
            share = tf.where(step < self.warmup_steps, (step + 1.0) / self.warmup_steps, share)
        return self.peak * share

    def get_config(self) -> dict[str, Any]:
        """Returns every argument."""
        return {
            "peak": self.peak,
            "shape": self.shape,
            "warmup_steps": self.warmup_steps,
            "decay_steps": self.decay_steps,
            "end": self.end,
        }
