"""OptMSM's combination of the shared and the specific information of an instance."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import FIRST_VALUE_OFFSET
from dynctr_tf.layers.embedding.scenario_indices import check_scenarios, checked_scenario
from dynctr_tf.nearest import unknown_name_message

COMBINATIONS = ("concatenate", "gate", "select", "film")


@stack.serializable
class SharedCombination(stack.MaskedLayer):
    """Makes one representation of a set of shared vectors, a specific one and the scenario.

    Use it after the encoders of scenario-enhanced learning.

    With shared vectors G_1, ..., G_K, the specific vector P and the scenario's embedding e:

    * `"concatenate"`: `[G_1; ...; G_K; P]`.
    * `"gate"`: `[sum_k a_k G_k; P]`, `a = softmax(W [P; e] + b)`.
    * `"select"`: `[G_s; P]`, the vector of the row's own scenario.
    * `"film"`: `G_s * 2 sigmoid(W P + b)`.

    Args:
        num_scenarios: Number of scenarios, the missing (0) and the unknown one (1) included.
        kind: `"concatenate"`, `"gate"`, `"select"` or `"film"`. Default `"concatenate"`.
        unknown: What stands for G_s in rows of scenario 0 and 1: `"mean"`, the mean of all G_k; `"error"`, an
            `InvalidArgumentError` while running. Default `"mean"`.
        kernel_initializer: Start of W, a Keras initializer. Default `"glorot_uniform"`.

    Call arguments:
        inputs: The list of G, P and e, float.
        scenario: The index of each row's scenario, int.

    Input shape:
        A list of `(batch, K, q)`, `(batch, p)` and `(batch, d)`; scenario `(batch,)`.

    Output shape:
        `(batch, q + p)`; `"concatenate"`: `(batch, K * q + p)`; `"film"`: `(batch, q)`.

    Raises:
        ValueError: Fewer than three scenarios, an unknown kind or choice, tensors of another rank, or a set whose size
            is not the number of real scenarios where one is to be selected. Where one is, a scenario that does not
            exist is an `InvalidArgumentError` while running, except where XLA or TFLite runs the layer.

    Cost: `"gate"` has `(p + d + 1) * K` parameters, `"film"` `(p + 1) * q`, and as many multiply-adds per row, and
    `K * q` for the weighted sum.

    Example:

    >>> import tensorflow as tf
    >>> layer = SharedCombination(num_scenarios=4, kind="select")
    >>> layer([tf.constant([[[1.0], [2.0]]]), tf.constant([[9.0]]), tf.ones((1, 3))], tf.constant([3])).numpy().tolist()
    [[2.0, 9.0]]

    Reference:
        OptMSM, arXiv 2306.13382: its abstract says that both are combined; how is our reconstruction. The default is
        the one that measured best, see `dynctr_tf.models.optmsm`.
    """

    float_arguments = ("inputs",)  # beside scenarios

    def __init__(
        self,
        num_scenarios: int,
        kind: str = "concatenate",
        unknown: str = "mean",
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_real = check_scenarios(self.name, num_scenarios, unknown)
        if kind not in COMBINATIONS:
            raise ValueError(unknown_name_message("combination", str(kind), COMBINATIONS))
        self.num_scenarios = int(num_scenarios)
        self.kind = kind
        self.unknown = unknown
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, inputs_shape: Any, scenario_shape: Any = None) -> None:
        shapes = [tuple(shape) if hasattr(shape, "__len__") else () for shape in inputs_shape]
        if [len(shape) for shape in shapes] != [3, 2, 2]:
            raise ValueError(
                f"{self.name} takes a list of shared vectors (batch, K, q), specific ones (batch, p) and embeddings "
                f"(batch, d), got {shapes}."
            )
        count, size = shapes[0][1:]
        if self.kind in ("select", "film") and count != self.num_real:
            raise ValueError(
                f"kind={self.kind!r} takes the vector of a row's own scenario: it wants one for each of the "
                f"{self.num_real} real scenarios, got {count}. Use 'gate' or 'concatenate' for a set of another size."
            )
        width, units = {
            "gate": (shapes[1][1] + shapes[2][1], count),
            "film": (shapes[1][1], size),
        }.get(self.kind, (0, 0))
        self.kernel = self.bias = None
        if units:
            self.kernel = self.add_weight(
                name="kernel", shape=(width, units), initializer=self.kernel_initializer, trainable=True
            )
            self.bias = self.add_weight(name="bias", shape=(units,), initializer="zeros", trainable=True)
        self.built = True

    def call(self, inputs: Any, scenario: tf.Tensor | None = None) -> tf.Tensor:
        shared, specific, embedding = inputs
        if self.kind == "concatenate":
            flat = tf.reshape(shared, [-1, shared.shape[1] * shared.shape[2]])
            return tf.concat([flat, specific], axis=-1)
        if self.kind == "gate":
            weights = tf.nn.softmax(self._affine(tf.concat([specific, embedding], axis=-1)))
        else:
            scenario = checked_scenario(self.name, scenario, self.num_scenarios, self.unknown)
            own = tf.one_hot(scenario - FIRST_VALUE_OFFSET, self.num_real)
            known = (scenario >= FIRST_VALUE_OFFSET)[:, tf.newaxis]
            weights = tf.where(known, own, tf.ones_like(own) / self.num_real)
        pooled = tf.reduce_sum(shared * tf.cast(weights, shared.dtype)[:, :, tf.newaxis], axis=1)  # (batch, q)
        if self.kind == "film":
            return pooled * tf.cast(2.0 * tf.sigmoid(self._affine(specific)), pooled.dtype)
        return tf.concat([pooled, specific], axis=-1)

    def _affine(self, x: tf.Tensor) -> tf.Tensor:
        return stack.widened(tf.matmul(x, tf.cast(self.kernel, x.dtype)) + tf.cast(self.bias, x.dtype))

    def compute_output_shape(self, inputs_shape: Any, scenario_shape: Any = None) -> tuple[Any, ...]:
        (batch, count, size), (_, specific) = tuple(inputs_shape[0]), tuple(inputs_shape[1])
        width = {"film": size, "concatenate": count * size + specific}.get(self.kind, size + specific)
        return (batch, width)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_scenarios": self.num_scenarios,
            "kind": self.kind,
            "unknown": self.unknown,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
