"""FTRL, group FTRL and sparse group lasso in one optimizer."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.optimizers.sparse_optimizer import SparseOptimizer, finite_number

UNTOUCHED_ROWS = ("auto", "zero", "keep")
INITIAL_WEIGHTS = ("forget", "keep")
# How many rows of a loaded table get their z at a time.
_BLOCK = 65536


@stack.serializable
class GroupFtrl(SparseOptimizer):
    """Follow-the-regularised-leader that removes single weights, whole embedding rows, or both.

    Use it for embedding tables (`l21`, which removes the ids that do not pay for themselves) and for sparse
    linear or interaction weights (`l1`). `l21=0` is FTRL-proximal, `l1=0` is the G-FTRL of xDeepInt and
    DynInt, both together are FTRL with the sparse group lasso.

    With gradient g, weight w and, for each weight, an accumulator n and a linear term z (which starts at 0):

        n' = n + g^2
        z' = z + g - (sqrt(n') - sqrt(n)) / learning_rate * w
        u  = sign(z') max(|z'| - l1, 0)
        s  = max(1 - l21 sqrt(d) / ||u||_2, 0)
        w' = -s u / ((beta + sqrt(n')) / learning_rate + l2)

    ||u|| is taken over the last axis, of size d, of a variable of rank 2 or more: a row of a table, the
    outgoing weights of one input of a Dense kernel. Variables of rank 0 and 1, such as biases, have no rows:
    for them s = 1 and `l21` does nothing.

    **Units.** `beta`, `l1`, `l2` and `l21` are measured against a gradient, so they have the unit of the
    loss: `l1` and `l21 sqrt(d)` are thresholds on sums of gradients, and the penalty that `l2` stands for is
    `l2 / 2 ||w||^2`. Keras takes the mean loss over a batch, published code often the sum. Without
    `batch_size` the arguments are in units of the mean. With it they are in units of the sum over one global
    batch, and are divided by it (the initial accumulator by its square); the trajectory is then that of the summed
    loss. The learning rate has no such unit, and `beta=0` and a zero accumulator mean the same in either.

    **l2 is not doubled.** `keras.optimizers.Ftrl` and tfplus' `SparseGroupFtrl` have twice their argument in
    the denominator. So this optimizer equals, with a zero initial accumulator on both sides,
    `SparseGroupFtrl(lr=learning_rate, l1=l1, l21=l21, l2=l2 / 2 + beta / (2 learning_rate))`, and with
    `l21=0` it equals `keras.optimizers.Ftrl(learning_rate, l1_regularization_strength=l1,
    l2_regularization_strength=l2 / 2, beta=beta)` with the same initial accumulator.

    **Rows that no gradient has reached** have z = 0, for which the formula gives w = 0: a step over the whole
    table erases their random start at once, and a row first reached later starts from 0. The formula would erase a
    loaded or trained table in the same way. `untouched_rows` chooses:

    * `"auto"`: as `"zero"` while the table holds the random start that a `FieldEmbedding` gave it. Any other table is
      taken for a trained one: the first step gives each of its rows the z for which the formula returns the weights
      that it has, so that no row is erased and training continues from there. A checksum of the table shows at the
      first step which of the two it is.
    * `"zero"` gives exactly the dense result, at the cost of touched rows: one pass at the first step sets to 0 all
      rows that the first batch does not have, also of a loaded table. (With a learning rate that changes, the dense
      formula would also rescale rows between their touches; here a row keeps the values of its last touch.)
    * `"keep"` leaves untouched rows alone, with z = 0: a loaded row shrinks when it is first touched.

    In models that multiply embeddings, rows that are all 0 give each other no gradient; if a model does not start to
    learn, use `"keep"`. A dense gradient reaches every row. It gives the formula's result with z = 0, except for a
    loaded table of a `FieldEmbedding` under `"auto"`.

    **Initial weights** count in the formula by `(sqrt(n') - sqrt(n)) / learning_rate * w` alone: a weight whose first
    gradients are small beside the initial accumulator, or below `l1`, is 0 after the first step. Two layers one after
    the other, such as those that generate parameters, then have no gradient any more and stay 0. `initial_weights`
    chooses:

    * `"forget"`: the formula with z = 0, as every published FTRL has it. Loaded weights of dense layers start again.
    * `"keep"`: the first step gives each weight the z for which the formula returns it, thresholds included. Training
      goes on from the weights that the variable has, random or loaded; `untouched_rows` then changes nothing.

    Args:
        learning_rate: A positive float or a `LearningRateSchedule`; alpha in the papers. Default 0.02.
        beta: Float >= 0. Added to sqrt(n'): damps the first steps. Default 0.0.
        l1: Float >= 0. Threshold of a single weight. Default 0.0.
        l2: Float >= 0. Ridge penalty, not doubled. Default 0.0.
        l21: Float >= 0. Threshold of a row, per square root of its width; lambda_1 in G-FTRL. Default 0.0.
        initial_accumulator_value: Float >= 0. What n starts with. Default 0.0.
        untouched_rows: `"auto"`, `"zero"` or `"keep"`: rows of a sparse gradient's table that no batch has had.
            Default `"auto"`.
        initial_weights: `"forget"` or `"keep"`: what the first step makes of the weights that a variable has. Default
            `"forget"`.
        batch_size: Int. The number of rows of a global batch, if the arguments above are in units of a loss
            that is summed over it while the model's loss is the mean. Default `None`: units of the mean.
        clipnorm: Float. As in `SparseOptimizer`. Default `None`.
        clipvalue: Float. As in `SparseOptimizer`. Default `None`.
        global_clipnorm: Float. As in `SparseOptimizer`. Default `None`.
        name: String. Default `"group_ftrl"`.
        **kwargs: Keras' other options, each refused with what to use instead.

    Raises:
        ValueError: A negative strength, a batch size below 1, an unknown `untouched_rows` or `initial_weights`, or
            what `SparseOptimizer` raises.

    Cost: two slots per weight. About 15 operations per touched element; three gathers and three scatters of
    the touched rows.

    Example:

    >>> table = tf.Variable([[0.5, -0.5], [0.5, 0.5], [0.1, 0.1]])
    >>> slices = tf.IndexedSlices(tf.constant([[3.0, 4.0]]), tf.constant([0]), tf.constant([3, 2]))
    >>> _ = GroupFtrl(1.0, l21=2.0, untouched_rows="zero").apply_gradients([(slices, table)])
    >>> [[round(float(x), 3) for x in row] for row in table.numpy()]
    [[-0.271, -0.814], [0.0, 0.0], [0.0, 0.0]]

    Reference: the update is that of the author's xDeepInt code (github.com/yanyachen/xDeepInt,
    `xdeepint/src/optimizer.py`), which calls `l21` lambda1 and `l2` lambda2 and has no `l1`; the origin is
    Ni et al., CIKM 2019. The joint form is algorithm 1 of arXiv 2107.14432 for FTRL. `batch_size`, the choices
    of `untouched_rows` and `initial_weights` and the treatment of variables without rows are this library's.
    The threshold compares ||u||, as all these codes do; it is the exact minimiser of the penalised problem
    only where the denominator is constant within a row.
    """

    def __init__(
        self,
        learning_rate: Any = 0.02,
        beta: float = 0.0,
        l1: float = 0.0,
        l2: float = 0.0,
        l21: float = 0.0,
        initial_accumulator_value: float = 0.0,
        untouched_rows: str = "auto",
        initial_weights: str = "forget",
        batch_size: int | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "group_ftrl",
        **kwargs: Any,
    ) -> None:
        stack.refuse_options(type(self).__name__, kwargs)
        super().__init__(
            learning_rate, clipnorm=clipnorm, clipvalue=clipvalue, global_clipnorm=global_clipnorm, name=name
        )
        if untouched_rows not in UNTOUCHED_ROWS:
            raise ValueError(unknown_name_message("untouched_rows of GroupFtrl", str(untouched_rows), UNTOUCHED_ROWS))
        if initial_weights not in INITIAL_WEIGHTS:
            raise ValueError(
                unknown_name_message("initial_weights of GroupFtrl", str(initial_weights), INITIAL_WEIGHTS)
            )
        if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
            raise ValueError(
                f"batch_size of GroupFtrl must be a whole number of at least 1, or None where the strengths are in "
                f"units of the mean loss; got {batch_size!r}."
            )
        self.beta = finite_number(self, "beta", beta)
        self.l1 = finite_number(self, "l1", l1)
        self.l2 = finite_number(self, "l2", l2)
        self.l21 = finite_number(self, "l21", l21)
        self.initial_accumulator_value = finite_number(self, "initial_accumulator_value", initial_accumulator_value)
        self.untouched_rows = untouched_rows
        self.initial_weights = initial_weights
        self.batch_size = batch_size

    def slot_values(self) -> dict[str, float]:
        """Returns the slots: the sum of squared gradients and the linear term."""
        return {"accumulator": self.initial_accumulator_value / (self.batch_size or 1) ** 2, "linear": 0.0}

    def step(
        self, gradient: tf.Tensor, weight: tf.Tensor, slots: dict[str, tf.Tensor], rate: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns the weights and slots after one step."""
        beta, l1, l2, l21 = self._strengths()
        accumulator = slots["accumulator"] + tf.square(gradient)
        root = tf.sqrt(accumulator)
        linear = slots["linear"] + gradient - (root - tf.sqrt(slots["accumulator"])) / rate * weight
        numerator = linear
        if l1 > 0:
            numerator = linear - tf.clip_by_value(linear, -l1, l1)
        if l21 > 0 and weight.shape.rank >= 2:
            threshold = l21 * float(weight.shape[-1]) ** 0.5
            norm = tf.norm(numerator, axis=-1, keepdims=True)  # (..., 1)
            numerator *= tf.where(norm > threshold, 1.0 - threshold / norm, 0.0)
        denominator = root * (-1.0 / rate) - (beta / rate + l2)
        # Without beta and l2 a weight that has never had a gradient is 0 / 0 here; the formula's limit is 0.
        weight = tf.math.divide_no_nan(numerator, denominator)
        return weight, {"accumulator": accumulator, "linear": linear}

    def _strengths(self) -> tuple[float, float, float, float]:
        """The strengths beta, l1, l2 and l21 in units of the mean loss."""
        batch = self.batch_size or 1
        return self.beta / batch, self.l1 / batch, self.l2 / batch, self.l21 / batch

    def before_rows_are_read(
        self, variable: tf.Variable, slots: dict[str, tf.Variable], rate: tf.Tensor, sparse: bool
    ) -> tf.Tensor | None:
        """Lets training continue from weights that are to be kept; returns whether the untouched rows must become 0."""
        first = tf.equal(stack.raw_variable(self.iterations), 0)
        if self.initial_weights == "keep":
            tf.cond(first, lambda: self._start_from_weights(variable, slots, rate), lambda: tf.constant(0))
            return None
        if self.untouched_rows != "auto":
            return first if self.untouched_rows == "zero" else None
        notes = self.notes_of(variable)
        if notes is None and not sparse:
            return None
        start = None if notes is None else notes.starts.get(0)
        loaded = first
        if start is not None:
            loaded = tf.cond(first, lambda: tf.not_equal(stack.bits_checksum(variable), start), lambda: False)
        tf.cond(loaded, lambda: self._start_from_weights(variable, slots, rate), lambda: tf.constant(0))
        return None if start is None else tf.logical_and(first, tf.logical_not(loaded))

    def _start_from_weights(self, variable: tf.Variable, slots: dict[str, tf.Variable], rate: tf.Tensor) -> tf.Tensor:
        """Gives each row the z for which the formula returns the row as it is."""
        if variable.shape.rank == 0:
            own = {name: tf.convert_to_tensor(slot) for name, slot in slots.items()}
            slots["linear"].assign(self.slots_that_keep(tf.convert_to_tensor(variable), own, rate)["linear"])
            return tf.constant(0)
        count = variable.shape[0]

        # Blocks of one size, as XLA wants them; the last one repeats the last row.
        block = min(_BLOCK, count)

        def start_block(first: tf.Tensor) -> tuple[tf.Tensor]:
            rows = tf.minimum(first + tf.range(block), count - 1)
            own = {name: tf.gather(slot, rows) for name, slot in slots.items()}
            linear = self.slots_that_keep(tf.gather(variable, rows), own, rate)["linear"]
            slots["linear"].scatter_update(tf.IndexedSlices(linear, rows))
            return (first + block,)

        tf.while_loop(lambda first: first < count, start_block, (tf.constant(0),), parallel_iterations=1)
        return tf.constant(0)

    def slots_that_keep(self, weight: tf.Tensor, slots: dict[str, tf.Tensor], rate: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the z for which the formula gives the weights, with the n that they have and at the given rate."""
        beta, l1, l2, l21 = self._strengths()
        numerator = -((beta + tf.sqrt(slots["accumulator"])) / rate + l2) * weight
        if l21 > 0 and weight.shape.rank >= 2:
            # Longer by the threshold, which the formula takes off again.
            norm = tf.norm(numerator, axis=-1, keepdims=True)
            numerator += tf.math.divide_no_nan(numerator, norm) * (l21 * float(weight.shape[-1]) ** 0.5)
        # What a threshold has set to 0 stays as far below it as it is.
        return {"linear": tf.where(weight == 0, slots["linear"], numerator + tf.sign(numerator) * l1)}

    def before_rows_change(self, variable: tf.Variable, noted: tf.Tensor | None) -> None:
        """Sets all rows to 0 at the first step, before the touched ones get their new values."""
        if noted is not None:
            tf.cond(noted, lambda: _set_to_zero(variable), lambda: tf.constant(0))

    def get_config(self) -> dict[str, Any]:
        """Returns every argument."""
        config = super().get_config()
        del config["weight_decay"]
        return {
            **config,
            "beta": self.beta,
            "l1": self.l1,
            "l2": self.l2,
            "l21": self.l21,
            "initial_accumulator_value": self.initial_accumulator_value,
            "untouched_rows": self.untouched_rows,
            "initial_weights": self.initial_weights,
            "batch_size": self.batch_size,
        }


def _set_to_zero(variable: tf.Variable) -> tf.Tensor:
    # One number is scattered to all rows in place; assigning zeros would need a second table. The variable must not be
    # read here, not even for its shape: a scatter into a buffer that is being read copies it first.
    zero = tf.zeros((), stack.storage_dtype(variable))
    rows = tf.range(variable.shape[0])
    tf.raw_ops.ResourceScatterUpdate(resource=variable.handle, indices=rows, updates=zero)
    return tf.constant(0)
