"""Refuses models that would not fit into memory before they are made."""

from __future__ import annotations

import contextlib
import math
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from dynctr_tf.stack import shape_of_new_variable
from dynctr_tf.training.memory import virtual_memory_mib

_GIB = 1024.0**3


def available_memory_bytes() -> float:
    """The memory that the machine, the control group and this process' own limit leave; `inf` if unknown."""
    found = [math.inf]
    if (information := Path("/proc/meminfo")).exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024.0)
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        files = [Path("/sys/fs/cgroup") / name for name in (limit, used)]
        if all(file.exists() for file in files):
            most, now = (file.read_text(encoding="utf-8").strip() for file in files)
            if most.isdigit() and now.isdigit():
                found.append(float(int(most) - int(now)))
    own = resource.getrlimit(resource.RLIMIT_AS)[0]
    if own != resource.RLIM_INFINITY and not math.isnan(taken := virtual_memory_mib()):
        found.append(own - taken * 1024.0**2)
    return max(0.0, min(found))


@contextlib.contextmanager
def refuse_weights_that_do_not_fit(slots: int = 2, available: float | None = None) -> Iterator[None]:
    """Within it, a variable is refused before it is made if the weights with their training would not fit into memory.

    Use it around the building of a model whose sizes come from a person. It counts what training needs at the least:
    each weight and the numbers that the optimizer keeps for it. It counts only variables that this process holds: use
    it without a strategy that spreads them.

    Args:
        slots: Numbers that the optimizer keeps for each weight. Default 2, those of Adam and FTRL.
        available: The available bytes. Default `None`: what the system has left when the block begins.

    Raises:
        ValueError: They would not fit, with the sizes of the largest variable, of all and of the memory.

    Cost: one look at each variable's shape.
    """
    limit = available_memory_bytes() if available is None else available
    total = 0.0

    def create(next_creator: Any, **arguments: Any) -> Any:
        nonlocal total
        shape = shape_of_new_variable(arguments)
        if shape is not None:
            dtype = tf.as_dtype(arguments.get("dtype") or tf.float32)
            size = math.prod(float(part) for part in shape) * dtype.size
            total += size
            if total * (1 + slots) > limit:
                raise ValueError(_too_large(arguments, shape, size, total, slots, limit))
        return next_creator(**arguments)

    with tf.variable_creator_scope(create):
        yield


def _too_large(
    arguments: Mapping[str, Any], shape: tuple[int, ...], size: float, total: float, slots: int, limit: float
) -> str:
    rows = " x ".join(f"{part:,}" for part in shape)
    kept = f", and with the numbers that the optimizer keeps of each {_gib(total * (1 + slots))}" if slots else ""
    return (
        f"The model does not fit into memory: {arguments.get('name') or 'a variable'} ({rows}) alone takes "
        f"{_gib(size)}, the weights up to it {_gib(total)}{kept}; {_gib(limit)} are available. Make embedding.dim or "
        "deep.units smaller, or keep fewer ids (min_count, max_size, embedding.num_keys)."
    )


def _gib(size: float) -> str:
    return f"{size / _GIB:,.1f} GiB"
