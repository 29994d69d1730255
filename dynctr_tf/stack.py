"""Every difference between Keras 2 and Keras 3 that the library meets, in one file.

The library speaks `tf.keras` and runs on three stacks: the newest TensorFlow with Keras 3, the same with
tf_keras (`TF_USE_LEGACY_KERAS=1`, set before TensorFlow is first imported), and TensorFlow 2.15 with
Keras 2.15. What the three do alike is called directly; what they do differently is asked for here.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import saving

# `tf.keras` of Keras 3.15 leaves this part out; a module that says `keras.saving` imports this one first.
if not hasattr(keras, "saving"):
    keras.saving = saving

# Neither tf_keras nor Keras 2.15 tells its version through `tf.keras`; only Keras 3 has `ops`.
KERAS_3: bool = hasattr(keras, "ops")
"""Whether `tf.keras` is Keras 3 in this process."""


def raw_variable(variable: Any) -> tf.Variable:
    """Returns the `tf.Variable` of a Keras variable.

    A Keras 3 variable that is given to a `tf` operation is read whole, and its gradient is dense; only the
    `tf.Variable` inside is gathered by row with an `IndexedSlices` gradient. On Keras 2 the two are one, or,
    where a table lies on parameter servers, a `ShardedVariable`.
    """
    return variable.value if KERAS_3 and not isinstance(variable, tf.Variable) else variable


def uncast_weight_options() -> dict[str, bool]:
    """Returns the options of `Layer.add_weight` that keep a weight as it is under a mixed policy.

    Without them Keras 3 gives the layer a bfloat16 copy of the whole weight, and Keras 2 a wrapper.
    """
    return {"autocast": False} if KERAS_3 else {"experimental_autocast": False}


# -------------------------------------------------------------------------------------------------- tables


@dataclasses.dataclass
class TableNotes:
    """What an embedding layer tells the optimizers of its table, beside its values.

    Args:
        first_order: Whether the last column holds first-order weights, not a part of the embeddings. Default `False`.
        starts: For the first row of each part that the table was made of, the checksum of the values that it was filled
            with; empty where the values were not known when the table was made. Default none.
    """

    first_order: bool = False
    starts: dict[int, int] = dataclasses.field(default_factory=dict)

    def note_start(self, first_row: int, values: tf.Tensor) -> None:
        """Notes what a part of the table is filled with."""
        checksum = bits_checksum(values)
        if isinstance(checksum, tf.__internal__.EagerTensor):
            self.starts[first_row] = int(checksum)


def bits_checksum(values: Any) -> tf.Tensor:
    """Returns the wrapping sum of the bits of float32 values, the same in any order of summation; one pass."""
    return tf.reduce_sum(tf.bitcast(values, tf.int32))


def attach_table_notes(variable: Any, notes: TableNotes) -> None:
    """Attaches notes to a table, where an optimizer finds them by `table_notes`."""
    shards = getattr(variable, "variables", None)  # of a table on parameter servers
    if shards is not None and not isinstance(variable, tf.Variable):
        first = 0
        for shard in shards:
            starts = {0: notes.starts[first]} if first in notes.starts else {}
            shard._dynctr_table_notes = TableNotes(notes.first_order, starts)
            first += int(shard.shape[0])
        return
    variable._dynctr_table_notes = notes
    raw = raw_variable(variable)
    if isinstance(raw, tf.Variable):  # not yet there while Keras 3 traces a model that was never called
        raw._dynctr_table_notes = notes


def table_notes(variable: Any) -> TableNotes | None:
    """Returns what the embedding layer of a table has attached to it, `None` for any other variable."""
    notes: TableNotes | None = getattr(variable, "_dynctr_table_notes", None)
    return notes


# ---------------------------------------------------------------------------------------------- optimizers


def variable_path(variable: Any) -> str:
    """Returns the path that names a model's variable, such as `"embedding/table"`.

    It is `variable.path` on Keras 3 and `variable.name` without `":0"` on Keras 2.
    """
    path = getattr(variable, "path", None)
    return str(path) if path is not None else str(variable.name).split(":")[0]


def variable_paths(variables: list[Any], remembered: list[str] | None) -> list[str]:
    """Returns the paths of a model's variables, with the help of those that a saved optimizer remembers.

    Keras 2 may build a layer of a loaded model outside of its name scope, so that `"embedding/table"` has
    become `"table"`. Where a path has no layer in it, the remembered path of the same position that ends alike
    is taken.
    """
    paths = [variable_path(variable) for variable in variables]
    if KERAS_3 or remembered is None or len(remembered) != len(paths):
        return paths
    return [
        old if "/" not in path and old.endswith(f"/{path}") else path
        for path, old in zip(paths, remembered, strict=True)
    ]


def storage_dtype(variable: Any) -> tf.DType:
    """Returns the data type that a variable is stored in, whatever a mixed precision policy casts it to."""
    raw = raw_variable(variable)
    return tf.as_dtype(getattr(raw, "true_dtype", raw.dtype))


def once_for_all_replicas(update: Callable[[], Any]) -> Any:
    """Runs an update of variables once for all replicas, from inside a replica.

    Keras 2 creates its counters and learning rates without an aggregation, so that a replica cannot assign
    them on its own.
    """
    return tf.__internal__.distribute.interim.maybe_merge_call(lambda strategy: update(), tf.distribute.get_strategy())


def sum_over_replicas(pairs: Any) -> list[tuple[Any, Any]]:
    """Returns pairs of gradient and variable with the gradients summed over the replicas; gradients may be `None`.

    On one replica nothing is to be summed. On several it goes the way that `ReplicaContext.all_reduce` takes for sparse
    gradients: for dense ones alone that method registers a gradient of its own, which keeps the graph of the step, and
    with it the model's tables, for as long as the process lives.
    """
    pairs = list(pairs)
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return pairs
    given = [gradient for gradient, _ in pairs if gradient is not None]
    dense_alone = not any(isinstance(gradient, tf.IndexedSlices) for gradient in given)
    if dense_alone and not isinstance(context.strategy, tf.distribute.TPUStrategy):
        given.append(tf.IndexedSlices(tf.zeros((1, 1)), tf.zeros((1,), tf.int32), tf.constant([1, 1])))
    summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, given))
    return [(None if gradient is None else next(summed), variable) for gradient, variable in pairs]


class ReplicaSum:
    """What an optimizer inherits before Keras' own to sum gradients over replicas by `sum_over_replicas`."""

    if KERAS_3:

        def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[tuple[Any, Any]]:
            return sum_over_replicas(grads_and_vars)

    else:

        def aggregate_gradients(self, grads_and_vars: Any) -> list[tuple[Any, Any]]:
            """Sums gradients over the replicas: what Keras 2 calls."""
            return sum_over_replicas(grads_and_vars)


_INSTEAD = {
    "weight_decay": "for embedding tables use row_regularizer_l2 of FieldEmbedding or weight_decay of LazyAdam, "
    "SparseAdagrad or RowWiseAdagrad, for GroupFtrl its l2",
    "use_ema": "average the weights of several checkpoints, or give use_ema to a Keras optimizer that has the dense "
    "weights in a CompositeOptimizer",
    "ema_momentum": "average the weights of several checkpoints",
    "ema_overwrite_frequency": "average the weights of several checkpoints",
    "gradient_accumulation_steps": "take a larger batch_size; the accumulators would be as large as the tables",
    "loss_scale_factor": 'take the policy "mixed_bfloat16", whose gradients need no scale, or '
    "keras.mixed_precision.LossScaleOptimizer around the whole optimizer",
    "clipnorm": "give it to the members, each of which clips the gradients of its variables",
    "clipvalue": "give it to the members, each of which clips the gradients of its variables",
    "global_clipnorm": "give it to the members, each of which clips the gradients of its variables",
    "jit_compile": "give jit_compile to model.compile",
}


def refuse_options(optimizer: str, options: dict[str, Any]) -> None:
    """Says what to use in place of an option of Keras' optimizers that one of the library's does not have.

    Raises:
        ValueError: An option that Keras' optimizers have.
        TypeError: An option that no optimizer has.
    """
    for option, value in options.items():
        if option not in _INSTEAD:
            raise TypeError(f"{optimizer} has no option {option!r}.")
        # What an optimizer of Keras has when the option is not used.
        if value is not None and value is not False:
            raise ValueError(f"{optimizer} has no {option} (got {value!r}): {_INSTEAD[option]}.")


class _KerasOptimizer(ReplicaSum, keras.optimizers.Optimizer):  # type: ignore[misc]
    """The constructor, the counter and the configuration that the optimizers of the library share.

    Keras' `weight_decay`, `use_ema` and `gradient_accumulation_steps` are switched off for good: each of them reads
    and writes the whole table at every step.
    """

    def __init__(
        self,
        learning_rate: Any,
        *,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str,
        **refused: Any,
    ) -> None:
        refuse_options(type(self).__name__, refused)
        if not isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
            if isinstance(learning_rate, bool) or not isinstance(learning_rate, (int, float, np.number)):
                raise ValueError(
                    f"The learning_rate of {name!r} must be a number or a "
                    f"keras.optimizers.schedules.LearningRateSchedule, got {learning_rate!r}."
                )
            learning_rate = float(learning_rate)
            if not 0 < learning_rate < float("inf"):
                raise ValueError(f"The learning_rate of {name!r} must be positive, got {learning_rate}.")
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = {key: value for key, value in clips.items() if value is not None}
        if len(given) > 1 or any(not value > 0 for value in given.values()):
            raise ValueError(f"At most one positive {', '.join(clips)} can be given to {name!r}, got {given}.")
        if KERAS_3:
            super().__init__(learning_rate=learning_rate, name=name, **clips)
        else:
            # Keras 2 turns weight decay on, as a pass over each variable, unless it is None.
            super().__init__(name=name, weight_decay=None, jit_compile=False, **clips)
            self._learning_rate = self._build_learning_rate(learning_rate)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that all optimizers have."""
        config = super().get_config()
        if not KERAS_3:
            config["learning_rate"] = self._serialize_hyperparameter(self._learning_rate)
        keys = ("learning_rate", "clipnorm", "clipvalue", "global_clipnorm", "name")
        return {key: config[key] for key in keys}


class RuleOptimizer(_KerasOptimizer):
    """The part of an optimizer that Keras 2 and Keras 3 want differently, below one rule for one variable.

    A subclass gives `slot_values`, `prepare_gradients` and `apply_rule`. Gradients are summed over the
    replicas first, then prepared (which is where they are clipped), then applied variable by variable.
    """

    def slot_values(self) -> dict[str, float]:
        """Returns for each slot that a variable has the value that it is filled with at the start."""
        raise NotImplementedError

    def slot_shape(self, variable: Any) -> tuple[int, ...]:
        """Returns the shape of each slot of a variable: that of the variable."""
        return tuple(variable.shape)

    def prepare_gradients(self, gradients: list[Any]) -> list[Any]:
        """Returns the gradients as `apply_rule` wants them; called once a step with all of them."""
        raise NotImplementedError

    def apply_rule(self, gradient: Any, variable: tf.Variable, slots: dict[str, tf.Variable], rate: Any) -> None:
        """Updates one variable and its slots."""
        raise NotImplementedError

    def build(self, variables: list[Any]) -> None:
        """Creates the slots."""
        if getattr(self, "_slot_lists", None) is not None:
            return
        super().build(variables)
        slot_lists: dict[str, list[Any]] = {}
        for slot, value in self.slot_values().items():
            slot_lists[slot] = [self._create_slot(variable, slot, value) for variable in variables]
        self._slot_lists = slot_lists
        self._notes = _Notes({self._var_key(variable): table_notes(variable) for variable in variables})

    def notes_of(self, variable: Any) -> TableNotes | None:
        """Returns what an embedding layer has told of a variable that the optimizer was built with."""
        return self._notes.by_key[self._var_key(variable)]

    def _create_slot(self, variable: Any, slot: str, value: float) -> Any:
        shape = self.slot_shape(variable)
        if KERAS_3:
            initializer = keras.initializers.Constant(value) if value else "zeros"
            if shape == tuple(variable.shape):
                return self.add_variable_from_reference(variable, name=slot, initializer=initializer)
            # Beside the variable, on its device; Keras itself knows slots of the variable's shape alone.
            name = re.sub("[/:]", "_", f"{variable_path(variable)}_{slot}")
            with self._distribution_strategy.extended.colocate_vars_with(raw_variable(variable)):
                return self.add_variable(shape, initializer, dtype=storage_dtype(variable).name, name=name)
        start = tf.fill(shape, tf.constant(value, storage_dtype(variable)))
        return self.add_variable_from_reference(variable, slot, shape=shape, initial_value=start)

    def slots_of(self, variable: Any) -> dict[str, Any]:
        """Returns the slots of a variable that the optimizer was built with, by name."""
        index = self._get_variable_index(variable) if KERAS_3 else self._index_dict[self._var_key(variable)]
        return {slot: raw_variable(variables[index]) for slot, variables in self._slot_lists.items()}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any = None) -> None:
        """Updates one variable: what Keras calls."""
        rate = self.learning_rate if learning_rate is None else learning_rate
        rate = tf.cast(tf.convert_to_tensor(rate), storage_dtype(variable))
        self.apply_rule(gradient, raw_variable(variable), self.slots_of(variable), rate)

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        return  # Keras would decay all rows of a table; `apply_rule` does those of the batch

    if KERAS_3:

        def _clip_gradients(self, grads: list[Any]) -> list[Any]:
            # Keras 3 clips each replica's own gradients, before they are summed; see _backend_update_step.
            return grads

        def _backend_update_step(self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any) -> None:
            pairs = zip(grads, [raw_variable(variable) for variable in trainable_variables], strict=True)
            gradients, variables = zip(*self._all_reduce_sum_gradients(pairs), strict=True)
            tf.__internal__.distribute.interim.maybe_merge_call(
                self._distributed_tf_update_step,
                self._distribution_strategy,
                list(zip(self.prepare_gradients(list(gradients)), variables, strict=True)),
                learning_rate,
            )

    else:

        def _clip_gradients(self, grads: list[Any]) -> list[Any]:
            return self.prepare_gradients(list(grads))

        def _deduplicate_sparse_grad(self, grads: list[Any]) -> list[Any]:
            return grads  # prepare_gradients has done it


class _Notes:
    """Notes by variable; an object of its own, which Keras' tracking of attributes leaves as it is."""

    def __init__(self, by_key: dict[str, TableNotes | None]) -> None:
        self.by_key = by_key


class _Checked:
    """The `assign` of a learning rate that is set from outside, checked by its optimizer first."""

    def __init__(self, optimizer: Any, unchecked: Callable[..., Any]) -> None:
        self.optimizer = optimizer
        self.unchecked = unchecked

    def __call__(self, value: Any, *arguments: Any, **options: Any) -> Any:
        optimizer = self.optimizer()
        if optimizer is not None:
            optimizer.check_learning_rate(value)
        return self.unchecked(value, *arguments, **options)


def assign_state(variable: Any, value: Any) -> None:
    """Assigns a variable of an optimizer a value that was saved, without a check of what it is."""
    assign = variable.assign
    (assign.unchecked if isinstance(assign, _Checked) else assign)(value)


class DelegatingOptimizer(_KerasOptimizer):
    """The part of an optimizer of optimizers that Keras 2 and Keras 3 want differently.

    A subclass gives `build_members` and `apply_members`.
    """

    def build_members(self, variables: list[Any]) -> None:
        """Shares the variables out and builds the members."""
        raise NotImplementedError

    def apply_members(self, pairs: list[tuple[Any, Any]]) -> None:
        """Hands each member its pairs of gradient, summed over the replicas, and variable."""
        raise NotImplementedError

    def check_learning_rate(self, value: Any) -> None:
        """Refuses a learning rate that somebody sets."""

    if KERAS_3:

        @property
        def learning_rate(self) -> Any:
            """The learning rate, or what the schedule makes of it."""
            return self._get_current_learning_rate()

        @learning_rate.setter
        def learning_rate(self, value: Any) -> None:
            self.check_learning_rate(value)
            keras.optimizers.Optimizer.learning_rate.__set__(self, value)

    else:

        def _build_learning_rate(self, learning_rate: Any) -> Any:
            rate = super()._build_learning_rate(learning_rate)
            if isinstance(rate, tf.Variable):
                # What a callback gets by `optimizer.lr` or `learning_rate` is the variable itself.
                rate.assign = _Checked(weakref.ref(self), rate.assign)
            return rate

    def build(self, variables: list[Any]) -> None:
        """Builds the members, once."""
        if getattr(self, "_members_built", False):
            return
        super().build(variables)
        self.build_members(list(variables))
        self._members_built = True

    def _advance(self) -> Any:
        iterations = raw_variable(self._iterations)
        once_for_all_replicas(lambda: iterations.assign_add(1))
        return self._iterations

    if KERAS_3:

        def apply(self, grads: list[Any], trainable_variables: list[Any] | None = None) -> None:
            """Applies gradients: what Keras 3 calls."""
            if trainable_variables is None:
                if not self.built:
                    raise ValueError("Gradients came without variables before the optimizer was built.")
                trainable_variables = self._trainable_variables
            variables = list(trainable_variables)
            self.build(variables)
            self.apply_members(sum_over_replicas(zip(grads, variables, strict=True)))
            self._advance()

    else:

        def apply_gradients(
            self, grads_and_vars: Any, name: str | None = None, skip_gradients_aggregation: bool = False, **kwargs: Any
        ) -> Any:
            """Applies gradients: what Keras 2 calls."""
            aggregate = kwargs.pop("experimental_aggregate_gradients", True) and not skip_gradients_aggregation
            pairs = list(grads_and_vars)
            with tf.name_scope(name or self.name):
                with tf.init_scope():
                    self.build([variable for _, variable in pairs])
                once_for_all_replicas(self._compute_current_learning_rate)
                self.apply_members(sum_over_replicas(pairs) if aggregate else pairs)
                return self._advance()


def is_legacy_optimizer(optimizer: Any) -> bool:
    """Whether this is an optimizer of the kind before Keras 2.11, which tensorflow-addons' all are."""
    return not KERAS_3 and isinstance(optimizer, keras.optimizers.legacy.Optimizer)


def is_optimizer(value: Any) -> bool:
    """Whether this is an optimizer that a model could be compiled with."""
    return isinstance(value, keras.optimizers.Optimizer) or is_legacy_optimizer(value)


def build_member(optimizer: Any, variables: list[Any]) -> None:
    """Creates the state of a member of an optimizer of optimizers before its first step."""
    if is_legacy_optimizer(optimizer):
        optimizer._create_all_weights(variables)
    else:
        optimizer.build(variables)
    if KERAS_3:
        optimizer._all_reduce_sum_gradients = _as_given


def _as_given(grads_and_vars: Any) -> list[tuple[Any, Any]]:
    return list(grads_and_vars)


def apply_member(optimizer: Any, pairs: list[tuple[Any, Any]]) -> None:
    """Applies pairs of gradient and variable, whose gradients are summed over the replicas, by any optimizer."""
    if KERAS_3:
        optimizer.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])
    elif is_legacy_optimizer(optimizer):
        # There each worker has one replica, and legacy optimizers do not let themselves be told.
        on_servers = isinstance(tf.distribute.get_strategy(), tf.distribute.experimental.ParameterServerStrategy)
        optimizer.apply_gradients(pairs, experimental_aggregate_gradients=on_servers)
    else:
        optimizer.apply_gradients(pairs, skip_gradients_aggregation=True)


def optimizer_state(optimizer: Any) -> list[Any]:
    """Returns the variables of any optimizer, in the order in which they were created."""
    return list(optimizer.weights if is_legacy_optimizer(optimizer) else optimizer.variables)


def learning_rate_variable(optimizer: Any) -> tf.Variable | None:
    """Returns the variable that holds an optimizer's learning rate, `None` where a schedule gives it.

    The optimizer must be built.
    """
    schedule = keras.optimizers.schedules.LearningRateSchedule
    if isinstance(getattr(optimizer, "_learning_rate", None), schedule):
        return None
    rate = optimizer.learning_rate
    if not KERAS_3:
        return rate if isinstance(rate, tf.Variable) else None
    return raw_variable(rate) if isinstance(rate, keras.Variable) else None


def track_for_export(archive: Any, layer: Any) -> None:
    """Makes an `ExportArchive` save everything that a layer or model holds, look-up tables included.

    Keras 3 finds the tables that it tracks; Keras 2 saves those of its own look-up layers alone, so the others
    become attributes of the archive, which are saved.
    """
    archive.track(layer)
    if not KERAS_3:
        resources = tf.train.TrackableView(layer).descendants()
        tables = [found for found in resources if isinstance(found, tf.lookup.experimental.MutableHashTable)]
        archive.lookup_tables = [*getattr(archive, "lookup_tables", []), *tables]


# -------------------------------------------------------------------------------------------------- layers


class FloatInputs:
    """What a layer needs so that its inputs may be of any dtype, and its policy too; stands in front of the layer.

    The call arguments named in `float_arguments` are cast to the compute dtype, integers and booleans too, as
    `keras.layers.Dense` does: Keras 3 casts those that are floating, Keras 2 the first of them alone. A kernel that
    is cast to the dtype of integer inputs would be zeros. Ids and masks are other arguments, and stay what they are.

    Weights start with numbers drawn in float32 where their own dtype is narrower, for which TensorFlow lacks some
    operations of initializers.
    """

    float_arguments: tuple[str, ...] = ("inputs", "condition")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "call" in vars(cls):
            cls.call = _with_float_arguments(vars(cls)["call"])  # type: ignore[attr-defined]

    def add_weight(self, *args: Any, initializer: Any = None, dtype: Any = None, **kwargs: Any) -> Any:
        """Adds a weight: what Keras calls."""
        stored = tf.as_dtype(dtype or self.variable_dtype)  # type: ignore[attr-defined]
        if stored != tf.float32 and initializer is not None:
            initializer = _drawn_in_float32(keras.initializers.get(initializer), stored)
        return super().add_weight(*args, initializer=initializer, dtype=dtype, **kwargs)  # type: ignore[misc]


def _with_float_arguments(call: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(call)
    names = list(signature.parameters)[1:]

    @functools.wraps(call)
    def call_with_floats(self: Any, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = _float_arguments(self, names, args, kwargs)
        return call(self, *args, **kwargs)

    call_with_floats.__signature__ = signature  # type: ignore[attr-defined]  # which Keras 2 reads
    return call_with_floats


@tf.autograph.experimental.do_not_convert
def _float_arguments(
    layer: Any, names: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    cast = layer.float_arguments
    given = tuple(as_floats(layer, value) if name in cast else value for name, value in zip(names, args, strict=False))
    named = {name: as_floats(layer, value) if name in cast else value for name, value in kwargs.items()}
    return (*given, *args[len(names) :]), named


def as_floats(layer: Any, value: Any) -> Any:
    """Returns a tensor, or those of a list, in the compute dtype of a layer.

    Args:
        layer: The layer; the message names it.
        value: The tensor, of numbers or booleans, or a list of them; anything else is returned as it is.

    Raises:
        ValueError: The tensor holds strings.
    """
    if isinstance(value, (list, tuple)):
        return [as_floats(layer, part) for part in value]
    if not tf.is_tensor(value) and not isinstance(value, (np.ndarray, np.generic)):
        return value
    wanted, found = tf.as_dtype(layer.compute_dtype), tf.as_dtype(value.dtype)
    if found == tf.string:
        raise ValueError(f"{layer.name} takes numbers, got strings; dynctr_tf.encoding makes ids of raw values.")
    return value if found == wanted else tf.cast(value, wanted)


def _drawn_in_float32(initializer: Any, stored: tf.DType) -> Any:
    def start(shape: Any, dtype: Any = None, **options: Any) -> tf.Tensor:
        drawn = initializer(shape, dtype=tf.float32.name if stored.size < 4 else stored.name, **options)
        return tf.cast(tf.convert_to_tensor(drawn), stored)

    return start


def wide_dtype(layer: Any) -> str:
    """Returns the dtype in which a layer takes softmax, norms, losses and logits: float32, and float64 in float64."""
    return "float64" if tf.as_dtype(layer.compute_dtype) == tf.float64 else "float32"


def widened(x: Any) -> tf.Tensor:
    """Returns a tensor, or the value of a weight, in float32 at least."""
    tensor = tf.convert_to_tensor(x)
    return tensor if tensor.dtype in (tf.float32, tf.float64) else tf.cast(tensor, tf.float32)


class Layer(FloatInputs, keras.layers.Layer):  # type: ignore[misc]
    """A layer of this library; see `FloatInputs`."""


class MaskedLayer(Layer):
    """A layer that is told by its caller which positions hold something, as the call argument `mask`.

    Keras would otherwise warn of the masks that it keeps beside tensors, or pass them on to layers for whose
    inputs they have the wrong shape.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Returns no mask for what follows: what Keras calls."""
        return


def given_mask(mask: Any) -> tf.Tensor | None:
    """Returns the mask that a caller gave, as bool; `None` where there is none.

    Keras 3 gives a layer that takes a list a list of the masks of its inputs where the caller says nothing.
    """
    return None if mask is None or isinstance(mask, (list, tuple)) else tf.cast(mask, tf.bool)


class ConditionedLayer(MaskedLayer):
    """A layer that is called as `layer(inputs, condition)` and whose weights need the shapes of both.

    Keras 3 hands both shapes to `build`, Keras 2 the first alone, also when a saved layer is built again. A
    subclass overrides `build_weights`, which gets both on either.
    """

    _condition_shape: tuple[int | None, ...] | None = None

    def build_weights(self, inputs_shape: tuple[Any, ...], condition_shape: tuple[Any, ...] | None) -> None:
        """Makes the weights; `condition_shape` is `None` where the layer is called without a condition."""
        raise NotImplementedError

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        """Makes the weights: what Keras calls."""
        if condition_shape is None:
            condition_shape = self._condition_shape
        else:
            self._condition_shape = tuple(condition_shape)
        self._inputs_shape = tuple(inputs_shape)
        self.build_weights(self._inputs_shape, None if condition_shape is None else tuple(condition_shape))
        self.built = True

    if not KERAS_3:

        def __call__(self, inputs: Any, condition: Any = None, *args: Any, **kwargs: Any) -> Any:
            if condition is None and not args:
                return super().__call__(inputs, **kwargs)
            if isinstance(condition, np.ndarray):
                condition = tf.convert_to_tensor(condition)  # as Keras 2 does with the first argument alone
            if condition is not None and not self.built:
                self._condition_shape = tuple(condition.shape)
            return super().__call__(inputs, condition, *args, **kwargs)

        def get_build_config(self) -> dict[str, Any] | None:
            """Returns what `build_from_config` builds the layer from."""
            if not self.built:
                return None
            shapes = (self._inputs_shape, self._condition_shape)
            return {"shapes": [None if shape is None else list(shape) for shape in shapes]}

        def build_from_config(self, config: dict[str, Any]) -> None:
            """Builds a saved layer before its weights are loaded."""
            if config:
                self.build(*config["shapes"])


def build_attention(
    attention: Any,
    query_shape: tuple[Any, ...],
    value_shape: tuple[Any, ...],
    key_shape: tuple[Any, ...] | None = None,
) -> None:
    """Makes the weights of a `keras.layers.MultiHeadAttention` inside the `build` of another layer.

    Keras 2 makes them in the first call and has no way to ask for it earlier.
    """
    if KERAS_3:
        attention.build(query_shape, value_shape, key_shape)


@keras.saving.register_keras_serializable(package="dynctr_tf")
class Sum(keras.layers.Add):  # type: ignore[misc]
    """The sum of inputs of one shape; Keras 3's own `Add` takes the second for a bias where the batch is empty."""

    def _merge_function(self, inputs: list[Any]) -> tf.Tensor:
        return tf.add_n(inputs)


@keras.saving.register_keras_serializable(package="dynctr_tf")
class KeyedInput(keras.layers.InputLayer):  # type: ignore[misc]
    """The input of a model under a key that is not the layer's name; `keyed_input` makes one.

    Keras 3 wants a tensor to be called like its key, while no two layers may share a name.
    """

    def __init__(self, key: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.key = key
        # `Model.export` makes the tensor's name that of an argument, which may not be just anything.
        if KERAS_3 and key.isascii() and key.isidentifier():
            self.output.name = key

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "key": self.key}


def keyed_input(key: str, shape: tuple[int | None, ...], *, name: str, dtype: str = "int32") -> Any:
    """Returns a `keras.Input` for any key of a dict of inputs; `name` is the layer's, which no other may have."""
    if KERAS_3 and key != name:
        return KeyedInput(key, shape=shape, dtype=dtype, name=name).output
    return keras.Input(shape, dtype=dtype, name=name)


def copied_input(tensor: Any) -> Any:
    """Returns a new input like one of a functional model."""
    layer = tensor._keras_history[0] if KERAS_3 else None
    if isinstance(layer, keras.layers.InputLayer):
        return type(layer).from_config(layer.get_config()).output
    if not isinstance(getattr(tensor, "type_spec", tf.TensorSpec(())), tf.TensorSpec):
        return keras.Input(type_spec=tensor.type_spec, name=tensor.name)  # sparse or ragged
    dtype = tf.as_dtype(tensor.dtype).name
    return keras.Input(tuple(tensor.shape[1:]), batch_size=tensor.shape[0], dtype=dtype, name=tensor.name)


def add_moving_average(layer: Any, name: str, shape: tuple[int, ...], initializer: Any) -> Any:
    """Adds a weight that a layer moves itself in training, such as the mean of a normalisation; replicas average it."""
    options: dict[str, Any] = {"aggregation": "mean", "dtype": wide_dtype(layer)}
    if not KERAS_3:
        options |= {
            "aggregation": tf.VariableAggregation.MEAN,
            "synchronization": tf.VariableSynchronization.ON_READ,
        }
    return layer.add_weight(
        name=name, shape=shape, initializer=initializer, trainable=False, **options, **uncast_weight_options()
    )


# -------------------------------------------------------------------------------------------------- export


def write_quietly(archive: Any, path: Any) -> None:
    """Writes a `keras.export.ExportArchive`; only Keras 3 lets its list of endpoints be left unprinted."""
    if KERAS_3:
        archive.write_out(str(path), verbose=False)
    else:
        archive.write_out(str(path))


# ------------------------------------------------------------------------------------------------ training


def keep_random_state_in_variables() -> None:
    """Lets layers such as dropout, made from now on, keep their random state where a checkpoint can find it.

    Keras 3 does so anyway. Keras 2 otherwise uses operations whose state lies in the runtime and ends with the process.
    """
    if not KERAS_3:
        keras.backend.experimental.enable_tf_random_generator()


def random_states(model: Any) -> list[tf.Variable]:
    """Returns the variables that hold the random state of a model's layers, which no checkpoint of the model has.

    On Keras 2 they exist for layers made after `keep_random_state_in_variables`.
    """
    if KERAS_3:
        weights = {id(weight) for weight in model.weights}
        metrics = {id(variable) for variable in model.metrics_variables}
        rest = [variable for variable in model.variables if id(variable) not in weights | metrics]
        return [raw_variable(variable) for variable in rest]
    generators = [getattr(layer, "_random_generator", None) for layer in model._flatten_layers()]
    for generator in generators:
        if generator is not None:
            generator._maybe_init()
    states = [getattr(generator, "_generator", None) for generator in generators]
    return [generator.state for generator in states if generator is not None]


# ---------------------------------------------------------------------------------------- functional graphs


@dataclasses.dataclass(frozen=True)
class GraphCall:
    """One call of a layer in the graph of a functional model.

    Args:
        layer: The layer; on Keras 3 possibly an operation without weights.
        inputs: `id` of each symbolic tensor that the call needs.
        outputs: `id` of each symbolic tensor that it gives.
        fill: Makes positional and named arguments of the call out of a dict from `id` to tensor.
    """

    layer: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    fill: Callable[[dict[int, Any]], tuple[tuple[Any, ...], dict[str, Any]]]


def graph_of(model: Any) -> Any:
    """Returns the functional model that holds the graph of a model or layer, `None` where there is no such graph."""
    if KERAS_3:
        if isinstance(model, keras.Sequential):
            return getattr(model, "_functional", None)
        return model if isinstance(model, keras.Model) and hasattr(model, "_nodes_by_depth") else None
    return model if isinstance(model, keras.Model) and getattr(model, "_is_graph_network", False) else None


def in_form_of(tensor: Any, value: tf.Tensor) -> Any:
    """Returns a dense tensor as an input takes it, which may be sparse or ragged."""
    spec = None if KERAS_3 else tensor.type_spec
    if getattr(tensor, "sparse", False) or isinstance(spec, tf.SparseTensorSpec):
        return tf.sparse.from_dense(value)
    if getattr(tensor, "ragged", False) or isinstance(spec, tf.RaggedTensorSpec):
        return tf.RaggedTensor.from_tensor(value)
    return value


def copy_trainable_of_weights(layer: Any, other: Any) -> None:
    """Lets those weights of a layer be trained that are trained in another one like it; only Keras 3 can change it."""
    if KERAS_3:
        for old, new in zip(layer.weights, other.weights, strict=False):
            if old.trainable != new.trainable:
                new.trainable = old.trainable


def graph_calls(model: Any) -> list[GraphCall]:
    """Returns the calls of layers in a functional model, deepest first, without those of its inputs."""
    graph = graph_of(model)
    depths = sorted(graph._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in graph._nodes_by_depth[depth] if not node.is_input]
    if KERAS_3:
        return [
            GraphCall(
                node.operation,
                tuple(id(tensor) for tensor in node.input_tensors),
                tuple(id(tensor) for tensor in node.outputs),
                node.arguments.fill_in,
            )
            for node in nodes
        ]

    def filler(node: Any) -> Callable[[dict[int, Any]], tuple[tuple[Any, ...], dict[str, Any]]]:
        # Keras 2 takes a tensor off a list each time that it is used.
        uses = len(node.flat_input_ids)
        return lambda values: node.map_arguments({str(key): [value] * uses for key, value in values.items()})

    return [
        GraphCall(
            node.layer,
            tuple(int(key) for key in node.flat_input_ids),
            tuple(int(key) for key in node.flat_output_ids),
            filler(node),
        )
        for node in nodes
    ]


def shape_of_new_variable(arguments: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The shape of a variable that TensorFlow is about to make; `None` where it starts from a value that is there.

    Keras 3 gives TensorFlow a function in place of shape and value. It is asked in a graph, where nothing is computed.

    Args:
        arguments: What a creator of `tf.variable_creator_scope` gets.
    """
    shape, initial_value = arguments.get("shape"), arguments.get("initial_value")
    if shape is None and callable(initial_value):
        with tf.Graph().as_default():
            shape = tf.convert_to_tensor(initial_value()).shape
    if shape is None or not tf.TensorShape(shape).is_fully_defined():
        return None
    return tuple(tf.TensorShape(shape).as_list())
