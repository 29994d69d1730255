"""Adaptive parameter generation (APG) in place of a dense layer: a small generated core between shared factors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.dynamic.parameter_generator import ParameterGenerator
from dynctr_tf.layers.embedding.scenario_indices import checked_indices
from dynctr_tf.nearest import unknown_name_message

_BIAS_KINDS = ("static", "dynamic", "none")
_AGGREGATORS = ("mean", "attention")
_SHARE_OF_STATIC = 0.75


def resolved_width(width: int | float, inputs: int, units: int) -> int:
    """Returns a width that may be given as a fraction of the smaller side of a layer.

    Args:
        width: A whole number, or a float in (0, 1] for that share of the smaller side, rounded up.
        inputs: Width of the layer's inputs.
        units: Width of its outputs.

    Example:

    >>> resolved_width(8, 100, 50), resolved_width(0.25, 100, 50)
    (8, 13)
    """
    return math.ceil(width * min(inputs, units)) if isinstance(width, float) else width


def affordable_rank(inputs: int, units: int, condition_width: int) -> int:
    """Returns the largest rank with which an adaptive layer has at most 3/4 of the static one's multiply-adds.

    Args:
        inputs: Width m of the layer's inputs.
        units: Width of its outputs.
        condition_width: Width n of the condition; 0 where nothing is generated.

    Returns:
        The largest K with `(m + units) K + (n + 1) K^2 <= 0.75 m units`; at least 1 and at most the smaller side.

    Example:

    >>> affordable_rank(400, 400, 400), affordable_rank(64, 400, 64), affordable_rank(400, 400, 16)
    (16, 13, 63)
    """
    half, square = (inputs + units) / 2, condition_width + 1
    rank = (math.sqrt(half**2 + square * _SHARE_OF_STATIC * inputs * units) - half) / square
    return max(1, min(int(rank), inputs, units))


def check_width(argument: str, width: Any, or_: str = "") -> None:
    """Checks a width that may be a fraction.

    Args:
        argument: Its name, for the message.
        width: Its value.
        or_: Another value that the argument takes, for the message. Default none.

    Raises:
        ValueError: It is neither a whole number of at least 1 nor a float in (0, 1].
    """
    whole = isinstance(width, int) and not isinstance(width, bool) and width >= 1
    if not whole and not (isinstance(width, float) and 0 < width <= 1):
        raise ValueError(
            f"{argument} must be a whole number of at least 1, or a float in (0, 1] for that share of the smaller "
            f"side of the layer{', or ' + or_ if or_ else ''}; got {width!r}."
        )


@stack.serializable
class AdaptiveDense(stack.ConditionedLayer):
    """A dense layer whose kernel a condition adapts to each instance.

    Use it in place of `keras.layers.Dense` in a wide hidden layer; with a small rank it is cheaper than the layer
    that it replaces. `make_adaptive` puts it into a finished model.

    `y = activation(U S(z) V x + b)`, V `(K, m)` and U `(units, K)` shared by all instances, the core S(z) `(K, K)`
    generated from the condition z. The five versions of the paper by arguments:

    * v1, the whole kernel is generated: `rank=None`.
    * v2, U, S and V are generated and multiplied to a kernel: `factor_kind="generated", materialise=True`.
    * v3, the same, applied to x one after the other: `factor_kind="generated"`.
    * v4, U and V are shared: the default.
    * v5, `U = U^l U^r` and `V = V^l V^r` with an inner width P: `over_parameterisation=P`. They are multiplied once
      a batch, so a row costs what it costs in v4; `folded_config` and `folded_weights` give the v4 layer.

    Args:
        units: Width of the output.
        rank: Width K of the core; a float is a share of the smaller side of the layer, rounded up; `None` generates
            the whole kernel. Default `"auto"`: the largest with which the layer costs at most 3/4 of the static one,
            see `affordable_rank`. A share of the smaller side leaves layers of few inputs too little: of four fields of
            16 (Amazon reviews) 4 % are a rank of 3, and with 14 and 16 the AUC was .03 higher.
        over_parameterisation: Inner width P of the shared factors, a number or a share as above. Default `None`.
        factor_kind: `"shared"` or `"generated"`. Default `"shared"`.
        materialise: Whether generated factors are multiplied to a kernel per instance first. It gives the same
            numbers at a greater cost; for comparisons. Default `False`.
        bias_kind: `"static"`, `"dynamic"` (generated with the core) or `"none"`. Default `"static"`.
        activation: Keras activation of the output. Default `None`.
        depth: Number of dense layers of the generator. Default 1.
        reduction_ratio: As `ParameterGenerator`. Default 4.0.
        hidden_dim: Width of the hidden layers of the generator, in place of the ratio. Default `None`.
        identity_start: Whether the identity is added to the generated core, so that the layer starts near the
            static one of rank K. Without it the layer starts near zero, since the embeddings that make its core are
            small then. Without effect with `rank=None`, which has no core. Default `True`.
        aggregator: How the generated numbers of several conditions become one set: `"mean"`, or `"attention"`, a
            learnt softmax over the conditions. Default `"mean"`.
        stop_gradient: Whether the condition is cut off from the gradient. Default `False`.
        num_groups: Number of groups, for a layer that has a table in place of the generator, with a row for each group.
            Its second input is then the number of the row's group, which stands for the condition of that group; the
            argument is called `condition` there too, so that both kinds are called alike. `fold` makes such layers of
            group-wise ones. Trained from the start, one has a separate core for each group. Default `None`: generated.
        kernel_initializer: Start of the factors and of the generator, a Keras initializer; each has one of its own.
            Default `"glorot_uniform"`.
        kernel_regularizer: A Keras regularizer of the shared factors. Default `None`.

    Call arguments:
        inputs: x, float.
        condition: z, float; with `num_groups` the number of a group in place of z, int32 or int64. Default: x,
            self-wise.

    Input shape:
        `(batch, m)` with a condition `(batch, n)`, or `(batch, c, n)` for c conditions; with
        `num_groups` group numbers `(batch,)`.

    Output shape:
        `(batch, units)`.

    Raises:
        ValueError: Numbers out of range, arguments that exclude each other, or tensors of another rank. A number
            that no group has is an `InvalidArgumentError` while running, except where XLA or TFLite runs the layer.

    Cost: with depth 1, v4 has `(m + units) * K + (n + 1) * K^2 + units` parameters and as many multiply-adds per
    row. v5 has `(m + units + 2 K) * P` in place of `(m + units) * K` parameters, and
    `(m + units) * P * K` multiply-adds more per batch. v3: `((m + units) * K + K^2) * (n + 2)` multiply-adds; v2
    `units * K * (K + m)` more than its generation; v1 `m * units * (n + 2)`: `HyperDense` is the same in less memory.
    With `num_groups` nothing is generated: one look-up per row, `num_groups * K^2` parameters in v4.

    Example:

    >>> import tensorflow as tf
    >>> AdaptiveDense(units=5, rank=2)(tf.ones((2, 3)), tf.ones((2, 4))).shape
    TensorShape([2, 5])

    Reference:
        Yan et al., APG: Adaptive Parameter Generation Network for Click-Through Rate Prediction, arXiv 2203.16218,
        section 3: basic model, low-rank parameterisation, decomposed feed-forwarding, parameter sharing and
        over-parameterisation. Bias, identity start and the linear output of the generator are our reading.
    """

    def __init__(
        self,
        units: int,
        rank: int | float | str | None = "auto",
        over_parameterisation: int | float | None = None,
        factor_kind: str = "shared",
        materialise: bool = False,
        bias_kind: str = "static",
        activation: Any = None,
        depth: int = 1,
        reduction_ratio: float = 4.0,
        hidden_dim: int | None = None,
        identity_start: bool = True,
        aggregator: str = "mean",
        stop_gradient: bool = False,
        num_groups: int | None = None,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"units must be at least 1, got {units}.")
        if rank is not None and rank != "auto":
            check_width("rank", rank, or_="'auto'")
        if over_parameterisation is not None:
            check_width("over_parameterisation", over_parameterisation)
        if factor_kind not in ("shared", "generated"):
            raise ValueError(unknown_name_message("kind of factors", str(factor_kind), ("shared", "generated")))
        if bias_kind not in _BIAS_KINDS:
            raise ValueError(unknown_name_message("bias", str(bias_kind), _BIAS_KINDS))
        if aggregator not in _AGGREGATORS:
            raise ValueError(unknown_name_message("aggregator", str(aggregator), _AGGREGATORS))
        if rank is None and (over_parameterisation is not None or factor_kind == "generated"):
            raise ValueError(
                "rank=None generates the whole kernel: there are no factors; give a rank, or leave "
                "over_parameterisation and factor_kind as they are."
            )
        if over_parameterisation is not None and factor_kind == "generated":
            raise ValueError("over_parameterisation is of shared factors; leave it out with factor_kind='generated'.")
        if materialise and factor_kind != "generated":
            raise ValueError("materialise=True multiplies generated factors; give factor_kind='generated' with it.")
        if num_groups is not None and num_groups < 1:
            raise ValueError(
                f"num_groups must be at least 1, or None to generate from the condition; got {num_groups}."
            )
        self.units = int(units)
        self.rank = rank
        self.over_parameterisation = over_parameterisation
        self.factor_kind = factor_kind
        self.materialise = materialise
        self.bias_kind = bias_kind
        self.activation = keras.activations.get(activation)
        self.depth = depth
        self.reduction_ratio = reduction_ratio
        self.hidden_dim = hidden_dim
        self.identity_start = identity_start
        self.aggregator = aggregator
        self.stop_gradient = stop_gradient
        self.num_groups = num_groups
        if num_groups is not None:
            self.float_arguments = ("inputs",)  # beside group numbers
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def build_weights(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        if self.num_groups is not None:
            self._check_group_shapes(inputs_shape, condition_shape)
            condition_shape = (None, 1)
        condition_shape = condition_shape or inputs_shape
        ranks = (len(inputs_shape), len(condition_shape))
        if ranks not in ((2, 2), (2, 3)) or None in (inputs_shape[-1], condition_shape[-1]):
            raise ValueError(
                f"{self.name} takes inputs (batch, m) and a condition (batch, n) or (batch, c, n) of known widths, got "
                f"{inputs_shape} and {condition_shape}; flatten a field map first with keras.layers.Flatten()."
            )
        width, condition_width = inputs_shape[-1], condition_shape[-1]
        if self.rank is None:
            rank = 0
        elif isinstance(self.rank, str):
            rank = affordable_rank(width, self.units, 0 if self.num_groups is not None else condition_width)
        else:
            rank = resolved_width(self.rank, width, self.units)
        self.core_width = rank
        # What is generated per instance, in this order.
        self.generated_sizes: dict[str, int] = {"kernel": width * self.units} if self.rank is None else {}
        self.matrices: dict[str, Any] = {}
        if self.factor_kind == "generated":
            self.generated_sizes.update({"down": width * rank, "up": rank * self.units})
        elif self.rank is not None:
            if self.over_parameterisation is None:
                shapes = {"down": (width, rank), "up": (rank, self.units)}
            else:
                inner = resolved_width(self.over_parameterisation, width, self.units)
                shapes = {
                    "down_right": (width, inner),
                    "down_left": (inner, rank),
                    "up_right": (rank, inner),
                    "up_left": (inner, self.units),
                }
            self.matrices = {
                name: self.add_weight(
                    name=name,
                    shape=shape,
                    # The generator's own matrices have the numbers from 0.
                    initializer=distinct_initializer(self.kernel_initializer, 1_000 + index),
                    regularizer=self.kernel_regularizer,
                    trainable=True,
                )
                for index, (name, shape) in enumerate(shapes.items())
            }
        if self.rank is not None:
            self.generated_sizes["core"] = rank * rank
        if self.bias_kind == "dynamic":
            self.generated_sizes["bias"] = self.units
        self.static_bias = None
        if self.bias_kind == "static":
            self.static_bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros", trainable=True)
        self.attention = None
        if ranks[1] == 3 and self.aggregator == "attention":
            self.attention = self.add_weight(
                name="attention",
                shape=(condition_width, 1),
                initializer=distinct_initializer(self.kernel_initializer, 2_000),
                trainable=True,
            )
        generated = sum(self.generated_sizes.values())
        self.generator: ParameterGenerator | None = None
        self.table = None
        if self.num_groups is not None:
            self.table = self.add_weight(
                name="table",
                shape=(self.num_groups, generated),
                initializer=distinct_initializer(self.kernel_initializer, 3_000),
                trainable=True,
            )
            return
        self.generator = ParameterGenerator(
            generated,
            depth=self.depth,
            reduction_ratio=self.reduction_ratio,
            hidden_dim=self.hidden_dim,
            stop_gradient=self.stop_gradient,
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            name="generator",
        )
        self.generator.build((None, condition_width))

    def _check_group_shapes(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        if len(inputs_shape) != 2 or inputs_shape[-1] is None or condition_shape is None or len(condition_shape) != 1:
            raise ValueError(
                f"{self.name} with num_groups={self.num_groups} takes inputs (batch, m) of known width and group "
                f"numbers (batch,), got {inputs_shape} and {condition_shape}."
            )

    def generated_numbers(self, condition: tf.Tensor) -> tf.Tensor:
        """Returns all that the condition generates as one vector `(batch, generated)`, before it is cut into parts.

        Args:
            condition: z, `(batch, n)` or `(batch, c, n)`, or group numbers `(batch,)`; the layer must be built.
        """
        if self.generator is None:
            groups = checked_indices(self.name, condition, self.num_groups or 0)
            return tf.cast(tf.gather(tf.convert_to_tensor(self.table), groups), self.compute_dtype)
        if condition.shape.rank == 2:
            return self.generator(condition)
        several = self.generator(tf.reshape(condition, [-1, condition.shape[-1]]))  # (batch * c, generated)
        several = tf.reshape(several, [-1, tf.shape(condition)[1], several.shape[-1]])  # (batch, c, generated)
        if self.attention is None:
            return tf.reduce_mean(several, axis=1)
        z = tf.stop_gradient(condition) if self.stop_gradient else condition
        scores = stack.widened(tf.matmul(z, tf.cast(self.attention, z.dtype)))  # (batch, c, 1)
        return tf.reduce_sum(several * tf.cast(tf.nn.softmax(scores, axis=1), several.dtype), axis=1)

    def generate(self, condition: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns what the condition generates, by name: the core `(batch, K, K)` and what else the version has.

        Args:
            condition: z, `(batch, n)` or `(batch, c, n)`, or group numbers `(batch,)`; the layer must be built.
        """
        numbers = self.generated_numbers(condition)
        pieces = tf.split(numbers, list(self.generated_sizes.values()), axis=-1)
        parts = dict(zip(self.generated_sizes, pieces, strict=True))
        if "core" in parts:
            core = tf.reshape(parts["core"], [-1, self.core_width, self.core_width])
            parts["core"] = core + tf.eye(self.core_width, dtype=core.dtype) if self.identity_start else core
        if "down" in parts:
            parts["down"] = tf.reshape(parts["down"], [-1, self._inputs_shape[-1], self.core_width])
            parts["up"] = tf.reshape(parts["up"], [-1, self.core_width, self.units])
        if "kernel" in parts:
            parts["kernel"] = tf.reshape(parts["kernel"], [-1, self._inputs_shape[-1], self.units])
        return parts

    def shared_factors(self, dtype: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns V and U transposed, `(m, K)` and `(K, units)`, multiplied out where they are over-parameterised.

        Args:
            dtype: Data type of both; the products are taken in the type of the weights.
        """
        weights = {name: tf.convert_to_tensor(matrix) for name, matrix in self.matrices.items()}
        if self.over_parameterisation is None:
            down, up = weights["down"], weights["up"]
        else:
            # Once a batch, and then a row costs what it costs without over-parameterisation.
            down = tf.matmul(weights["down_right"], weights["down_left"])
            up = tf.matmul(weights["up_right"], weights["up_left"])
        return tf.cast(down, dtype), tf.cast(up, dtype)

    def call(self, inputs: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
        if condition is not None and self.num_groups is None:
            condition = tf.cast(condition, inputs.dtype)
        parts = self.generate(inputs if condition is None else condition)
        if self.rank is None:
            y = apply_each(inputs, parts["kernel"])
        elif self.factor_kind == "shared":
            down, up = self.shared_factors(inputs.dtype)
            y = tf.matmul(apply_core(tf.matmul(inputs, down), parts["core"]), up)
        elif self.materialise:
            # U S V of the paper, transposed because rows stand for vectors here.
            down_core = tf.matmul(parts["down"], parts["core"], transpose_b=True)  # (batch, m, K)
            y = apply_each(inputs, tf.matmul(down_core, parts["up"]))  # a kernel per instance: (batch, m, units)
        else:
            y = apply_each(apply_core(apply_each(inputs, parts["down"]), parts["core"]), parts["up"])
        if self.static_bias is not None:
            y += tf.cast(self.static_bias, y.dtype)
        elif "bias" in parts:
            y += parts["bias"]
        return self.activation(y)

    def start_from(self, kernel: Any, bias: Any = None) -> None:
        """Sets the weights so that the layer starts as a dense one, whatever the condition is.

        The generator then gives the same for every condition, and learns from there to give different cores. With a
        rank of at least the smaller side of the kernel the outputs are those of the dense layer, up to rounding; with a
        smaller rank the layer starts from the nearest kernel of that rank.

        Args:
            kernel: The kernel of the dense layer, `(inputs, units)`.
            bias: Its bias, `(units,)`. Default `None`: zeros.

        Raises:
            ValueError: The layer is not built, has other sizes, has no bias, or is over-parameterised by less than its
                rank.

        Cost: a singular value decomposition of the kernel.
        """
        if not self.built:
            raise ValueError(f"{self.name} can start from a kernel once it is built; call it first.")
        kernel = np.asarray(kernel, np.float64)
        if kernel.shape != (self._inputs_shape[-1], self.units):
            raise ValueError(
                f"{self.name} takes a kernel of shape {(self._inputs_shape[-1], self.units)}, got {kernel.shape}."
            )
        if bias is not None and self.bias_kind == "none" and np.any(np.asarray(bias)):
            raise ValueError(f"{self.name} has bias_kind='none', and cannot start from a bias.")
        parts = {"kernel": kernel, "bias": np.zeros(self.units) if bias is None else np.asarray(bias, np.float64)}
        if self.rank is not None:
            parts["core"] = np.zeros([self.core_width] * 2) if self.identity_start else np.eye(self.core_width)
            parts["down"], parts["up"] = self._factors_of(kernel)
        for name, value in self._starting_matrices(parts).items():
            self.matrices[name].assign(value.astype(np.float32))
        if self.static_bias is not None:
            self.static_bias.assign(parts["bias"].astype(np.float32))
        generated = np.concatenate([parts[name].reshape(-1) for name in self.generated_sizes]).astype(np.float32)
        if self.table is not None:
            self.table.assign(np.tile(generated, (self.num_groups or 1, 1)))
        if self.generator is not None:
            self.generator.kernels[-1].assign(np.zeros(self.generator.kernels[-1].shape, np.float32))
            self.generator.biases[-1].assign(generated)

    def _factors_of(self, kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        left, sizes, right = np.linalg.svd(kernel, full_matrices=False)
        kept = min(self.core_width, len(sizes))
        # The parts that the kernel does not need start small on one side and at zero on the other, so that they can
        # learn.
        down = np.random.default_rng(0).normal(0.0, kernel.shape[0] ** -0.5, (kernel.shape[0], self.core_width))
        up = np.zeros((self.core_width, self.units))
        down[:, :kept] = left[:, :kept] * np.sqrt(sizes[:kept])
        up[:kept] = np.sqrt(sizes[:kept])[:, np.newaxis] * right[:kept]
        return down, up

    def _starting_matrices(self, parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The static factors whose products are `down` and `up` of `parts`."""
        if not self.matrices:
            return {}
        if self.over_parameterisation is None:
            return {name: parts[name] for name in ("down", "up")}
        start = {name: np.array(tf.convert_to_tensor(matrix), np.float64) for name, matrix in self.matrices.items()}
        inner, rank = start["down_left"].shape
        if inner < rank:
            raise ValueError(
                f"{self.name} cannot start from a kernel: its over_parameterisation of {inner} is less than its rank "
                f"of {rank}."
            )
        # The first columns make the product; the others meet zeros, and keep their own start.
        start["down_right"][:, :rank] = parts["down"]
        start["down_left"] = np.eye(inner, rank)
        start["up_right"] = np.eye(rank, inner)
        start["up_left"][:rank] = parts["up"]
        return start

    def folded_config(self, num_groups: int | None = None) -> dict[str, Any]:
        """Returns the configuration of the same layer without over-parameterisation.

        Args:
            num_groups: Number of groups whose tables take the place of the generator. Default `None`: it stays.
        """
        # A share of the layer's size stays a share: it stands for the same width. What follows from the condition's
        # width does not stay where tables take its place.
        config = {**self.get_config(), "over_parameterisation": None}
        if self.rank == "auto":
            config["rank"] = self.core_width
        return config if num_groups is None else {**config, "num_groups": num_groups}

    def folded_weights(self, group_conditions: Any = None) -> list[Any]:
        """Returns the weights of the layer that `folded_config` makes, in the order of its `get_weights`.

        Args:
            group_conditions: The condition of each group, `(groups, n)`, where tables take the place of the
                generator. Default `None`: it stays.
        """
        weights = list(self.get_weights())
        if self.over_parameterisation is not None:
            down, up = self.shared_factors(stack.wide_dtype(self))
            # Four matrices come first, then the rest.
            weights = [down.numpy(), up.numpy(), *weights[4:]]
        if group_conditions is None:
            return weights
        numbers = stack.widened(self.generated_numbers(tf.cast(group_conditions, self.compute_dtype)))
        kept = (2 if self.matrices else 0) + (self.static_bias is not None)
        return [*weights[:kept], numbers.numpy()]

    def compute_output_shape(self, inputs_shape: Any, condition_shape: Any = None) -> tuple[Any, ...]:
        return (inputs_shape[0], self.units)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "rank": self.rank,
            "over_parameterisation": self.over_parameterisation,
            "factor_kind": self.factor_kind,
            "materialise": self.materialise,
            "bias_kind": self.bias_kind,
            "activation": keras.activations.serialize(self.activation),
            "depth": self.depth,
            "reduction_ratio": self.reduction_ratio,
            "hidden_dim": self.hidden_dim,
            "identity_start": self.identity_start,
            "aggregator": self.aggregator,
            "stop_gradient": self.stop_gradient,
            "num_groups": self.num_groups,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }


def apply_core(x: tf.Tensor, core: tf.Tensor) -> tf.Tensor:
    """Multiplies each row by its own core from the left: `y_i = sum_j core_ij x_j`.

    Args:
        x: `(batch, K)`.
        core: `(batch, K, K)`.

    Example:

    >>> import tensorflow as tf
    >>> apply_core(tf.constant([[1.0, 10.0]]), tf.constant([[[1.0, 2.0], [3.0, 4.0]]])).numpy().tolist()
    [[21.0, 43.0]]
    """
    # As a batched product: an elementwise product and a sum take three times as long from K = 32 on.
    return tf.squeeze(tf.matmul(x[:, tf.newaxis, :], core, transpose_b=True), axis=1)


def apply_each(x: tf.Tensor, kernels: tf.Tensor) -> tf.Tensor:
    """Multiplies each row by a kernel of its own: `y_c = sum_b x_b kernel_bc`.

    Args:
        x: `(batch, m)`.
        kernels: `(batch, m, c)`.

    Example:

    >>> import tensorflow as tf
    >>> apply_each(tf.constant([[1.0, 10.0]]), tf.constant([[[1.0, 2.0], [3.0, 4.0]]])).numpy().tolist()
    [[31.0, 42.0]]
    """
    return tf.squeeze(tf.matmul(x[:, tf.newaxis, :], kernels), axis=1)
