"""The rooms of the house import in one direction, and nothing happens at import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / "dynctr_tf"

# Left to right: a room imports from itself and from the rooms before it. Rooms in one line do not know each other,
# but for the layers, where a dynamic layer may compose dense and interaction layers.
ORDER = [
    {"version", "nearest", "figures", "durable_files", "child_processes", "code_digest", "after_import", "on_demand"},
    {"uris"},
    {"folders_at_uris"},
    {"mirrors"},
    {"saved_classes"},
    {"schema", "stack", "options"},
    {"losses"},
    {"datasets"},
    {"encoding"},
    {"layers.embedding", "layers.dense"},
    {"layers.interaction", "layers.sequence"},
    {"layers.dynamic"},
    {"layers.scenario"},
    {"layers"},
    {"models.parts", "models.entry"},
    {"models.search_spaces", "models.discovery"},
    {"models.static", "models.dynamic", "models.sequence", "models.multi_scenario"},
    {"models.adaptive"},
    {"models"},
    {"optimizers", "metrics"},
    {"training"},
    {"evaluation"},
    {"tuning"},
    {"export"},
    {"jobs"},
]
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
FILES = sorted(LIBRARY.rglob("*.py"))


def room_of(module: str) -> str | None:
    parts = module.split(".")[1:]
    for length in (2, 1):
        if ".".join(parts[:length]) in RANK:
            return ".".join(parts[:length])
    return None


def imported_modules(path: Path) -> list[str]:
    modules: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            modules += [node.module or ""]
    return modules


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    own_module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    if own_module == "dynctr_tf":
        return
    own = room_of(own_module)
    assert own is not None, f"{own_module} lives in no known room; known: {sorted(RANK)}"
    for module in imported_modules(path):
        assert not module.startswith(("pipelines", "tensorflow.python", "keras.src")), f"{path} imports {module}"
        if not module.startswith("dynctr_tf."):
            continue
        other = room_of(module)
        assert other is not None, f"{path} imports {module}, which lives in no known room"
        assert other == own or RANK[other] < RANK[own], f"{path} ({own}) imports {module} ({other})"


def test_file_names_say_what_lives_in_them() -> None:
    silent = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert not [path for path in FILES if path.stem in silent]


def test_schema_and_settings_need_no_tensorflow() -> None:
    code = "import sys, dynctr_tf.schema, dynctr_tf.jobs.settings; print('tensorflow' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert shown.stdout.strip() == "False"


def test_each_test_file_has_a_name_of_its_own() -> None:
    """Pytest imports test files by their base names: of two alike it collects one and ends with an error."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert not {name: times for name, times in names.items() if times > 1}


# What would run code that stands in a file, and where it may be: processes of one job talk through pipes.
EXECUTING = re.compile(
    r"\b(pickle|marshal|dill|joblib)\.loads?\(|allow_pickle=True|yaml\.(unsafe_)?load\(|(?<![.\w])(eval|exec)\("
)
PIPES = {"dynctr_tf/encoding/worker_pool.py"}


def test_nothing_from_a_file_is_executed() -> None:
    files = [*FILES, *(ROOT / "pipelines").rglob("*.py")]
    found = {path.relative_to(ROOT).as_posix() for path in files if EXECUTING.search(path.read_text(encoding="utf-8"))}
    assert found == PIPES
    for text in ("pickle.loads(path.read_bytes())", "np.load(path, allow_pickle=True)", "value = eval(text)"):
        assert EXECUTING.search(text), text
    for text in ("model.eval()", "json.loads(text)", "np.load(path, allow_pickle=False)"):
        assert not EXECUTING.search(text), text
