"""Measures one step of a layer or a small model in this process: milliseconds and the memory that it adds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from dynctr_tf.stack import raw_variable
from dynctr_tf.training.memory import give_back_memory, peak_memory_mib
from pipelines.benchmarks import workload


def training_step(layer: Any, apply: Callable[[], tf.Tensor], inputs: Sequence[tf.Tensor] = ()) -> Callable[[], Any]:
    """One step of a layer: forward, and backward to its weights.

    Args:
        layer: A layer that is built.
        apply: Gives its output.
        inputs: Tensors that the gradient goes back to as well. Default none.
    """

    @tf.function
    def step() -> list[Any]:
        with tf.GradientTape() as tape:
            tape.watch(list(inputs))
            loss = tf.reduce_mean(tf.square(apply()))
        return tape.gradient(loss, [*inputs, *(raw_variable(weight) for weight in layer.trainable_weights)])

    return step


def time_and_memory(step: Callable[[], Any], steps: int) -> dict[str, float]:
    """Milliseconds of a step, and the MiB by which steps raise the peak memory of this process."""
    taken: list[float] = []
    added = added_peak_mib(lambda: taken.append(workload.seconds_of(step, steps)))
    return {"step_ms": 1e3 * taken[0], "added_peak_mib": added}


def added_peak_mib(call: Callable[[], Any]) -> float:
    """The MiB by which a call raises the peak resident memory of this process.

    On Linux it first resets the peak and returns free memory to the system, so that neither hides what the call takes.
    TensorFlow's own allocator returns nothing and must be off (`pipelines.benchmarks.contenders.MEMORY_ENVIRONMENT`).
    Elsewhere a call that stays below the former peak adds 0.
    """
    give_back_memory()
    forget = Path("/proc/self/clear_refs")
    if forget.exists():
        forget.write_text("5", encoding="ascii")
    before = peak_memory_mib()
    call()
    return peak_memory_mib() - before
