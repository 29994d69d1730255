"""The base of all parts of models."""

from __future__ import annotations

import dataclasses
from typing import Any

from dynctr_tf.options import check_options


@dataclasses.dataclass(frozen=True, repr=False)
class Part:
    """Options that belong together, and that know how to build their part of a model.

    Use it as the base of frozen dataclasses (`@dataclasses.dataclass(frozen=True, repr=False)`). The type of each
    option is its annotation, and its range follows from its name, see `dynctr_tf.options`. Lists become tuples, so that
    parts with the same options are equal and a part may be the default of an argument.

    Raises:
        ValueError: An option of a wrong type or out of range.

    Example:

    >>> @dataclasses.dataclass(frozen=True, repr=False)
    ... class Tower(Part):
    ...     units: tuple[int, ...]
    ...     dropout: float = 0.0
    >>> Tower([8, 4], dropout=0.5), Tower((8, 4)) == Tower([8, 4])
    (Tower((8, 4), dropout=0.5), True)
    """

    def __post_init__(self) -> None:
        for name, value in self._options().items():
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        check_options(type(self).__name__, type(self), self._options())

    def _options(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def __repr__(self) -> str:
        words = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.default is dataclasses.MISSING:
                words.append(repr(value))
            elif value != field.default:
                words.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(words)})"
