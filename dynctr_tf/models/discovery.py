"""Finds the models: every file of a room that has catalogue entries."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from dynctr_tf.models.entry import ModelEntry

ROOMS = ("static", "dynamic", "sequence", "multi_scenario", "adaptive")
"""The folders of models. A model is a file there: a function of the file's name, and its `ENTRIES`."""


def functions_of(package: str, path: Iterable[str]) -> dict[str, Callable[..., Any]]:
    """Returns the functions of the models in a room, by name.

    Args:
        package: Name of the room's package.
        path: Its `__path__`.

    Example:

    >>> import dynctr_tf.models.static as room
    >>> sorted(functions_of(room.__name__, room.__path__))[:3]
    ['afm', 'afn', 'autoint']
    """
    return {name: getattr(module, name) for name, module in _modules_of(package, path).items()}


def all_entries() -> list[ModelEntry]:
    """Returns the entries of all models, room by room.

    Example:

    >>> all_entries()[0].name
    'afm'
    """
    found: list[ModelEntry] = []
    for room in ROOMS:
        package = importlib.import_module(f"dynctr_tf.models.{room}")
        for module in _modules_of(package.__name__, package.__path__).values():
            found += module.ENTRIES
    return found


def by_name(entries: Iterable[ModelEntry]) -> dict[str, ModelEntry]:
    """Returns entries by their names.

    Args:
        entries: The entries.

    Raises:
        ValueError: Two have one name; the message says where their functions are.

    Example:

    >>> list(by_name(all_entries()))[:3]
    ['afm', 'afn', 'afn_plus']
    """
    found: dict[str, ModelEntry] = {}
    for entry in entries:
        other = found.setdefault(entry.name, entry)
        if other is not entry:
            modules = f"{other.function.__module__} and {entry.function.__module__}"
            raise ValueError(f"Two models have the name {entry.name!r}, of {modules}; give one of them another name.")
    return found


def _modules_of(package: str, path: Iterable[str]) -> dict[str, ModuleType]:
    names = sorted(module.name for module in pkgutil.iter_modules(path))
    modules = {name: importlib.import_module(f"{package}.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "ENTRIES")}
