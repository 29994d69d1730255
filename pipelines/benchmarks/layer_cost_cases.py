"""Measures what a dynamic layer costs, beside the static one that it replaces and beside a matrix per instance.

`python -m pipelines.benchmarks.layer_costs` starts this module once for each figure that needs a process of its own.
The naive forms build the kernel of each instance as in the equations. The layers do not; the difference is what they
save. The formula of a layer counts the multiply-adds of matrix products, convolutions, and products entry by entry.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import layers
from dynctr_tf.nearest import unknown_name_message
from pipelines.benchmarks.instance_parameters import naive_form
from pipelines.benchmarks.step_costs import time_and_memory, training_step

FORMS = ("layer", "naive")


def evaluate(formula: str, sizes: Mapping[str, int]) -> int:
    """The value of a sum of products such as `"l m c + 2 n l"`.

    Args:
        formula: Products of sizes and whole numbers, separated by spaces.
        sizes: The value of each name.

    Raises:
        ValueError: A name without a size.
    """
    total = 0
    for product in formula.split(" + "):
        for factor in product.split():
            if not factor.isdigit() and factor not in sizes:
                raise ValueError(unknown_name_message("size", factor, sizes))
        total += math.prod(int(factor) if factor.isdigit() else sizes[factor] for factor in product.split())
    return total


def from_tensors(layer: Any, *tensors: tf.Tensor) -> tf.Tensor:
    """Calls a layer with its inputs and its condition."""
    return layer(*tensors)


def from_list(layer: Any, *tensors: tf.Tensor) -> tf.Tensor:
    """Calls a layer that takes its tensors as one list."""
    return layer(list(tensors))


def crossing(layer: Any, x0: tf.Tensor) -> tf.Tensor:
    """Calls an interaction layer as the first of a network: X_0 twice, and X_0 as the condition."""
    return layer([x0, x0])


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer that is measured.

    Args:
        name: How tables call it.
        make: Makes it.
        formula: Multiply-adds per row.
        replaces: The static layer of its group that it stands in for; `None` for a static layer.
        naive: The same function through kernels per instance, called as `apply`; `None` where there is none.
        apply: Calls it with the tensors of its group.
        takes: How many of these tensors it takes.
    """

    name: str
    make: Callable[[], Any]
    formula: str
    replaces: str | None = None
    naive: Callable[..., tf.Tensor] | None = None
    apply: Callable[..., tf.Tensor] = from_tensors
    takes: int = 1

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms that it is measured in."""
        return FORMS if self.naive is not None else FORMS[:1]


@dataclasses.dataclass(frozen=True)
class Group:
    """Layers that do the same work on the same tensors.

    Args:
        title: What the group is.
        sizes: The values of the names in the formulas.
        shapes: Shapes of the tensors, without the batch.
        cases: The layers, static ones first.
    """

    title: str
    sizes: Mapping[str, int]
    shapes: tuple[tuple[int, ...], ...]
    cases: tuple[Case, ...]

    def case(self, name: str) -> Case:
        """The layer of a name.

        Raises:
            ValueError: None has it.
        """
        named = {case.name: case for case in self.cases}
        if name not in named:
            raise ValueError(unknown_name_message("layer", name, named))
        return named[name]


# ------------------------------------------------------------------------------------------- the naive forms


def mixed_kernels(kernels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """The kernel of each instance, `(..., m, c)`, of kernels `(l, m, c)` and weights `(..., l)`."""
    count, width, units = kernels.shape
    mixed = tf.matmul(tf.reshape(weights, [-1, count]), tf.reshape(kernels, [count, width * units]))
    return tf.reshape(mixed, [*weights.shape[:-1], width, units])


def bank_per_instance(bank: Any, x: tf.Tensor, gates: tf.Tensor) -> tf.Tensor:
    """The output of a `KernelBank`, by one kernel and one bias per instance, or per instance and position."""
    kernels, weights = tf.convert_to_tensor(bank.kernels), gates
    if bank.unmixed_kernel is not None:
        kernels = tf.concat([kernels, bank.unmixed_kernel], axis=1)
        weights = tf.concat([gates, tf.ones_like(gates[..., :1])], axis=-1)
    pieces = tf.split(x, bank.num_heads, axis=-1)
    # An instance has one kernel for all its positions; if each position has its own, each position is a row.
    rows = [piece if x.shape.rank == 3 and gates.shape.rank == 2 else piece[..., tf.newaxis, :] for piece in pieces]
    sets = [kernels[index if bank.head_kind == "block_diagonal" else 0] for index in range(bank.num_heads)]
    y = tf.concat([tf.matmul(row, mixed_kernels(one, weights)) for row, one in zip(rows, sets, strict=True)], axis=-1)
    y = tf.reshape(y, [*x.shape[:-1], bank.units])
    if bank.biases is not None:
        bias = tf.reshape(tf.matmul(tf.reshape(gates, [-1, gates.shape[-1]]), bank.biases), [*gates.shape[:-1], -1])
        y += bias if bias.shape.rank == y.shape.rank else bias[:, tf.newaxis, :]
    return y if bank.unmixed_bias is None else y + bank.unmixed_bias


def naive_hyper_dense(layer: Any, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """Equation 4 of DPN with the kernel that the generator gives."""
    return bank_per_instance(layer.bank, x, z)


def naive_mixture(layer: Any, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """Equation 5 of DPN with the kernel that the generator gives."""
    return bank_per_instance(layer.bank, x, layer.generator(z))


def naive_decomposed(layer: Any, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """`W_0 + P phi(z) Q`, multiplied out for each instance."""
    gates = layer.generator(z)
    cores = mixed_kernels(tf.convert_to_tensor(layer.core.kernels)[0], gates)  # (batch, r, r)
    kernels = tf.matmul(tf.matmul(tf.convert_to_tensor(layer.matrices["down"]), cores), layer.matrices["up"])
    if layer.static_kernel:
        kernels += tf.convert_to_tensor(layer.matrices["static_kernel"])
    return tf.squeeze(tf.matmul(x[:, tf.newaxis, :], kernels), axis=1) + tf.matmul(gates, layer.bias)


def naive_adaptive(layer: Any, x: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """APG's `U S V`, multiplied out for each instance."""
    down, up = layer.shared_factors(x.dtype)
    kernels = tf.matmul(tf.matmul(down, layer.generate(z)["core"], transpose_b=True), up)  # (batch, m, c)
    return tf.squeeze(tf.matmul(x[:, tf.newaxis, :], kernels), axis=1) + layer.static_bias


def naive_fields(layer: Any, x: tf.Tensor, z: tf.Tensor | None = None) -> tf.Tensor:
    """The field-based operation with a kernel per instance, or with `"self"` per instance and field."""
    y = bank_per_instance(layer.bank, x, layer.gates(x if z is None else z, None))
    return y if layer.static is None else y + layer.static(x)


def naive_convolution(layer: Any, x: tf.Tensor) -> tf.Tensor:
    """Equation 6 of DPN: each instance's kernel for all taps at once, which needs the windows as a tensor too."""
    weights = layer.generator(layer.summary(x))  # (batch, k, d)
    weights = tf.concat([weights, tf.ones_like(weights[..., :1])], axis=-1)
    experts = tf.convert_to_tensor(layer.experts)  # (d + 1, k, n, c)
    kernels = tf.stack([mixed_kernels(experts[:, k], weights[:, k]) for k in range(layer.kernel_size)], axis=1)
    kernels = tf.reshape(kernels, [-1, layer.kernel_size * x.shape[2], kernels.shape[-1]])
    side, length = layer.kernel_size // 2, x.shape[1]
    padded = tf.pad(x, [[0, 0], [side, side], [0, 0]])
    windows = tf.concat([padded[:, k : k + length] for k in range(layer.kernel_size)], axis=-1)  # (batch, t, k n)
    return tf.matmul(windows, kernels)


def naive_query(layer: Any, query: tf.Tensor, behaviours: tf.Tensor) -> tf.Tensor:
    """Equation 8 of DPN with the kernel that the behaviours generate."""
    return naive_mixture(layer.mixture, query, layer.summary(behaviours))


def naive_crossing(layer: Any, x0: tf.Tensor) -> tf.Tensor:
    """A DynInt layer through the matrices of its equations."""
    return naive_form(layer, x0, tf.reshape(x0, [x0.shape[0], -1]))


# -------------------------------------------------------------------------------------------------- the cases


def _dense_cases(units: int, rank: int, hyper_dense: bool) -> tuple[Case, ...]:
    """A dense layer and all layers that can replace it."""
    operation = functools.partial(Case, replaces="Dense", takes=2)
    mixture = functools.partial(layers.MixtureOfKernels, units, 4)
    decomposed = functools.partial(layers.DecomposedDense, units, 32)
    first = [Case("Dense", lambda: keras.layers.Dense(units), "m c")]
    if hyper_dense:
        hyper = "n m c + m c + n m + m + n c"
        first.append(operation("HyperDense", lambda: layers.HyperDense(units), hyper, naive=naive_hyper_dense))
    of_heads = "n l + h l M C + l m + l c"
    low_rank = "n l + m r + l r + l r r + r c + l c"
    return (
        *first,
        operation("MixtureOfKernels", mixture, "n l + l m c + l m + l c", naive=naive_mixture),
        operation("MixtureOfKernels, 2 heads", lambda: mixture(num_heads=2), of_heads, naive=naive_mixture),
        operation(
            "MixtureOfKernels, 2 shared heads",
            lambda: mixture(num_heads=2, head_kind="shared"),
            of_heads,
            naive=naive_mixture,
        ),
        operation("DecomposedDense", decomposed, low_rank, naive=naive_decomposed),
        operation(
            "DecomposedDense with W_0",
            lambda: decomposed(static_kernel=True),
            f"{low_rank} + m c",
            naive=naive_decomposed,
        ),
        operation(
            "AdaptiveDense",
            lambda: layers.AdaptiveDense(units, rank),
            "n K K + m K + K K + K c",
            naive=naive_adaptive,
        ),
    )


def _field_cases() -> tuple[Case, ...]:
    operation = functools.partial(Case, replaces="Dense per field", naive=naive_fields)
    of_row, of_field = "l m c + 2 t m c", "t l m + t l m c + t m c"
    return (
        Case("Dense per field", lambda: keras.layers.Dense(32), "t m c"),
        *(
            operation(
                f"FieldOperation, {aggregator}",
                functools.partial(layers.FieldOperation, 32, aggregator),
                f"t n l + {more} + {bank}",
            )
            for aggregator, more, bank in (
                ("summation", "l c", of_row),
                ("self", "t l c", of_field),
                ("attention", "t n + t l + l c", of_row),
                ("concatenate", "l c", of_row),
            )
        ),
    )


def _sequence_cases() -> tuple[Case, ...]:
    convolution = layers.DynamicConvolution
    pool = "n k d"
    return (
        Case("Conv1D", lambda: keras.layers.Conv1D(32, 3, padding="same", use_bias=False), "t k n c"),
        Case("DepthwiseConv1D", lambda: keras.layers.DepthwiseConv1D(3, padding="same", use_bias=False), "t k n"),
        Case(
            "SeparableConv1D",
            lambda: keras.layers.SeparableConv1D(32, 3, padding="same", use_bias=False),
            "t k n + t n c",
        ),
        Case("SelfAttentionEncoder", layers.SelfAttentionEncoder, "6 t n n + 2 t t n"),
        Case(
            "DynamicConvolution",
            convolution,
            f"{pool} + k e n c + t k n c",
            "Conv1D",
            naive_convolution,
        ),
        Case(
            "DynamicConvolution, outputs mixed",
            lambda: convolution(mixed="outputs"),
            f"{pool} + k t e n + k t e n c",
            "Conv1D",
        ),
        Case(
            "DynamicConvolution, local context",
            lambda: convolution(context_kind="convolution"),
            f"t k n n + {pool} + k e n c + t k n c",
            "Conv1D",
            naive_convolution,
        ),
        Case(
            "DynamicConvolution, depthwise",
            lambda: convolution(kind="depthwise"),
            f"{pool} + k e n + t k n",
            "DepthwiseConv1D",
        ),
        Case(
            "DynamicConvolution, separable",
            lambda: convolution(kind="separable"),
            f"{pool} + k e n + t k n + t n c",
            "SeparableConv1D",
        ),
    )


def _query_cases() -> tuple[Case, ...]:
    return (
        Case("AttentionDecoder", layers.AttentionDecoder, "2 m c + 2 t n c + 2 t c", apply=from_list, takes=2),
        Case("TargetAttention", layers.TargetAttention, "4 t n u + t u v + t v + 2 t n", apply=from_list, takes=2),
        Case(
            "QueryOperation",
            lambda: layers.QueryOperation(32),
            "n l + e m c + e m + l c",
            "AttentionDecoder",
            naive_query,
            takes=2,
        ),
    )


def _crossing_cases() -> tuple[Case, ...]:
    operation = functools.partial(Case, replaces="PolynomialInteraction", apply=crossing)
    return (
        Case("PolynomialInteraction", layers.PolynomialInteraction, "F F D + F D", apply=crossing),
        operation("DynamicActivation", layers.DynamicActivation, "n g + g F + F + F F D + 2 F D"),
        operation(
            "DynamicGeneratedParameters",
            lambda: layers.DynamicGeneratedParameters(16),
            "n g + g K + K + 2 F K D + K D + F D",
            naive=naive_crossing,
        ),
        operation(
            "DynamicWeightedParameters",
            lambda: layers.DynamicWeightedParameters(4),
            "n g + 2 g p F + p F F D + 2 p F D + F D",
            naive=naive_crossing,
        ),
    )


_SMALL = {"m": 30, "n": 30, "c": 300, "l": 4, "h": 2, "M": 15, "C": 150, "r": 32, "K": 8}
_LARGE = {"m": 400, "n": 390, "c": 400, "l": 4, "h": 2, "M": 200, "C": 200, "r": 32, "K": 25}
GROUPS: dict[str, Group] = {
    "first-layer": Group(
        "a first dense layer, 3 fields x 10 to 300 as in DPN's table 2a, condition the same",
        _SMALL,
        ((30,), (30,)),
        _dense_cases(300, 8, hyper_dense=True),
    ),
    "hidden-layer": Group(
        "a hidden dense layer, 400 to 400, condition 39 fields x 10",
        _LARGE,
        ((400,), (390,)),
        _dense_cases(400, 25, hyper_dense=False),
    ),
    "fields": Group(
        "a layer on each of 39 fields, 32 to 32, condition the same field map",
        {"t": 39, "m": 32, "n": 32, "c": 32, "l": 4},
        ((39, 32),),
        _field_cases(),
    ),
    "sequence": Group(
        "behaviours among themselves, 50 of width 32, 3 taps, 4 experts and the static one",
        {"t": 50, "n": 32, "c": 32, "k": 3, "d": 4, "e": 5},
        ((50, 32),),
        _sequence_cases(),
    ),
    "query": Group(
        "a query of width 32 and 50 behaviours of width 32",
        {"t": 50, "m": 32, "n": 32, "c": 32, "l": 4, "e": 5, "u": 80, "v": 40},
        ((32,), (50, 32)),
        _query_cases(),
    ),
    "interaction": Group(
        "an interaction layer, 39 fields x 16 in 4 sub-spaces",
        {"F": 156, "D": 4, "n": 624, "g": 156, "K": 16, "p": 4},
        ((156, 4),),
        _crossing_cases(),
    ),
}
"""The layers that are measured, by the work that they do."""


def group_of(name: str) -> Group:
    """The group of a name.

    Raises:
        ValueError: None has it.
    """
    if name not in GROUPS:
        raise ValueError(unknown_name_message("group of layers", name, GROUPS))
    return GROUPS[name]


# ------------------------------------------------------------------------------------------------- measuring


@dataclasses.dataclass(frozen=True)
class Contender:
    """A layer in one of its forms, built, with the tensors that it is called with.

    Args:
        layer: The layer.
        forward: From the tensors to its output.
        tensors: The tensors.
    """

    layer: Any
    forward: Callable[..., tf.Tensor]
    tensors: tuple[tf.Tensor, ...]


def contender(group: Group, case: Case, form: str, batch: int) -> Contender:
    """Builds a layer; two forms of one case have the same weights and the same tensors.

    Raises:
        ValueError: The layer has no such form.
    """
    if form not in case.forms:
        raise ValueError(unknown_name_message(f"form of {case.name}", form, case.forms))
    keras.utils.set_random_seed(0)
    tensors = tuple(tf.random.normal((batch, *shape)) for shape in group.shapes[: case.takes])
    layer = case.make()
    case.apply(layer, *(tensor[:2] for tensor in tensors))
    apply = case.naive if form == "naive" and case.naive is not None else case.apply
    return Contender(layer, functools.partial(apply, layer), tensors)


def counted_multiply_adds(forward: Callable[..., tf.Tensor], tensors: Sequence[tf.Tensor]) -> float | None:
    """Counts multiply-adds per row in the traced graph, by TensorFlow's profiler.

    It counts products of matrices, convolutions and products entry by entry. It returns `None` if the profiler cannot
    count: for operations that it has no rule for, or sizes that are known only when the graph runs.
    """
    graph = tf.function(forward).get_concrete_function(*tensors).graph
    operations = graph.get_operations()
    unknown = {"Einsum", "Where", "GatherNd", "ScatterNd"}
    if any(operation.type in unknown for operation in operations):
        return None
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    tree = tf.compat.v1.profiler.profile(graph, cmd="op", options=options)
    # The profiler counts two operations for a multiply-add, one for a product alone.
    share = {"MatMul": 0.5, "BatchMatMulV2": 0.5, "Conv2D": 0.5, "DepthwiseConv2dNative": 0.5, "Mul": 1.0}
    total, nodes = 0.0, list(tree.children)
    while nodes:
        node = nodes.pop()
        total += share.get(node.name, 0.0) * node.float_ops
        nodes += node.children
    return total / int(tensors[0].shape[0])


def measure_time(group: Group, batch: int, steps: int, rounds: int) -> list[dict[str, Any]]:
    """Times all layers of a group in alternation: forward, and forward with backward to weights and inputs.

    Args:
        group: The layers.
        batch: Rows.
        steps: Calls for the figure of a round.
        rounds: Rounds; the figures are medians over them.
    """
    timed = []
    for case in group.cases:
        for form in case.forms:
            one = contender(group, case, form, batch)
            counted = counted_multiply_adds(one.forward, one.tensors)
            forward = tf.function(functools.partial(one.forward, *one.tensors))
            step = training_step(one.layer, functools.partial(one.forward, *one.tensors), one.tensors)
            figures = {"layer": case.name, "form": form, "counted_multiply_adds": counted}
            timed.append((figures, {"forward_ms": forward, "step_ms": step}))
    taken: list[dict[str, list[float]]] = [{name: [] for name in calls} for _, calls in timed]
    for done in range(rounds + 1):
        for (_, calls), seconds in zip(timed, taken, strict=True):
            for name, call in calls.items():
                start = time.perf_counter()
                for _ in range(steps if done else 1):  # the first call, which traces, is not counted
                    call()
                if done:
                    seconds[name].append((time.perf_counter() - start) / steps)
    return [
        {**figures, **{name: 1e3 * statistics.median(values) for name, values in seconds.items()}}
        for (figures, _), seconds in zip(timed, taken, strict=True)
    ]


def measure_memory(group: Group, case: Case, form: str, batch: int, steps: int) -> dict[str, float]:
    """By how many MiB forward and backward of one layer raise the peak of this process, which runs nothing else.

    Args:
        group: Its group.
        case: The layer.
        form: `"layer"` or `"naive"`.
        batch: Rows.
        steps: Steps.
    """
    one = contender(group, case, form, batch)
    step = training_step(one.layer, functools.partial(one.forward, *one.tensors), one.tensors)
    return time_and_memory(step, steps)


def main(words: Sequence[str] | None = None) -> None:
    """Makes the measurements of one process and prints them as one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.benchmarks.layer_cost_cases", description=__doc__)
    parser.add_argument("group", choices=GROUPS)
    parser.add_argument("batch_size", type=int)
    parser.add_argument("steps", type=int)
    parser.add_argument("--rounds", type=int, default=1, help="rounds of the group's times (default 1)")
    parser.add_argument("--memory", nargs=2, metavar=("LAYER", "FORM"), help="the memory of one layer instead")
    arguments = parser.parse_args(words)
    group = group_of(arguments.group)
    if arguments.memory:
        name, form = arguments.memory
        result: Any = measure_memory(group, group.case(name), form, arguments.batch_size, arguments.steps)
    else:
        result = {"times": measure_time(group, arguments.batch_size, arguments.steps, arguments.rounds)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
