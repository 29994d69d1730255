"""Serving graphs whose kernels are constants: TensorFlow prepares constants for products once, not in each request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import tensorflow as tf

from dynctr_tf.export.rows_alike import with_rows_alike
from dynctr_tf.export.smaller_tables import SmallerTable, TableStorage, gathered_tables, replace_gathers

LARGEST = 2**26
"""Bytes of the largest variable that becomes a constant. A graph cannot hold larger ones, such as tables."""

_LARGEST_GRAPH = 2**29  # Most bytes of all constants together: a graph of 2 GiB cannot be written.


def with_constant_weights(function: Callable[..., Any], *signature: Any) -> Any:
    """Traces a function once, with the weights that it reads as constants of its graph.

    Use it on the functions of a SavedModel. A variable may change between two requests, so TensorFlow casts it to
    bfloat16 and lays it out for products in each request. It casts, packs and folds constants once. `export_model` does
    so.

    Variables whose rows are gathered, such as embedding tables, stay variables, and so does every variable of more than
    `LARGEST` bytes. If all constants together had more than 512 MiB, all would stay variables.

    Args:
        function: Answers tensors, or dicts of them, with tensors or a dict of them.
        *signature: For each argument a `tf.TensorSpec`, or a dict of them.

    Returns:
        A `tf.types.experimental.ConcreteFunction` of the same arguments, which keeps the weights as they are now; it
        has no gradients.

    Cost: the graph holds the constants, so that a SavedModel with its variables has them twice.

    Example:

    >>> kernel = tf.Variable([[2.0], [3.0]])
    >>> answer = with_constant_weights(lambda x: x @ kernel, tf.TensorSpec((None, 2)))
    >>> _ = kernel.assign([[0.0], [0.0]])
    >>> answer(tf.constant([[1.0, 1.0]])).numpy().tolist()
    [[5.0]]
    """
    return constant_function(function, signature, TableStorage(without_zero_rows=False))[0]


def constant_function(
    function: Callable[..., Any],
    signature: Sequence[Any],
    storage: TableStorage,
    made: dict[int, SmallerTable | None] | None = None,
    *,
    one_row_first: bool = False,
) -> tuple[Any, list[tuple[tf.Variable, SmallerTable]]]:
    """Does what `with_constant_weights` does, and holds tables in fewer bytes.

    Args:
        function: As there.
        signature: As there.
        storage: How a variable is held whose rows are gathered and which has no other use.
        made: The tables that were made for other functions, by the `id` of the variable's handle; new ones are added.
            Default `None`: none.
        one_row_first: Whether the first argument holds one row, which `repeat_row` repeats; what depends on this row
            alone is then computed once. Default `False`.

    Returns:
        The concrete function, and the variables that it does not need any more, each with the table in its place.
    """
    traced = tf.function(function).get_concrete_function(*signature)
    graph = traced.graph
    variables = {id(variable.handle): variable for variable in traced.variables}
    placeholders = {inner.op.name: variables.get(id(outer)) for outer, inner in graph.captures}
    constants = {name: variable for name, variable in placeholders.items() if _is_small_kernel(graph, name, variable)}
    if sum(_bytes(variable) for variable in constants.values()) > _LARGEST_GRAPH:
        constants = {}
    gathered = gathered_tables(graph, {name: one for name, one in placeholders.items() if name not in constants})
    made = {} if made is None else made
    tables: dict[str, SmallerTable] = {}
    for name, variable in gathered.items():
        key = id(variable.handle)
        if key not in made:
            made[key] = SmallerTable.of(variable, storage)
        table = made[key]
        if table is not None:
            tables[name] = table
    definition, results = graph.as_graph_def(), [tensor.name for tensor in traced.outputs]
    if one_row_first:
        first = len(tf.nest.flatten(signature[0]))
        many = traced.inputs[first : len(tf.nest.flatten(list(signature)))]
        definition, results = with_rows_alike(graph, traced.outputs, [tensor.op.name for tensor in many])
    handles = replace_gathers(definition, tables)
    definition = _with_constants(definition, constants)
    held = {id(variable.handle): variable for table in tables.values() for variable in table.variables}
    captures = [(outer, inner.op.name) for outer, inner in graph.captures if inner.op.name not in tables]
    captures += [(handle, name) for name, handle in handles.items()]

    def answer(*arguments: Any) -> Any:
        given = tf.nest.flatten(arguments)
        inside = {inner.name: outer for inner, outer in zip(traced.inputs[: len(given)], given, strict=True)}
        served = tf.compat.v1.get_default_graph()
        for outer, name in captures:
            if name in constants:
                continue
            inside[f"{name}:0"] = served.capture(outer)
            variable = variables.get(id(outer), held.get(id(outer)))
            if variable is not None:
                served.watch_variable(variable)  # without it a SavedModel does not restore the variable
        outputs = tf.graph_util.import_graph_def(definition, inside, results, name="")
        return tf.nest.pack_sequence_as(traced.structured_outputs, outputs)

    replaced = [(gathered[name], table) for name, table in tables.items()]
    made_constant = tf.function(answer).get_concrete_function(*signature)
    made_constant.traced_from = traced  # it owns the branches that the graph calls
    return made_constant, replaced


def _is_small_kernel(graph: tf.Graph, name: str, variable: tf.Variable | None) -> bool:
    """Whether a placeholder stands for a variable that is only read as a whole and is not too large."""
    # Only kernels are packed and folded: the keys of a table are searched as they are.
    if variable is None or _bytes(variable) > LARGEST or not variable.dtype.is_floating:
        return False
    users = graph.get_operation_by_name(name).outputs[0].consumers()
    return all(operation.type == "ReadVariableOp" for operation in users)


def _with_constants(definition: Any, constants: dict[str, tf.Variable]) -> Any:
    """The graph with the reads of some variables replaced; `constants`: the variables by their placeholder's name."""
    replaced = tf.compat.v1.GraphDef()
    replaced.CopyFrom(definition)
    del replaced.node[:]
    for node in definition.node:
        if node.name in constants:
            continue
        if node.op == "ReadVariableOp" and node.input[0] in constants:
            value = constants[node.input[0]].numpy()
            constant = replaced.node.add(name=node.name, op="Const")
            constant.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
            constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        else:
            replaced.node.add().CopyFrom(node)
    # The gradients that `tf.custom_gradient` registered belong to the traced graph, and serving needs none.
    for body in (replaced.node, *(function.node_def for function in attrgetter("library.function")(replaced))):
        for node in body:
            node.attr.pop("_gradient_op_type", None)
    return replaced


def _bytes(variable: tf.Variable) -> int:
    return int(variable.shape.num_elements()) * int(variable.dtype.size)
