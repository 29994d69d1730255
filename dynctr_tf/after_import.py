"""Does something once another package has been imported, without importing it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _AfterImport(MetaPathFinder):
    """Runs an action after the import of each of some modules.

    Args:
        waiting: The modules' names.
        action: What is done with each module after its import.
    """

    def __init__(self, waiting: Iterable[str], action: Callable[[ModuleType], None]) -> None:
        self._waiting = set(waiting)
        self.action = action
        self._asking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds a module as it is found without this, and notes what is to be done after its import."""
        if fullname not in self._waiting or self._asking:
            return None
        self._asking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking = False
        # Some packages only ask whether a module is there, and import it later.
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_act(module: ModuleType) -> None:
                run(module)
                self._waiting.discard(fullname)
                if not self._waiting and self in sys.meta_path:
                    sys.meta_path.remove(self)
                self.action(module)

            spec.loader.exec_module = run_and_act  # type: ignore[method-assign]
        return spec


def after_import(names: Iterable[str], action: Callable[[ModuleType], None], complete: str) -> None:
    """Runs an action with each of some modules: now where one has been imported, else after its import.

    Args:
        names: The modules' names.
        action: What is done with each module. A second call with the same action is without effect.
        complete: An attribute that a module has once it is wholly imported.
    """
    waiting = []
    for name in names:
        module = sys.modules.get(name)
        if module is not None and hasattr(module, complete):
            action(module)
        else:
            waiting.append(name)
    known = [finder.action for finder in sys.meta_path if isinstance(finder, _AfterImport)]
    if waiting and action not in known:
        sys.meta_path.insert(0, _AfterImport(waiting, action))
