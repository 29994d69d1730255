"""LHUC: a free vector for each scenario, user or domain scales the hidden units of a shared network."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.embedding.scenario_indices import checked_indices
from dynctr_tf.layers.scenario.scenario_rows import gather_rows


@stack.serializable
class HiddenUnitContributions(stack.ConditionedLayer):
    """Scales hidden units by free amplitudes of the group that a row belongs to (LHUC).

    Use it after a dense layer to adapt a network to scenarios at the price of one number per scenario and unit. Where
    the amplitudes should be generated from features of the user, use `GateUnit`.

    `y = 2 sigmoid(r_g) * x`, g the row's group; all r start at 0, where the layer is the identity. A group that was
    never trained, such as the unknown scenario, keeps that.

    Args:
        num_groups: Number of groups, the missing and the unknown one included.

    Call arguments:
        inputs: x, float.
        group: The number of each row's group, int, from 0 to `num_groups - 1`.

    Input shape:
        `(batch, n)`; groups `(batch,)`.

    Output shape:
        `(batch, n)`.

    Raises:
        ValueError: A number below 1, no groups, or inputs of another rank. A number that no group has is an
            `InvalidArgumentError` while running, except where XLA or TFLite runs the layer.

    Cost: `num_groups * n` parameters; n multiplications per row.

    Example:

    >>> import tensorflow as tf
    >>> HiddenUnitContributions(num_groups=3)(tf.constant([[1.0, 2.0]]), tf.constant([2])).numpy().tolist()
    [[1.0, 2.0]]

    Reference:
        Swietojanski et al., Learning Hidden Unit Contributions for Unsupervised Acoustic Model Adaptation, arXiv
        1601.02828, equations 2 and 3, with scenarios in place of speakers.
    """

    float_arguments = ("inputs",)  # beside group numbers
    condition_argument = "group"

    def __init__(self, num_groups: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if num_groups < 1:
            raise ValueError(f"num_groups must be at least 1, got {num_groups}.")
        self.num_groups = int(num_groups)

    def build(self, inputs_shape: Any, group_shape: Any = None) -> None:
        super().build(inputs_shape, group_shape)

    def build_weights(self, inputs_shape: tuple[Any, ...], group_shape: tuple[Any, ...] | None) -> None:
        if len(inputs_shape) != 2 or inputs_shape[-1] is None:
            raise ValueError(
                f"{self.name} takes inputs (batch, n) of known width and group numbers (batch,), got {inputs_shape}."
            )
        self.amplitudes = self.add_weight(
            name="amplitudes",
            shape=(self.num_groups, inputs_shape[-1]),
            initializer="zeros",
            trainable=True,
            **stack.uncast_weight_options(),
        )

    def call(self, inputs: tf.Tensor, group: tf.Tensor | None = None) -> tf.Tensor:
        if group is None:
            raise ValueError(f"{self.name} takes inputs and the number of each row's group; got no groups.")
        groups = checked_indices(self.name, tf.reshape(group, [-1]), self.num_groups)
        rows = gather_rows(tf.convert_to_tensor(self.amplitudes), groups)
        return inputs * tf.cast(2.0 * tf.sigmoid(rows), inputs.dtype)

    def compute_output_shape(self, inputs_shape: Any, group_shape: Any = None) -> tuple[Any, ...]:
        return tuple(inputs_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_groups": self.num_groups}
