"""Docstrings tell the truth: every public name has one, its examples run, its defaults are the signature's."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import dynctr_tf
from dynctr_tf import layers
from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.models.catalogue import CATALOGUE
from dynctr_tf.options import keyword_options, option_paths

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


def false_arguments(source: str, module: object = None) -> list[str]:
    """Functions and classes, private ones too, whose `Args` leave out an argument or have one that does not exist.

    The module tells which fields a dataclass has from the one that it extends.
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            continue
        section = re.search(r"^Args:\n((?:    .*\n|\n)*)", (ast.get_docstring(node) or "") + "\n", re.M)
        stated = set(re.findall(r"^    \*{0,2}(\w+):", section[1], re.M)) if section else set()
        body = node.body if isinstance(node, ast.ClassDef) else [node]
        made = [
            one for one in body if isinstance(one, ast.FunctionDef) and one.name in (node.name, "__init__", "__new__")
        ]
        fields = {one.target.id for one in body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)}
        if (own := getattr(module, node.name, None)) and dataclasses.is_dataclass(own):
            fields |= {field.name for field in dataclasses.fields(own)}
        if not stated or not (made or fields):
            continue  # nothing is stated, or a base class has the constructor
        named = {one.arg for of in made for one in (*of.args.posonlyargs, *of.args.args, *of.args.kwonlyargs)} or fields
        more = {one.arg for of in made for one in (of.args.vararg, of.args.kwarg) if one}
        strange = stated - named - more
        missing = named - stated - {"self", "cls"} if isinstance(node, ast.FunctionDef) else set()
        found += [f"{node.name}: {name} is not an argument" for name in sorted(strange)]
        found += [f"{node.name}: {name} is not in Args" for name in sorted(missing)]
    return found


def test_documented_arguments_are_those_of_the_signature() -> None:
    files = sorted(Path(dynctr_tf.__path__[0]).rglob("*.py"))
    assert len(files) > 300
    names = [".".join(path.relative_to(Path(dynctr_tf.__path__[0]).parent).with_suffix("").parts) for path in files]
    modules = [importlib.import_module(name.removesuffix(".__init__")) for name in names]
    texts = [path.read_text(encoding="utf-8") for path in files]
    found = {name: false_arguments(*pair) for name, *pair in zip(names, texts, modules, strict=True)}
    assert not {name: lines for name, lines in found.items() if lines}


def test_a_false_argument_is_found() -> None:
    text = '    """One line.\n\n    Args:\n        a: A.\n        c: C.\n    """\n'
    assert false_arguments(f"def f(a, b, *c):\n{text}") == ["f: b is not in Args"]
    assert false_arguments(f"class F:\n{text}    a: int\n    b: int = 0\n") == ["F: c is not an argument"]
    method = "    def __init__(self, a, *, c=0): ...\n    def g(self, a):\n    " + text.replace("\n    ", "\n        ")
    assert false_arguments(f"class F:\n{text}{method}") == ["g: c is not an argument"]


SYMBOLS = {"batch", "fields", "dim", "columns", "count", "size", "experts", "number", "of", "pooled"}
FUNCTIONS = {"sum", "sum_k", "min", "max", "len"}


def strangers(docstring: str, arguments: set[str], *owners: object) -> list[str]:
    """Words in the formulas of shapes and costs that are neither arguments nor symbols that all know.

    Args:
        docstring: The docstring.
        arguments: The names of the arguments, of options in parts by their paths.
        owners: Objects whose attributes may be named too.
    """
    sections = re.search(r"^(?:Input shape|Output shape|Cost):.*?(?=^Example:|\Z)", docstring, re.S | re.M)
    formulas = [re.sub(r'"[^"]*"', "", text) for text in re.findall(r"`([^`]+)`", sections[0] if sections else "")]
    # One letter is a symbol that the text introduces, with a subscript or without one.
    words = {word for text in formulas for word in re.findall(r"(?<![\w.])[a-z]{2}[\w.]*", text)}
    # A layer with an `output_dim` means that, and a field map's width is not its output's.
    known = arguments | FUNCTIONS | (SYMBOLS - {"dim"} if "output_dim" in arguments else SYMBOLS) | set(CATALOGUE)
    return sorted(word for word in words - known if not any(hasattr(owner, word) for owner in owners))


def test_formulas_of_shapes_and_costs_name_arguments() -> None:
    """So that an argument of another name takes its formulas along."""
    found = {}
    for name in layers.__all__:
        layer = getattr(layers, name)
        found[name] = strangers(inspect.getdoc(layer) or "", set(keyword_options(layer)), layer)
    of_features = {f"features.{name}" for name in dir(EncodedFeatures)}
    for name, entry in CATALOGUE.items():
        found[name] = strangers(inspect.getdoc(entry.function) or "", set(option_paths(entry.function)) | of_features)
    assert len(found) > 100
    assert not {name: words for name, words in found.items() if words}


def test_an_argument_of_an_old_name_is_found_in_a_formula() -> None:
    text = (
        "One line.\n\nOutput shape:\n    `(batch, num_heads * units)`.\n\nCost: `n_1 * dim` and `t * {}`.\n\nExample:\n"
    )
    assert strangers(text.format("value_dim"), {"num_heads", "units", "value_dim"}) == []
    assert strangers(text.format("orders"), {"num_heads", "output_dim"}) == ["dim", "orders", "units"]
