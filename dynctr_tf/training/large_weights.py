"""Large weights that are made without a start and filled some rows at a time, so that memory holds them once."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf.stack import raw_variable, shape_of_new_variable
from dynctr_tf.training.stored_tensors import stored_tensors

LEAST_BYTES = 1 << 23
"""A variable of fewer bytes is not large."""


def unfilled(shape: Sequence[int], dtype: tf.DType) -> tf.Tensor:
    """Returns a tensor of any numbers, of which the system gives memory for what is written."""
    return tf.raw_ops.Empty(shape=tuple(shape), dtype=dtype, init=False)


@contextlib.contextmanager
def large_weights_unfilled() -> Iterator[None]:
    """Within it, a variable of `LEAST_BYTES` or more starts with any numbers, which takes neither time nor memory.

    Use it around the building of a model whose weights are read from a checkpoint at once.
    """

    def create(next_creator: Any, **arguments: Any) -> Any:
        shape = shape_of_new_variable(arguments)
        dtype = tf.as_dtype(arguments.get("dtype") or tf.float32)
        if shape is not None and math.prod(shape) * dtype.size >= LEAST_BYTES:
            arguments["initial_value"] = lambda *_, **__: unfilled(shape, dtype)
        return next_creator(**arguments)

    with tf.variable_creator_scope(create):
        yield


def write_rows(variable: tf.Variable, first: int, rows: Any) -> None:
    """Writes rows of a variable, where they are.

    Args:
        variable: A variable on one device.
        first: The first of them.
        rows: The rows.
    """
    indices = tf.range(first, first + len(rows), dtype=tf.int64)
    tf.raw_ops.ResourceScatterUpdate(resource=variable.handle, indices=indices, updates=rows)


def read_by_pieces(weights: Iterable[Any], prefix: str | Path) -> None:
    """Reads a checkpoint of weights, as `dynctr_tf.training.best_weights.weights_alone` gives it, into variables.

    TensorFlow itself reads a whole tensor beside the one that it replaces, and one that servers wrote in slices with a
    slice beside that.

    Args:
        weights: The variables in their order, each on one device.
        prefix: What the names of the checkpoint's files begin with.

    Raises:
        DamagedFileError: A file of it is damaged.
        ValueError: The checkpoint has other variables.
    """
    stored, reader = stored_tensors(prefix), tf.train.load_checkpoint(str(prefix))
    variables = {
        f"weights/{number}/.ATTRIBUTES/VARIABLE_VALUE": raw_variable(weight) for number, weight in enumerate(weights)
    }
    wanted = {key: (tuple(one.shape), one.dtype.base_dtype) for key, one in variables.items()}
    found = {key: (one.shape, one.dtype) for key, one in stored.items()}
    if found != wanted:
        key = min(key for key in {**found, **wanted} if found.get(key) != wanted.get(key))
        raise ValueError(f"{key} is {found.get(key, 'absent')} in it, {wanted.get(key, 'absent')} in the model")
    for key, variable in variables.items():
        tensor = stored[key]
        if tensor.num_bytes < LEAST_BYTES:
            variable.assign(reader.get_tensor(key))
            continue
        first, of_row = 0, tensor.num_bytes // tensor.shape[0]
        for piece in tensor.pieces(of_row):
            rows = np.frombuffer(piece, tensor.dtype.as_numpy_dtype).reshape(-1, *tensor.shape[1:])
            write_rows(variable, first, rows)
            first += len(rows)
