"""Measures what towers of many scenarios cost, and how orthogonal OptMSM's shared embeddings become in training.

`python -m pipelines.benchmarks.scenario_costs` prints, for 2 to 1000 scenarios, the parameters of separate, STAR's
and generated towers beside their formulas, the time of a training step and the memory that it adds, each in a process
of its own; then draws the orthogonality of OptMSM's shared embeddings during training on synthetic rows, without and
with each form of the constraint.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tensorflow import keras

from dynctr_tf.datasets.synthetic_ctr import SyntheticCtrRows
from dynctr_tf.durable_files import make_folder, new_file
from dynctr_tf.encoding import Encoder
from dynctr_tf.encoding.encoded_features import FIRST_VALUE_OFFSET
from dynctr_tf.evaluation.plots import label_axes, style_axes
from dynctr_tf.layers import GeneratedTowers, SeparateTowers, StarTowers
from dynctr_tf.losses import ORTHOGONAL_KINDS, orthogonality
from dynctr_tf.models import Embedding, optmsm
from dynctr_tf.stack import raw_variable
from pipelines import errors_as_messages
from pipelines.benchmarks.contenders import run_step_case, write_json
from pipelines.benchmarks.step_costs import time_and_memory

INPUTS, HIDDEN_UNITS = 128, (64, 32)
SCENARIO_DIM, CODE_UNITS, RANK = 16, 8, 8
KINDS = ("separate", "star", "generated", "generated, rank 8")


def make_towers(kind: str, scenarios: int) -> Any:
    """Makes towers for a number of real scenarios.

    Args:
        kind: One of `KINDS`.
        scenarios: The number.

    Raises:
        ValueError: Another kind.
    """
    count = scenarios + FIRST_VALUE_OFFSET
    if kind == "separate":
        return SeparateTowers(count, HIDDEN_UNITS)
    if kind == "star":
        return StarTowers(count, HIDDEN_UNITS)
    if kind not in KINDS:
        raise ValueError(f"There are towers of the kinds {KINDS}, got {kind!r}.")
    rank = RANK if kind.endswith("rank 8") else None
    return GeneratedTowers(count, HIDDEN_UNITS, rank=rank, scenario_dim=SCENARIO_DIM, code_dim=CODE_UNITS)


def formula(kind: str, scenarios: int) -> int:
    """Returns the number of trained parameters that the equations give.

    Args:
        kind: One of `KINDS`.
        scenarios: Number S of real scenarios.
    """
    sizes = list(zip((INPUTS, *HIDDEN_UNITS), (*HIDDEN_UNITS, 1), strict=True))
    tower = sum(m * c + c for m, c in sizes)
    if kind in ("separate", "star"):
        return (scenarios + (kind == "star")) * tower
    code = scenarios * SCENARIO_DIM + (SCENARIO_DIM + 1) * CODE_UNITS
    if kind == "generated":
        return code + (CODE_UNITS + 1) * tower
    low = [(m, c) for m, c in sizes if RANK * (m + c) < m * c]
    whole = sum(m * c + c for m, c in sizes if (m, c) not in low)
    factors = sum((m + c) * RANK + c for m, c in low)
    return code + (CODE_UNITS + 1) * (whole + len(low) * (RANK**2 + RANK)) + factors


def measure(kind: str, scenarios: int, batch: int, steps: int) -> dict[str, Any]:
    """Measures the time of forward and backward pass of the towers alone, and the memory that they add.

    Args:
        kind: One of `KINDS`.
        scenarios: Number of real scenarios, equally likely.
        batch: Rows.
        steps: Timed steps.
    """
    keras.utils.set_random_seed(0)
    layer = make_towers(kind, scenarios)
    x = tf.random.normal((batch, INPUTS))
    scenario = tf.random.uniform((batch,), FIRST_VALUE_OFFSET, scenarios + FIRST_VALUE_OFFSET, tf.int32)
    layer(x[:2], scenario[:2])
    variables = [raw_variable(weight) for weight in layer.trainable_weights]

    @tf.function
    def step() -> list[Any]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(layer(x, scenario)))
        return tape.gradient(loss, variables)

    return {
        "kind": kind,
        "scenarios": scenarios,
        "parameters": int(layer.count_params()),
        **time_and_memory(step, steps),
    }


class _Orthogonality(keras.callbacks.Callback):  # type: ignore[misc]
    """Measures the output of a model on the same rows before training and every few steps."""

    def __init__(self, shared: Any, rows: dict[str, tf.Tensor], form: str, every: int) -> None:
        super().__init__()
        self.every = every
        self.measure = tf.function(lambda: orthogonality(shared(rows), form))
        self.values = [float(self.measure())]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch % self.every == self.every - 1:
            self.values.append(float(self.measure()))


def orthogonality_curves(
    rows: int, scenarios: int, epochs: int, weight: float, forms: Sequence[str] = ORTHOGONAL_KINDS
) -> dict[str, list[float]]:
    """Trains OptMSM on synthetic rows, and measures its shared embeddings after each tenth of an epoch.

    Args:
        rows: Training rows.
        scenarios: Scenarios of unequal size.
        epochs: Passes over the rows.
        weight: Weight of the constraint.
        forms: Its forms. Default: both.

    Returns:
        For each form, with and without the constraint, the measure before and during training.
    """
    source = SyntheticCtrRows(
        num_train=rows, num_validation=100, num_test=100, num_scenarios=scenarios, scenario_order=0.5, num_users=500
    )
    encoder = Encoder.fit(source, progress=False)
    parts, labels = [], []
    for part in source.batches():
        parts.append(encoder.encode_batch(part))
        labels.append(part.columns.column(source.schema.label).to_numpy(zero_copy_only=False))
    batch = {key: np.concatenate([part[key] for part in parts])[:rows] for key in parts[0]}
    label = np.concatenate(labels)[:rows].astype(np.float32)
    seen = {key: tf.constant(value[:2048]) for key, value in batch.items()}
    curves: dict[str, list[float]] = {}
    for form in forms:
        for used in (0.0, weight):
            keras.utils.set_random_seed(1)
            model = optmsm(encoder.features, embedding=Embedding(8), orthogonal_kind=form, orthogonal_weight=used)
            shared = keras.Model(model.input, model.get_layer("shared_encoders").output)
            measured = _Orthogonality(shared, seen, form, every=max(1, rows // 512 // 10))
            model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
            model.fit(batch, label, batch_size=512, epochs=epochs, verbose=0, callbacks=[measured])
            curves[f"{form}, weight {used:g}"] = measured.values
    return curves


def draw(curves: dict[str, list[float]], path: Path) -> None:
    """Draws the curves as a PNG file, one panel for each form.

    Args:
        curves: The result of `orthogonality_curves`.
        path: The file.
    """
    forms = list(dict.fromkeys(name.split(",")[0] for name in curves))
    figure = Figure(figsize=(4.5 * len(forms), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, form in zip(figure.subplots(1, len(forms), squeeze=False)[0], forms, strict=True):
        for name, values in curves.items():
            if name.startswith(form):
                axes.plot(values, label=name.removeprefix(f"{form}, "))
        style_axes(axes)
        label_axes(axes, "tenths of an epoch", f"{form} penalty, 0 if orthogonal")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
    with new_file(path) as partial:
        figure.savefig(partial, dpi=130)


def main(arguments: list[str] | None = None) -> None:
    """Runs the job.

    Args:
        arguments: Its options. Default `None`: those of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m pipelines.benchmarks.scenario_costs", description=__doc__)
    parser.add_argument("--scenarios", type=int, nargs="+", default=[2, 10, 100, 1000], help="numbers of scenarios")
    parser.add_argument("--batch", type=int, default=4096, help="rows of a step")
    parser.add_argument("--steps", type=int, default=20, help="timed steps")
    parser.add_argument("--rows", type=int, default=20_480, help="synthetic rows that OptMSM is trained on")
    parser.add_argument("--epochs", type=int, default=3, help="passes over them")
    parser.add_argument("--weight", type=float, default=0.1, help="weight of the orthogonality constraint")
    parser.add_argument("--output", type=Path, default=Path("scenario_costs"), help="folder of table and picture")
    parser.add_argument("--one", nargs=2, metavar=("KIND", "SCENARIOS"), help="measure one case in this process")
    options = parser.parse_args(arguments)
    with errors_as_messages(parser, goes_on=False):
        if options.one:
            print(json.dumps(measure(options.one[0], int(options.one[1]), options.batch, options.steps)))
            return
        make_folder(options.output)
        results = []
        print(f"towers {INPUTS}-{'-'.join(map(str, HIDDEN_UNITS))}-1, batch {options.batch}")
        print(f"{'towers':20}{'scenarios':>10}{'parameters':>12}{'formula':>12}{'step ms':>10}{'added MiB':>11}")
        for scenarios in options.scenarios:
            for kind in KINDS:
                command = [sys.executable, "-m", "pipelines.benchmarks.scenario_costs", "--one", kind, str(scenarios)]
                command += ["--batch", str(options.batch), "--steps", str(options.steps)]
                result = {**run_step_case(command), "formula": formula(kind, scenarios)}
                results.append(result)
                print(
                    f"{kind:20}{scenarios:>10}{result['parameters']:>12}{result['formula']:>12}"
                    f"{result['step_ms']:>10.2f}{result['added_peak_mib']:>11.1f}",
                    flush=True,
                )
        write_json(options.output / "towers.json", results)
        curves = orthogonality_curves(options.rows, 5, options.epochs, options.weight)
        print("penalty of the shared embeddings, 0 if they are orthogonal")
        for name, values in curves.items():
            print(f"  {name}: {values[0]:.3f} at the start, {values[-1]:.3f} at the end")
        write_json(options.output / "orthogonality.json", curves)
        draw(curves, options.output / "orthogonality.png")
        print(f"picture: {options.output / 'orthogonality.png'}")


if __name__ == "__main__":
    main()
