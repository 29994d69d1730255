"""Base classes of optimizers, and functions for an optimizer of any kind."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.stack.replicas import ReplicaSum, once_for_all_replicas, sum_over_replicas
from dynctr_tf.stack.tables import TableNotes, table_notes
from dynctr_tf.stack.variables import raw_variable, storage_dtype, variable_path, whole_variables
from dynctr_tf.stack.versions import KERAS_3

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

    def slots_that_keep(self, weight: tf.Tensor, slots: dict[str, tf.Tensor], rate: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the slots that have to change so that the rule keeps weights which it has not made itself.

        Args:
            weight: The weights: of rows that are new in a table, or of all rows where the learning rate was another.
            slots: Their slots.
            rate: The learning rate from now on.
        """
        return {}

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
        self._slots = _Untracked(slot_lists)
        # What a checkpoint of Keras 2 lists: of a table in shards each slot as a whole, as one device has it.
        self._slot_lists = (
            slot_lists if KERAS_3 else {slot: whole_variables(created) for slot, created in slot_lists.items()}
        )
        self._notes = _Untracked({self._var_key(variable): table_notes(variable) for variable in variables})

    def notes_of(self, variable: Any) -> TableNotes | None:
        """Returns the notes of an embedding layer on a variable that the optimizer was built with."""
        notes: TableNotes | None = self._notes.by_key[self._var_key(variable)]
        return notes

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

        def start() -> tf.Tensor:
            return tf.fill(shape, tf.constant(value, storage_dtype(variable)))

        if getattr(variable, "_sharded_container", None) is None:
            return self.add_variable_from_reference(variable, slot, shape=shape, initial_value=start())
        # On the server of its shard, which fills it: this process may not have the memory for it.
        with tf.distribute.get_strategy().extended.colocate_vars_with(variable):
            return self.add_variable_from_reference(variable, slot, shape=shape, initial_value=start)

    def slots_of(self, variable: Any) -> dict[str, Any]:
        """Returns the slots of a variable that the optimizer was built with, by name."""
        index = self._get_variable_index(variable) if KERAS_3 else self._index_dict[self._var_key(variable)]
        return {slot: raw_variable(variables[index]) for slot, variables in self._slots.by_key.items()}

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


class _Untracked:
    """What an optimizer remembers by a key, in an object that Keras' tracking of attributes leaves as it is."""

    def __init__(self, by_key: dict[str, Any]) -> None:
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
    """Assigns a saved value to a variable of an optimizer, without a check of the value."""
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
        # There each worker has one replica, and legacy optimizers have no argument that says so.
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


def slots_of(optimizer: Any, variable: Any) -> list[tf.Variable]:
    """Returns what an optimizer of any kind, once built, keeps for one of its variables.

    An optimizer of optimizers gives the member of the variable, whose state is then returned.

    Raises:
        ValueError: An optimizer of tensorflow-addons that wraps another one.
    """
    if isinstance(optimizer, RuleOptimizer):
        return list(optimizer.slots_of(variable).values())
    if is_legacy_optimizer(optimizer):
        if hasattr(optimizer, "_optimizer"):  # Lookahead and the averages of tensorflow-addons
            raise ValueError(
                f"{type(optimizer).__name__} keeps copies of the weights around another optimizer; what they are in "
                "rows that are new is not known. Take the optimizer that it holds."
            )
        return [optimizer.get_slot(variable, name) for name in optimizer.get_slot_names()]
    index = optimizer._get_variable_index(variable) if KERAS_3 else optimizer._index_dict[optimizer._var_key(variable)]
    count = len(optimizer._trainable_variables if KERAS_3 else optimizer._index_dict)
    found = []
    for name, kept in vars(optimizer).items():
        # Keras keeps a list for each slot, in the order of the variables, and the variables themselves.
        if name in ("_trainable_variables", "_variables"):
            continue
        if isinstance(kept, dict):
            slot = kept.get(variable_path(variable))
        else:
            slot = kept[index] if isinstance(kept, (list, tuple)) and len(kept) == count else None
        if slot is not None and (isinstance(slot, tf.Variable) or (KERAS_3 and isinstance(slot, keras.Variable))):
            found.append(raw_variable(slot))
    return found
