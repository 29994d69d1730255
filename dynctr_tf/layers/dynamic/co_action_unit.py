"""The co-action unit of CAN: one feature's row of a table is a small network that reads another feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from dynctr_tf import stack


@stack.serializable
class CoActionUnit(stack.ConditionedLayer):
    """Applies to each value of a history a micro-perceptron whose weights are the target item's.

    Use it to let pairs of ids, such as target and clicked item, have a product of their own without a table of pairs.
    The condition is the target's row of a wide embedding table; `parameter_count` says how wide.

    For each order o: `h_0 = x ** o`, `h_l = tanh(h_(l-1) W_l)`, without tanh in the last layer, no biases; the outputs
    of all layers and orders side by side, summed over time.

    Args:
        units: Widths of the layers. Default `(8, 4)`.
        num_orders: Powers 1 to `num_orders` of the inputs. Default 3.
        independent_orders: Whether each order has weights of its own. Default `False`.

    Call arguments:
        inputs: x, the values, float.
        condition: The weights, float: the W_l row by row, one after the other, for each order with weights of its own.
        mask: bool, `True` where there is a value. Default `None`: everywhere.

    Input shape:
        `(batch, t, n)`, or `(batch, n)` for a single value; condition `(batch, parameter_count(n))`, mask `(batch, t)`.

    Output shape:
        `(batch, num_orders * sum(units))`.

    Raises:
        ValueError: Numbers below 1, a condition of another width, or tensors of another rank.

    Cost: no parameters of its own; `num_orders * parameter_count(n)` multiply-adds per value.

    Example:

    >>> import tensorflow as tf
    >>> unit = CoActionUnit((4, 2), num_orders=2)
    >>> unit(tf.ones((3, 5, 6)), tf.ones((3, unit.parameter_count(6)))).shape
    TensorShape([3, 12])

    Reference:
        Bian et al., CAN: Feature Co-Action for Click-Through Rate Prediction, WSDM 2022, arXiv 2011.05625, equations 3
        to 5; activations and what is put side by side as in its code.
    """

    def __init__(
        self, units: Sequence[int] = (8, 4), num_orders: int = 3, independent_orders: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not units or any(width < 1 for width in units) or num_orders < 1:
            raise ValueError(
                "There must be one or more widths of at least 1, and num_orders of at least 1, got "
                f"units={tuple(units)}, num_orders={num_orders}."
            )
        self.units = tuple(int(width) for width in units)
        self.num_orders = int(num_orders)
        self.independent_orders = independent_orders

    def parameter_count(self, width: int) -> int:
        """Returns how many numbers the condition has.

        Args:
            width: Width n of the inputs.
        """
        widths = [width, *self.units]
        one = sum(a * b for a, b in zip(widths[:-1], widths[1:], strict=True))
        return one * (self.num_orders if self.independent_orders else 1)

    def build_weights(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        shape = condition_shape or ()
        if len(inputs_shape) not in (2, 3) or inputs_shape[-1] is None or len(shape) != 2:
            raise ValueError(
                f"{self.name} takes values (batch, t, n) or (batch, n) and a condition (batch, parameters), got "
                f"{inputs_shape} and {condition_shape}."
            )
        needed = self.parameter_count(int(inputs_shape[-1]))
        if shape[-1] != needed:
            raise ValueError(
                f"The micro-network {(inputs_shape[-1], *self.units)} of {self.name} has {needed} weights, "
                f"got a condition of width {shape[-1]}."
            )

    def call(self, inputs: tf.Tensor, condition: tf.Tensor | None = None, mask: Any = None) -> tf.Tensor:
        if condition is None:
            raise ValueError(f"{self.name} takes values and a condition; got no condition.")
        x = inputs if inputs.shape.rank == 3 else inputs[:, tf.newaxis, :]
        weights = tf.cast(condition, x.dtype)
        widths = [x.shape[-1], *self.units]
        start, outputs, power = 0, [], tf.ones_like(x)
        for _ in range(self.num_orders):
            power = power * x
            start = start if self.independent_orders else 0
            hidden = power
            for index, (width, units) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
                kernel = tf.reshape(weights[:, start : start + width * units], [-1, width, units])
                start += width * units
                hidden = tf.matmul(hidden, kernel)  # (batch, t, units)
                hidden = hidden if index == len(self.units) - 1 else tf.tanh(hidden)
                outputs.append(hidden)
        y = tf.concat(outputs, axis=-1)
        present = stack.given_mask(mask)
        if present is not None and inputs.shape.rank == 3:
            y = tf.where(present[:, :, tf.newaxis], y, tf.zeros_like(y))
        return tf.reduce_sum(y, axis=1)

    def compute_output_shape(self, inputs_shape: Any, condition_shape: Any = None) -> tuple[Any, ...]:
        return (inputs_shape[0], self.num_orders * sum(self.units))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "num_orders": self.num_orders,
            "independent_orders": self.independent_orders,
        }
