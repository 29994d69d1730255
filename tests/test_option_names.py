"""The options that pages, notebooks and jobs give by name exist: found by reading, without a run."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tensorflow import keras

from dynctr_tf.jobs.settings import full_names
from dynctr_tf.layers import AdaptiveDense
from dynctr_tf.models import CATALOGUE, build_model, make_adaptive
from dynctr_tf.options import keyword_options, option_paths

ROOT = Path(__file__).parent.parent
ROOMS = ("dynctr_tf", "pipelines", "notebooks", ".github", "saved_models")
FILES = [*ROOT.glob("*.md"), *(path for room in ROOMS for path in (ROOT / room).rglob("*"))]
TEXTS = sorted(
    path for path in FILES if path.suffix in (".md", ".py", ".toml", ".ipynb") and ".ipynb_" not in str(path)
)
CODE = [path for path in TEXTS if path.suffix in (".py", ".ipynb") and "dynctr_tf" not in path.relative_to(ROOT).parts]
SETTINGS = set(full_names())
OF_MODELS = {path for entry in CATALOGUE.values() for path in option_paths(entry.function)}


def text_of(path: Path, kind: str = "") -> str:
    """The text of a file; of a notebook that of its cells, all or those of one kind."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if kind in cell["cell_type"])


def unknown_settings(text: str) -> set[str]:
    """Words of command lines, such as `--training.epochs`, that no job takes."""
    named = re.findall(r"(?<![\w-])--([a-z]\w*(?:\.[a-z]\w*)+)", text)
    return {
        name
        for name in named
        if name not in SETTINGS
        # Options of data sets and optimizers are checked by the jobs, which know whose they are, and so are fields.
        and not re.fullmatch(r"((data|optimizer)\.options|pretrained\.vectors)\.\w+", name)
        and name.removeprefix("model.") not in OF_MODELS
    }


def test_settings_that_texts_name_are_there() -> None:
    assert len(TEXTS) > 300
    found = {str(path.relative_to(ROOT)): unknown_settings(text_of(path)) for path in TEXTS}
    assert not {path: names for path, names in found.items() if names}


def options_of(function: Any, call: ast.Call) -> set[str] | None:
    """The names that a call of a function or class of the library may give; `None` where any may be right."""
    if function is build_model:
        first = call.args[0] if call.args else None
        name = first.value if isinstance(first, ast.Constant) else None
        paths = set(option_paths(CATALOGUE[name].function)) if name in CATALOGUE else OF_MODELS
        return paths | {path.split(".")[0] for path in paths} | {"name", "features"}
    if inspect.isclass(function) and issubclass(function, Exception):
        return None
    known = set(keyword_options(function))
    if function is make_adaptive:
        return known | set(keyword_options(AdaptiveDense))
    if inspect.isclass(function) and issubclass(function, keras.layers.Layer):
        return known | {"name", "dtype", "trainable"}
    parameters = inspect.signature(function).parameters.values()
    return None if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters) else known


def imported(tree: ast.AST) -> dict[str, Any]:
    """What a file has from the library, by the names that it writes: `MLP`, `layers.MLP`."""
    found: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dynctr_tf":
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                member, name = getattr(module, alias.name, None), alias.asname or alias.name
                found[name] = member
                if inspect.ismodule(member):
                    found |= {f"{name}.{inner}": value for inner, value in vars(member).items()}
    return {name: member for name, member in found.items() if inspect.isclass(member) or inspect.isfunction(member)}


def keys_of(node: ast.expr, tables: dict[str, set[str]]) -> set[str]:
    """The keys of a table that is written there, or elsewhere under the name that stands there."""
    if isinstance(node, ast.Name):
        return tables.get(node.id, set())
    if not isinstance(node, ast.Dict):
        return set()
    parts = [
        {key.value} if isinstance(key, ast.Constant) else keys_of(value, tables) if key is None else set()
        for key, value in zip(node.keys, node.values, strict=True)
    ]
    return set().union(*parts)


def given_options(code: str) -> Iterator[tuple[str, Any, ast.Call, set[str]]]:
    """Each call of something of the library, with the names that it gives."""
    tree = ast.parse(code)
    members, tables = imported(tree), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            # A name that is given several tables may hold any of them; where two calls differ, neither is judged.
            name, keys = node.targets[0].id, keys_of(node.value, {})
            tables[name] = set() if name in tables and tables[name] != keys else keys
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (function := members.get(ast.unparse(node.func))) is not None:
            names = {keyword.arg for keyword in node.keywords if keyword.arg}
            for keyword in node.keywords:
                names |= set() if keyword.arg else keys_of(keyword.value, tables)
            yield ast.unparse(node.func), function, node, names


def unknown_options(code: str) -> list[str]:
    found = []
    for name, function, call, given in given_options(code):
        known = options_of(function, call)
        found += [f"{name}: {option}" for option in sorted(given - known)] if known is not None else []
    return found


def test_calls_give_options_that_exist() -> None:
    assert len(CODE) > 50
    found = {str(path.relative_to(ROOT)): unknown_options(text_of(path, "code")) for path in CODE}
    assert not {path: names for path, names in found.items() if names}


def test_what_is_no_option_is_found() -> None:
    assert unknown_settings("--training.epochs 2 --model.deep.unit 3 --traning.epochs 2 --model.embedding.dim 4") == {
        "model.deep.unit",
        "traning.epochs",
    }
    code = """
from dynctr_tf import layers
from dynctr_tf.models import Deep, build_model, dynint, make_adaptive
options = {"rank": 16, "bias": "generated"}
make_adaptive(model, **options)
layers.GateUnit(scale=2.0, name="gate")
dynint(features, kind="da", **{"gate": "field"})
build_model("dpn", features, **{"operation.gate": "softmax", "deep": Deep((8,))})
"""
    assert unknown_options(code) == [
        "make_adaptive: bias",
        "layers.GateUnit: scale",
        "dynint: gate",
        "build_model: operation.gate",
    ]
