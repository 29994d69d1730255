"""Some rows and columns of a field map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from dynctr_tf import stack


@stack.serializable
class FieldSelection(stack.Layer):
    """Takes some fields of a field map, or some columns of each.

    Use it to give a layer the fields of a role alone, to part sequences that were embedded together, or to cut one
    embedding into the two that a model uses an id for.

    `output = x[:, positions, start:stop]`.

    Args:
        positions: Rows to take, in this order. Default `None`: all.
        start: First column. Default 0.
        stop: Column to end before. Default `None`: the last one is taken too.

    Call arguments:
        inputs: A field map.

    Input shape:
        `(batch, fields, dim)`.

    Output shape:
        `(batch, len(positions), stop - start)`.

    Raises:
        ValueError: Positions or columns that do not exist, no position at all, or inputs of another rank.

    Cost: no parameters; one copy of what is taken.

    Example:

    >>> import tensorflow as tf
    >>> FieldSelection([2, 0])(tf.constant([[[1.0], [2.0], [3.0]]])).numpy().tolist()
    [[[3.0], [1.0]]]
    """

    def __init__(
        self, positions: Sequence[int] | None = None, start: int = 0, stop: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if positions is not None and (not positions or min(positions) < 0):
            raise ValueError(f"positions must be one or more rows from 0 on, or None for all; got {positions!r}.")
        self.positions = None if positions is None else [int(position) for position in positions]
        self.start = int(start)
        self.stop = stop

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape)
        if len(shape) != 3 or None in shape[1:]:
            raise ValueError(f"{self.name} takes a field map (batch, fields, dim) of known sizes, got {shape}.")
        if self.positions and max(self.positions) >= shape[1]:
            raise ValueError(f"There are {shape[1]} fields, got positions={self.positions}.")
        if not 0 <= self.start < (shape[2] if self.stop is None else self.stop) <= shape[2]:
            raise ValueError(f"There are {shape[2]} columns, got start={self.start}, stop={self.stop}.")
        self.built = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        x = inputs[:, :, self.start : self.stop]
        if self.positions is None:
            return x
        first, last = self.positions[0], self.positions[-1]
        if self.positions == list(range(first, last + 1)):
            return x[:, first : last + 1]
        return tf.gather(x, self.positions, axis=1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        batch, fields, dim = tuple(input_shape)
        stop = dim if self.stop is None else self.stop
        return (batch, fields if self.positions is None else len(self.positions), stop - self.start)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "positions": self.positions, "start": self.start, "stop": self.stop}
