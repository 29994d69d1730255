"""The inputs of a SavedModel's signatures under the names of columns, which may be anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from dynctr_tf.durable_files import write_bytes


def name_inputs(path: str | Path, names: Mapping[str, Mapping[str, str]]) -> None:
    """Gives the inputs of signatures other names, in a SavedModel on disk.

    Use it after TensorFlow has written the model under names that it accepts as those of arguments. In a signature a
    name is a key of a map, which may be any text: what TF Serving, `saved_model_cli` and other clients ask for. In
    Python `tf.saved_model.load(path).signatures[...]` takes the new names too, unless two of them differ only in what
    is neither a letter nor a digit; the old ones it takes always.

    Args:
        path: The SavedModel's folder.
        names: For each signature the new name by the old.
    """
    file = Path(path) / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for graph in saved.meta_graphs:
        for signature, renamed in names.items():
            inputs = graph.signature_def[signature].inputs
            described = {}
            for old, new in renamed.items():
                described[new] = meta_graph_pb2.TensorInfo()
                described[new].CopyFrom(inputs[old])
            inputs.clear()
            for new, tensor in described.items():
                inputs[new].CopyFrom(tensor)
            function = _function(graph.object_graph_def, signature)
            arguments = [renamed[argument] for argument in function.argument_keywords]
            del function.argument_keywords[:]
            function.argument_keywords.extend(arguments)
    write_bytes(file, saved.SerializeToString(deterministic=True))
    # A hash of the file as it was; TensorFlow does without.
    (Path(path) / "fingerprint.pb").unlink(missing_ok=True)


def _function(objects: Any, signature: str) -> Any:
    """The function of a signature as Python calls it: `root.signatures[signature]`."""
    node = objects.nodes[0]
    for name in ("signatures", signature):
        node = objects.nodes[next(child.node_id for child in node.children if child.local_name == name)]
    return node.bare_concrete_function
