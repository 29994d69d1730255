"""Draws the picture of the README: what a dynamic layer is, and what it gains where the context decides.

`python -m pipelines.benchmarks.gain_picture` trains one small model on synthetic rows with a static interaction layer,
and again with each of DynInt's dynamic layers in its place, with several seeds. The rows have a third-order effect,
strong enough to show after a few minutes of training: what a user wants of an item depends on the context. It prints
the test AUC of each run and of the true click probability, and draws them beside a sketch.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from tqdm import tqdm

from dynctr_tf.durable_files import make_folder, new_file
from dynctr_tf.evaluation.plots import BEST_COLOUR, CLICK_COLOUR, INK, MODEL_COLOUR, MUTED, style_axes
from dynctr_tf.evaluation.text_table import align
from pipelines import errors_as_messages

STATIC = "PolynomialInteraction"
DYNAMIC: dict[str, dict[str, int]] = {
    "DynamicActivation": {},
    "DynamicGeneratedParameters": {"rank": 8},
    "DynamicWeightedParameters": {"rank": 2},
}
"""The layers that take the place of the static one, with their options."""


def measure(
    num_rows: int,
    epochs: int,
    seeds: Sequence[int],
    strength: float = 1.6,
    num_test: int | None = None,
    num_values: int | None = None,
) -> tuple[dict[str, list[float]], float]:
    """Trains the model with each layer and each seed.

    Args:
        num_rows: Training rows.
        epochs: Passes over the training rows.
        seeds: Seeds of initial weights and row order.
        strength: How strong the effect of the context is: the standard deviation, in the logit, of the third-order
            effect; those of the first and second order have 0.5. Default 1.6.
        num_test: Test rows. Default `None`: as many as train.
        num_values: How many interests of users and categories of items there are, which carry the effect, with three
            users and three items for each at least. Default `None`: 8 and 10.

    Returns:
        The test AUC of each seed by layer, and that of the true click probability.
    """
    from dynctr_tf import layers
    from dynctr_tf.datasets import SyntheticCtrRows
    from dynctr_tf.encoding import Encoder, write_encoded_dataset
    from dynctr_tf.metrics import auc
    from dynctr_tf.optimizers import LazyAdam
    from dynctr_tf.training import predict_logits, set_seed, train

    with tempfile.TemporaryDirectory() as directory:
        sizes = {"num_train": num_rows, "num_validation": max(num_rows // 7, 500), "num_test": num_test or num_rows}
        if num_values is not None:
            sizes |= {"num_interests": num_values, "num_categories": num_values}
            sizes |= {"num_users": max(2000, 3 * num_values), "num_items": max(300, 3 * num_values)}
        rows = SyntheticCtrRows(**sizes, first_order=0.5, second_order=0.5, third_order=strength)
        encoder = Encoder.fit(rows, progress=False)
        data = write_encoded_dataset(rows, encoder, Path(directory) / "encoded", progress=False)
        labels, probability = data.column("test", "label"), data.column("test", "true_probability")
        found: dict[str, list[float]] = {}
        runs = [(name, seed) for name in (STATIC, *DYNAMIC) for seed in seeds]
        for name, seed in tqdm(runs, desc="trainings", unit="run"):
            set_seed(seed)
            model = _model(data.features, getattr(layers, name)(**DYNAMIC.get(name, {})))
            folder = Path(directory) / f"{name}-{seed}"
            train(
                model, data, LazyAdam(1e-2), directory=folder, batch_size=256, epochs=epochs, seed=seed,
                tensorboard=False,
            )  # fmt: skip
            found.setdefault(name, []).append(float(auc(labels, predict_logits(model, data, "test"))))
        return found, float(auc(labels, probability))


def _model(features: Any, interaction: Any) -> Any:
    from tensorflow import keras

    from dynctr_tf import layers

    ids = keras.Input((len(features.single_valued),), dtype="int32", name="fields")
    x0 = layers.FieldEmbedding(features.num_ids, 16, initial_scale=0.2, row_regularizer_l2=1e-5)(ids)
    return keras.Model({"fields": ids}, layers.FieldSumOutput()(interaction([x0, x0])))


def draw(found: dict[str, list[float]], best: float, path: Path) -> None:
    """Draws the sketch and the AUCs as a PNG file.

    Args:
        found: The test AUC of each seed by layer.
        best: The AUC of the true click probability.
        path: The file.
    """
    figure = Figure(figsize=(10, 3.1), layout="constrained")
    FigureCanvasAgg(figure)
    sketch, axes = figure.subplots(1, 2, width_ratios=(1, 1.05))
    _draw_sketch(sketch)
    names = list(found)
    for place, name in enumerate(names):
        colour = MUTED if name == STATIC else MODEL_COLOUR
        mean = float(np.mean(found[name]))
        axes.plot([mean, mean], [place - 0.25, place + 0.25], color=colour, linewidth=2.5)
        axes.plot(found[name], [place] * len(found[name]), "o", color=colour, markersize=5, alpha=0.7)
        axes.annotate(f"{mean:.3f}", (max(found[name]), place), xytext=(8, -3), textcoords="offset points",
                      color=INK, fontsize=9)  # fmt: skip
    axes.axvline(best, color=BEST_COLOUR, linestyle="--", linewidth=1.2)
    axes.annotate("true click\nprobability", (best, -0.5), xytext=(-5, 0), textcoords="offset points",
                  ha="right", va="top", color=BEST_COLOUR, fontsize=8)  # fmt: skip
    axes.set_yticks(range(len(names)), [f"{name}\n(static)" if name == STATIC else name for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    lowest = min(min(values) for values in found.values())
    axes.set_xlim(lowest - 0.06 * (best - lowest), best + 0.06 * (best - lowest))
    axes.set_xlabel("AUC of synthetic test rows; a dot is a seed", fontsize=9)
    style_axes(axes)
    axes.tick_params(labelsize=9)
    with new_file(path) as partial:
        figure.savefig(partial, dpi=110)


def _draw_sketch(axes: Axes) -> None:
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 6.2)
    axes.axis("off")

    def box(x: float, y: float, width: float, text: str, colour: str) -> None:
        shape = FancyBboxPatch((x, y), width, 0.9, boxstyle="round,pad=0.05", facecolor="white", edgecolor=colour)
        axes.add_patch(shape)
        axes.text(x + width / 2, y + 0.45, text, ha="center", va="center", fontsize=9.5, color=INK)

    def arrow(start: tuple[float, float], end: tuple[float, float], colour: str = INK) -> None:
        axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=11, color=colour, linewidth=1.2))

    axes.text(0.1, 5.75, "static: one W for all rows", fontsize=10, color=MUTED, weight="bold")
    box(0.2, 4.2, 2.0, "row x", MUTED)
    box(4.0, 4.2, 2.2, "W", MUTED)
    box(8.0, 4.2, 1.8, "W x", MUTED)
    arrow((2.3, 4.65), (3.9, 4.65))
    arrow((6.3, 4.65), (7.9, 4.65))
    axes.text(0.1, 3.25, "dynamic: the row generates a small part of W", fontsize=10, color=MODEL_COLOUR, weight="bold")
    box(0.2, 0.3, 2.0, "row x", MODEL_COLOUR)
    box(2.4, 1.9, 2.2, "generator", CLICK_COLOUR)
    box(4.0, 0.3, 2.2, "W(x)", MODEL_COLOUR)
    box(8.0, 0.3, 1.8, "W(x) x", MODEL_COLOUR)
    arrow((2.3, 0.75), (3.9, 0.75))
    arrow((6.3, 0.75), (7.9, 0.75))
    arrow((1.2, 1.3), (2.3, 2.3), CLICK_COLOUR)
    arrow((4.7, 2.3), (5.1, 1.3), CLICK_COLOUR)


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, trains and draws."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.benchmarks.gain_picture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=100_000, help="training rows (default 100000)")
    parser.add_argument("--epochs", type=int, default=5, help="passes over them (default 5)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each layer (default 3)")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/gain.png"), help="the picture (default runs/gain.png)"
    )
    options = parser.parse_args(arguments)
    for name in ("rows", "epochs", "seeds"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(options, name)}")
    with errors_as_messages(parser, goes_on=False):
        found, best = measure(options.rows, options.epochs, range(options.seeds))
        make_folder(options.output.parent)
        draw(found, best, options.output)
        rows = [[name, *(f"{value:.4f}" for value in values)] for name, values in found.items()]
        rows.append(["true click probability", f"{best:.4f}", *[""] * (options.seeds - 1)])
        print("\n".join(align([["AUC", *(f"seed {seed}" for seed in range(options.seeds))], *rows])))
        print(f"picture: {options.output}")


if __name__ == "__main__":
    main()
