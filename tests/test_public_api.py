"""What is public, with signatures: a list that changes on purpose.

After a change that is meant: `python tests/test_public_api.py` writes the list anew; read the difference.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from pathlib import Path
from typing import Any

import pytest

import dynctr_tf

LIST = Path(__file__).with_name("public_api.txt")
PACKAGES = sorted(module.name for module in pkgutil.walk_packages(dynctr_tf.__path__, "dynctr_tf.") if module.ispkg)
# The stack is for the library's own files. The rooms of layers and models are listed as a whole.
LISTED = [
    name
    for name in PACKAGES
    if name != "dynctr_tf.stack" and not name.startswith(("dynctr_tf.layers.", "dynctr_tf.models."))
] + ["dynctr_tf.models.entry", "dynctr_tf.models.parts", "dynctr_tf.schema"]


def own_constructor(member: type[Any]) -> Any:
    """The constructor of a class, if this library wrote it: that of Keras differs between the stacks."""
    for base in member.__mro__:
        if base.__module__.startswith("dynctr_tf") and ("__init__" in vars(base) or "__new__" in vars(base)):
            return vars(base).get("__init__") or vars(base)["__new__"]
    return None


def text_of(parameter: inspect.Parameter) -> str:
    star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    kind = (
        parameter.annotation if isinstance(parameter.annotation, str) else getattr(parameter.annotation, "__name__", "")
    )
    typed = "" if parameter.annotation is parameter.empty else f": {kind}"
    if parameter.default is parameter.empty:
        return f"{star}{parameter.name}{typed}"
    # An object of no plain text, such as a function, would be written with its address.
    default = repr(parameter.default)
    return f"{star}{parameter.name}{typed} = {'...' if ' at 0x' in default else default}"


def signature_of(member: Any) -> str:
    """The arguments of a class or function as one line; empty for what is no callable."""
    function = own_constructor(member) if inspect.isclass(member) else member
    if not inspect.isfunction(function):
        return ""
    parameters = list(inspect.signature(function).parameters.values())
    parameters = parameters[1:] if inspect.isclass(member) else parameters
    shown = []
    for index, parameter in enumerate(parameters):
        named = parameter.kind is parameter.KEYWORD_ONLY
        before = {other.kind for other in parameters[:index]}
        if named and not before & {parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL}:
            shown.append("*")
        shown.append(text_of(parameter))
    return f"({', '.join(shown)})"


def names_of(package: str) -> list[str]:
    module = importlib.import_module(package)
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    members = vars(module).items()
    return sorted(name for name, member in members if name[0] != "_" and getattr(member, "__module__", "") == package)


def public_names() -> list[str]:
    return [
        f"{package}.{name}{signature_of(getattr(importlib.import_module(package), name))}"
        for package in sorted(LISTED)
        for name in names_of(package)
    ]


def test_what_is_public_is_what_the_list_says() -> None:
    listed = LIST.read_text(encoding="utf-8").splitlines()
    found = public_names()
    gone, new = sorted(set(listed) - set(found)), sorted(set(found) - set(listed))
    assert not gone and not new, "\n".join(
        ["Gone or changed, though users may rely on it:", *gone, "New or changed; see above how to list it:", *new]
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_once(package: str) -> None:
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__) > 0
    for name in module.__all__:
        assert not name.startswith("_") and getattr(module, name) is not None, f"{package}.{name}"


def test_what_a_room_makes_public_is_listed() -> None:
    """Each name of a room of layers or models is also one of a package whose names are listed."""
    listed = {name for package in LISTED for name in names_of(package)}
    rooms = sorted(set(PACKAGES) - set(LISTED) - {"dynctr_tf.stack"})
    assert len(rooms) > 8
    assert not {name for package in rooms for name in names_of(package)} - listed


def test_a_signature_is_written_as_it_is_called() -> None:
    def example(first: int, *, second: str = "a", **more: object) -> None:
        """Not public."""

    assert signature_of(example) == "(first: int, *, second: str = 'a', **more: object)"
    assert signature_of(dynctr_tf.__version__) == ""


if __name__ == "__main__":
    sys.path.insert(0, str(LIST.parents[1]))
    LIST.write_text("\n".join(public_names()) + "\n", encoding="utf-8")
