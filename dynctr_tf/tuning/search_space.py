"""What a search draws from: the catalogue's space, a user's own over it, and both as keras-tuner's hyper-parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import keras_tuner

from dynctr_tf.models.catalogue import Choice, LogUniform, SearchSpace, Uniform, model_entry
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.optimizers.registry import optimizer_of

# The only options of the training that a search may draw. Others would change the rows or the validation, and so what
# scores mean.
_TRAINING = ("batch_size", "epochs", "mixed_precision")
_RANGE_KEYS = ("low", "high", "scale", "points")
_SCALES = ("log", "linear")


def catalogue_space(model: str, optimizer: str = "default") -> dict[str, Choice | LogUniform | Uniform]:
    """Returns what the catalogue searches for a model and its optimizer together.

    Args:
        model: The model's name in the catalogue.
        optimizer: A name of the registry of optimizers, or `"default"`: the model's own. Default `"default"`.

    Returns:
        The space, under the names `model.NAME` and `optimizer.NAME`.

    Raises:
        ValueError: An unknown model or optimizer, with the nearest known one.

    Example:

    >>> space = catalogue_space("dynint_dwp")
    >>> space["model.rank"], space["optimizer.learning_rate"]
    (Choice(values=(1, 2, 3, 4)), LogUniform(low=0.005, high=0.05))
    """
    entry = model_entry(model)
    optimized = optimizer_of(model, optimizer)
    return {
        # An optimizer such as G-FTRL penalises the rows itself.
        **{
            f"model.{name}": draw
            for name, draw in entry.search_space.items()
            if not (optimized.has_row_penalty and name == entry.path_of("row_regularizer_l2"))
        },
        **{f"optimizer.{name}": draw for name, draw in optimized.search_space.items()},
    }


def with_own_space(
    space: SearchSpace, own: Mapping[str, Any], model: str, optimizer: str = "default"
) -> tuple[dict[str, Choice | LogUniform | Uniform], dict[str, Any]]:
    """Overrides and extends a space by what a user wrote in a settings file.

    Args:
        space: The space, such as that of `catalogue_space`.
        own: Tables `model`, `optimizer` and `training`, each from the name of an option to a list of values to
            choose from, to `{"low": 16, "high": 128}` with `"scale"` `"log"` (the default) or `"linear"`, which draws
            whole numbers where both ends are whole, or to one value, which is then fixed. With `"points"`, a range is
            the list of so many values from low to high, evenly spaced on its scale: what a grid needs.
        model: The model's name in the catalogue.
        optimizer: As in `catalogue_space`. Default `"default"`.

    Returns:
        The space, and the fixed values under the same kind of name.

    Raises:
        ValueError: An option that the model, the optimizer or the training does not have, with the nearest that it
            has; an empty list; a range whose ends are not in order.

    Example:

    >>> with_own_space({}, {"model": {"num_layers": [1, 2], "rank": 8}}, "dynint_dgp")
    ({'model.num_layers': Choice(values=(1, 2))}, {'model.rank': 8})
    """
    known: dict[str, list[str]] = {
        "model": list(model_entry(model).defaults),
        "optimizer": list(optimizer_of(model, optimizer).options),
        "training": list(_TRAINING),
    }
    merged, fixed = dict(space), {}
    for section, options in own.items():
        if section not in known:
            raise ValueError(unknown_name_message("table of [search.space]", section, known))
        if not isinstance(options, Mapping):
            raise ValueError(f"[search.space.{section}] must be a table of options, got {options!r}.")
        for option, given in space_by_path(options, known[section]).items():
            if option not in known[section]:
                what = f"{section} option of [search.space] for {model!r}"
                raise ValueError(unknown_name_message(what, option, known[section]))
            name = f"{section}.{option}"
            merged.pop(name, None)
            if isinstance(given, (list, tuple)):
                merged[name] = _choice(name, given)
            elif isinstance(given, Mapping):
                merged[name] = _range(name, given)
            else:
                fixed[name] = given
    return merged, fixed


def space_by_path(options: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Returns what a user wrote of a space by the paths of options: `{"embedding": {"dim": [8, 16]}}`.

    Args:
        options: Tables within tables; a table that stands for no part of the model is a range.
        known: The paths that there are.

    Example:

    >>> space_by_path({"rank": [2, 4], "embedding": {"dim": [8, 16]}}, ["rank", "embedding.dim"])
    {'rank': [2, 4], 'embedding.dim': [8, 16]}
    """
    parts = {path.partition(".")[0] for path in known if "." in path}
    found: dict[str, Any] = {}
    for name, given in options.items():
        if name in parts and isinstance(given, Mapping):
            found.update({f"{name}.{option}": value for option, value in given.items()})
        else:
            found[name] = given
    return found


def _choice(name: str, given: list[Any] | tuple[Any, ...]) -> Choice:
    if not given:
        raise ValueError(f"search.space.{name} must list at least one value, got none.")
    return Choice(tuple(tuple(value) if isinstance(value, list) else value for value in given))


def _range(name: str, given: Mapping[str, Any]) -> Choice | LogUniform | Uniform:
    for key in given:
        if key not in _RANGE_KEYS:
            raise ValueError(unknown_name_message(f"key of the range search.space.{name}", key, _RANGE_KEYS))
    scale = given.get("scale", "log")
    if scale not in _SCALES:
        raise ValueError(unknown_name_message(f"scale of search.space.{name}", str(scale), _SCALES))
    low, high = given.get("low"), given.get("high")
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, (int, float)):
            raise ValueError(f"search.space.{name} needs two numbers low and high, got {dict(given)!r}.")
    if not low < high or (scale == "log" and low <= 0):  # type: ignore[operator]
        raise ValueError(
            f"search.space.{name} needs low < high, and low > 0 on a logarithmic scale, got low {low} and high {high} "
            f"on the scale {scale!r}."
        )
    if "points" in given:
        return Choice(_points(name, low, high, scale, given["points"]))
    return (LogUniform if scale == "log" else Uniform)(low, high)  # type: ignore[arg-type]


def _points(name: str, low: Any, high: Any, scale: str, count: Any) -> tuple[float, ...]:
    """Evenly spaced values from low to high, whole numbers where both ends are, each once."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 2:
        raise ValueError(f"search.space.{name}.points must be a whole number of at least 2, got {count!r}.")
    shares = [place / (count - 1) for place in range(count)]
    if scale == "log":
        values = [math.exp((1.0 - share) * math.log(low) + share * math.log(high)) for share in shares]
    else:
        values = [(1.0 - share) * low + share * high for share in shares]
    if isinstance(low, int) and isinstance(high, int):
        return tuple(dict.fromkeys(round(value) for value in values))
    # The ends are the given ones, and the others have as many digits as a person would write.
    return (float(low), *(float(f"{value:.6g}") for value in values[1:-1]), float(high))


def grid_size(space: SearchSpace) -> int:
    """Returns how many sets of values a grid over a space has.

    Args:
        space: The space, of choices alone.

    Raises:
        ValueError: A range in it, which has infinitely many values; the message says what to write.

    Example:

    >>> grid_size({"model.num_layers": Choice((1, 2, 3)), "model.rank": Choice((16, 32))})
    6
    """
    for name, draw in space.items():
        if not isinstance(draw, Choice):
            raise ValueError(
                f"A grid needs values to choose from, and {name} is the range from {draw.low:g} to {draw.high:g}. List "
                f"its values, or say how many: {{low = {draw.low:g}, high = {draw.high:g}, points = 4}}."
            )
    return math.prod(len(draw.values) for draw in space.values() if isinstance(draw, Choice))


def declare(hyperparameters: keras_tuner.HyperParameters, space: SearchSpace) -> None:
    """Enters a space into keras-tuner's hyper-parameters.

    Args:
        hyperparameters: What a tuner draws.
        space: The space.
    """
    for name, draw in space.items():
        if isinstance(draw, Choice):
            # Values may be tuples, which keras-tuner does not take; it draws their place.
            hyperparameters.Choice(name, list(range(len(draw.values))))
        else:
            whole = isinstance(draw.low, int) and isinstance(draw.high, int)
            kind = hyperparameters.Int if whole else hyperparameters.Float
            kind(name, draw.low, draw.high, sampling="log" if isinstance(draw, LogUniform) else "linear")


def drawn_values(hyperparameters: keras_tuner.HyperParameters, space: SearchSpace) -> dict[str, Any]:
    """Reads the values of a space out of keras-tuner's hyper-parameters.

    Args:
        hyperparameters: What a tuner drew, after `declare`.
        space: The space.
    """
    return {
        name: draw.values[hyperparameters.get(name)] if isinstance(draw, Choice) else hyperparameters.get(name)
        for name, draw in space.items()
    }


def options_of(section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Picks the options of one section out of values named `section.NAME`.

    Use it in the function that `search` calls, to give the model and the optimizer what was drawn for them.

    Args:
        section: `"model"`, `"optimizer"` or `"training"`.
        values: The values.

    Returns:
        The values of the section, by the names of its options.

    Example:

    >>> options_of("model", {"model.rank": 8, "optimizer.learning_rate": 0.01})
    {'rank': 8}
    """
    return {name.split(".", 1)[1]: value for name, value in values.items() if name.startswith(f"{section}.")}
