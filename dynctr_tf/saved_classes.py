"""Lets Keras find this library's classes in saved models once the package is imported, without importing them all.

Keras knows those classes alone that were registered, by a name; so each name stands there before its class does.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_PACKAGE = "dynctr_tf"
_REGISTERED = re.compile(rf'register_keras_serializable\(package="{_PACKAGE}"\)\s*\nclass (\w+)')


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


class _AfterKeras(MetaPathFinder):
    """Offers the classes when Keras has been imported.

    Args:
        waiting: The names of Keras that are awaited: the newest one's, and that of Keras 2 beside it.
    """

    def __init__(self, waiting: Iterable[str]) -> None:
        self._waiting = set(waiting)
        self._asking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds Keras as it is found without this, and notes what is to be done after it."""
        if fullname not in self._waiting or self._asking:
            return None
        self._asking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking = False
        # TensorFlow asks first whether there is a Keras, and imports it later.
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_offer(module: ModuleType) -> None:
                run(module)
                self._waiting.discard(fullname)
                if not self._waiting and self in sys.meta_path:
                    sys.meta_path.remove(self)
                _offer(module)

            spec.loader.exec_module = run_and_offer  # type: ignore[method-assign]
        return spec


def offer_saved_classes() -> None:
    """Makes the classes known to Keras, now or when it is imported.

    Cost:
        20 ms, when Keras is imported.
    """
    waiting = []
    for name in ("keras", "tf_keras"):
        module = sys.modules.get(name)
        if module is not None and hasattr(module, "saving"):
            _offer(module)
        else:
            waiting.append(name)
    if waiting and not any(isinstance(finder, _AfterKeras) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterKeras(waiting))
