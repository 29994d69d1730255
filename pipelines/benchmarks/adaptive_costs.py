"""Measures what APG's layers cost, by version and by size, beside the paper's table of costs.

`python -m pipelines.benchmarks.adaptive_costs` trains and serves a perceptron 393 -> 1024 -> 512 -> 256 -> 1 with
static layers (static), with whole generated kernels (v1), generated factors (v3), shared factors (v4),
over-parameterised ones (v5) and those multiplied out (folded), all on one condition of width 32, each in a process of
its own. Times are of 1000 batches; parameter memory includes weights and Adam's two moments. Then it measures one layer
512 -> 1024 with different K, P, widths and batches, one at a time, and fits formulas of time and memory. It writes
`costs.json` and `costs.png`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tqdm import tqdm

from dynctr_tf.durable_files import new_file
from dynctr_tf.evaluation.plots import CLICK_COLOUR, GRID, INK, MODEL_COLOUR, MUTED
from dynctr_tf.evaluation.text_table import align
from pipelines import errors_as_messages
from pipelines.benchmarks.contenders import run_step_case, write_result

WIDTHS = (393, 1024, 512, 256)
CONDITION_WIDTH = 32
# Change of training time and of parameter memory against the static layers, as the paper's table has them.
PAPER = {"v1": (1462.78 / 13.04 - 1, 419.11 / 12.91 - 1), "v3": (-0.139, -0.751), "v4": (-0.387, -0.966)}
VERSIONS = ("static", "v1", "v3", "v4", "v5", "folded")
# The most bytes of whole kernels and their gradients together.
KERNEL_BYTES = 2**30
LAYER = {"inputs": 512, "units": 1024, "rank": 8, "inner": 0, "batch": 4096}
SWEEPS: dict[str, tuple[int, ...]] = {
    "rank": (2, 4, 8, 16, 32, 64),
    "inner": (16, 32, 64, 128, 256),
    "width": (128, 256, 512, 1024, 2048),
    "batch": (1024, 2048, 4096, 8192, 16384),
}


def kernel_batch(widths: Sequence[int], batch: int) -> int:
    """Rows of a batch of v1, halved until the kernels of the largest layer, forward and backward, fit."""
    largest = max(a * b for a, b in zip(widths, widths[1:], strict=False))
    while batch > 1 and 2 * 4 * batch * largest > KERNEL_BYTES:
        batch //= 2
    return batch


def version_options(version: str, rank: int, inner: int) -> dict[str, Any]:
    """Arguments of `AdaptiveDense` that make a version of the paper."""
    options: dict[str, dict[str, Any]] = {
        "v1": {"rank": None},
        "v3": {"rank": rank, "factor_kind": "generated"},
        "v4": {"rank": rank},
        "v5": {"rank": rank, "over_parameterisation": inner},
    }
    return options[version]


def forward_multiply_adds(inputs: int, units: int, rank: int, condition: int) -> int:
    """Multiply-adds per row of v4, of v5 and of the folded layer, without the core's application."""
    return (inputs + units) * rank + condition * rank**2


def built_model(version: str, widths: Sequence[int], rank: int, inner: int) -> Any:
    """A perceptron of one version; `"folded"` is v5 folded."""
    from tensorflow import keras

    from dynctr_tf.export import fold
    from dynctr_tf.layers import AdaptiveDense

    x, z = keras.Input((widths[0],), name="x"), keras.Input((CONDITION_WIDTH,), name="z")
    h = x
    for index, units in enumerate(widths[1:]):
        if version == "static":
            h = keras.layers.Dense(units, "relu", name=f"layer_{index + 1}")(h)
        else:
            options = version_options("v5" if version == "folded" else version, rank, inner)
            h = AdaptiveDense(units, activation="relu", name=f"layer_{index + 1}", **options)(h, z)
    model = keras.Model({"x": x, "z": z}, keras.layers.Dense(1, name="logit")(h))
    return fold(model) if version == "folded" else model


def measure(version: str, widths: Sequence[int], rank: int, inner: int, batch: int, steps: int) -> dict[str, float]:
    """Trains and serves one version on normal numbers.

    Args:
        version: One of `VERSIONS`.
        widths: Widths of inputs and layers.
        rank: K.
        inner: P.
        batch: Rows per step; v1 takes fewer if its kernels would not fit.
        steps: Timed steps, after two warm-up steps.
    """
    import tensorflow as tf
    from tensorflow import keras

    from dynctr_tf.stack import raw_variable
    from pipelines.benchmarks import workload
    from pipelines.benchmarks.step_costs import time_and_memory

    keras.utils.set_random_seed(0)
    rows = kernel_batch(widths, batch) if version == "v1" else batch
    model = built_model(version, widths, rank, inner)
    data = {"x": tf.random.normal((rows, widths[0])), "z": tf.random.normal((rows, CONDITION_WIDTH))}
    labels = tf.cast(tf.random.uniform((rows, 1)) < 0.5, tf.float32)
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(model.trainable_variables)
    weights = [raw_variable(weight) for weight in model.trainable_weights]

    @tf.function
    def train() -> Any:
        with tf.GradientTape() as tape:
            logits = model(data, training=True)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))
        gradients = tape.gradient(loss, weights)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    @tf.function
    def serve() -> Any:
        return model(data, training=False)

    # Folded layers are for serving; training continues with the layers that they were folded from.
    training = None if version == "folded" else time_and_memory(train, steps)
    serving = workload.seconds_of(serve, steps) / rows
    parameters = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights[:-2])
    figures: dict[str, Any] = {"parameters": parameters, "rows": rows, "inference_s_per_1000": 1000 * batch * serving}
    figures["weights_mb"] = 4e-6 * parameters
    if training is not None:
        figures.update(
            train_s_per_1000=training["step_ms"] * batch / rows,
            training_mb=12e-6 * parameters,
            added_peak_mib=training["added_peak_mib"],
        )
    return figures


def run_case(name: str, widths: Sequence[int], rank: int, inner: int, batch: int, steps: int) -> dict[str, Any]:
    """Measures one case in processes of its own."""
    words = [name, ",".join(map(str, widths)), str(rank), str(inner), str(batch), str(steps)]
    command = [sys.executable, "-m", "pipelines.benchmarks.adaptive_costs", "--one", *words]
    return run_step_case(command)


def change(value: float, reference: float) -> str:
    """The difference of a figure from the static one, in per cent."""
    return f"{value / reference - 1:+.1%}"


def table(cases: dict[str, dict[str, Any]]) -> str:
    """The paper's table, with the figures measured here beside the printed ones."""
    head = [
        "version", "weights MB", "with Adam MB", "change", "paper", "train s/1000", "change", "paper",
        "inference s/1000", "change", "rows at once",
    ]  # fmt: skip
    rows = [head]
    static = cases["static"]
    for version, figures in cases.items():
        paper = PAPER.get(version)
        trained = "train_s_per_1000" in figures
        rows.append([
            version,
            f"{figures['weights_mb']:.3f}",
            f"{figures['training_mb']:.3f}" if trained else "-",
            change(figures["weights_mb"], static["weights_mb"]),
            f"{paper[1]:+.1%}" if paper else "",
            f"{figures['train_s_per_1000']:.2f}" if trained else "-",
            change(figures["train_s_per_1000"], static["train_s_per_1000"]) if trained else "-",
            f"{paper[0]:+.1%}" if paper else "",
            f"{figures['inference_s_per_1000']:.2f}",
            change(figures["inference_s_per_1000"], static["inference_s_per_1000"]),
            str(figures["rows"]),
        ])  # fmt: skip
    return "\n".join(align(rows))


def sweep_cases(sweeps: dict[str, tuple[int, ...]]) -> list[tuple[str, dict[str, int]]]:
    """The layers to measure: sweep, and the sizes of each."""
    cases = []
    for sweep, values in sweeps.items():
        for value in values:
            sizes = {**LAYER, "inner": LAYER["inner"] if sweep != "inner" else value}
            if sweep == "width":
                sizes.update(inputs=value, units=value)
            else:
                sizes[sweep] = value
            cases.append((sweep, sizes))
    return cases


def terms(sizes: dict[str, int]) -> np.ndarray:
    """The terms of the time of a step, each to be multiplied by a constant of the machine.

    They are a constant; the multiply-adds of products with shared matrices, forward and twice backward, and those of
    over-parameterised factors once a batch; the numbers of the generated cores, and those of inputs and outputs, which
    pass through memory.
    """
    inputs, units, rank, inner = (sizes[key] for key in ("inputs", "units", "rank", "inner"))
    products = 3 * sizes["batch"] * (forward_multiply_adds(inputs, units, rank, CONDITION_WIDTH) + units)
    products += 3 * (inputs + units) * inner * rank
    return np.array([1.0, products, sizes["batch"] * rank**2, sizes["batch"] * (inputs + units)])


def layer_parameters(sizes: dict[str, int]) -> int:
    """Number of parameters of the layer, v4 without an inner width and v5 with one."""
    inputs, units, rank, inner = (sizes[key] for key in ("inputs", "units", "rank", "inner"))
    factors = (inputs + units + 2 * rank) * inner if inner else (inputs + units) * rank
    return factors + (CONDITION_WIDTH + 1) * rank**2 + units


def memory_terms(sizes: dict[str, int]) -> np.ndarray:
    """The terms of the memory that a training step adds: a constant, and the MiB that it makes for its rows."""
    numbers = sizes["batch"] * (sizes["units"] + sizes["rank"] ** 2 + 2 * sizes["rank"])
    return np.array([1.0, 4 * numbers / 2**20])


def fitted_constants(matrix: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Constants of the machine, at least 0, whose sum of terms has the least relative error to the measured values.

    Args:
        matrix: The terms, `(cases, terms)`.
        times: The measured values, `(cases,)`. Cases of 0, which were too small to measure, are left out.
    """
    matrix, times = matrix[times > 0], times[times > 0]
    if not len(times):
        return np.zeros(matrix.shape[1])
    used = list(range(matrix.shape[1]))
    while True:
        scaled = matrix[:, used] / times[:, np.newaxis]
        norms = np.linalg.norm(scaled, axis=0)
        found = np.linalg.lstsq(scaled / norms, np.ones(len(times)), rcond=None)[0] / norms
        if (found >= 0).all():
            break
        used.pop(int(np.argmin(found * norms)))
    constants = np.zeros(matrix.shape[1])
    constants[used] = found
    return constants


def draw(path: Path, cases: Sequence[dict[str, Any]], constants: np.ndarray, memory: np.ndarray) -> None:
    """Draws time and memory against each size, measured and by the formulas with their fitted constants."""
    labels = {"rank": "K", "inner": "P, at K = 8", "width": "width m = N", "batch": "batch"}
    sweeps = [sweep for sweep in labels if any(case["sweep"] == sweep for case in cases)]
    figure = Figure(figsize=(3.4 * len(sweeps), 8.6), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(3, len(sweeps), squeeze=False)
    for column, sweep in enumerate(sweeps):
        chosen = [case for case in cases if case["sweep"] == sweep]
        at = [case["sizes"]["inputs" if sweep == "width" else sweep] for case in chosen]
        rows = (
            ("ms per training step", [case["step_ms"] for case in chosen],
             [float(terms(case["sizes"]) @ constants) for case in chosen]),
            ("parameters, MB", [case["weights_mb"] for case in chosen],
             [4e-6 * layer_parameters(case["sizes"]) for case in chosen]),
            ("MiB that a training step adds", [case["added_peak_mib"] for case in chosen],
             [float(memory_terms(case["sizes"]) @ memory) for case in chosen]),
        )  # fmt: skip
        for axes, (label, measured, formula) in zip(grid[:, column], rows, strict=True):
            axes.plot(at, formula, color=MUTED, linewidth=1.5, label="formula")
            axes.plot(at, measured, "o", color=MODEL_COLOUR, markersize=5, label="measured")
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_ylabel(label, color=INK)
            axes.set_xlabel(labels[sweep], color=INK)
            axes.grid(color=GRID)
            axes.spines[["top", "right"]].set_visible(False)
    grid[0, 0].legend(frameon=False)
    figure.suptitle(
        f"APG's layer {LAYER['inputs']} to {LAYER['units']}, K = {LAYER['rank']}, condition {CONDITION_WIDTH}, "
        f"batch {LAYER['batch']}, one size varied at a time",
        color=INK,
        fontsize=11,
    )
    fixed, product, core, outer = constants
    figure.supxlabel(
        f"ms = {fixed:.2f} + {1e9 * product:.3g}e-9 x 3 [B ((m + N) K + D K² + N) + (m + N) P K] "
        f"+ {1e9 * core:.3g}e-9 x B K² + {1e9 * outer:.3g}e-9 x B (m + N)\n"
        "parameters = (m + N) K, with P (m + N + 2 K) P, + (D + 1) K² + N;   "
        f"MiB = {memory[0]:.0f} + {memory[1]:.2f} x 4 B (N + K² + 2 K) / 2^20",
        color=CLICK_COLOUR,
        fontsize=9,
    )
    with new_file(path) as partial:
        figure.savefig(partial, dpi=110)


def main(words: Sequence[str] | None = None) -> None:
    """Reads the command line, measures, prints the table and writes figures and picture."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.benchmarks.adaptive_costs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rank", type=int, default=4, help="K (default 4, the paper's example)")
    parser.add_argument("--inner", type=int, default=32, help="P of v5 (default 32)")
    parser.add_argument("--batch-size", type=int, default=1024, help="rows per batch (default 1024)")
    parser.add_argument("--steps", type=int, default=30, help="timed steps for each median (default 30)")
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS), help="inputs and layers")
    parser.add_argument("--sweeps", nargs="*", choices=sorted(SWEEPS), default=list(SWEEPS), help="what to vary")
    parser.add_argument("--output", type=Path, default=Path("runs/adaptive_costs"), help="folder of what comes out")
    parser.add_argument("--one", nargs=6, metavar="SIZE", help="measure one case: version, widths, K, P, batch, steps")
    arguments = parser.parse_args(words)
    if arguments.one:
        version, widths, *numbers = arguments.one
        print(json.dumps(measure(version, [int(width) for width in widths.split(",")], *map(int, numbers))))
        return
    with errors_as_messages(parser, goes_on=False):
        if len(arguments.widths) < 2 or min(arguments.widths) < 1:
            raise ValueError(f"--widths are those of the inputs and of at least one layer, got {arguments.widths}.")
        run(arguments)


def run(arguments: argparse.Namespace) -> None:
    """Measures everything that the options ask for."""
    versions: dict[str, dict[str, Any]] = {}
    sizes = (arguments.widths, arguments.rank, arguments.inner, arguments.batch_size)
    for version in tqdm(VERSIONS, desc="versions", unit="version"):
        steps = 2 if version == "v1" else arguments.steps
        versions[version] = run_case(version, *sizes, steps)
    print(
        f"layers {arguments.widths}, K = {arguments.rank}, P = {arguments.inner}, condition of width "
        f"{CONDITION_WIDTH}; seconds for 1000 batches of {arguments.batch_size} rows, medians of {arguments.steps} "
        "steps (v1: 2)\n" + table(versions)
    )
    result: dict[str, Any] = {
        "widths": arguments.widths, "rank": arguments.rank, "inner": arguments.inner,
        "batch_size": arguments.batch_size, "versions": versions,
    }  # fmt: skip
    if arguments.sweeps:
        cases = []
        chosen = sweep_cases({sweep: SWEEPS[sweep] for sweep in SWEEPS if sweep in arguments.sweeps})
        for sweep, layer in tqdm(chosen, desc="sizes", unit="layer"):
            version = "v5" if layer["inner"] else "v4"
            widths = [layer["inputs"], layer["units"]]
            figures = run_case(version, widths, layer["rank"], layer["inner"], layer["batch"], arguments.steps)
            step_ms = figures["train_s_per_1000"]  # seconds for 1000 steps are milliseconds for one
            cases.append({"sweep": sweep, "sizes": layer, "step_ms": step_ms, **figures})
        constants = fitted_constants(
            np.stack([terms(case["sizes"]) for case in cases]), np.array([case["step_ms"] for case in cases])
        )
        memory = fitted_constants(
            np.stack([memory_terms(case["sizes"]) for case in cases]),
            np.array([case["added_peak_mib"] for case in cases]),
        )
        errors = [abs(float(terms(case["sizes"]) @ constants) / case["step_ms"] - 1) for case in cases]
        print(
            f"the formula's constants: {constants.tolist()}; it is off by {float(np.median(errors)):.0%} in the "
            f"median of {len(cases)} layers, by {max(errors):.0%} at most"
        )
        result.update(sweeps=cases, constants=constants.tolist(), relative_errors=errors, memory=memory.tolist())
        arguments.output.mkdir(parents=True, exist_ok=True)
        draw(arguments.output / "costs.png", cases, constants, memory)
        print(f"picture: {arguments.output / 'costs.png'}")
    write_result(arguments.output / "costs.json", result)


if __name__ == "__main__":
    main()
