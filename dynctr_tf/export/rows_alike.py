"""A graph that computes what is the same in all rows for one row only."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tensorflow as tf

MARK = "one_row_for_all"
"""The name of the operations that repeat one row; `repeat_row` makes them."""

# The kinds of outputs: the same for every number of rows; equal rows, of which one is computed; the sizes of equal
# rows; anything else.
_FIXED, _ALIKE, _SIZES, _ANY = "fixed", "alike", "sizes", "any"

_OF_ONE = frozenset((
    "Abs", "Acos", "Ceil", "Cast", "Elu", "Erf", "Exp", "Expm1", "Floor", "Identity", "IsNan", "LeakyRelu", "Log",
    "Log1p", "LogicalNot", "Neg", "OnesLike", "PreventGradient", "Reciprocal", "Relu", "Relu6", "Round", "Rsqrt",
    "Selu", "Sigmoid", "Sign", "Sin", "Cos", "Softplus", "Softsign", "Sqrt", "Square", "StopGradient", "Tanh",
    "ZerosLike",
))  # fmt: skip
_OF_SEVERAL = frozenset((
    "Add", "AddV2", "Div", "DivNoNan", "Equal", "FloorDiv", "FloorMod", "Greater", "GreaterEqual", "Less",
    "LessEqual", "LogicalAnd", "LogicalOr", "Maximum", "Minimum", "Mul", "NotEqual", "Pow", "RealDiv", "SelectV2",
    "SquaredDifference", "Sub", "Xdivy", "Xlogy",
))  # fmt: skip
_REDUCTIONS = frozenset((
    "All", "Any", "Max", "Mean", "Min", "Prod", "Sum",
))  # fmt: skip
_OF_SIZES = frozenset((
    "AddV2", "Cast", "ConcatV2", "GatherV2", "Identity", "Maximum", "Minimum", "Mul", "Pack", "Prod",
    "StridedSlice", "Sub",
))  # fmt: skip


def repeat_row(row: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Repeats one row by an operation that `with_rows_alike` recognises.

    Args:
        row: `(1, ...)`, all sizes but the first known.
        count: How often.
    """
    return tf.broadcast_to(row, tf.concat([[count], row.shape[1:]], 0), name=MARK)


def with_rows_alike(graph: Any, outputs: Sequence[tf.Tensor], many: Iterable[str]) -> tuple[Any, list[str]]:
    """Rewrites a graph so that everything which depends on repeated rows alone is computed for one row.

    Use it on a graph for one user and many items: weights that are generated from the user's or the scenario's
    embedding are generated once. An operation counts as one that treats all rows in the same way only if its kind, its
    attributes and the ranks of its inputs show it; every other operation gets repeated rows, as before.

    Where equal rows meet other rows, a sum or product broadcasts one row by itself; elsewhere they are repeated.

    Args:
        graph: A traced function's graph, in which `repeat_row` made repeated rows.
        outputs: Its outputs.
        many: The names of the placeholders that hold many rows.

    Returns:
        The graph as a `GraphDef`, and the names of the outputs in it.
    """
    return _Rewriting(graph, frozenset(many)).rewritten(outputs)


class _Rewriting:
    def __init__(self, graph: Any, many: frozenset[str]) -> None:
        self.graph = graph
        self.many = many
        self.definition = graph.as_graph_def()
        self.nodes = {node.name: node for node in self.definition.node}
        self.state: dict[str, str] = {}
        # For equal rows: the tensor of one row, and the size of its first axis, which is above 1 after flattening.
        self.once: dict[str, str] = {}
        self.length: dict[str, int] = {}
        self.repeated: dict[str, str] = {}
        self.count: str | None = None
        self.multiples: dict[int, str] = {}

    def rewritten(self, outputs: Sequence[tf.Tensor]) -> tuple[Any, list[str]]:
        del self.definition.node[:]
        for operation in self.graph.get_operations():
            self._take(operation)
        named = [self._many(tensor) for tensor in outputs]
        return self.definition, [name if ":" in name else f"{name}:0" for name in named]

    def _take(self, operation: tf.Operation) -> None:
        inputs = list(operation.inputs)
        states = [self.state[tensor.name] for tensor in inputs]
        node = self.nodes[operation.name]
        if operation.type == "BroadcastTo" and operation.name.rsplit("/", 1)[-1].startswith(MARK):
            self._emit(node, node.name, [_reference(tensor) for tensor in inputs])
            if self.count is None:
                kind = operation.outputs[0].dtype
                self.count = self._added("Shape", [_reference_of(node.name)], T=kind, out_type=tf.int32)
                begin, end, step = (self._constant([number]) for number in (0, 1, 1))
                self.count = self._added(
                    "StridedSlice", [self.count, begin, end, step], T=tf.int32, Index=tf.int32,
                    begin_mask=0, end_mask=0, ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=0,
                )  # fmt: skip
            name = operation.outputs[0].name
            self.state[name], self.once[name], self.length[name] = _ALIKE, _reference(inputs[0]), 1
            self.repeated[name] = _reference(operation.outputs[0])
            return
        if not inputs:
            self._emit(node, node.name, [])
            self._say(operation, _ANY if operation.name in self.many else _FIXED)
            return
        if all(state == _FIXED for state in states):
            self._emit(node, node.name, [_reference(tensor) for tensor in inputs])
            self._say(operation, _FIXED)
            return
        kind = operation.type
        if (
            _ANY not in states
            and _SIZES in states
            and _ALIKE not in states
            and kind in _OF_SIZES
            or kind == "Shape"
            and states == [_ALIKE]
        ):
            self._twice(operation, node, _SIZES, 1)
        elif _ANY not in states and _ALIKE in states:
            length = self._length_of_one_row(operation, inputs, states)
            if length is None:
                self._repeat(operation, node, inputs)
            else:
                self._twice(operation, node, _ALIKE, length)
        else:
            self._repeat(operation, node, inputs)

    def _say(self, operation: tf.Operation, state: str) -> None:
        for output in operation.outputs:
            self.state[output.name] = state

    def _emit(self, node: Any, name: str, inputs: Sequence[str]) -> None:
        copy = self.definition.node.add()
        copy.CopyFrom(node)
        copy.name = name
        control = [one for one in node.input if one.startswith("^")]
        del copy.input[:]
        copy.input.extend([*inputs, *control])

    def _twice(self, operation: tf.Operation, node: Any, state: str, length: int) -> None:
        """One row, or its sizes, under a new name; for sizes also those of all rows."""
        name = f"{node.name}/of_one_row"
        self._emit(node, name, [self.once.get(tensor.name, _reference(tensor)) for tensor in operation.inputs])
        for place, output in enumerate(operation.outputs):
            self.state[output.name] = state
            self.once[output.name] = _reference_of(name, place)
            self.length[output.name] = length
        if state == _SIZES and operation.type != "Shape":
            self._emit(node, node.name, [self._many(tensor) for tensor in operation.inputs])
            for output in operation.outputs:
                self.repeated[output.name] = _reference(output)
            return
        if state == _SIZES:
            sizes = operation.outputs[0]
            factors = self._multiples(operation.inputs[0].shape.rank)
            if sizes.dtype != tf.int32:
                factors = self._added("Cast", [factors], SrcT=tf.int32, DstT=sizes.dtype, Truncate=False)
            self.repeated[sizes.name] = self._added("Mul", [self.once[sizes.name], factors], T=sizes.dtype)
        # Other operations may have a control dependency on this name.
        anchor = self.definition.node.add(name=node.name, op="NoOp")
        anchor.input.append(f"^{name}")

    def _repeat(self, operation: tf.Operation, node: Any, inputs: Sequence[tf.Tensor]) -> None:
        """An operation on all rows; sums and products broadcast one row."""
        ranks = [tensor.shape.rank for tensor in inputs]
        spreads = operation.type in _OF_SEVERAL or (operation.type == "BatchMatMulV2" and ranks[0] and ranks[0] >= 3)
        spreads = spreads and None not in ranks and len(set(ranks)) == 1
        several = any(self.state[tensor.name] == _ANY for tensor in inputs)
        references = [
            self.once[tensor.name]
            if spreads and several and self.state[tensor.name] == _ALIKE and self.length[tensor.name] == 1
            else self._many(tensor)
            for tensor in inputs
        ]
        self._emit(node, node.name, references)
        self._say(operation, _ANY)

    def _many(self, tensor: tf.Tensor) -> str:
        """A tensor of all rows."""
        name = tensor.name
        if self.state[name] in (_FIXED, _ANY):
            return _reference(tensor)
        if name not in self.repeated:
            self.repeated[name] = self._added(
                "Tile", [self.once[name], self._multiples(tensor.shape.rank)], T=tensor.dtype, Tmultiples=tf.int32
            )
        return self.repeated[name]

    def _multiples(self, rank: int) -> str:
        """The number of rows, then ones: `(rank,)`."""
        if rank not in self.multiples:
            assert self.count is not None
            parts = [self.count, self._constant([1] * (rank - 1)), self._constant(0)]
            self.multiples[rank] = (
                self.count if rank == 1 else self._added("ConcatV2", parts, N=2, T=tf.int32, Tidx=tf.int32)
            )
        return self.multiples[rank]

    def _constant(self, value: Any) -> str:
        proto = tf.make_tensor_proto(value, tf.int32)
        return self._added("Const", [], dtype=tf.int32, value=proto)

    def _added(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        node = self.definition.node.add(name=f"rows_alike/{len(self.definition.node)}", op=kind)
        node.input.extend(inputs)
        for key, value in attributes.items():
            if isinstance(value, tf.DType):
                node.attr[key].type = value.as_datatype_enum
            elif isinstance(value, bool):
                node.attr[key].b = value
            elif isinstance(value, int):
                node.attr[key].i = value
            else:
                node.attr[key].tensor.CopyFrom(value)
        return _reference_of(node.name)

    def _length_of_one_row(
        self, operation: tf.Operation, inputs: Sequence[tf.Tensor], states: Sequence[str]
    ) -> int | None:
        """The size of one row on the output's first axis; `None` where the operation may treat rows differently."""
        kind = operation.type
        ranks = [tensor.shape.rank for tensor in inputs]
        if None in ranks or operation.outputs[0].shape.rank in (None, 0):
            return None
        alike = [place for place, state in enumerate(states) if state == _ALIKE]
        lengths = {self.length[inputs[place].name] for place in alike}
        length, rank = min(lengths), ranks[alike[0]]
        if rank == 0 or len(lengths) > 1:
            return None

        def fixed(place: int) -> Any:
            return tf.get_static_value(inputs[place]) if states[place] == _FIXED else None

        def smaller(place: int) -> bool:
            """Whether a fixed operand does not change the first axis."""
            return ranks[place] < rank or (ranks[place] == rank and inputs[place].shape[0] == 1)

        others = [place for place in range(len(inputs)) if place not in alike]
        rows_first: Callable[[Any], bool] = lambda axis: axis is not None and int(axis) % rank != 0  # noqa: E731
        same = all(ranks[place] == rank for place in alike)
        good = False
        if kind in _OF_ONE:
            good = len(inputs) == 1
        elif kind in ("Softmax", "LogSoftmax"):
            good = rank >= 2
        elif kind in _OF_SEVERAL:
            good = same and all(states[place] == _FIXED and smaller(place) for place in others)
        elif kind == "AddN":
            good = same and not others
        elif kind == "BiasAdd":
            good = alike == [0] and rank >= 2
        elif kind == "MatMul":
            good = alike == [0] and not operation.get_attr("transpose_a")
        elif kind == "BatchMatMulV2":
            good = same and rank >= 3 and all(states[place] == _FIXED and smaller(place) for place in others)
        elif kind == "Einsum":
            good = _keeps_rows_in_front(operation.get_attr("equation"), alike)
        elif kind in _REDUCTIONS:
            axes = fixed(1)
            good = alike == [0] and axes is not None and all(rows_first(axis) for axis in axes.reshape(-1))
        elif kind == "ConcatV2":
            good = alike == list(range(len(inputs) - 1)) and same and rows_first(fixed(len(inputs) - 1))
        elif kind == "Pack":
            good = not others and operation.get_attr("axis") % (rank + 1) != 0
        elif kind == "Unpack":
            good = rows_first(operation.get_attr("axis"))
        elif kind == "Split":
            good = alike == [1] and rows_first(fixed(0))
        elif kind == "SplitV":
            good = alike == [0] and rows_first(fixed(2))
        elif kind == "ResourceGather":
            good = alike == [1] and operation.get_attr("batch_dims") == 0
        elif kind == "GatherV2":
            axis = fixed(2)
            if operation.get_attr("batch_dims") == 0 and axis is not None:
                good = (alike == [1] and int(axis) == 0) or (alike == [0] and rank >= 2 and rows_first(axis))
        elif kind == "ExpandDims":
            axis = fixed(1)
            good = axis is not None and int(axis) % (rank + 1) != 0
        elif kind == "Squeeze":
            axes = operation.get_attr("squeeze_dims")
            good = bool(axes) and all(rows_first(axis) for axis in axes)
        elif kind == "Transpose":
            order = fixed(1)
            good = alike == [0] and order is not None and int(order[0]) == 0
        elif kind == "StridedSlice":
            good = alike == [0] and _keeps_all_rows(operation, fixed(3), rank)
        elif kind == "Tile":
            multiples = fixed(1)
            good = alike == [0] and multiples is not None and int(multiples[0]) == 1
        elif kind == "Reshape" and alike == [0]:
            shape, sizes = operation.outputs[0].shape[1:], inputs[0].shape[1:]
            asked = fixed(1)
            of_rows = states[1] == _SIZES or (asked is not None and int(asked[0]) == -1)
            if of_rows and shape.is_fully_defined() and sizes.is_fully_defined() and 0 not in shape:
                length, rest = divmod(length * math.prod(sizes), math.prod(shape))
                good = rest == 0
        return length if good else None


def _reference(tensor: tf.Tensor) -> str:
    return _reference_of(tensor.op.name, tensor.value_index)


def _reference_of(name: str, output: int = 0) -> str:
    return f"{name}:{output}" if output else name


def _keeps_rows_in_front(equation: bytes | str, alike: Sequence[int]) -> bool:
    text = equation.decode() if isinstance(equation, bytes) else equation
    left, _, result = text.replace(" ", "").partition("->")
    operands = left.split(",")
    if "." in text or not result:
        return False
    label = result[0]
    return all(
        operand[:1] == label and operand.count(label) == 1 if place in alike else label not in operand
        for place, operand in enumerate(operands)
    )


def _keeps_all_rows(operation: tf.Operation, steps: Any, rank: int) -> bool:
    if steps is None or not len(steps):
        return False
    if operation.get_attr("new_axis_mask") & 1 or operation.get_attr("shrink_axis_mask") & 1:
        return False
    if operation.get_attr("ellipsis_mask") & 1:
        return len(steps) - 1 < rank and operation.get_attr("new_axis_mask") == 0
    return bool(operation.get_attr("begin_mask") & 1 and operation.get_attr("end_mask") & 1 and int(steps[0]) == 1)
