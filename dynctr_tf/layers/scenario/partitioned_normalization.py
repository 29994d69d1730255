"""STAR's partitioned normalisation: each scenario has statistics, a scale and a shift of its own."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.embedding.scenario_indices import check_scenarios, checked_scenario
from dynctr_tf.layers.scenario.scenario_rows import (
    gather_rows,
    table_rows,
    with_mean_row,
)


@stack.serializable
class PartitionedNormalization(stack.ScenarioLayer):
    """Batch normalisation whose statistics are those of the rows of the same scenario.

    Use it in front of `StarTowers`, or of any dense part, where the scenarios' inputs lie at different places.

    `y = (x - mu_s) / sqrt(var_s + epsilon) * (gamma * gamma_s) + (beta + beta_s)`, mean and variance over the rows of
    scenario s in the batch, moving averages of them when serving. In training, a scenario that has fewer than two rows
    in a batch is normalised by its moving averages, and leaves these as they are.

    The moving averages are plain means of the batches met so far until `momentum` keeps less than those would. From
    zeros and ones, as in `keras.layers.BatchNormalization`, embeddings of a standard deviation of 0.03 would be served
    eight times too small after 200 batches.

    Args:
        num_scenarios: Number of scenarios, the missing (0) and the unknown one (1) included.
        momentum: What the moving averages keep at each step, at most. Default 0.99.
        epsilon: Added to the variance. Default 0.001.
        unknown: What rows of scenario 0 and 1 get: `"mean"`, the statistics of all rows, and the mean scale and shift
            of the real scenarios; `"error"`, an `InvalidArgumentError` while running. Default `"mean"`.

    Call arguments:
        inputs: x, float.
        scenario: The index of each row's scenario, int.
        training: Whether the statistics are those of the batch. Default `None`: they are not.

    Input shape:
        `(batch, n)`; scenario `(batch,)`.

    Output shape:
        `(batch, n)`.

    Raises:
        ValueError: Fewer than three scenarios, an unknown choice, numbers out of range, or inputs of another rank. A
            scenario that does not exist is an `InvalidArgumentError` while running, except where XLA or TFLite runs the
            layer.

    Cost: with S real scenarios `2 * (S + 1) * n` trained parameters, as many moving averages and S + 1 counts;
    about `10 * n` operations per row, in float32.

    Example:

    >>> import tensorflow as tf
    >>> layer = PartitionedNormalization(num_scenarios=4)
    >>> x = tf.constant([[1.0], [3.0], [10.0], [30.0]])
    >>> layer(x, tf.constant([2, 2, 3, 3]), training=True).numpy().round(2).tolist()
    [[-1.0], [1.0], [-1.0], [1.0]]

    Reference:
        Sheng et al., STAR, CIKM 2021, arXiv 2101.11427, equations of partitioned normalization. What happens to
        scenarios of few rows and to unknown ones, and how the moving averages start, is our choice.
    """

    def __init__(
        self,
        num_scenarios: int,
        momentum: float = 0.99,
        epsilon: float = 0.001,
        unknown: str = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_real = check_scenarios(self.name, num_scenarios, unknown)
        if not 0 <= momentum < 1 or epsilon <= 0:
            raise ValueError(
                f"momentum must lie in [0, 1) and epsilon be above 0, got momentum={momentum}, epsilon={epsilon}."
            )
        self.num_scenarios = int(num_scenarios)
        self.momentum = momentum
        self.epsilon = epsilon
        self.unknown = unknown

    def build_weights(self, inputs_shape: tuple[Any, ...], scenario_shape: tuple[Any, ...] | None) -> None:
        if len(inputs_shape) != 2 or inputs_shape[-1] is None:
            raise ValueError(
                f"{self.name} takes inputs (batch, n) of known width and a scenario index (batch,), got "
                f"{inputs_shape}; flatten a field map first with keras.layers.Flatten()."
            )
        width = int(inputs_shape[-1])
        shapes: dict[str, tuple[int, ...]] = {"gamma": (width,), "beta": (width,)}
        shapes |= {"scenario_gamma": (self.num_real, width), "scenario_beta": (self.num_real, width)}
        self.parameters = {
            name: self.add_weight(
                name=name,
                shape=shape,
                initializer="ones" if "gamma" in name else "zeros",
                trainable=True,
                **stack.uncast_weight_options(),
            )
            for name, shape in shapes.items()
        }
        # Row 0 is that of all rows together, and then of rows of an unknown scenario.
        moving_shape = (self.num_real + 1, width)
        self.moving_mean = stack.add_moving_average(self, "moving_mean", moving_shape, "zeros")
        self.moving_variance = stack.add_moving_average(self, "moving_variance", moving_shape, "ones")
        # The batches that each scenario's averages have been moved by.
        self.moving_count = stack.add_moving_average(self, "moving_count", (self.num_real + 1, 1), "zeros")

    def call(self, inputs: tf.Tensor, scenario: tf.Tensor | None = None, training: bool | None = None) -> tf.Tensor:
        rows = table_rows(checked_scenario(self.name, scenario, self.num_scenarios, self.unknown))
        x = stack.widened(inputs)
        mean, variance = stack.widened(self.moving_mean), stack.widened(self.moving_variance)
        if training:
            mean, variance = self._batch_statistics(x, rows, mean, variance)
        unit = (x - gather_rows(mean, rows)) * tf.math.rsqrt(gather_rows(variance, rows) + self.epsilon)
        own = {
            name: gather_rows(with_mean_row(stack.widened(self.parameters[f"scenario_{name}"])), rows)
            for name in ("gamma", "beta")
        }
        scale = stack.widened(self.parameters["gamma"]) * own["gamma"]
        return tf.cast(unit * scale + stack.widened(self.parameters["beta"]) + own["beta"], inputs.dtype)

    def _batch_statistics(
        self, x: tf.Tensor, rows: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Gives the statistics that each scenario is normalised with, and moves the averages."""
        # Each row counts for its own scenario, and for row 0, all of them.
        counted = tf.concat([rows, tf.zeros_like(rows)], axis=0)
        # A row of an unknown scenario would count for row 0 twice.
        once = tf.concat([tf.cast(rows > 0, x.dtype), tf.ones_like(rows, x.dtype)], axis=0)[:, tf.newaxis]
        twice = tf.concat([x, x], axis=0)
        count = tf.math.unsorted_segment_sum(once, counted, self.num_real + 1)  # (scenarios, 1)
        sums = tf.math.unsorted_segment_sum(once * twice, counted, self.num_real + 1)
        found_mean = tf.math.divide_no_nan(sums, count)
        squares = tf.square(twice - tf.gather(found_mean, counted))
        found = tf.math.divide_no_nan(tf.math.unsorted_segment_sum(once * squares, counted, self.num_real + 1), count)
        enough = count >= 2
        met = stack.widened(self.moving_count)
        keep = tf.where(enough, tf.minimum(self.momentum, met / (met + 1.0)), 1.0)
        self.moving_count.assign(met + tf.cast(enough, met.dtype))
        self.moving_mean.assign(keep * mean + (1.0 - keep) * tf.stop_gradient(found_mean))
        self.moving_variance.assign(keep * variance + (1.0 - keep) * tf.stop_gradient(found))
        return tf.where(enough, found_mean, mean), tf.where(enough, found, variance)

    def compute_output_shape(self, inputs_shape: Any, scenario_shape: Any = None) -> tuple[Any, ...]:
        return tuple(inputs_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_scenarios": self.num_scenarios,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "unknown": self.unknown,
        }
