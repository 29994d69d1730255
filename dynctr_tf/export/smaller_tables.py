"""Smaller embedding tables for a served model: without rows that are zero, in fewer bits."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import numpy as np
import tensorflow as tf

from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.stack import row_pieces
from dynctr_tf.training.large_weights import unfilled, write_rows

TableType = Literal["float32", "bfloat16", "int8"]
TABLE_TYPES: tuple[str, ...] = get_args(TableType)
"""Types of the numbers of a table: as they were trained; in 16 bits, 8 of them for the mantissa; in 8 bits with a
scale for each row."""

_NUMBERS = {"float32": tf.float32, "bfloat16": tf.bfloat16, "int8": tf.int8}
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

    def __init__(self, num_rows: int, width: int, numbers: TableType, places: int | None) -> None:
        super().__init__(name="smaller_table")
        kind = _NUMBERS[numbers]
        with tf.init_scope(), tf.device("/CPU:0"):
            self.rows = _variable((num_rows, width), kind, "rows")
            self.scales = _variable((num_rows, 1), tf.float32, "scales") if kind == tf.int8 else None
            self.places = None if places is None else _variable((places,), tf.int32, "places")

    @classmethod
    def of(cls, table: Any, storage: TableStorage) -> SmallerTable | None:
        """The table in fewer bytes; `None` where no form has fewer.

        Args:
            table: A variable `(rows, width)`.
            storage: How it is held.

        Cost: memory for the new table, and for some rows at a time. The table is read twice.
        """
        if len(table.shape) != 2 or table.dtype != tf.float32:
            return None
        num_rows, width = (int(size) for size in table.shape)
        num_bytes, kept = 4 * num_rows * width, num_rows
        if storage.without_zero_rows:
            live = sum(np.count_nonzero(rows.any(axis=1)) for rows in row_pieces(table, _ROWS_AT_A_TIME))
            kept = live + 1 if 4 * (live + 1) * width + 4 * num_rows < num_bytes else num_rows
        with_places, of_row = kept < num_rows, {"float32": 4 * width, "bfloat16": 2 * width, "int8": width + 4}
        if kept * of_row[storage.numbers] + 4 * num_rows * with_places >= num_bytes:
            return None
        made = cls(kept, width, storage.numbers, num_rows if with_places else None)
        made._fill(row_pieces(table, _ROWS_AT_A_TIME), storage.numbers)
        return made

    def _fill(self, pieces: Iterable[np.ndarray], numbers: str) -> None:
        first = done = 0
        if self.places is not None:  # all rows that are zero are the first one
            pieces = itertools.chain([np.zeros((1, *self.rows.shape[1:]), np.float32)], pieces)
        for number, piece in enumerate(pieces):
            if self.places is not None and number:
                live = piece.any(axis=1)
                places = np.where(live, np.cumsum(live, dtype=np.int32) + np.int32(done - 1), np.int32(0))
                write_rows(self.places, first, places)
                first, piece = first + len(piece), piece[live]
            rows, scales = in_fewer_bits(piece, numbers)
            write_rows(self.rows, done, rows)
            if self.scales is not None:
                write_rows(self.scales, done, scales)
            done += len(piece)

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


def _variable(shape: tuple[int, ...], dtype: tf.DType, name: str) -> tf.Variable:
    return tf.Variable(unfilled(shape, dtype), trainable=False, name=name)


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
