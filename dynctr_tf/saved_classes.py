"""Lets Keras find this library's classes in saved models once the package is imported, without importing them all.

Keras knows those classes alone that were registered, by a name; so each name stands there before its class does.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from dynctr_tf.after_import import after_import

_PACKAGE = "dynctr_tf"
_REGISTERED = re.compile(r"^@(?:stack\.)?serializable\s*\nclass (\w+)", re.M)


class _Awaited:
    """Stands for a class until a saved model asks for it; its module, once imported, takes the place."""

    def __init__(self, module: str, name: str) -> None:
        self.__name__ = name
        self._module = module

    def from_config(self, config: dict[str, Any], **options: Any) -> Any:
        """Imports the class and lets it read its configuration."""
        return getattr(importlib.import_module(self._module), self.__name__).from_config(config, **options)


def saved_classes() -> dict[str, str]:
    """The classes that are saved with models, by name, and the module of each; read off the sources."""
    root = Path(__file__).parent
    found = {}
    for file in sorted(root.rglob("*.py")):
        for name in _REGISTERED.findall(file.read_text(encoding="utf-8")):
            found[name] = ".".join((_PACKAGE, *file.relative_to(root).with_suffix("").parts))
    return found


def _offer(keras: ModuleType) -> None:
    known = keras.saving.get_custom_objects()
    for name, module in saved_classes().items():
        known.setdefault(f"{_PACKAGE}>{name}", _Awaited(module, name))


def offer_saved_classes() -> None:
    """Makes the classes known to Keras, the newest one and Keras 2 beside it, now or when each is imported.

    Cost:
        20 ms, when Keras is imported.
    """
    after_import(("keras", "tf_keras"), _offer, complete="saving")
