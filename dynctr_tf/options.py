"""Options that come from a file or a command line, checked against the signature of what takes them.

A function's annotations say of which type each option is, and its name, for the names that mean the same everywhere
(`dropout`, `embedding_dim`, `learning_rate`), in which range it lies. So an option that would fail in the middle of a
job, or train with a meaning that nobody intended, is refused before the job starts.
"""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dynctr_tf.nearest import unknown_name_message

_MOST_SIZE = 2**31 - 1


class _Range(NamedTuple):
    """Which numbers an option may be; the ends belong to it unless they are open."""

    low: float
    high: float
    text: str
    low_open: bool = False
    high_open: bool = False

    def holds(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        return above and (value < self.high if self.high_open else value <= self.high)


_SHARE = _Range(0.0, 1.0, "from 0 to below 1", high_open=True)
_POSITIVE = _Range(0.0, math.inf, "above 0", low_open=True)
_NOT_NEGATIVE = _Range(0.0, math.inf, "at least 0")
_SIZE = _Range(1.0, _MOST_SIZE, f"from 1 to {_MOST_SIZE:,}")

# The first pattern that fits the whole name decides.
_RANGES: tuple[tuple[re.Pattern[str], _Range], ...] = tuple(
    (re.compile(pattern), allowed)
    for pattern, allowed in (
        (r"(.*_)?dropout(_rate)?|beta_[12]|momentum|ema_momentum|rho", _SHARE),
        (r"(.*_)?learning_rate|epsilon|clipnorm|clipvalue|global_clipnorm|reduction_ratio", _POSITIVE),
        (r"(.*_)?(l1|l2|l21|weight|weight_decay|initial_scale|initial_accumulator_value)|beta", _NOT_NEGATIVE),
        (r"seed", _Range(0.0, 2.0**32 - 1, f"from 0 to {2**32 - 1:,}")),
        (r"rank|over_parameterisation", _Range(0.0, _MOST_SIZE, f"above 0 and at most {_MOST_SIZE:,}", low_open=True)),
        (r"num_.*|.*_dim|.*_units|.*_rank|.*_sizes?|.*_length|(.*_)?depth|orders?", _SIZE),
    )
)

_NAMES = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false", "None": "none"}


def _matches(value: Any, kind: ast.expr) -> bool:
    """Whether a value is of the kind that an annotation names; one that is not known here takes everything."""
    if isinstance(kind, ast.BinOp) and isinstance(kind.op, ast.BitOr):
        return _matches(value, kind.left) or _matches(value, kind.right)
    if isinstance(kind, ast.Constant) and kind.value is None:
        return value is None
    if isinstance(kind, ast.Subscript) and isinstance(kind.value, ast.Name):
        if kind.value.id in ("Sequence", "list", "tuple"):
            inner = kind.slice.elts[0] if isinstance(kind.slice, ast.Tuple) else kind.slice
            return isinstance(value, (list, tuple)) and all(_matches(part, inner) for part in value)
        if kind.value.id in ("Mapping", "dict"):
            return isinstance(value, Mapping)
    if isinstance(kind, ast.Name):
        if kind.id == "bool":
            return isinstance(value, bool)
        if kind.id == "int":
            return isinstance(value, int) and not isinstance(value, bool)
        if kind.id == "float":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        if kind.id == "str":
            return isinstance(value, str)
    return True


def _kind_text(kind: ast.expr) -> str:
    if isinstance(kind, ast.BinOp):
        return f"{_kind_text(kind.left)} or {_kind_text(kind.right)}"
    if isinstance(kind, ast.Subscript):
        inner = kind.slice.elts[0] if isinstance(kind.slice, ast.Tuple) else kind.slice
        many = {"a whole number": "whole numbers", "a number": "numbers", "a text": "texts"}
        return f"a list of {many.get(_kind_text(inner), 'values')}"
    return _NAMES.get(ast.unparse(kind), ast.unparse(kind))


def _numbers(value: Any) -> list[float]:
    if isinstance(value, (list, tuple)):
        return [number for part in value for number in _numbers(part)]
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else []


def option_range(name: str) -> _Range | None:
    """Returns in which range an option of this name lies; `None` where the name says nothing of it."""
    return next((allowed for pattern, allowed in _RANGES if pattern.fullmatch(name)), None)


def keyword_options(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Returns the arguments that may be given by name; of a class also those that it passes on to its bases.

    Args:
        function: A function, or a class whose constructor is meant.
    """
    if not inspect.isclass(function):
        parameters = inspect.signature(function).parameters.values()
        return {p.name: p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL, p.POSITIONAL_ONLY)}
    found: dict[str, inspect.Parameter] = {}
    for base in function.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        own = [p for p in inspect.signature(vars(base)["__init__"]).parameters.values() if p.name != "self"]
        for p in own:
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                found.setdefault(p.name, p)
        if not any(p.kind is p.VAR_KEYWORD for p in own):
            break
    return found


def check_options(
    what: str,
    function: Callable[..., Any],
    given: Mapping[str, Any],
    known: Mapping[str, Any] | None = None,
    *,
    ranges: bool = True,
) -> None:
    """Refuses options of an unknown name, a wrong type, or out of range.

    Use it on what a person wrote, before anything is done with it.

    Args:
        what: What the options belong to, such as `"model 'dnn'"`.
        function: The function or class that takes them.
        given: The options.
        known: Those of them that may be given. Default `None`: all that the function takes by name.
        ranges: Whether a name says in which range its option lies. Default `True`.

    Raises:
        ValueError: One of these, with the option's name, what came and what would be right.

    Example:

    >>> def tower(*, dropout: float = 0.0) -> None: ...
    >>> check_options("model 'tower'", tower, {"dropout": 1})
    Traceback (most recent call last):
    ValueError: dropout of model 'tower' must be from 0 to below 1, got 1.
    """
    parameters = keyword_options(function)
    accepted = set(parameters if known is None else known)
    for name, value in given.items():
        if name not in accepted:
            raise ValueError(unknown_name_message(f"option of {what}", str(name), accepted))
        parameter = parameters.get(name)
        kind = _annotation(parameter)
        if kind is not None and not _matches(value, kind):
            raise ValueError(f"{name} of {what} must be {_kind_text(kind)}, got {value!r}.")
        allowed = option_range(name) if ranges else None
        # An option without a type is a number where its name says so.
        untyped = kind is None or ast.unparse(kind) == "Any"
        if untyped and allowed is not None and isinstance(value, (str, bool, Mapping)):
            raise ValueError(f"{name} of {what} must be a number {allowed.text}, got {value!r}.")
        for number in _numbers(value):
            if isinstance(number, float) and not math.isfinite(number):
                raise ValueError(f"{name} of {what} must be finite, got {value!r}.")
            if allowed is not None and not allowed.holds(number):
                raise ValueError(f"{name} of {what} must be {allowed.text}, got {value!r}.")


def _annotation(parameter: inspect.Parameter | None) -> ast.expr | None:
    """The annotation of a parameter, read as text: nothing of it is evaluated."""
    if parameter is None or parameter.annotation is inspect.Parameter.empty:
        return None
    annotation = parameter.annotation
    if annotation is None:
        text = "None"
    else:
        text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
