"""Reports as JSON and back: dataclasses, named tuples and arrays; what is undefined becomes `null`."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dynctr_tf.metrics.bootstrap import Estimate
from dynctr_tf.nearest import unknown_name_message


def to_plain(value: Any) -> Any:
    """Returns dataclasses, named tuples and arrays as what JSON knows; NaN and infinity become `None`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {key: to_plain(entry) for key, entry in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [to_plain(entry) for entry in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value


def parse_object(text: str, what: str) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        ValueError: Not JSON, or not an object; the message says what it should have been.
    """
    try:
        plain = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"The {what} is not JSON: {error}.") from error
    if not isinstance(plain, dict):
        raise ValueError(f"The {what} must be a JSON object, got {type(plain).__name__}.")
    return plain


def entry_of(plain: Any, key: str, what: str) -> Any:
    """Returns an entry of a JSON object.

    Raises:
        ValueError: Not an object, or without this key.
    """
    if not isinstance(plain, dict):
        raise ValueError(f"The {what} must be a JSON object, got {type(plain).__name__}: {plain!r}.")
    if key not in plain:
        raise ValueError(f"The {what} lacks {key!r}; it has {sorted(plain)}.")
    return plain[key]


def build(cls: type, given: Mapping[str, Any]) -> Any:
    """Makes a dataclass of a JSON object.

    Raises:
        ValueError: A key that is not one of its fields, or a field without default that is missing.
    """
    known = [field.name for field in dataclasses.fields(cls)]
    for key in given:
        if key not in known:
            raise ValueError(unknown_name_message(f"key of {cls.__name__}", key, known))
    missing = [
        field.name
        for field in dataclasses.fields(cls)
        if field.name not in given and field.default is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(f"The {cls.__name__} lacks {', '.join(map(repr, missing))}; it has {sorted(given)}.")
    return cls(**given)


def as_float(value: Any) -> float:
    """Returns a number as a float; `None` becomes NaN."""
    return math.nan if value is None else float(value)


def estimate_of(plain: Any) -> Estimate:
    """Reads a value with its interval."""
    return Estimate(*(as_float(entry_of(plain, key, "estimate")) for key in Estimate._fields))


def estimates_of(plain: Any) -> dict[str, Estimate]:
    """Reads metrics with their intervals.

    Raises:
        ValueError: Not an object of values with lower and upper ends.
    """
    if not isinstance(plain, dict):
        raise ValueError(f"Metrics must be a JSON object, got {type(plain).__name__}: {plain!r}.")
    return {metric: estimate_of(entry) for metric, entry in plain.items()}
