"""Rows with keys, days and countries, and models that are trained on them and exported, for the tests of the jobs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines import train

ROWS = 1000
SCHEMA = {
    "label": "click",
    "weight": "cost",
    "features": [
        {"name": "country", "kind": "categorical"},
        {"name": "device", "kind": "categorical", "role": "scenario"},
        {"name": "age", "kind": "numeric"},
        {"name": "tags", "kind": "multi_valued", "max_length": 3},
    ],
}
TINY = ["--data.name", "tabular_file", "--data.path", "clicks.csv", "--data.schema", "clicks.schema.json"]
TINY += ["--data.split_by", "order", "--training.batch_size", "64", "--training.epochs", "2"]
TINY += ["--training.tensorboard", "false", "--evaluation.replicates", "60"]
TINY += ["--export.even_if_worse_than_base_rate", "true"]


def write_clicks(file: Path, seed: int, rows: int = ROWS, *, label: bool = True) -> None:
    """Writes rows of which one country clicks most; `id` has zeros in front, `session` a comma."""
    random = np.random.default_rng(seed)
    names = ["id", "click", "cost", "session", "day", "time", "country", "device", "age", "tags"]
    lines = [",".join(name for name in names if label or name != "click")]
    for row in range(rows):
        country, device = "abcd"[random.integers(4)], "xyz"[random.integers(3)]
        age = "" if random.random() < 0.1 else str(random.integers(10, 80))
        tags = "|".join(f"t{tag}" for tag in random.integers(0, 9, random.integers(0, 4)))
        click = random.random() < (0.7 if country == "a" else 0.2 if device == "x" else 0.1)
        cells = [f"{row:06d}", str(int(click)), str(random.integers(1, 4)), f'"s{row % 7},{seed}"']
        cells += [f"2024-01-{1 + row * 3 // rows:02d}", f"2024-01-{1 + row * 3 // rows:02d} {row % 24:02d}:15"]
        cells += [country, device, age, tags]
        lines.append(",".join(cell for place, cell in enumerate(cells) if label or place != 1))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextlib.contextmanager
def folder_of_clicks(factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A new folder with `clicks.csv`, which is the current one in the block."""
    place = factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        write_clicks(Path("clicks.csv"), 0)
        yield place


def train_and_export(model: str, *words: str) -> Path:
    """Trains in the current folder; returns the folder of the run, whose last rows are the test split."""
    Path("clicks.schema.json").write_text(json.dumps(SCHEMA), encoding="utf-8")
    train.main([*TINY, "--model.name", model, "--run-directory", f"run-{model}", *words])
    return Path(f"run-{model}")
