"""Smaller embedding tables for a served model: without rows that are zero, in fewer bits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import tensorflow as tf

from dynctr_tf.nearest import unknown_name_message

TableType = Literal["float32", "bfloat16", "int8"]
TABLE_TYPES: tuple[str, ...] = get_args(TableType)
"""Types of the numbers of a table: as they were trained; in 16 bits, 8 of them for the mantissa; in 8 bits with a
scale for each row."""

_LARGEST_INT8 = 127
_ROWS_AT_A_TIME = 1 << 16


@dataclasses.dataclass(frozen=True)
class TableStorage:
    """How a served model holds its tables.

    Args:
        without_zero_rows: Whether all rows that are zero, such as those that G-FTRL set to zero, are held as one row. A
            look-up then first finds the place of a row, which takes four bytes for each id. It is done where the table
            becomes smaller; no answer changes. Default `True`.
        numbers: One of `TABLE_TYPES`. Rows are float32 again once they are gathered. Default `"float32"`.

    Raises:
        ValueError: Another type of numbers.
    """

    without_zero_rows: bool = True
    numbers: TableType = "float32"

    def __post_init__(self) -> None:
        if self.numbers not in TABLE_TYPES:
            raise ValueError(unknown_name_message("type of numbers in tables", str(self.numbers), TABLE_TYPES))


class SmallerTable(tf.Module):
    """A table of rows that are gathered, held as a `TableStorage` says; `of` makes one where that is smaller."""

    def __init__(self, rows: Any, scales: np.ndarray | None, places: np.ndarray | None) -> None:
        super().__init__(name="smaller_table")
        with tf.init_scope(), tf.device("/CPU:0"):
            self.rows = tf.Variable(rows, trainable=False, name="rows")
            self.scales = None if scales is None else tf.Variable(scales, trainable=False, name="scales")
            self.places = None if places is None else tf.Variable(places, trainable=False, name="places")

    @classmethod
    def of(cls, table: Any, storage: TableStorage) -> SmallerTable | None:
        """The table in fewer bytes; `None` where no form has fewer.

        Args:
            table: A variable `(rows, width)`.
            storage: How it is held.
        """
        if len(table.shape) != 2 or table.dtype != tf.float32:
            return None
        values = table.numpy()
        places, kept = None, values
        if storage.without_zero_rows:
            live = np.flatnonzero(values.any(axis=1))
            if 4 * (len(live) + 1) * values.shape[1] + 4 * len(values) < values.nbytes:
                kept = np.zeros((len(live) + 1, values.shape[1]), np.float32)
                kept[1:] = values[live]
                places = np.zeros(len(values), np.int32)
                places[live] = np.arange(1, len(live) + 1, dtype=np.int32)
        rows, scales = in_fewer_bits(kept, storage.numbers)
        parts = [part for part in (rows, scales, places) if part is not None]
        if sum(_bytes(part) for part in parts) >= values.nbytes:
            return None
        return cls(rows, scales, places)

    def __call__(self, ids: tf.Tensor) -> tf.Tensor:
        """The rows of ids, float32."""
        places = ids if self.places is None else tf.gather(self.places, ids)
        rows = tf.cast(tf.gather(self.rows, places), tf.float32)
        return rows if self.scales is None else rows * tf.gather(self.scales, places)

    @property
    def num_bytes(self) -> int:
        """What it takes."""
        return sum(int(variable.shape.num_elements()) * int(variable.dtype.size) for variable in self.variables)


def in_fewer_bits(rows: np.ndarray, numbers: str) -> tuple[Any, np.ndarray | None]:
    """Rows in a type of numbers, and for int8 the factor of each row, `(rows, 1)`.

    Example:

    >>> rows, scales = in_fewer_bits(np.array([[1.0, -2.0], [0.0, 0.0]], np.float32), "int8")
    >>> rows.tolist(), np.round(rows * np.float64(scales), 2).tolist()
    ([[64, -127], [0, 0]], [[1.01, -2.0], [0.0, 0.0]])
    """
    if numbers == "float32":
        return rows, None
    if numbers == "bfloat16":
        return tf.cast(rows, tf.bfloat16), None
    highest, lowest = (extreme(rows, axis=1, keepdims=True, initial=0.0) for extreme in (np.max, np.min))
    largest = np.maximum(highest, 0.0 - lowest)
    scales = largest / np.float32(_LARGEST_INT8)
    divisors = np.where(scales > 0, scales, np.float32(1))
    values = np.empty(rows.shape, np.int8)
    for start in range(0, len(rows), _ROWS_AT_A_TIME):  # all quotients at once would take what the table does
        part = slice(start, start + _ROWS_AT_A_TIME)
        values[part] = np.rint(rows[part] / divisors[part])
    return values, scales.astype(np.float32)


def _bytes(part: Any) -> int:
    return int(np.prod(part.shape)) * int(tf.as_dtype(part.dtype).size)


def gathered_tables(graph: tf.Graph, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of a graph whose only use is that their rows are gathered, by the placeholders of their handles."""
    found = {}
    for name, variable in variables.items():
        users = graph.get_operation_by_name(name).outputs[0].consumers()
        if variable is not None and users and all(_is_gather(user) for user in users):
            found[name] = variable
    return found


def _is_gather(operation: tf.Operation) -> bool:
    return operation.type == "ResourceGather" and operation.get_attr("batch_dims") == 0


def replace_gathers(definition: Any, tables: Mapping[str, SmallerTable]) -> dict[str, Any]:
    """Lets a graph look rows up in smaller tables.

    Args:
        definition: The `GraphDef`, which is changed.
        tables: The tables by the placeholders of the handles that rows are gathered from.

    Returns:
        The handles of the new variables by the names of the new placeholders that stand for them.
    """
    handles: dict[str, Any] = {}
    nodes = list(definition.node)
    gathers = [node for node in nodes if node.op == "ResourceGather" and node.input[0] in tables]
    replaced = {node.name for node in gathers}
    del definition.node[:]
    definition.node.extend(node for node in nodes if node.name not in replaced and node.name not in tables)
    for gather in gathers:
        table, indices = tables[gather.input[0]], gather.input[1]
        kind = tf.as_dtype(gather.attr["Tindices"].type)
        traced = _look_up(table, kind)
        prefix = f"{gather.name}/smaller"
        captured = {inner.op.name: outer for outer, inner in traced.graph.captures}
        own = {node.name for node in traced.graph.as_graph_def().node}
        asked = traced.inputs[0].op.name
        for node in traced.graph.as_graph_def().node:
            if node.name == asked:
                continue
            copy = definition.node.add()
            copy.CopyFrom(node)
            copy.name = f"{prefix}/{node.name}"
            del copy.input[:]
            copy.input.extend(_renamed(one, prefix, own, asked, indices) for one in node.input)
            copy.attr.pop("_gradient_op_type", None)
            if node.name in captured:
                handles[copy.name] = captured[node.name]
        answer = definition.node.add(name=gather.name, op="Identity")
        answer.input.append(_renamed(traced.outputs[0].name.removesuffix(":0"), prefix, own, asked, indices))
        answer.attr["T"].type = tf.float32.as_datatype_enum
    return handles


def _look_up(table: SmallerTable, kind: tf.DType) -> Any:
    return tf.function(lambda ids: table(ids)).get_concrete_function(tf.TensorSpec(None, kind, name="ids"))


def _renamed(source: str, prefix: str, own: set[str], asked: str, indices: str) -> str:
    control, bare = ("^", source[1:]) if source.startswith("^") else ("", source)
    name, colon, output = bare.partition(":")
    if name == asked:
        return control + (indices.partition(":")[0] if control else indices)
    return f"{control}{prefix}/{name}{colon}{output}" if name in own else source
