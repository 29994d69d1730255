"""Tables in shards on parameter servers: saved under one name, read in pieces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.optimizers import LazyAdam
from dynctr_tf.training.checkpoints import read_variables, write_variables

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
def test_slots_are_saved_once_and_one_device_reads_them(tmp_path: Path) -> None:
    """A list of an optimizer that names each shard would write the slots of tables a second time."""
    kernel = tf.Variable([[1.0, 2.0]], name="kernel")
    optimizers = []
    for table in (sharded(4, 3), sharded(7)):
        optimizer = LazyAdam(0.1)
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
