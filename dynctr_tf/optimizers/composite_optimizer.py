"""Different optimizers for different variables of one model."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.nearest import unknown_name_message


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


@keras.saving.register_keras_serializable(package="dynctr_tf")
class CompositeOptimizer(stack.DelegatingOptimizer):
    """Gives each variable the optimizer of the first pattern that matches its path.

    Use it where embedding tables and dense weights want different optimizers; hand it to `model.compile`
    like any other. Nothing goes silently to a default: a variable that no pattern matches is an error, and so
    is a pattern that matches no variable. `assignment_text()` prints who updates what.

    A variable's path is `variable.path` on Keras 3 and `variable.name` without `":0"` on Keras 2, such as
    `"embedding/table"`. A pattern must match the whole path or its end from a `/` on, because Keras 3 puts the
    model's name before the paths of some kinds of models: `"embedding/.*"` also finds `"model/embedding/table"`.
    End the list with `".*"` for the rest.

    **Learning rate.** Every member has its own. `learning_rate` of the composite is a factor on all of them,
    1 at the start, so that `ReduceLROnPlateau` and `LearningRateScheduler` slow all members down together,
    and a schedule given here, such as a warm-up, applies to all. Members with a schedule of their own follow
    it; a factor other than 1 is then an error, at the next step, rather than ignored.

    Members may be any Keras optimizers; on Keras 2 also `keras.optimizers.legacy.*`, and with them those of
    tensorflow-addons. Each clips its own gradients only. The state of the members is saved with the
    composite, in `.keras` files and in `tf.train.Checkpoint` (there, as always with legacy optimizers, their
    slots only together with the model).

    Args:
        optimizers: Pairs of pattern and optimizer: regular expressions, first match wins; optimizers as
            objects or as names that `keras.optimizers.get` knows, no object twice.
        learning_rate: The factor on the members' learning rates: a positive float or a
            `LearningRateSchedule`. Default 1.0.
        name: String. Default `"composite_optimizer"`.
        paths: The paths of all variables in their order, which a saved optimizer brings with it, because Keras 2
            does not always restore them. Default `None`: read off the variables.

    Raises:
        ValueError: No pair, a pattern that is not a regular expression or comes twice, something that is not
            an optimizer, an optimizer given twice; when built: a variable without a pattern, a pattern
            without a variable, schedules both here and in a member.

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
    ) -> None:
        super().__init__(learning_rate, name=name)
        patterns: list[str] = []
        members = tf.Module()  # tracked for checkpoints, while Keras' own saving leaves it to this class
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
                raise ValueError(
                    f"The pattern {pattern!r} of CompositeOptimizer matches no variable; it must match the whole "
                    "path, or its end from a '/' on. " + unknown_name_message("path", pattern, paths)
                )
        self._assigned = _Assigned(tuple(rows), numbers)
        for number, member in enumerate(members):
            own = [variable for variable in variables if numbers[self._var_key(variable)] == number]
            if not own:  # an earlier pattern has taken all that this one matches
                continue
            stack.build_optimizer(member, own)
            follows_schedule = stack.learning_rate_variable(member) is None
            if follows_schedule and stack.learning_rate_variable(self) is None:
                raise ValueError(
                    f"CompositeOptimizer has a schedule as learning_rate, which is a factor for all members, but "
                    f"{type(member).__name__} for {self._patterns[number]!r} has a schedule of its own. Give a "
                    "schedule either to the composite or to its members."
                )

    def apply_members(self, pairs: list[tuple[Any, Any]], aggregate: bool) -> None:
        """Lets each member apply the gradients of its variables, at its learning rate times the factor."""
        groups: dict[int, list[tuple[Any, Any]]] = {}
        for gradient, variable in pairs:
            number = self._assigned.numbers.get(self._var_key(variable))
            if number is None:
                raise ValueError(
                    f"CompositeOptimizer was built without the variable {stack.variable_path(variable)!r}. An "
                    "optimizer belongs to one model: make a new one for another model."
                )
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
                stack.apply_optimizer(member, group, aggregate)
        finally:
            self._set_rates(own_rates, before)

    @staticmethod
    def _set_rates(rates: list[tf.Variable], values: list[tf.Tensor]) -> None:
        def update() -> None:
            for rate, value in zip(rates, values, strict=True):
                rate.assign(value)

        stack.once_for_all_replicas(update)

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
            variable.assign(value)

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
        if not stack.is_optimizer(optimizer):
            raise ValueError(f"{expected}; for {pattern!r} came {optimizer!r}, which is no optimizer.")
        pairs.append((pattern, optimizer))
    if not pairs:
        raise ValueError(f"{expected}, got none.")
    return pairs
