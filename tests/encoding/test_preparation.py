"""Several processes prepare the rows that one prepares, and go on where they were stopped."""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dynctr_tf.datasets.avazu import derive_avazu_columns
from dynctr_tf.datasets.bad_rows import BadRowError
from dynctr_tf.datasets.derived_columns import DerivedTabularFile
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.durable_files import BusyError, only_process, read_json
from dynctr_tf.encoding import preparation
from dynctr_tf.encoding.encoder import Encoder
from dynctr_tf.encoding.kept_work import KeptWork
from dynctr_tf.encoding.preparation import default_processes, prepare_encoded_dataset
from dynctr_tf.encoding.shard_work import take_counts
from dynctr_tf.encoding.worker_pool import WorkerLostError, WorkerPool
from dynctr_tf.schema import Feature, Schema

SCHEMA = Schema(
    (
        Feature("user", "categorical"),
        Feature("age", "numeric"),
        Feature("price", "numeric", binning="quantile", num_bins=8),
        Feature("tags", "multi_valued", max_length=3),
        Feature("day", "categorical"),
    ),
    label="click",
)


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TabularFile:
    """Three files of 3 000 rows in all, which are 30 pieces in 8 groups."""
    monkeypatch.setattr("dynctr_tf.datasets.text_rows._BLOCK_BYTES", 3000)
    monkeypatch.setattr(preparation, "_GROUP_PIECES", 4)
    random = np.random.default_rng(0)
    for day in range(3):
        (tmp_path / f"day={day}").mkdir()
        lines = [
            f"u{random.zipf(1.4)},{random.integers(80)},{random.normal():.6f},"
            f"{'|'.join(map(str, random.integers(0, 9, 4)))},{random.integers(2)}"
            for _ in range(1000)
        ]
        (tmp_path / f"day={day}" / "part.csv").write_text("user,age,price,tags,click\n" + "\n".join(lines) + "\n")
    return TabularFile(tmp_path, SCHEMA)


def fingerprint(folder: Path) -> str:
    return str(read_json(folder / "index.json")["fingerprint"])


@pytest.fixture
def known(rows: TabularFile, tmp_path: Path) -> str:
    prepare_encoded_dataset(rows, tmp_path.parent / f"{tmp_path.name}-one" / "rows", processes=1, progress=False)
    return fingerprint(tmp_path.parent / f"{tmp_path.name}-one" / "rows")


def made(tmp_path: Path) -> Path:
    return tmp_path.parent / f"{tmp_path.name}-several" / "rows"


def test_two_processes_give_what_one_gives(rows: TabularFile, known: str, tmp_path: Path) -> None:
    assert default_processes(rows) == 1  # so few rows are prepared by one
    prepare_encoded_dataset(rows, made(tmp_path), processes=2, progress=False, about={"who": "I"})
    assert fingerprint(made(tmp_path)) == known
    assert read_json(made(tmp_path) / "index.json")["about"] == {"who": "I"}
    assert [path.name for path in made(tmp_path).parent.iterdir()] == ["rows"]  # nothing is left beside it
    assert Encoder.load(made(tmp_path) / "encoder").fingerprint
    with pytest.raises(ValueError, match="exists already"):
        prepare_encoded_dataset(rows, made(tmp_path), processes=2, progress=False)


@pytest.mark.parametrize("processes", [1, 2])
def test_what_cannot_be_made_is_refused_before_any_work(rows: TabularFile, tmp_path: Path, processes: int) -> None:
    with pytest.raises(ValueError, match="rows_per_block must be at least 1, got 0"):
        prepare_encoded_dataset(rows, made(tmp_path), processes=processes, rows_per_block=0, progress=False)
    assert not made(tmp_path).parent.exists()


def kept(tmp_path: Path) -> Path:
    return made(tmp_path).with_name(".rows.preparing")


class Stop(Exception):
    """What ends a preparation in a test."""


@pytest.mark.parametrize(("stage", "calls"), [("count_piece", 10), ("encode_piece", 10)])
def test_a_stopped_preparation_goes_on_from_the_last_group(
    rows: TabularFile, known: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, calls: int
) -> None:
    done: list[str] = []
    map_tasks = WorkerPool.map

    def counted(pool, function, tasks):
        for result in map_tasks(pool, function, tasks):
            done.append(function.__name__)
            if stop and done.count(stage) == calls:
                raise Stop
            yield result

    monkeypatch.setattr(WorkerPool, "map", counted)
    stop = True
    monkeypatch.chdir(tmp_path.parent)
    with pytest.raises(Stop):
        prepare_encoded_dataset(rows, made(tmp_path).relative_to(tmp_path.parent), processes=2, progress=False)
    assert not made(tmp_path).exists()
    if stage == "count_piece":  # each group is kept once, and none is written again
        groups = {path.name: read_json(path)["pieces"] for path in (kept(tmp_path) / "counts").glob("group-*.json")}
        assert groups == {"group-0.json": 4, "group-4.json": 4}
    stop = False
    monkeypatch.chdir(tmp_path)  # from elsewhere, too
    done.clear()
    prepare_encoded_dataset(rows, made(tmp_path), processes=2, progress=False)
    assert fingerprint(made(tmp_path)) == known
    pieces = len(list(rows.pieces()))
    assert done.count("encode_piece") == pieces - (8 if stage == "encode_piece" else 0)
    assert done.count("count_piece") == (0 if stage == "encode_piece" else pieces - 8)


def test_a_killed_job_goes_on_from_the_last_group_and_leaves_no_process(
    rows: TabularFile, known: str, tmp_path: Path
) -> None:
    script = f"""
import os, pickle, signal, sys
from dynctr_tf.datasets import TabularFile, text_rows
from dynctr_tf.encoding import preparation
from dynctr_tf.encoding.worker_pool import WorkerPool
text_rows._BLOCK_BYTES, preparation._GROUP_PIECES, done, map_tasks = 3000, 4, [], WorkerPool.map
def counted(pool, function, tasks):
    for result in map_tasks(pool, function, tasks):
        done.append(function.__name__)
        if done.count("encode_piece") == 10:
            print(*pool.process_ids, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        yield result
WorkerPool.map = counted
source = TabularFile({str(tmp_path)!r}, pickle.loads(sys.stdin.buffer.read()))
preparation.prepare_encoded_dataset(source, {str(made(tmp_path))!r}, processes=2, progress=False)
"""
    job = subprocess.run([sys.executable, "-c", script], input=pickle.dumps(SCHEMA), capture_output=True)
    assert job.returncode == -signal.SIGKILL, job.stderr.decode()
    assert read_json(kept(tmp_path) / "encoding.json")["pieces"] == 8
    for process in map(int, job.stdout.split()):
        deadline = time.monotonic() + 10
        while Path(f"/proc/{process}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Path(f"/proc/{process}").exists()
    prepare_encoded_dataset(rows, made(tmp_path), processes=2, progress=False)
    assert fingerprint(made(tmp_path)) == known
    assert [path.name for path in made(tmp_path).parent.iterdir()] == ["rows"]


def test_two_jobs_do_not_make_one_directory(rows: TabularFile, tmp_path: Path) -> None:
    with (
        only_process(kept(tmp_path) / "lock", "prepares the same"),
        pytest.raises(BusyError, match="already prepares"),
    ):
        prepare_encoded_dataset(rows, made(tmp_path), processes=2, progress=False)


def test_groups_end_after_so_many_bytes_but_not_before_each_process_has_some(
    rows: TabularFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "_GROUP_BYTES", 1)
    kept = KeptWork(rows, made(tmp_path), "pool", 1000)
    job = preparation._Preparation(rows, kept, 2, 1000, progress=False)
    monkeypatch.setattr(preparation, "_GROUP_PIECES", 100)
    sizes = [len(list(group)) for group in job._groups(0)]
    assert set(sizes[:-1]) == {8} and sum(sizes) == len(list(rows.pieces()))
    assert sum(len(list(group)) for group in job._groups(8)) == sum(sizes) - 8


def test_columns_that_are_derived_are_shared_too_where_their_function_can_be_sent(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(
        "hour,app_id,click\n" + "".join(f"141021{row % 24:02},a{row % 9},{row % 2}\n" for row in range(2000))
    )
    schema = Schema((Feature("hour_of_day", "categorical"),), label="click")

    def inside(cells):
        return derive_avazu_columns(cells)

    for derive, several in ((derive_avazu_columns, True), (inside, False)):
        source = DerivedTabularFile(tmp_path / "rows.csv", schema, read=("hour", "app_id", "click"), derive=derive)
        assert preparation._in_pieces(source) is several
        prepare_encoded_dataset(source, tmp_path / f"several-{several}", processes=2, progress=False)
    assert fingerprint(tmp_path / "several-True") == fingerprint(tmp_path / "several-False")


def test_what_was_done_of_other_rows_is_done_anew(
    rows: TabularFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(self, pool, encoder, about):
        raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(preparation._Preparation, "_encode", stopped)
        with pytest.raises(Stop):
            prepare_encoded_dataset(rows, made(tmp_path), processes=2, progress=False)
    other = tmp_path / "day=1" / "part.csv"
    other.write_text(other.read_text().replace("u1,", "someone,"))
    again = TabularFile(tmp_path, SCHEMA)
    prepare_encoded_dataset(again, made(tmp_path), processes=2, progress=False)
    values = Encoder.load(made(tmp_path) / "encoder").vocabularies["user"].values.to_pylist()
    assert "someone" in values


def test_a_process_that_is_killed_is_replaced(
    rows: TabularFile, known: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    map_tasks, killed = WorkerPool.map, []

    def killing(pool, function, tasks):
        for number, result in enumerate(map_tasks(pool, function, tasks)):
            if function.__name__ not in killed and number == 1 and function.__name__ in ("count_piece", "encode_piece"):
                killed.append(function.__name__)
                os.kill(pool.process_ids[0], signal.SIGKILL)
            yield result

    monkeypatch.setattr(WorkerPool, "map", killing)
    prepare_encoded_dataset(rows, made(tmp_path), processes=2, progress=False)
    assert killed == ["count_piece", "encode_piece"] and fingerprint(made(tmp_path)) == known
    assert "ended by signal SIGKILL" in capfd.readouterr().out


def test_errors_of_rows_come_out_of_the_processes_as_they_are(rows: TabularFile, tmp_path: Path) -> None:
    part = tmp_path / "day=2" / "part.csv"
    part.write_text(part.read_text() + "anna,old,1,a,1\n")
    with pytest.raises(BadRowError, match=r"day=2/part.csv, line 1002, column 'age'"):
        prepare_encoded_dataset(TabularFile(tmp_path, SCHEMA), made(tmp_path), processes=2, progress=False)
    skipping = TabularFile(tmp_path, SCHEMA, on_bad_row="skip")
    prepare_encoded_dataset(skipping, made(tmp_path), processes=2, progress=False)
    assert read_json(made(tmp_path) / "index.json")["skipped"] == {"age is not a number": 1}
    assert skipping.num_rows == 3000


def test_a_pool_gives_results_in_order_and_says_how_a_process_ended() -> None:
    with WorkerPool(2) as pool:
        assert list(pool.map(abs, range(-50, 0))) == list(range(50, 0, -1))
        assert pool.each(len, ["a", "bb"]) == [1, 2]
        with pytest.raises(TypeError):
            list(pool.map(abs, ["x"]))
        assert list(pool.map(bytes.__len__, [bytes(5_000_000)] * 6)) == [5_000_000] * 6
    with WorkerPool(1) as pool, pytest.raises(WorkerLostError, match="with status 3"):
        list(pool.map(os._exit, [3]))


def test_processes_find_the_modules_that_this_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "columns_of_a_script.py").write_text("def twice(number):\n    return 2 * number\n")
    monkeypatch.syspath_prepend(tmp_path)
    twice = importlib.import_module("columns_of_a_script").twice
    with WorkerPool(1) as pool:
        assert list(pool.map(twice, [1, 2])) == [2, 4]
        # A GPU's memory belongs to the training.
        assert pool.each(os.getenv, ["CUDA_VISIBLE_DEVICES"]) == ["-1"]


def test_processes_do_not_import_tensorflow() -> None:
    with WorkerPool(1) as pool:
        with pytest.raises(RuntimeError, match="after begin_counting"):
            pool.each(take_counts, [None])
        assert list(pool.map(eval, ["'tensorflow' in __import__('sys').modules"])) == [False]
