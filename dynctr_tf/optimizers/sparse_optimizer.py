"""The base of optimizers whose step costs what the touched rows cost."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack


class SparseOptimizer(stack.RuleOptimizer):
    """Base class of optimizers that are one rule on rows, the same for dense and for sparse gradients.

    Use it to write an optimizer for embedding tables: a subclass says which slots a weight has and how a
    step changes weights and slots that a gradient has reached (`slot_values` and `step`). For a dense
    gradient the rule gets the whole variable. For `tf.IndexedSlices` it gets the rows that the slices name,
    each of them once, and only those rows are gathered, computed and scattered back:

        ids, g = sum of the slices of each id
        w[ids], slots[ids] = step(g, w[ids], slots[ids])

    Slices of the same id are summed first. The sum is left out if the graph shows that the ids come from `tf.unique`,
    as they do in the library's embedding layer on one replica.

    Clipping sees the gradient after the sum over replicas and over repeated ids, so that a norm is the norm
    of the dense gradient. Weight decay is that of Keras' AdamW, `w = w - learning_rate weight_decay w` before the
    step, for the rows that the gradient names: a row that no batch has does not shrink. Keras' `use_ema` and
    `gradient_accumulation_steps`, which read and write the whole table in every step, and `loss_scale_factor`
    are refused.

    Args:
        learning_rate: A positive float or a `keras.optimizers.schedules.LearningRateSchedule`.
        clipnorm: Float. The greatest norm of the gradient of one variable. Default `None`: no limit.
        clipvalue: Float. The greatest absolute value in a gradient. Default `None`: no limit.
        global_clipnorm: Float. The greatest norm of all the gradients that this optimizer applies, taken
            together. Default `None`: no limit.
        weight_decay: Float. The decay of the weights of touched rows, and of all weights of a dense gradient.
            `exclude_from_weight_decay` leaves variables out. Default `None`: none.
        name: String. Default `"sparse_optimizer"`.
        **kwargs: Keras' other options, each refused with what to use instead.

    Raises:
        ValueError: A learning rate, decay or limit that is not positive, more than one limit, an option that is
            refused, or a variable that is not stored in float32 or float64.

    Cost: with r touched rows of d elements and s slots, 1 + s gathers and 1 + s scatters of r * d elements,
    no temporary that grows with the table, and one `tf.unique` of the ids where they may repeat.

    Example:

    >>> class SignDescent(SparseOptimizer):
    ...     def slot_values(self):
    ...         return {}
    ...     def step(self, gradient, weight, slots, rate):
    ...         return weight - rate * tf.sign(gradient), slots
    >>> table = tf.Variable([[1.0], [2.0], [3.0]])
    >>> slices = tf.IndexedSlices(tf.constant([[3.0], [-1.0]]), tf.constant([1, 1]), tf.constant([3, 1]))
    >>> _ = SignDescent(0.5).apply_gradients([(slices, table)])
    >>> table.numpy().tolist()
    [[1.0], [1.5], [3.0]]
    """

    def __init__(
        self,
        learning_rate: Any,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        weight_decay: float | None = None,
        name: str = "sparse_optimizer",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate, clipnorm=clipnorm, clipvalue=clipvalue, global_clipnorm=global_clipnorm, name=name, **kwargs
        )
        if weight_decay is not None:
            finite_number(self, "weight_decay", weight_decay)
        self.weight_decay = weight_decay

    def step(
        self, gradient: tf.Tensor, weight: tf.Tensor, slots: dict[str, tf.Tensor], rate: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns the new weights and slots: those of a whole variable, or of some of its rows."""
        raise NotImplementedError

    def before_rows_are_read(
        self, variable: tf.Variable, slots: dict[str, tf.Variable], rate: tf.Tensor, sparse: bool
    ) -> Any:
        """Called once a step for each variable, before its rows or all of it are read."""

    def before_rows_change(self, variable: tf.Variable, noted: Any) -> None:
        """Called once a step for a variable with a sparse gradient: rows are read, not yet written.

        Args:
            variable: The variable.
            noted: What `before_rows_are_read` has returned.
        """

    def build(self, variables: list[Any]) -> None:
        """Creates the slots of the variables."""
        for variable in variables:
            dtype = stack.storage_dtype(variable)
            if dtype not in (tf.float32, tf.float64):
                raise ValueError(
                    f"{type(self).__name__} updates weights stored in float32 or float64; "
                    f"{stack.variable_path(variable)!r} is {dtype.name}, which would lose small steps. For speed "
                    'use the policy "mixed_bfloat16", which keeps weights in float32.'
                )
        super().build(variables)

    static_shapes: bool = False
    """Whether slices are summed by sorting, in shapes that are known beforehand, as XLA needs them."""

    def prepare_gradients(self, gradients: list[Any]) -> list[Any]:
        """Sums the slices of each id, then clips."""
        summed = sum_repeated_ids_in_place if self.static_shapes else sum_repeated_ids
        gradients = [summed(gradient) if isinstance(gradient, tf.IndexedSlices) else gradient for gradient in gradients]
        if self.global_clipnorm is not None:
            return list(tf.clip_by_global_norm(gradients, self.global_clipnorm)[0])
        if self.clipnorm is not None:
            return [_on_values(tf.clip_by_norm, gradient, self.clipnorm) for gradient in gradients]
        if self.clipvalue is not None:
            limit = self.clipvalue
            return [_on_values(tf.clip_by_value, gradient, -limit, limit) for gradient in gradients]
        return gradients

    def apply_rule(self, gradient: Any, variable: tf.Variable, slots: dict[str, tf.Variable], rate: tf.Tensor) -> None:
        """Applies `step` to the whole variable, or to the rows that a sparse gradient names."""
        decay = self.weight_decay if self.weight_decay and self._use_weight_decay(variable) else 0.0
        noted = self.before_rows_are_read(variable, slots, rate, isinstance(gradient, tf.IndexedSlices))
        if not isinstance(gradient, tf.IndexedSlices):
            values = {name: tf.convert_to_tensor(slot) for name, slot in slots.items()}
            weight = _decayed(tf.convert_to_tensor(variable), rate, decay)
            weight, values = self.step(tf.cast(gradient, rate.dtype), weight, values, rate)
            variable.assign(weight)
            for name, value in values.items():
                slots[name].assign(value)
            return
        ids = gradient.indices
        rows = {name: tf.gather(slot, ids) for name, slot in slots.items()}
        weight = _decayed(tf.gather(variable, ids), rate, decay)
        weight, rows = self.step(tf.cast(gradient.values, rate.dtype), weight, rows, rate)
        self.before_rows_change(variable, noted)
        variable.scatter_update(tf.IndexedSlices(weight, ids))
        for name, value in rows.items():
            slots[name].scatter_update(tf.IndexedSlices(value, ids))

    def get_config(self) -> dict[str, Any]:
        """Returns every argument."""
        return {**super().get_config(), "weight_decay": self.weight_decay}


def finite_number(optimizer: Any, argument: str, value: Any, *, positive: bool = False) -> float:
    """Returns an argument of an optimizer as a float.

    Args:
        optimizer: The optimizer, for the error.
        argument: The name of the argument.
        value: The number.
        positive: Whether 0 is refused too. Default `False`.

    Raises:
        ValueError: The number is negative, infinite or not a number, or 0 where it must be positive.
    """
    if not 0 <= value < float("inf") or (positive and value == 0):
        wanted = "positive" if positive else "at least 0"
        raise ValueError(f"{argument} of {type(optimizer).__name__} must be {wanted} and finite, got {value!r}.")
    return float(value)


def _decayed(weight: tf.Tensor, rate: tf.Tensor, decay: float) -> tf.Tensor:
    return weight * (1.0 - rate * decay) if decay else weight


def sum_repeated_ids(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Returns the same gradient with one slice per id.

    Example:

    >>> slices = tf.IndexedSlices(tf.constant([[1.0], [2.0], [4.0]]), tf.constant([7, 3, 7]))
    >>> summed = sum_repeated_ids(slices)
    >>> summed.indices.numpy().tolist(), summed.values.numpy().tolist()
    ([7, 3], [[5.0], [2.0]])
    """
    if _ids_are_unique(gradient.indices):
        return gradient
    ids, positions = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, positions, tf.size(ids))
    return tf.IndexedSlices(values, ids, gradient.dense_shape)


def sum_repeated_ids_in_place(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Returns the same gradient with the same number of slices; the slices of an id are summed.

    It does in static shapes what `sum_repeated_ids` does: the slices that become free repeat the first id and its sum,
    so that an update that computes new rows from old ones writes the same values twice. Norms of the result count that
    id more than once.

    Example:

    >>> slices = tf.IndexedSlices(tf.constant([[1.0], [2.0], [4.0]]), tf.constant([7, 3, 7]))
    >>> summed = sum_repeated_ids_in_place(slices)
    >>> summed.indices.numpy().tolist(), summed.values.numpy().tolist()
    ([3, 7, 3], [[2.0], [5.0], [2.0]])
    """
    order = tf.argsort(gradient.indices, stable=True)
    ids = tf.gather(gradient.indices, order)  # (n,) sorted
    starts = tf.concat([[0], tf.cast(ids[1:] != ids[:-1], tf.int32)], axis=0)
    places = tf.cumsum(starts)  # (n,) the place of each slice's id among the distinct ones
    count = tf.shape(ids)[0]
    values = tf.math.unsorted_segment_sum(tf.gather(gradient.values, order), places, count)
    distinct = tf.math.unsorted_segment_max(ids, places, count)
    slots = tf.range(count)
    taken = tf.where(slots <= places[-1], slots, 0)
    return tf.IndexedSlices(tf.gather(values, taken), tf.gather(distinct, taken), gradient.dense_shape)


def _ids_are_unique(ids: tf.Tensor) -> bool:
    """Whether the graph shows that ids come from `tf.unique`: followed back through operations that keep them.

    Eagerly there is no graph to read, and the answer is no.
    """
    if tf.is_tensor(ids) and not hasattr(ids, "graph"):
        return False
    while True:
        operation = ids.op
        if operation.type in ("Unique", "UniqueV2", "UniqueWithCounts", "UniqueWithCountsV2"):
            return bool(ids.value_index == 0)
        keeps = operation.type in ("Identity", "Reshape") or (
            operation.type == "Cast" and ids.dtype == tf.int64 and operation.inputs[0].dtype == tf.int32
        )
        if not keeps:
            return False
        ids = operation.inputs[0]


def _on_values(clip: Any, gradient: Any, *limits: Any) -> Any:
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(clip(gradient.values, *limits), gradient.indices, gradient.dense_shape)
    return clip(gradient, *limits)
