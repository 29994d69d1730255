"""One of some values."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Choice:
    """A hyper-parameter that takes one of some values.

    Args:
        values: The values.
    """

    values: tuple[Any, ...]
