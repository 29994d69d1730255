"""A preparation on the machines of a cluster gives what this machine's processes give, and goes on where it stopped."""

from __future__ import annotations

import ast
import importlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dynctr_tf.datasets import text_rows
from dynctr_tf.datasets.bad_rows import BadRowError
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.durable_files import read_json
from dynctr_tf.encoding import encoder, shard_work, spilled_counts, vocabulary
from dynctr_tf.encoding.cluster_preparation import prepare_on_cluster
from dynctr_tf.encoding.preparation import prepare_encoded_dataset
from dynctr_tf.encoding.worker_pool import WorkerLostError, WorkerPool
from dynctr_tf.jobs import DataSettings
from dynctr_tf.schema import Feature, Schema

SCHEMA = Schema(
    (Feature("user", "categorical"), Feature("price", "numeric", binning="quantile"), Feature("day", "categorical")),
    label="click",
)


@pytest.fixture
def rows(tmp_path: Path) -> TabularFile:
    for day in range(3):
        lines = [f"u{day * 31 + row % 90},{row % 17}.5,{row % 2}" for row in range(400)]
        part = tmp_path / "logs" / f"day={day}" / "part.csv"
        part.parent.mkdir(parents=True)
        part.write_text("user,price,click\n" + "\n".join(lines) + "\n")
    return TabularFile(tmp_path / "logs", SCHEMA)


def fingerprint(folder: Path) -> str:
    return str(read_json(folder / "index.json")["fingerprint"])


class Processes:
    """A cluster of two processes."""

    def __init__(self) -> None:
        self.tasks: list[int] = []

    def __call__(self, function: Callable[[Any], int], tasks: Sequence[Any]) -> None:
        self.tasks.append(len(tasks))
        with WorkerPool(2) as pool:
            list(pool.map(function, tasks))


def here(function: Callable[[Any], int], tasks: Sequence[Any]) -> None:
    """A cluster that does tasks in any order, and some of them twice."""
    for task in [*reversed(tasks), tasks[0]]:
        function(task)


def test_a_cluster_gives_the_fingerprint_of_one_process(
    rows: TabularFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_encoded_dataset(rows, tmp_path / "local", processes=1, progress=False)
    prepare_on_cluster(rows, tmp_path / "cluster", Processes(), about={"who": "I"})
    made = read_json(tmp_path / "cluster" / "index.json")
    assert made["fingerprint"] == fingerprint(tmp_path / "local") and made["about"] == {"who": "I"}
    names = {path.name for path in (tmp_path / "local").rglob("*")}
    assert {path.name for path in (tmp_path / "cluster").rglob("*")} == names
    # What is for millions of values happens with hundreds.
    monkeypatch.setattr(vocabulary, "_IN_MEMORY", 50)
    monkeypatch.setattr(encoder, "_SHARED_VALUES", 50)
    monkeypatch.setattr(spilled_counts, "_CUT_FROM", 20)
    monkeypatch.setattr(spilled_counts, "_AT_ONCE", 100)
    monkeypatch.setattr(text_rows, "_BLOCK_BYTES", 2000)
    monkeypatch.setattr(shard_work, "_SENT_BYTES", 3000)
    prepare_on_cluster(rows, tmp_path / "large", here)
    assert fingerprint(tmp_path / "large") == fingerprint(tmp_path / "local")
    assert {path.name for path in tmp_path.iterdir()} == {"logs", "local", "cluster", "large"}


@pytest.mark.parametrize("lost", ["count_shard", "encode_shard"])
def test_after_a_lost_worker_it_goes_on_at_the_shards_that_are_not_finished(
    rows: TabularFile, tmp_path: Path, lost: str
) -> None:
    def killing(function: Callable[[Any], int], tasks: Sequence[Any]) -> None:
        """Loses its worker after the first shard of a step."""
        with WorkerPool(1) as pool:
            for _ in pool.map(function, tasks):
                if lost in repr(function):
                    os.kill(pool.process_ids[0], signal.SIGKILL)

    with pytest.raises(WorkerLostError, match="SIGKILL"):
        prepare_on_cluster(rows, tmp_path / "cluster", killing)
    assert not (tmp_path / "cluster").exists()
    again = Processes()
    prepare_on_cluster(rows, tmp_path / "cluster", again)
    assert 1 <= again.tasks[0] < 3
    prepare_encoded_dataset(rows, tmp_path / "local", processes=1, progress=False)
    assert fingerprint(tmp_path / "cluster") == fingerprint(tmp_path / "local")


def test_the_error_of_the_first_bad_row_comes_here_and_the_cluster_does_not_see_it(
    rows: TabularFile, tmp_path: Path
) -> None:
    for day in (2, 1):
        part = tmp_path / "logs" / f"day={day}" / "part.csv"
        part.write_text(part.read_text() + "u1,cheap,1\n")
    with pytest.raises(BadRowError, match=r"day=1/part.csv, line 402, column 'price'"):
        prepare_on_cluster(TabularFile(tmp_path / "logs", SCHEMA), tmp_path / "cluster", here)
    assert not (tmp_path / "cluster").exists()


def page_code() -> str:
    page = Path(__file__).parents[2] / "dynctr_tf" / "datasets" / "README.md"
    (code,) = re.findall(r"^```python\n(from pyspark.*?)^```$", page.read_text(encoding="utf-8"), re.S | re.M)
    return str(code)


def test_the_names_of_the_page_for_spark_are_there() -> None:
    for node in ast.walk(ast.parse(page_code())):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("dynctr_tf"):
            module = importlib.import_module(str(node.module))
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "DataSettings":
            DataSettings(**{str(key.arg): ast.literal_eval(key.value) for key in node.keywords})


def test_the_page_for_spark_gives_the_fingerprint_of_one_process(rows: TabularFile, tmp_path: Path) -> None:
    pytest.importorskip("pyspark", reason="Spark is not installed")
    (tmp_path / "logs.schema.json").write_text(SCHEMA.to_json())
    (tmp_path / "on_spark.py").write_text(page_code().replace("/mnt/shared", str(tmp_path)))
    paths = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": paths, "PYSPARK_PYTHON": sys.executable}
    subprocess.run([sys.executable, tmp_path / "on_spark.py"], env=environment, check=True, timeout=240)
    (made,) = (tmp_path / "data").glob("tabular_file-*/index.json")
    prepare_encoded_dataset(rows, tmp_path / "local", processes=1, progress=False)
    assert fingerprint(made.parent) == fingerprint(tmp_path / "local")
