"""Every notebook runs from its first cell to its last, alone in a process, with fewer rows than it has for a reader."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dynctr_tf.datasets import real_rows
from dynctr_tf.stack import KERAS_3
from pipelines.api_pages import public_modules

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Variables that the notebooks document, each in its first cells.
SMALL = {"NOTEBOOK_ROWS": "4000", "NOTEBOOK_TRIALS": "3", "NOTEBOOK_SETTINGS": "1"}
LONGEST = 180.0
REAL_ROWS = ROOT / "notebooks" / "real_rows.ipynb"


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    book = json.loads(path.read_text(encoding="utf-8"))
    assert book["nbformat"] == 4
    return [cell for cell in book["cells"] if cell["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_there_is_a_notebook_for_each_question() -> None:
    wanted = {
        "distribution",
        "dpn_and_sequences",
        "dynamic_layers",
        "dynint_figures",
        "explain",
        "make_your_model_adaptive",
        "many_scenarios",
        "optimizers_and_sparsity",
        "quick_start",
        "real_rows",
        "served_model",
        "tomorrow",
        "trusted_metrics",
        "tuning",
        "your_own_data",
    }
    assert wanted <= {path.stem for path in NOTEBOOKS}


def public_names(module: str) -> set[str]:
    """What a page of the API lists: the names in `__all__`, or the own names of a module without one."""
    found = importlib.import_module(module)
    own = {name for name, value in vars(found).items() if getattr(value, "__module__", None) == module}
    return {name for name in getattr(found, "__all__", own) if not name.startswith("_")}


def private_uses(code: str) -> list[str]:
    """What code takes from the library that is not public, and names of others that begin with an underscore."""
    rooms = set(public_modules())
    found, modules = [], {}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith("dynctr_tf.")]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dynctr_tf":
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                if name in rooms and node.module == "dynctr_tf":
                    modules[alias.asname or alias.name] = name
                elif node.module not in rooms or alias.name not in public_names(str(node.module)):
                    found.append(name)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute):
            room = modules.get(node.value.id) if isinstance(node.value, ast.Name) else None
            if (room and node.attr not in public_names(room)) or re.match("_[^_]", node.attr):
                found.append(f"{room}.{node.attr}" if room else node.attr)
    return sorted(set(found))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_uses_public_names_alone(path: Path) -> None:
    assert not private_uses("\n\n".join(source(cell) for cell in cells(path, "code")))


def test_private_names_are_found() -> None:
    assert private_uses("from dynctr_tf.training.fit import train") == ["dynctr_tf.training.fit.train"]
    assert private_uses("from dynctr_tf.training import fit") == ["dynctr_tf.training.fit"]
    assert private_uses("from dynctr_tf import layers\nlayers.hidden") == ["dynctr_tf.layers.hidden"]
    assert private_uses("import dynctr_tf.stack") == ["dynctr_tf.stack"]
    assert private_uses("from tensorflow import keras\nkeras.Model()._flatten_layers()") == ["_flatten_layers"]
    good = "from dynctr_tf import layers, schema\nfrom dynctr_tf.schema import Feature\nlayers.MLP(), schema.Schema"
    assert not private_uses(good)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_reads_like_a_page(path: Path) -> None:
    assert path.stat().st_size < 200_000, "save its pictures at a lower resolution"
    first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
    assert first["cell_type"] == "markdown" and source(first).startswith("# ")
    assert len(cells(path, "markdown")) >= 4
    outputs = [output for cell in cells(path, "code") for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert any("image/png" in output.get("data", {}) for output in outputs), "it was saved without its pictures"
    # What it is run with here is documented where a reader sees it.
    text = "\n".join(source(cell) for cell in cells(path, "code"))
    for name in SMALL:
        if name in text:
            line = next(number for number, line in enumerate(text.splitlines()) if name in line)
            before = text.splitlines()[max(0, line - 3) : line]
            assert any(words.startswith("#") and "tests" in words for words in before), f"{name} is not explained"


def run_page(path: Path, folder: Path, **variables: str) -> str:
    """Runs the code of a page in a process of its own, and returns what it printed."""
    code = "\n\n".join(source(cell) for cell in cells(path, "code"))
    script = folder / f"{path.stem}.py"
    # Notebooks show what a magic command would, without one.
    assert not any(line.lstrip().startswith(("%", "!")) for line in code.splitlines())
    script.write_text(code, encoding="utf-8")
    packages = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, **SMALL, "MPLBACKEND": "Agg", "PYTHONPATH": packages, "TMPDIR": str(folder)}
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=LONGEST,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert time.monotonic() - begin < LONGEST and done.stdout
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not KERAS_3, reason="the notebooks are run on the default stack")
@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path != REAL_ROWS], ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path) -> None:
    run_page(path, tmp_path)


def test_without_real_rows_the_page_says_how_to_get_them(tmp_path: Path) -> None:
    printed = run_page(REAL_ROWS, tmp_path, DYNCTR_DATA=str(tmp_path / "empty"))
    assert "This page needs real rows" in printed and "Set DYNCTR_DATA to the folder" in printed
    assert "https://www.kaggle.com/c/criteo-display-ad-challenge" in printed and "AUC" not in printed


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.skipif(not KERAS_3, reason="the notebooks are run on the default stack")
def test_it_runs_on_real_rows(tmp_path: Path) -> None:
    try:
        real_rows("criteo", "train.txt.gz")
    except ValueError as error:
        pytest.skip(str(error))
    printed = run_page(REAL_ROWS, tmp_path)
    (reached,) = re.findall(r"^lr +AUC (0\.\d+) \[", printed, re.M)
    # Of 4000 rows, 2800 train; with none of their signal it would be 0.5.
    assert float(reached) > 0.6
