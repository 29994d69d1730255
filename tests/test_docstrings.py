"""Docstrings tell the truth: every public name has one, its examples run, its defaults are the signature's."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import inspect
import pkgutil
import re

import numpy as np
import pytest

import dynctr_tf

MODULES = sorted(module.name for module in pkgutil.walk_packages(dynctr_tf.__path__, "dynctr_tf."))


def public_members(module_name: str) -> list[tuple[str, object]]:
    module = importlib.import_module(module_name)
    return [
        (name, member)
        for name, member in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(member) or inspect.isfunction(member))
        and getattr(member, "__module__", "") == module_name
    ]


@pytest.mark.parametrize("module_name", MODULES)
def test_every_public_name_has_a_docstring(module_name: str) -> None:
    module = importlib.import_module(module_name)
    assert module.__doc__ or module_name.endswith(".__init__") or hasattr(module, "__path__"), module_name
    for name, member in public_members(module_name):
        text = inspect.getdoc(member) or ""
        assert text.strip(), f"{module_name}.{name} has no docstring"
        # A line that stands too far left pushes all others to the right, where no section is found.
        pushed = re.search(r"^ +(Args|Returns|Raises|Example|Reference)\b.*:", text, re.M)
        assert not pushed, f"{module_name}.{name}: {pushed} is not at the left edge of the docstring"


@pytest.mark.parametrize("module_name", MODULES)
def test_examples_run(module_name: str) -> None:
    np.random.seed(0)
    failed, _ = doctest.testmod(
        importlib.import_module(module_name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    )
    assert failed == 0


def stated_defaults(docstring: str) -> dict[str, str]:
    """Argument names of the `Args:` section with the value that their text gives after `Default`."""
    match = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", docstring, re.S | re.M)
    if not match:
        return {}
    entries = re.split(r"^    (?=\*{0,2}\w+(?: \([^)]*\))?:)", match.group(1), flags=re.M)
    stated = {}
    for entry in entries:
        head = re.match(r"(\w+)(?: \([^)]*\))?:", entry)
        value = re.search(r"\bDefault (`[^`]*`|[-+]?\d[\d.e+-]*\d|\d)", " ".join(entry.split()))
        if head and value:
            stated[head.group(1)] = value.group(1).strip("`")
    return stated


@pytest.mark.parametrize("module_name", MODULES)
def test_defaults_are_those_of_the_signature(module_name: str) -> None:
    for name, member in public_members(module_name):
        try:
            parameters = inspect.signature(member).parameters  # type: ignore[arg-type]
        except (TypeError, ValueError):
            continue
        for argument, text in stated_defaults(inspect.getdoc(member) or "").items():
            where = f"{module_name}.{name}: {argument}"
            assert argument in parameters, f"{where} is documented but not an argument"
            default = parameters[argument].default
            if dataclasses.is_dataclass(default):
                assert text == repr(default), f"{where}: docstring says {text}, signature {default!r}"
            try:
                stated = ast.literal_eval(text)
            except (ValueError, SyntaxError):
                continue
            stated = tuple(stated) if isinstance(stated, list) else stated
            default = tuple(default) if isinstance(default, list) else default
            assert stated == default, f"{where}: docstring says {stated!r}, signature {default!r}"


def test_the_reader_of_defaults_reads() -> None:
    text = 'One line.\n\nArgs:\n    rank: A number.\n        More. Default 4.\n    mode: A text. Default `"da"`.\n'
    assert stated_defaults(text) == {"rank": "4", "mode": '"da"'}
