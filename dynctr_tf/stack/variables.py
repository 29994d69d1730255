"""Variables: those of TensorFlow inside Keras', their names, types and shapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf.stack.versions import KERAS_3


def raw_variable(variable: Any) -> tf.Variable:
    """Returns the `tf.Variable` of a Keras variable.

    A Keras 3 variable that is given to a `tf` operation is read whole, and its gradient is dense; only the
    `tf.Variable` inside is gathered by row with an `IndexedSlices` gradient. On Keras 2 the two are one, or,
    where a table lies on parameter servers, a `ShardedVariable`.
    """
    return variable.value if KERAS_3 and not isinstance(variable, tf.Variable) else variable


def shards_of(variable: Any) -> list[tf.Variable]:
    """Returns the variables that hold the rows of a variable, in their order.

    They are the shards of a table that lies on several parameter servers; the variable itself in any other case.
    """
    shards = None if isinstance(variable, tf.Variable) else getattr(variable, "variables", None)
    return [raw_variable(variable)] if shards is None else list(shards)


def whole_variables(variables: Iterable[Any]) -> list[Any]:
    """Returns the variables, with one `ShardedVariable` for the shards of each table on parameter servers.

    A checkpoint of these holds a table under one name, each shard as a slice of it that its own server writes and
    reads. So any number of servers, or one device, reads what another number wrote.

    Args:
        variables: Variables such as those of `model.weights`, in which Keras lists each shard by itself.
    """
    found: list[Any] = []
    for variable in variables:
        container = getattr(variable, "_sharded_container", None)
        whole = variable if container is None else container()
        if not found or found[-1] is not whole:
            found.append(whole)
    return found


def row_pieces(variable: Any, rows: int) -> Iterator[np.ndarray]:
    """Yields the values of a variable, some rows at a time; one of rank 0 or 1 as a whole.

    The rows of a variable on a parameter server are cut there, so that this process holds no more than a piece.

    Args:
        variable: A variable, also one in shards.
        rows: The most rows of a piece.
    """
    for shard in shards_of(variable):
        if len(shard.shape) < 2:
            yield shard.numpy()
            continue
        for start in range(0, shard.shape[0], rows):
            with tf.device(shard.device):
                # After a gather or a sparse update, an ordinary read copies the whole variable each time.
                piece = shard.read_value_no_copy()[start : start + rows]
            yield piece.numpy()


def uncast_weight_options() -> dict[str, bool]:
    """Returns the options of `Layer.add_weight` that keep a weight as it is under a mixed policy.

    Without these options Keras 3 gives the layer a bfloat16 copy of the whole weight, and Keras 2 gives it a wrapper.
    """
    return {"autocast": False} if KERAS_3 else {"experimental_autocast": False}


def variable_path(variable: Any) -> str:
    """Returns the path that names a model's variable, such as `"embedding/table"`.

    It is `variable.path` on Keras 3 and `variable.name` without `":0"` on Keras 2. A table in shards has the path that
    it would have as a whole.
    """
    path = getattr(variable, "path", None)
    if path is None and not isinstance(variable, tf.Variable):
        return variable_path(shards_of(variable)[0]).removesuffix("/part_0")
    return str(path) if path is not None else str(variable.name).split(":")[0]


def variable_paths(variables: list[Any], remembered: list[str] | None) -> list[str]:
    """Returns the paths of a model's variables, with the help of those that a saved optimizer remembers.

    Keras 2 may build a layer of a loaded model outside of its name scope, so that `"embedding/table"` has
    become `"table"`. If a path has no layer in it, the remembered path of the same position with the same ending
    replaces it.
    """
    paths = [variable_path(variable) for variable in variables]
    if KERAS_3 or remembered is None or len(remembered) != len(paths):
        return paths
    return [
        old if "/" not in path and old.endswith(f"/{path}") else path
        for path, old in zip(paths, remembered, strict=True)
    ]


def storage_dtype(variable: Any) -> tf.DType:
    """Returns the data type that a variable is stored in, whatever a mixed precision policy casts it to."""
    raw = raw_variable(variable)
    return tf.as_dtype(getattr(raw, "true_dtype", raw.dtype))


def shape_of_new_variable(arguments: Mapping[str, Any]) -> tuple[int, ...] | None:
    """The shape of a variable that TensorFlow is about to make; `None` where it starts from a value that is there.

    Keras 3 gives TensorFlow a function in place of shape and value. It is asked in a graph, where nothing is computed.

    Args:
        arguments: What a creator of `tf.variable_creator_scope` gets.
    """
    shape, initial_value = arguments.get("shape"), arguments.get("initial_value")
    if shape is None and callable(initial_value):
        with tf.Graph().as_default():
            shape = tf.convert_to_tensor(initial_value()).shape
    if shape is None or not tf.TensorShape(shape).is_fully_defined():
        return None
    return tuple(tf.TensorShape(shape).as_list())
