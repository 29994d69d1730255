"""Different optimizers for different variables of one model."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.optimizers.sparse_optimizer import SparseOptimizer, sum_repeated_ids


class Assignment(NamedTuple):
    """Which optimizer a variable has.

    Attributes:
        path: The variable's path.
        shape: The variable's shape.
        pattern: The pattern that matched the path.
        optimizer: The name of the optimizer.
    """

    path: str
    shape: tuple[int, ...]
    pattern: str
    optimizer: str


@stack.serializable
class CompositeOptimizer(stack.DelegatingOptimizer):
    """Gives each variable the optimizer of the first pattern that matches its path.

    Use it where embedding tables and dense weights want different optimizers; hand it to `model.compile`
    like any other. No variable goes silently to a default: a variable that no pattern matches is an error. A pattern
    that matches no variable is a warning, because the layers that it means may be frozen. Layers may also be frozen
    later; a layer that was frozen when the optimizer was built needs a new optimizer before it can train.
    `assignment_text()` prints who updates what.

    A variable's path is `variable.path` on Keras 3 and `variable.name` without `":0"` on Keras 2, such as
    `"embedding/table"`. A pattern must match the whole path or its end from a `/` on, because Keras 3 puts the
    model's name before the paths of some kinds of models: `"embedding/.*"` also finds `"model/embedding/table"`.
    End the list with `".*"` for the rest.

    **Learning rate.** Every member has its own. `learning_rate` of the composite is a factor on all of them,
    1 at the start, so that `ReduceLROnPlateau` and a `LearningRateScheduler` of `(epoch, lr)` slow all members down
    together, and a schedule given here, such as a warm-up, applies to all. A `LearningRateScheduler` that does not know
    of the factor sets an absolute rate, such as 0.001: a value above 1 or less than a tenth of the present factor is
    refused. Members with a schedule of their own follow it; a factor other than 1 is then an error, at the next step,
    rather than ignored.

    Members may be any Keras optimizers; on Keras 2 also `keras.optimizers.legacy.*`, and with them those of
    tensorflow-addons. They get gradients that are summed over the replicas and over ids that repeat. Each clips its
    own gradients only; clipping and weight decay are given to the members, averages of weights (`use_ema`) to those
    that have dense weights, a loss scale (`keras.mixed_precision.LossScaleOptimizer`) goes around the composite. A
    warning names a Keras optimizer that would read and write a whole table for one of these, and Keras' Ftrl on a
    table: its first step sets to 0 all rows that the batch does not have. The state of the members is saved with the
    composite, in `.keras` files and in `tf.train.Checkpoint` (there, as always with legacy optimizers, their slots only
    together with the model).

    Args:
        optimizers: Pairs of pattern and optimizer: regular expressions, first match wins; optimizers as
            objects or as names that `keras.optimizers.get` knows, no object twice.
        learning_rate: The factor on the members' learning rates: a positive float or a
            `LearningRateSchedule`. Default 1.0.
        name: String. Default `"composite_optimizer"`.
        paths: The paths of all variables in their order. A saved optimizer brings them with it, because Keras 2 does
            not always restore them. Default `None`: read off the variables.
        **kwargs: Keras' other options, each refused with what to use instead.

    Raises:
        ValueError: No pair, a pattern that is not a regular expression or comes twice, something that is not
            an optimizer, an optimizer given twice, a member with a loss scale; when built: a variable without a
            pattern, schedules both here and in a member; later: an absolute learning rate.

    Cost: that of the members, and two assignments of a scalar per member.

    Example:

    >>> model = keras.Sequential([keras.layers.Embedding(5, 2, name="embedding"), keras.layers.Dense(1)])
    >>> model.build((None, 3))
    >>> optimizer = CompositeOptimizer([("embedding/.*", "sgd"), (".*", "adam")])
    >>> optimizer.build(model.trainable_variables)
    >>> [(row.pattern, row.optimizer.lower()) for row in optimizer.assignment()]
    [('embedding/.*', 'sgd'), ('.*', 'adam'), ('.*', 'adam')]
    """

    def __init__(
        self,
        optimizers: Iterable[tuple[str, Any]],
        learning_rate: Any = 1.0,
        name: str = "composite_optimizer",
        paths: Iterable[str] | None = None,
        **kwargs: Any,
    ) -> None:
        stack.refuse_options(type(self).__name__, kwargs)
        super().__init__(learning_rate, name=name)
        patterns: list[str] = []
        members = tf.Module()  # tracked for checkpoints; Keras' own saving leaves it to this class
        for number, pair in enumerate(_checked_pairs(optimizers)):
            pattern, optimizer = pair
            if pattern in patterns:
                raise ValueError(f"The pattern {pattern!r} is given twice to CompositeOptimizer.")
            if any(optimizer is getattr(members, f"member_{earlier}") for earlier in range(number)):
                raise ValueError(
                    f"The optimizer {optimizer.name!r} is given twice to CompositeOptimizer. Give each pattern an "
                    "optimizer of its own, or join the patterns: 'this|that'."
                )
            patterns.append(pattern)
            setattr(members, f"member_{number}", optimizer)
        self._patterns = tuple(patterns)
        self._paths = None if paths is None else tuple(paths)
        self._member_module = members

    def members(self) -> list[Any]:
        """Returns the optimizers, in the order of their patterns."""
        return [getattr(self._member_module, f"member_{number}") for number in range(len(self._patterns))]

    def build_members(self, variables: list[Any]) -> None:
        """Assigns a member to each variable and creates the members' state."""
        members = self.members()
        paths = stack.variable_paths(variables, None if self._paths is None else list(self._paths))
        self._paths = tuple(paths)
        rows: list[Assignment] = []
        numbers: dict[str, int] = {}
        unmatched: list[str] = []
        for path, variable in zip(paths, variables, strict=True):
            number = next((i for i, pattern in enumerate(self._patterns) if _matches(pattern, path)), None)
            if number is None:
                unmatched.append(path)
                continue
            numbers[self._var_key(variable)] = number
            rows.append(Assignment(path, tuple(variable.shape), self._patterns[number], type(members[number]).__name__))
        if unmatched:
            raise ValueError(
                f"No pattern of CompositeOptimizer matches the variables {unmatched}. A pattern must match the "
                f"whole path, or its end from a '/' on; given: {list(self._patterns)}. Add one, such as '.*' at the "
                "end for the rest."
            )
        for pattern in self._patterns:
            if not any(_matches(pattern, path) for path in paths):
                warnings.warn(
                    f"The pattern {pattern!r} of CompositeOptimizer matches no variable that trains. That is right if "
                    "it means frozen layers; else it must match the whole path, or its end from a '/' on. "
                    + unknown_name_message("path", pattern, paths),
                    stacklevel=2,
                )
        self._assigned = _Assigned(tuple(rows), numbers)
        for number, member in enumerate(members):
            own = [variable for variable in variables if numbers[self._var_key(variable)] == number]
            if not own:  # an earlier pattern has taken all that this one matches
                continue
            stack.build_member(member, own)
            follows_schedule = stack.learning_rate_variable(member) is None
            if follows_schedule and stack.learning_rate_variable(self) is None:
                raise ValueError(
                    f"CompositeOptimizer has a schedule as learning_rate, which is a factor for all members, but "
                    f"{type(member).__name__} for {self._patterns[number]!r} has a schedule of its own. Give a "
                    "schedule either to the composite or to its members."
                )

    def apply_members(self, pairs: list[tuple[Any, Any]]) -> None:
        """Lets each member apply the gradients of its variables, at its learning rate times the factor."""
        groups: dict[int, list[tuple[Any, Any]]] = {}
        for gradient, variable in pairs:
            number = self._assigned.numbers.get(self._var_key(variable))
            if number is None:
                raise ValueError(
                    f"CompositeOptimizer was built without the variable {stack.variable_path(variable)!r}. An "
                    "optimizer belongs to the variables that one model trained when it was built: make a new one for "
                    "another model, or where a layer trains that was frozen then."
                )
            if isinstance(gradient, tf.IndexedSlices):
                gradient = self._for_member(number, gradient, variable)
            groups.setdefault(number, []).append((gradient, variable))
        active: list[tuple[Any, list[tuple[Any, Any]]]] = []
        for number, group in sorted(groups.items()):
            if all(gradient is None for gradient, _ in group):
                paths = [stack.variable_path(variable) for _, variable in group]
                pattern = self._patterns[number]
                warnings.warn(f"No variable of the pattern {pattern!r} has a gradient: {paths}.", stacklevel=2)
            else:
                active.append((self.members()[number], group))
        if not active:
            raise ValueError("No variable has a gradient: does the loss depend on the model's output?")

        rates = [stack.learning_rate_variable(member) for member, _ in active]
        own_rates = [rate for rate in rates if rate is not None]
        factor = tf.convert_to_tensor(self.learning_rate)
        if len(own_rates) < len(rates):
            tf.debugging.assert_equal(
                factor,
                tf.ones_like(factor),
                "The learning_rate of CompositeOptimizer is a factor on its members' learning rates and was set to "
                "another value than 1, but a member follows a schedule. Put the change into the schedule, or give that "
                "member a constant.",
            )
        before = stack.once_for_all_replicas(lambda: [tf.identity(rate) for rate in own_rates])
        self._set_rates(own_rates, [value * tf.cast(factor, value.dtype) for value in before])
        try:
            for member, group in active:
                stack.apply_member(member, group)
        finally:
            self._set_rates(own_rates, before)

    def _for_member(self, number: int, gradient: tf.IndexedSlices, variable: Any) -> tf.IndexedSlices:
        """Returns a table's gradient as the member can take it, and says what the member does to the whole table."""
        member = self.members()[number]
        if isinstance(member, SparseOptimizer):
            return gradient
        faults = [
            f"{option} reads and writes all of it in each step"
            for option in ("weight_decay", "use_ema", "gradient_accumulation_steps")
            if _is_set(getattr(member, option, None))
        ]
        if type(member).__name__ == "Ftrl" and not stack.is_legacy_optimizer(member):
            faults.append("the first step sets to 0 every row that the batch does not have, loaded ones too")
        key = (number, self._var_key(variable))
        if faults and key not in self._assigned.warned:
            self._assigned.warned.add(key)
            warnings.warn(
                f"{type(member).__name__} of Keras has the table {stack.variable_path(variable)!r} "
                f"(pattern {self._patterns[number]!r}): {'; '.join(faults)}. Take RowWiseAdagrad, LazyAdam or "
                "GroupFtrl of dynctr_tf.optimizers, which touch the rows of the batch alone.",
                stacklevel=2,
            )
        return sum_repeated_ids(gradient)

    def check_learning_rate(self, value: Any) -> None:
        """Refuses a value that can only be an absolute learning rate; called before the factor is set from outside.

        Raises:
            ValueError: A number above 1, or one above 0 that is less than a tenth of the present factor.
        """
        present = stack.learning_rate_variable(self)
        if present is None or not isinstance(value, (int, float, np.number, np.ndarray)):
            return
        new, old = float(value), float(tf.convert_to_tensor(present))
        if not 0 <= new <= 1 or 0 < new < 0.099 * old:
            raise ValueError(
                f"The learning_rate of CompositeOptimizer is a factor on the learning rates of its members, from 1 at "
                f"the start down, and would go from {old:g} to {new:g} at once: that looks like an absolute learning "
                "rate. Let a LearningRateScheduler make the new factor of the old, lambda epoch, lr: lr * 0.9; "
                "use ReduceLROnPlateau, or give the members their rates or schedules."
            )

    @staticmethod
    def _set_rates(rates: list[tf.Variable], values: list[tf.Tensor]) -> None:
        def update() -> None:
            for rate, value in zip(rates, values, strict=True):
                rate.assign(value)

        stack.once_for_all_replicas(update)

    def member_of(self, variable: Any) -> Any:
        """Returns the member that updates a variable; the optimizer must be built."""
        return self.members()[self._assigned.numbers[self._var_key(variable)]]

    def assignment(self) -> tuple[Assignment, ...]:
        """Returns who updates what, one row per variable.

        Raises:
            ValueError: The optimizer has not been built.
        """
        assigned = getattr(self, "_assigned", None)
        if assigned is None:
            raise ValueError("CompositeOptimizer is not built yet: call build(model.trainable_variables) first.")
        return tuple(assigned.rows)

    def assignment_text(self) -> str:
        """Returns the assignment as a table to print."""
        header = ("variable", "shape", "optimizer", "pattern")
        rows = [header]
        rows += [(row.path, "x".join(map(str, row.shape)), row.optimizer, row.pattern) for row in self.assignment()]
        widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        return "\n".join(line.rstrip() for line in lines)

    @property
    def variables(self) -> list[Any]:
        """The variables of the composite, then those of its members."""
        own = super().variables
        return type(own)([*own, *(variable for member in self.members() for variable in stack.optimizer_state(member))])

    def set_weights(self, weights: list[Any]) -> None:
        """Sets all variables, in the order of `variables`.

        Raises:
            ValueError: Not as many values as variables, or a value of another shape.
        """
        variables = list(self.variables)
        shapes = [tuple(variable.shape) for variable in variables]
        given = [tuple(getattr(value, "shape", ())) for value in weights]
        if shapes != given:
            raise ValueError(f"CompositeOptimizer has variables of shapes {shapes}, got values of shapes {given}.")
        for variable, value in zip(variables, weights, strict=True):
            stack.assign_state(variable, value)

    def finalize_variable_values(self, var_list: list[Any]) -> None:
        """Lets the members that average weights put the averages in: Keras calls this at the end of `fit`."""
        for number, member in enumerate(self.members()):
            own = [variable for variable in var_list if self._assigned.numbers[self._var_key(variable)] == number]
            if own and hasattr(member, "finalize_variable_values"):
                member.finalize_variable_values(own)

    def get_config(self) -> dict[str, Any]:
        """Returns every argument."""
        config = super().get_config()
        pairs = zip(self._patterns, self.members(), strict=True)
        return {
            "optimizers": [[pattern, keras.saving.serialize_keras_object(member)] for pattern, member in pairs],
            "learning_rate": config["learning_rate"],
            "name": config["name"],
            "paths": None if self._paths is None else list(self._paths),
        }


class _Assigned:
    """The assignment; an object of its own, which Keras' tracking of attributes leaves as it is."""

    def __init__(self, rows: tuple[Assignment, ...], numbers: dict[str, int]) -> None:
        self.rows = rows
        self.numbers = numbers  # by the key of the variable, the number of its member
        self.warned: set[tuple[int, str]] = set()  # the tables, by member and variable, that were warned of


def _matches(pattern: str, path: str) -> bool:
    return re.fullmatch(f"(?:.*/)?(?:{pattern})", path) is not None


def _checked_pairs(optimizers: Iterable[Any]) -> list[tuple[str, Any]]:
    expected = "CompositeOptimizer takes a list of pairs (pattern, optimizer)"
    if isinstance(optimizers, (str, bytes, dict)) or not isinstance(optimizers, Iterable):
        raise ValueError(f"{expected}, got {optimizers!r}.")
    pairs = []
    for pair in optimizers:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[0], str):
            raise ValueError(f"{expected}, got the entry {pair!r}.")
        pattern, optimizer = pair
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}.") from error
        if isinstance(optimizer, dict):
            optimizer = keras.saving.deserialize_keras_object(optimizer)
        elif isinstance(optimizer, str):
            optimizer = keras.optimizers.get(optimizer)
        if getattr(optimizer, "loss_scale_factor", None) or hasattr(optimizer, "inner_optimizer"):
            raise ValueError(
                f"{type(optimizer).__name__} for {pattern!r} scales the loss, which only the optimizer of the whole "
                "model can do: put keras.mixed_precision.LossScaleOptimizer around the CompositeOptimizer, or take the "
                'policy "mixed_bfloat16", which needs no scale.'
            )
        if not stack.is_optimizer(optimizer):
            raise ValueError(f"{expected}; for {pattern!r} came {optimizer!r}, which is not an optimizer.")
        pairs.append((pattern, optimizer))
    if not pairs:
        raise ValueError(f"{expected}, got none.")
    return pairs


def _is_set(option: Any) -> bool:
    """Whether an option of an optimizer is on; those of Keras 2 and tensorflow-addons may be tensors in a graph."""
    return bool(option) if option is None or isinstance(option, (bool, int, float)) else True
