"""Signatures of a SavedModel on disk: inputs with the names of columns, any text, and defaults for absent inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from dynctr_tf.durable_files import write_bytes


def rewrite_signatures(
    path: str | Path,
    names: Mapping[str, Mapping[str, str]],
    defaults: Mapping[str, Mapping[str, tf.Tensor]],
) -> None:
    """Gives the inputs of signatures other names, and values for those that a request leaves out.

    Use it after TensorFlow has written the model under names that it accepts for arguments. In a signature a name is
    the key of a map, so it may be any text; TF Serving, `saved_model_cli` and other clients use these keys. In Python
    `tf.saved_model.load(path).signatures[...]` always takes the old names. It takes the new names too, unless two of
    them differ only in characters that are neither letters nor digits.

    A default is written twice: into the signature, where TF Serving reads it, and into the graph as a placeholder with
    a default, for sessions. Python functions of the loaded model do not know it.

    Args:
        path: The SavedModel's folder.
        names: For each signature the new name by the old.
        defaults: For each signature the tensors that stand for inputs which are not given, by the new name.
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
        nodes = {node.name: node for node in graph.graph_def.node}
        for signature, values in defaults.items():
            described = graph.signature_def[signature]
            for name, value in values.items():
                proto = tf.make_tensor_proto(value.numpy(), value.dtype, value.shape)
                described.defaults[name].CopyFrom(proto)
                _give_default(graph.graph_def, nodes[described.inputs[name].name.removesuffix(":0")], proto)
            _free_of_placeholders(
                graph.graph_def, [nodes[one.name.split(":")[0]] for one in described.outputs.values()]
            )
        if defaults:
            _list_operations(graph.meta_info_def.stripped_op_list.op)
    write_bytes(file, saved.SerializeToString(deterministic=True))
    # It holds a hash of the file as it was; TensorFlow does not need it.
    (Path(path) / "fingerprint.pb").unlink(missing_ok=True)


def _give_default(graph: Any, placeholder: Any, value: Any) -> None:
    constant = graph.node.add(name=f"{placeholder.name}_default", op="Const")
    constant.attr["dtype"].type = value.dtype
    constant.attr["value"].tensor.CopyFrom(value)
    placeholder.op = "PlaceholderWithDefault"
    placeholder.input.append(constant.name)


def _free_of_placeholders(graph: Any, calls: Sequence[Any]) -> None:
    """Lets calls start although placeholders have not run.

    TensorFlow lets the call of a function that reads variables wait for all nodes of its arguments, placeholders with
    a default included: these then run in each request, one operation for each feature, although the request gives the
    values. A call that waits for something else already is left as it is, so these wait for the handle of a variable
    that nobody reads. TensorFlow would remove an operation without a state.
    """
    start = graph.node.add(name=f"{calls[0].name}_start", op="VarHandleOp")
    start.attr["dtype"].type = tf.int32.as_datatype_enum
    start.attr["shape"].shape.SetInParent()
    start.attr["shared_name"].s = start.name.encode()
    for call in {call.name: call for call in calls}.values():
        call.input.append(f"^{start.name}")


def _list_operations(listed: Any) -> None:
    """Adds the operations of defaults to the list of the graph's operations."""
    with tf.Graph().as_default():
        default = tf.compat.v1.placeholder_with_default(tf.constant(0), None)
    known = {operation.name for operation in listed}
    for operation in (default.op, default.op.inputs[0].op):
        if operation.type not in known:
            listed.add().CopyFrom(operation.op_def)


def _function(objects: Any, signature: str) -> Any:
    """The function of a signature in Python: `root.signatures[signature]`."""
    node = objects.nodes[0]
    for name in ("signatures", signature):
        node = objects.nodes[next(child.node_id for child in node.children if child.local_name == name)]
    return node.bare_concrete_function
