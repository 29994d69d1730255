"""KFAtt: attention with a prior of the query, and with a cap on what repeated keys count."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.dense.initializers import distinct_initializer
from dynctr_tf.layers.sequence.masked_reductions import presence
from dynctr_tf.nearest import unknown_name_message

_KINDS = ("base", "freq")


@stack.serializable
class KalmanFilteringAttention(stack.MaskedLayer):
    """Attention as the estimate of an interest: from the clicks, and from the query where there are few clicks.

    Use it in place of target attention where queries are new to a user or clicks crowd on a few keys.

    `v = (mu_q p_q + sum_t v_t p_t) / (p_q + sum_t p_t)`, `p_t = exp(q^T k_t)`; mu_q and the precision p_q come from
    two-layer networks of q. It is computed as a softmax over `[log p_q; q^T k_t]`. With `kind="freq"`
    the n_m behaviours of one key m together weigh `1 / (1 / p_m + s_m / n_m)`, s_m from a two-layer network of the
    key, in place of `n_m p_m`: a key that is clicked ever more often weighs no more than p_m.

    Args:
        value_dim: Width of each head's values. Default `None`: that of the values over the number of heads.
        num_heads: Number of heads; their outputs are concatenated. Default 1.
        kind: `"base"` or `"freq"`. Default `"base"`.
        use_prior: Whether there is the prior; without it `"base"` is softmax attention. Default `True`.
        hidden_dim: Hidden width of the small networks. Default 32.
        project: Whether query, keys and values are projected for each head; if not, there is one head, and all
            have one width. Default `True`.
        kernel_initializer: Start of all kernels, a Keras initializer; each has one of its own.
            Default `"glorot_uniform"`.

    Call arguments:
        inputs: `[query, values]`, or `[query, values, keys]`, float; the keys default to the values.
        mask: bool, `True` where there is a behaviour. Default `None`: everywhere.
        key_ids: int, the identity of each key, needed by `"freq"`. Default `None`.

    Input shape:
        `[(batch, m), (batch, t, n), (batch, t, p)]`, mask and ids `(batch, t)`.

    Output shape:
        `(batch, num_heads * value_dim)`; the prior's mean where a history is empty, 0 without a prior.

    Raises:
        ValueError: An unknown kind, a number below 1, `"freq"` without ids, widths that do not go together without
            projection, or tensors of other ranks.

    Cost: per row about `t * (n + p) * h * value_dim` multiply-adds for the projections, `2 * t * h * value_dim` for
    attention, and `t ** 2` comparisons of ids for `"freq"`.

    Example:

    >>> import tensorflow as tf
    >>> KalmanFilteringAttention(num_heads=2)([tf.ones((2, 4)), tf.ones((2, 5, 6))]).shape
    TensorShape([2, 6])

    Reference:
        Liu et al., Kalman Filtering Attention for User Behavior Modeling in CTR Prediction, NeurIPS 2020: KFAtt-base,
        KFAtt-freq, and the multi-head form of its transformer. That the precisions are exponentials of what the
        networks give is our reading.
    """

    def __init__(
        self,
        value_dim: int | None = None,
        num_heads: int = 1,
        kind: str = "base",
        use_prior: bool = True,
        hidden_dim: int = 32,
        project: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if kind not in _KINDS:
            raise ValueError(unknown_name_message("kind of Kalman filtering attention", str(kind), _KINDS))
        if num_heads < 1 or hidden_dim < 1 or (value_dim is not None and value_dim < 1):
            raise ValueError(
                f"num_heads, hidden_dim and value_dim must be at least 1, got {num_heads}, {hidden_dim}, {value_dim}."
            )
        if not project and (num_heads > 1 or value_dim is not None):
            raise ValueError("Without projection there is one head of the values' width; got num_heads or value_dim.")
        self.value_dim = value_dim
        self.num_heads = int(num_heads)
        self.kind = kind
        self.use_prior = use_prior
        self.hidden_dim = int(hidden_dim)
        self.project = project
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def _shapes(self, input_shape: Any) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]:
        shapes = [
            tuple(shape) if isinstance(shape, (list, tuple, tf.TensorShape)) else (shape,) for shape in input_shape
        ]
        if [len(shape) for shape in shapes] not in ([2, 3], [2, 3, 3]) or None in [shape[-1] for shape in shapes]:
            raise ValueError(
                f"{self.name} takes [query (batch, m), values (batch, t, n)] and perhaps keys (batch, t, p), of known "
                f"widths; got {shapes}."
            )
        query, values, *keys = shapes
        return query, values, keys[0] if keys else values

    def _width(self, value_width: int) -> int:
        width, rest = divmod(value_width, self.num_heads)
        if self.value_dim is None and rest:
            raise ValueError(
                f"The width {value_width} of values is not a multiple of num_heads={self.num_heads}; give value_dim."
            )
        return self.value_dim or width

    def build(self, input_shape: Any) -> None:
        query, values, keys = (shape[-1] for shape in self._shapes(input_shape))
        width = self._width(values)
        if not self.project and query != keys:
            raise ValueError(f"Without projection the query and the keys need one width, got {query} and {keys}.")
        self._added = 0
        heads = (self.num_heads, width)
        self.query_kernel = self.key_kernel = self.value_kernel = None
        if self.project:
            self.query_kernel = self._kernel("query_kernel", (query, *heads))
            self.key_kernel = self._kernel("key_kernel", (keys, *heads))
            self.value_kernel = self._kernel("value_kernel", (values, *heads))
        self.mean_network = self.precision_network = self.variance_network = None
        if self.use_prior:
            self.mean_network = self._network("mean", query, self.num_heads * width)
            self.precision_network = self._network("precision", query, self.num_heads)
        if self.kind == "freq":
            self.variance_network = self._network("variance", keys, self.num_heads)
        self.built = True

    def _kernel(self, name: str, shape: tuple[int, ...]) -> Any:
        self._added += 1
        own = distinct_initializer(self.kernel_initializer, self._added)

        def start(shape: Any, dtype: Any = None, **_: Any) -> tf.Tensor:
            # The heads side by side are the outputs of one dense layer.
            flat = own((shape[0], shape[1] * shape[2] if len(shape) == 3 else shape[1]), dtype=dtype)
            return tf.reshape(tf.convert_to_tensor(flat), shape)

        return self.add_weight(name=name, shape=shape, initializer=start, trainable=True)

    def _network(self, name: str, width: int, outputs: int) -> tuple[Any, ...]:
        return (
            self._kernel(f"{name}_kernel_1", (width, self.hidden_dim)),
            self.add_weight(name=f"{name}_bias_1", shape=(self.hidden_dim,), initializer="zeros", trainable=True),
            self._kernel(f"{name}_kernel_2", (self.hidden_dim, outputs)),
            self.add_weight(name=f"{name}_bias_2", shape=(outputs,), initializer="zeros", trainable=True),
        )

    def call(self, inputs: Any, mask: tf.Tensor | None = None, key_ids: Any = None) -> tf.Tensor:
        if self.kind == "freq" and key_ids is None:
            raise ValueError(f"{self.name} takes key_ids with kind='freq', to know which keys are one; got none.")
        query, values, *rest = inputs
        keys = rest[0] if rest else values
        there = presence(values, stack.given_mask(mask))
        values, keys = (tf.where(there[:, :, tf.newaxis], x, tf.zeros_like(x)) for x in (values, keys))
        if self.project:
            q = tf.einsum("bm,mhd->bhd", query, tf.cast(self.query_kernel, query.dtype))
            k = tf.einsum("btp,phd->bhtd", keys, tf.cast(self.key_kernel, keys.dtype))
            v = tf.einsum("btn,nhd->bhtd", values, tf.cast(self.value_kernel, values.dtype))
        else:
            q, k, v = query[:, tf.newaxis], keys[:, tf.newaxis], values[:, tf.newaxis]
        # From here on all values are logarithms of precisions, in float32: (batch, h, t).
        logs = stack.widened(tf.einsum("bhd,bhtd->bht", q, k))
        if self.kind == "freq":
            same = tf.equal(key_ids[:, :, tf.newaxis], key_ids[:, tf.newaxis, :]) & there[:, tf.newaxis, :]
            count = tf.maximum(tf.reduce_sum(tf.cast(same, logs.dtype), axis=2), 1.0)  # (batch, t): n of its key
            log_count = tf.math.log(count)[:, tf.newaxis, :]
            log_variance = tf.transpose(_two_layers(keys, self.variance_network), [0, 2, 1])  # (batch, h, t)
            # log(1 / (1 / p + s / n)), shared by the n behaviours of the key.
            logs = -_log_of_sum(-logs, log_variance - log_count) - log_count
        logs = tf.where(there[:, tf.newaxis, :], logs, tf.fill(tf.shape(logs), tf.constant(-1e30, logs.dtype)))
        if self.use_prior:
            mean = tf.reshape(
                _two_layers(query, self.mean_network), tf.concat([tf.shape(q)[:2], [v.shape[-1]]], axis=0)
            )
            log_precision = _two_layers(query, self.precision_network)  # (batch, h)
            weights = tf.nn.softmax(tf.concat([log_precision[:, :, tf.newaxis], logs], axis=2), axis=2)
            y = weights[:, :, :1] * mean  # (batch, h, d)
            weights = weights[:, :, 1:]
        else:
            weights = tf.nn.softmax(logs, axis=2)
            y = 0.0
        weights = tf.where(there[:, tf.newaxis, :], weights, tf.zeros_like(weights))
        y = tf.cast(y, v.dtype) + tf.einsum("bht,bhtd->bhd", tf.cast(weights, v.dtype), v)
        return tf.reshape(y, [-1, self.num_heads * v.shape[-1]])

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        query, values, _ = self._shapes(input_shape)
        return (query[0], self.num_heads * self._width(values[-1]))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "value_dim": self.value_dim,
            "num_heads": self.num_heads,
            "kind": self.kind,
            "use_prior": self.use_prior,
            "hidden_dim": self.hidden_dim,
            "project": self.project,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def _two_layers(x: tf.Tensor, network: Any) -> tf.Tensor:
    kernel_1, bias_1, kernel_2, bias_2 = (tf.cast(weight, x.dtype) for weight in network)
    hidden = tf.nn.relu(tf.tensordot(x, kernel_1, 1) + bias_1)
    return stack.widened(tf.tensordot(hidden, kernel_2, 1) + bias_2)


def _log_of_sum(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """log(exp(a) + exp(b)) without overflow."""
    return tf.maximum(a, b) + tf.math.softplus(-tf.abs(a - b))
