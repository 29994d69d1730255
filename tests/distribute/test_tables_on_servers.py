"""Tables in shards on parameter servers: saved under one name, read in pieces, never joined in the chief."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from processes import Job

from dynctr_tf import stack
from dynctr_tf.durable_files import read_json
from dynctr_tf.jobs.explain import open_run
from dynctr_tf.optimizers import LazyAdam, RowWiseAdagrad
from dynctr_tf.training import predict_logits
from dynctr_tf.training.checkpoints import read_variables, write_variables

CHIEF = Path(__file__).with_name("chief_of_two_models.py")
EXPORTER = Path(__file__).with_name("exporter_of_two_runs.py")
VALUES = np.arange(21, dtype=np.float32).reshape(7, 3)


def sharded(*sizes: int, values: np.ndarray = VALUES) -> Any:
    """A table in shards of some rows each, as a strategy with parameter servers makes it."""
    ends = np.cumsum(sizes)
    assert ends[-1] == len(values)
    shards = [
        tf.Variable(values[end - size : end], name=f"embedding/table/part_{number}")
        for number, (size, end) in enumerate(zip(sizes, ends, strict=True))
    ]
    return tf.__internal__.distribute.ShardedVariable(shards)


def test_shards_are_one_variable_of_one_name() -> None:
    table, kernel = sharded(3, 2, 2), tf.Variable([1.0], name="dense/kernel")
    listed = [*table.variables, kernel]  # as Keras 2 lists them
    assert stack.whole_variables(listed) == [table, kernel]
    assert [stack.variable_path(whole) for whole in (table, kernel)] == ["embedding/table", "dense/kernel"]
    assert stack.shards_of(table) == list(table.variables) and stack.shards_of(kernel) == [kernel]


def test_pieces_of_a_table_are_small_and_in_the_order_of_its_rows() -> None:
    pieces = list(stack.row_pieces(sharded(4, 3), 2))
    assert [len(piece) for piece in pieces] == [2, 2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(pieces), VALUES)
    assert [piece.tolist() for piece in stack.row_pieces(tf.Variable([1.0, 2.0, 3.0]), 2)] == [[1.0, 2.0, 3.0]]


@pytest.mark.parametrize("sizes", [(7,), (4, 3), (3, 2, 2)])
def test_any_number_of_servers_reads_what_two_have_written(sizes: tuple[int, ...], tmp_path: Path) -> None:
    def checkpoint(table: Any) -> tf.train.Checkpoint:
        return tf.train.Checkpoint(weights=stack.whole_variables(stack.shards_of(table)))

    write_variables(checkpoint(sharded(4, 3)), tmp_path / "best")
    zeros = np.zeros_like(VALUES)
    table = tf.Variable(zeros) if sizes == (7,) else sharded(*sizes, values=zeros)
    read_variables(checkpoint(table), tmp_path / "best")
    np.testing.assert_array_equal(np.concatenate([shard.numpy() for shard in stack.shards_of(table)]), VALUES)


@pytest.mark.skipif(stack.KERAS_3, reason="Keras 3 trains no tables in shards")
@pytest.mark.skipif(tf.__version__.startswith("2.15"), reason="Keras 2.15 saves the slots of each shard by themselves")
@pytest.mark.parametrize("make", [LazyAdam, RowWiseAdagrad])
def test_slots_are_saved_once_and_one_device_reads_them(make: Any, tmp_path: Path) -> None:
    """A list of an optimizer that names each shard would write the slots of tables a second time."""
    kernel = tf.Variable([[1.0, 2.0]], name="kernel")
    optimizers = []
    for table in (sharded(4, 3), sharded(7)):
        optimizer = make(0.1)
        optimizer.build([*table.variables, kernel])
        optimizers.append(optimizer)
    served, alone = optimizers
    for number, whole in enumerate(stack.whole_variables(served.variables)):
        for shard in stack.shards_of(whole):
            shard.assign(tf.cast(tf.fill(shard.shape, number + 1), shard.dtype))
    write_variables(tf.train.Checkpoint(optimizer=served), tmp_path / "state")
    saved = tf.train.load_checkpoint(str(tmp_path / "state" / "state")).get_variable_to_shape_map()
    rows = [shape for shape in saved.values() if shape and shape[0] in (7, 4, 3)]
    assert rows and all(shape[0] == 7 for shape in rows) and len(rows) == len(served.slots_of(kernel))
    read_variables(tf.train.Checkpoint(optimizer=alone), tmp_path / "state")
    for number, whole in enumerate(stack.whole_variables(alone.variables)):
        assert all(np.all(shard.numpy() == number + 1) for shard in stack.shards_of(whole))


def grown_by_more(place: Path, what: str, capsys: Any) -> tuple[float, float]:
    """By how many MiB the peak of a process has grown with a table that has so many MiB more; both are printed."""
    found = json.loads((place / "peaks.json").read_text(encoding="utf-8"))
    grown = found["large"] - found["small"]
    with capsys.disabled():
        print(f"\n{what}: {found['small']:,.0f} MiB, then {grown:+,.0f} for {found['more']:,.0f} MiB more of a table")
    return grown, found["more"]


@pytest.mark.slow
@pytest.mark.skipif(stack.KERAS_3, reason="Keras 3 cannot; test_strategies tests that it says so")
def test_the_chief_needs_no_memory_for_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """From the first variable to the export; and what was exported answers as the servers did."""
    with Job(tmp_path, {"chief": 1, "worker": 1, "ps": 2}) as job:
        job.start_all(str(CHIEF))
        job.finish([("chief", 0)])
    grown, more = grown_by_more(tmp_path, "chief", capsys)
    # A copy of one of the two shards would take half of that.
    assert more > 250 and grown < 0.4 * more

    monkeypatch.chdir(tmp_path)
    run = open_run("large")
    logits = np.load(tmp_path / "large" / "test_logits.npy")
    np.testing.assert_allclose(predict_logits(run.model, run.data, "test"), logits, rtol=1e-4, atol=1e-4)
    assert "embedding/table " in (tmp_path / "large" / "sparsity.txt").read_text(encoding="utf-8")
    (version,) = (tmp_path / "models" / "large").glob("1")
    assert read_json(version / "assets.extra" / "about.json")["run"] == "large"
    served = tf.saved_model.load(str(version)).signatures["encoded"]
    ((inputs, *_),) = run.data.batches("test", len(logits))
    answers = served(fields=inputs["fields"])["logit"].numpy()
    np.testing.assert_allclose(answers, logits, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_process_that_exports_holds_a_table_once(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    """It reads, makes smaller, writes, loads and compares without a second copy; and the export answers the same."""
    with Job(tmp_path) as job:
        job.start(("alone", 0), str(EXPORTER))
        job.finish()
    grown, more = grown_by_more(tmp_path, "export", capsys)
    assert more > 250 and grown < 1.2 * more

    monkeypatch.chdir(tmp_path)
    run = open_run("large")
    logits = np.load(tmp_path / "large" / "test_logits.npy")
    np.testing.assert_allclose(predict_logits(run.model, run.data, "test"), logits, rtol=1e-5, atol=1e-5)
    served = tf.saved_model.load(str(tmp_path / "models" / "large" / "1")).signatures["encoded"]
    ((inputs, *_),) = run.data.batches("test", len(logits))
    answers = served(fields=inputs["fields"])["logit"].numpy()
    np.testing.assert_allclose(answers, logits, rtol=1e-5, atol=1e-5)
    # The files hold the table whole, and other programs read it by its name.
    reader = tf.train.load_checkpoint(str(tmp_path / "models" / "large" / "1" / "variables" / "variables"))
    table = max(run.model.weights, key=lambda weight: weight.shape[0])
    (name,) = (name for name, shape in reader.get_variable_to_shape_map().items() if shape == list(table.shape))
    np.testing.assert_array_equal(reader.get_tensor(name), stack.raw_variable(table).numpy())
