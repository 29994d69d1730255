"""Loads a SavedModel to compare it with the model that it was made of, which lends it the large tables."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from dynctr_tf.durable_files import DamagedFileError
from dynctr_tf.stack import raw_variable, row_pieces
from dynctr_tf.training.large_weights import LEAST_BYTES
from dynctr_tf.training.stored_tensors import StoredTensor, stored_tensors

_ROWS_AT_A_TIME = 1 << 16
_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"


def load_with_tables_of(path: Path, root: Any) -> Any:
    """Loads a SavedModel without reading its large variables, which it shares with the object that was saved.

    Use it right after saving: a large table is in memory once, not twice. That the files hold what is shared is
    checked, some rows at a time. Its signatures can be called; other functions lack the large variables.

    Args:
        path: The folder of the SavedModel, by a path without a pattern's characters.
        root: What was saved.

    Returns:
        What `tf.saved_model.load` gives.

    Raises:
        DamagedFileError: A large variable is not in the files as it is in memory.
    """
    prefix = path / "variables" / "variables"
    stored = stored_tensors(prefix)
    reader = tf.train.load_checkpoint(str(prefix))
    objects = trackable_object_graph_pb2.TrackableObjectGraph.FromString(reader.get_tensor(_OBJECTS))
    shared: dict[str, tuple[list[str], Any]] = {}
    for names, node in _objects_by_name(objects):
        for place, attribute in enumerate(node.attributes):
            key = attribute.checkpoint_key
            if attribute.name == "VARIABLE_VALUE" and key in stored and stored[key].num_bytes >= LEAST_BYTES:
                variable = raw_variable(_child(root, names))
                _check_stored(key, stored[key], variable)
                shared[key] = names, variable
                del node.attributes[place]
                break
    if not shared:
        return tf.saved_model.load(str(path))
    with tempfile.TemporaryDirectory(dir=path, prefix="without-tables-") as folder:
        small = Path(folder)
        for name in ("saved_model.pb", "assets"):
            if (path / name).exists():
                (small / name).symlink_to((path / name).resolve())
        (small / "variables").mkdir()
        dtypes = reader.get_variable_to_dtype_map()
        kept = sorted(dtypes.keys() - shared.keys() - {_OBJECTS})
        values = [] if not kept else _restored(prefix, kept, [dtypes[key] for key in kept])
        tf.raw_ops.SaveV2(
            prefix=str(small / "variables" / "variables"),
            tensor_names=[_OBJECTS, *kept],
            shape_and_slices=[""] * (1 + len(kept)),
            tensors=[tf.constant(objects.SerializeToString()), *values],
        )
        del values
        loaded = tf.saved_model.load(str(small), options=tf.saved_model.LoadOptions(allow_partial_checkpoint=True))
    # Two variables cannot share numbers that are gathered, so the functions take the variables of the saved object.
    lent = {id(_child(loaded, names).handle): variable.handle for names, variable in shared.values()}
    for function in loaded.signatures.values():
        function.set_external_captures([lent.get(id(capture), capture) for capture in function.captured_inputs])
    return loaded


def _restored(prefix: Path, keys: list[str], dtypes: list[tf.DType]) -> list[tf.Tensor]:
    with tf.device("/CPU:0"):
        return list(
            tf.raw_ops.RestoreV2(
                prefix=str(prefix), tensor_names=keys, shape_and_slices=[""] * len(keys), dtypes=dtypes
            )
        )


def _objects_by_name(objects: Any) -> Iterable[tuple[list[str], Any]]:
    """The nodes of a graph of objects, each with the names that lead to it, the shortest way."""
    ways: dict[int, list[str]] = {0: []}
    waiting = [0]
    for number in waiting:
        for child in objects.nodes[number].children:
            if child.node_id not in ways:
                ways[child.node_id] = [*ways[number], child.local_name]
                waiting.append(child.node_id)
    return [(names, objects.nodes[number]) for number, names in ways.items()]


def _child(root: Any, names: list[str]) -> Any:
    for name in names:
        root = tf.train.TrackableView.children(root)[name]
    return root


def _check_stored(key: str, stored: StoredTensor, variable: Any) -> None:
    on_disk = in_memory = 0
    for piece in stored.pieces():
        on_disk = zlib.crc32(piece, on_disk)
    for rows in row_pieces(variable, _ROWS_AT_A_TIME):
        in_memory = zlib.crc32(np.ascontiguousarray(rows).view(np.uint8).data, in_memory)
    if on_disk != in_memory:
        raise DamagedFileError(f"Variable {key!r} was written, and the files hold other numbers: is the disk broken?")
