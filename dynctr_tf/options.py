"""Options that come from a file or a command line, checked against the signature of what takes them.

A function's annotations say of which type each option is, and its name, for the names that mean the same everywhere
(`dropout`, `num_layers`, `learning_rate`), in which range it lies. So an option that would fail in the middle of a
job, or train with a meaning that nobody intended, is refused before the job starts.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import numbers
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
        (r"(.*_)?learning_rate|epsilon|clipnorm|clipvalue|global_clipnorm|(reduction|expansion)_ratio", _POSITIVE),
        (r"(.*_)?(l1|l2|l21|weight|weight_decay|initial_scale|initial_accumulator_value)|beta", _NOT_NEGATIVE),
        (r"seed", _Range(0.0, 2.0**32 - 1, f"from 0 to {2**32 - 1:,}")),
        (r"rank|over_parameterisation", _Range(0.0, _MOST_SIZE, f"above 0 and at most {_MOST_SIZE:,}", low_open=True)),
        # Depth 0 is a model of its own for some; the others refuse it themselves.
        # So is a width of 0 for the fields of DyMLP: no operation on them.
        (r"num_layers|field_dim", _Range(0.0, _MOST_SIZE, f"from 0 to {_MOST_SIZE:,}")),
        (r"num_.*|(.*_)?dim|(.*_)?units|.*_rank|.*_sizes?|.*_length|(.*_)?depth|order", _SIZE),
    )
)

_NAMES = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false", "None": "none"}


class Option(NamedTuple):
    """What is known of an option.

    Args:
        annotation: Its type, as a text where annotations are postponed.
        default: Its default; `inspect.Parameter.empty` where it has none.
    """

    annotation: Any
    default: Any


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
            return isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if kind.id == "float":
            return isinstance(value, numbers.Real) and not isinstance(value, bool)
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


def _numbers_in(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [number for part in value for number in _numbers_in(part)]
    return [value] if isinstance(value, numbers.Real) and not isinstance(value, bool) else []


def option_range(name: str) -> _Range | None:
    """Returns in which range an option of this name lies; `None` where the name says nothing of it."""
    word = name.rpartition(".")[2]
    return next((allowed for pattern, allowed in _RANGES if pattern.fullmatch(word)), None)


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


def option_paths(function: Callable[..., Any]) -> dict[str, Option]:
    """Returns all options of a function by their paths: those of an argument that is a dataclass one by one.

    Args:
        function: A function, or a class whose constructor is meant.

    Example:

    >>> @dataclasses.dataclass(frozen=True)
    ... class Tower:
    ...     dropout: float = 0.0
    >>> def model(*, rank: int = 4, tower: Tower = Tower()) -> None: ...
    >>> {path: option.default for path, option in option_paths(model).items()}
    {'rank': 4, 'tower.dropout': 0.0}
    """
    found = {}
    for name, parameter in keyword_options(function).items():
        if _is_part(parameter.default):
            for field in dataclasses.fields(parameter.default):
                found[f"{name}.{field.name}"] = Option(field.type, getattr(parameter.default, field.name))
        else:
            found[name] = Option(parameter.annotation, parameter.default)
    return found


def with_parts(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a function for options that are given by their paths.

    Args:
        function: The function.
        options: Options by path, as `option_paths` names them; and whole parts by name, which paths then change.

    Example:

    >>> @dataclasses.dataclass(frozen=True)
    ... class Tower:
    ...     units: int = 8
    ...     dropout: float = 0.0
    >>> def model(*, rank: int = 4, tower: Tower = Tower(16)) -> None: ...
    >>> with_parts(model, {"rank": 2, "tower.dropout": 0.5})
    {'rank': 2, 'tower': Tower(units=16, dropout=0.5)}
    """
    parameters = keyword_options(function)
    arguments = {name: value for name, value in options.items() if "." not in name}
    changes: dict[str, dict[str, Any]] = {}
    for path, value in options.items():
        part, dot, name = path.partition(".")
        if dot:
            changes.setdefault(part, {})[name] = value
    for part, changed in changes.items():
        arguments[part] = dataclasses.replace(arguments.get(part, parameters[part].default), **changed)
    return arguments


def _is_part(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


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
        given: The options, by their paths; or whole parts by name.
        known: Those paths that may be given. Default `None`: all that the function has.
        ranges: Whether a name says in which range its option lies. Default `True`.

    Raises:
        ValueError: One of these, with the option's name, what came and what would be right.

    Example:

    >>> def tower(*, dropout: float = 0.0) -> None: ...
    >>> check_options("model 'tower'", tower, {"dropout": 1})
    Traceback (most recent call last):
    ValueError: dropout of model 'tower' must be from 0 to below 1, got 1.
    """
    options = option_paths(function)
    accepted = set(options if known is None else known)
    for name, value in given.items():
        inner = [path for path in accepted if path.startswith(f"{name}.")]
        if inner:
            _check_part(what, name, keyword_options(function)[name].default, value, set(options) - accepted, inner)
            continue
        if name not in accepted:
            raise ValueError(unknown_name_message(f"option of {what}", str(name), accepted))
        kind = _annotation(options[name].annotation if name in options else inspect.Parameter.empty)
        if kind is not None and not _matches(value, kind):
            raise ValueError(f"{name} of {what} must be {_kind_text(kind)}, got {value!r}.")
        allowed = option_range(name) if ranges else None
        # An option without a type is a number where its name says so.
        untyped = kind is None or ast.unparse(kind) == "Any"
        if untyped and allowed is not None and isinstance(value, (str, bool, Mapping)):
            raise ValueError(f"{name} of {what} must be a number {allowed.text}, got {value!r}.")
        for number in _numbers_in(value):
            if not isinstance(number, numbers.Integral) and not math.isfinite(number):
                raise ValueError(f"{name} of {what} must be finite, got {value!r}.")
            if allowed is not None and not allowed.holds(number):
                raise ValueError(f"{name} of {what} must be {allowed.text}, got {value!r}.")


def _check_part(what: str, name: str, default: Any, value: Any, fixed: set[str], inner: list[str]) -> None:
    """Refuses what cannot stand for a whole part: another type, or one that changes an option that is fixed."""
    kind = type(default).__name__
    if not isinstance(value, type(default)):
        raise ValueError(
            f"{name} of {what} must be {kind}(...), got {value!r}; in settings each of its options is given, such as "
            f"{sorted(inner)[0]}."
        )
    if held := sorted(path for path in fixed if path.startswith(f"{name}.")):
        raise ValueError(
            f"{name} of {what} cannot be given as a whole, for {', '.join(held)} is fixed; give its other options one "
            f"by one, such as {sorted(inner)[0]}."
        )


def _annotation(annotation: Any) -> ast.expr | None:
    """An annotation, read as text: nothing of it is evaluated. `None` where there is none."""
    if annotation is inspect.Parameter.empty:
        return None
    if annotation is None:
        text = "None"
    else:
        text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
