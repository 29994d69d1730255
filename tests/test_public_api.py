"""The public names of each room: a list that changes on purpose.

After a change that is meant: `python tests/test_public_api.py` writes the list anew; read the difference.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

import dynctr_tf

LIST = Path(__file__).with_name("public_api.txt")
PACKAGES = sorted(module.name for module in pkgutil.walk_packages(dynctr_tf.__path__, "dynctr_tf.") if module.ispkg)
# Jobs, notebooks and servers are written against these; layers and models grow with every paper, and the stack is for
# the library's own files.
FIXED = [name for name in PACKAGES if not name.startswith(("dynctr_tf.layers", "dynctr_tf.models", "dynctr_tf.stack"))]


def public_names() -> list[str]:
    return [f"{package}.{name}" for package in FIXED for name in sorted(importlib.import_module(package).__all__)]


def test_the_public_names_are_those_of_the_list() -> None:
    listed = LIST.read_text(encoding="utf-8").splitlines()
    found = public_names()
    assert not set(listed) - set(found), f"gone, though users may import them: {sorted(set(listed) - set(found))}"
    assert not set(found) - set(listed), f"new: {sorted(set(found) - set(listed))}; see how to add them above"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_once(package: str) -> None:
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__) > 0
    for name in module.__all__:
        assert not name.startswith("_") and getattr(module, name) is not None, f"{package}.{name}"


if __name__ == "__main__":
    LIST.write_text("\n".join(public_names()) + "\n", encoding="utf-8")
