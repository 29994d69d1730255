"""Tensors of checkpoints found in their files, and large weights read some rows at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.durable_files import DamagedFileError
from dynctr_tf.training import large_weights
from dynctr_tf.training.large_weights import large_weights_unfilled, read_by_pieces, unfilled, write_rows
from dynctr_tf.training.stored_tensors import stored_tensors

VALUES = np.arange(300, dtype=np.float32).reshape(100, 3)


def in_slices(*sizes: int) -> Any:
    ends = np.cumsum(sizes)
    shards = [
        tf.Variable(VALUES[end - size : end], name=f"table/part_{number}")
        for number, (size, end) in enumerate(zip(sizes, ends, strict=True))
    ]
    return tf.__internal__.distribute.ShardedVariable(shards)


def written(folder: Path, *weights: Any) -> str:
    return str(tf.train.Checkpoint(weights=list(weights)).write(str(folder / "state")))


def test_every_tensor_of_numbers_is_found_as_tensorflow_reads_it(tmp_path: Path) -> None:
    # Enough of them for several blocks of the index, whose keys share their beginnings.
    many = [tf.Variable(tf.cast(tf.fill((number % 7, 2), number), tf.int64)) for number in range(400)]
    others = [
        tf.Variable(tf.constant([1.5, -2.0], tf.bfloat16)),
        tf.Variable(True),
        tf.Variable("text"),
        in_slices(100),
    ]
    prefix = written(tmp_path, *many, *others)
    reader, stored = tf.train.load_checkpoint(prefix), stored_tensors(prefix)
    texts = {name for name, dtype in reader.get_variable_to_dtype_map().items() if dtype == tf.string}
    assert stored.keys() == reader.get_variable_to_shape_map().keys() - texts and len(texts) == 2
    for name, tensor in stored.items():
        expected = reader.get_tensor(name)
        assert tensor.shape == expected.shape and tensor.dtype == expected.dtype
        assert b"".join(tensor.pieces()) == expected.tobytes() and tensor.num_bytes == expected.nbytes


@pytest.mark.parametrize("sizes", [(100,), (50, 50), (34, 33, 33), (1, 9, 90)])
def test_slices_follow_in_the_order_of_rows(sizes: tuple[int, ...], tmp_path: Path) -> None:
    stored = stored_tensors(written(tmp_path, in_slices(*sizes)))["weights/0/.ATTRIBUTES/VARIABLE_VALUE"]
    assert [place.size for place in stored.places] == [size * 12 for size in sizes]
    assert b"".join(stored.pieces(12)) == VALUES.tobytes()


def test_a_damaged_index_and_a_short_file_are_said(tmp_path: Path) -> None:
    prefix = written(tmp_path, in_slices(60, 40))
    (stored,) = (one for one in stored_tensors(prefix).values() if one.shape == (100, 3))
    data = tmp_path / "state.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[: stored.places[1].start + 5])
    with pytest.raises(DamagedFileError, match="ends 4.. bytes too early"):
        list(stored.pieces(12))
    index = tmp_path / "state.index"
    whole = index.read_bytes()
    for damaged in (whole[:-1], whole[:60], b"", whole[:30] + whole[40:]):
        index.write_bytes(damaged)
        with pytest.raises(DamagedFileError, match="is damaged, or not the index of a checkpoint"):
            stored_tensors(prefix)


@pytest.mark.parametrize("sizes", [(100,), (51, 49)])
def test_large_weights_are_read_where_they_are(sizes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_weights, "LEAST_BYTES", 1000)
    prefix = written(tmp_path, tf.Variable([1.0, 2.0]), in_slices(*sizes), tf.Variable(np.arange(500)))
    with large_weights_unfilled():
        weights = [tf.Variable(tf.zeros(shape, kind)) for shape, kind in (((2,), "float32"), ((100, 3), "float32"))]
        weights.append(tf.Variable(lambda: tf.zeros((500,), tf.int64), dtype=tf.int64))
    read_by_pieces(weights, prefix)
    np.testing.assert_array_equal(weights[0].numpy(), [1.0, 2.0])
    np.testing.assert_array_equal(weights[1].numpy(), VALUES)
    np.testing.assert_array_equal(weights[2].numpy(), np.arange(500))
    with pytest.raises(ValueError, match=r"weights/1/.* is \(\(100, 3\), tf.float32\) in it, \(\(99, 3\)"):
        read_by_pieces([weights[0], tf.Variable(tf.zeros((99, 3))), weights[2]], prefix)
    with pytest.raises(ValueError, match="weights/2/.* in it, absent in the model"):
        read_by_pieces(weights[:2], prefix)


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16, tf.int8, tf.int32])
def test_rows_are_written_in_place_and_read_in_pieces(dtype: tf.DType) -> None:
    variable = tf.Variable(unfilled((7, 3), dtype))
    values = tf.cast(tf.reshape(tf.range(21), (7, 3)), dtype)
    write_rows(variable, 0, values[:4])
    write_rows(variable, 4, values[4:])
    np.testing.assert_array_equal(variable.numpy(), values.numpy())
    tf.gather(variable, [1, 1])
    np.testing.assert_array_equal(np.concatenate(list(stack.row_pieces(variable, 2))), values.numpy())
    variable.scatter_nd_update([[2]], tf.zeros((1, 3), dtype))
    assert [not piece.astype(np.float32).any() for piece in stack.row_pieces(variable, 1)] == [False, False, True] + [
        False
    ] * 4
