"""Names of a package whose files are imported when the names are asked for, so that a process imports what it needs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def names_on_demand(package: str, places: Mapping[str, str]) -> Callable[[str], Any]:
    """Returns the function `__getattr__` of a package.

    Args:
        package: The name of the package.
        places: By name, the file of the package that defines it.

    Example:

    >>> from dynctr_tf import encoding
    >>> encoding.Encoder.__module__
    'dynctr_tf.encoding.encoder'
    """

    def imported(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{places[name]}"), name)
        setattr(sys.modules[package], name, value)  # found without this function the next time
        return value

    return imported
