from __future__ import annotations

import dataclasses
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.image import imread

from dynctr_tf.evaluation import LearningCurve, compare, evaluate, plot_comparison, plot_days, plot_run


def some_rows(rows: int = 800, seed: int = 0):
    generator = np.random.default_rng(seed)
    true_logits = generator.normal(-1.5, 1.2, rows)
    p = 1.0 / (1.0 + np.exp(-true_logits))
    return generator.random(rows) < p, true_logits + generator.normal(0.0, 0.6, rows), p


@pytest.fixture(scope="module")
def evaluation():
    labels, logits, p = some_rows()
    return evaluate(labels, logits, name="dynint", true_probability=p, replicates=40)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(
        "step,train_loss,val_logloss,val_auc,rows_per_second\n50,0.6,0.5,0.61,9\n100,0.5,,0.7,9\n150,0.4,0.4,,9\n"
    )
    return path


def inked(path: Path) -> float:
    """Share of the pixels that are not white, after checking that the picture has a legible size."""
    pixels = imread(path)
    assert pixels.shape[0] > 250
    assert pixels.shape[1] > 600
    return float((pixels[..., :3].min(axis=-1) < 0.95).mean())


def test_log_is_read(log: Path) -> None:
    curve = LearningCurve.from_csv(log)
    assert curve.step.tolist() == [50.0, 100.0, 150.0]
    assert curve.train_loss.tolist() == [0.6, 0.5, 0.4]
    np.testing.assert_array_equal(curve.validation_log_loss, [0.5, np.nan, 0.4])
    np.testing.assert_array_equal(curve.validation_auc, [0.61, 0.7, np.nan])
    assert LearningCurve.from_csv(log, validation_auc="val_logloss").validation_auc[0] == 0.5


def test_bad_log(log: Path) -> None:
    with pytest.raises(ValueError, match=r"log\.csv: Unknown column: 'validation_auc'\. Did you mean 'val_auc'"):
        LearningCurve.from_csv(log, validation_auc="validation_auc")
    log.write_text("step,train_loss,val_logloss,val_auc\n50,0.6,high,0.6\n")
    with pytest.raises(ValueError, match="line 2, column 'val_logloss': expected a number, got 'high'"):
        LearningCurve.from_csv(log)
    log.write_text("step,train_loss,val_logloss,val_auc\n")
    with pytest.raises(ValueError, match="holds no line"):
        LearningCurve.from_csv(log)
    with pytest.raises(ValueError, match="one common length"):
        LearningCurve(np.arange(2), np.zeros(3), np.zeros(3), np.zeros(3))


def test_run_picture(tmp_path: Path, log: Path, evaluation) -> None:
    plot_run(tmp_path / "run.png", evaluation, LearningCurve.from_csv(log))
    plot_run(tmp_path / "calibration.png", evaluation)
    assert inked(tmp_path / "run.png") > 0.03
    assert inked(tmp_path / "calibration.png") > 0.03
    assert imread(tmp_path / "run.png").shape[1] > 1.5 * imread(tmp_path / "calibration.png").shape[1]


def test_picture_shows_the_model(tmp_path: Path, evaluation) -> None:
    """Another model gives another picture, and the same one the same."""
    labels, logits, p = some_rows()
    worse = evaluate(labels, 2.0 * logits, name="dynint", true_probability=p, replicates=40)
    for name, drawn in (("one", evaluation), ("again", evaluation), ("other", worse)):
        plot_run(tmp_path / f"{name}.png", drawn)
    one, again, other = (imread(tmp_path / f"{name}.png") for name in ("one", "again", "other"))
    np.testing.assert_array_equal(one, again)
    assert (one != other).mean() > 0.01


@pytest.mark.parametrize(
    "logits",
    [np.zeros(60), np.linspace(-30.0, 30.0, 60), np.linspace(-9.0, -8.0, 60)],
    ids=["constant", "certain", "rare"],
)
@pytest.mark.parametrize("clicks", [0, 3])
def test_odd_predictions_are_drawn(tmp_path: Path, logits: np.ndarray, clicks: int) -> None:
    evaluation = evaluate(np.arange(60) < clicks, logits, replicates=40)
    curve = LearningCurve(np.array([1.0]), np.array([0.5]), np.array([np.nan]), np.array([np.nan]))
    plot_run(tmp_path / "odd.png", evaluation, curve)
    assert inked(tmp_path / "odd.png") > 0.01


def test_comparison_picture(tmp_path: Path) -> None:
    labels, logits, _ = some_rows()
    generator = np.random.default_rng(1)
    runs = {name: [logits + generator.normal(0.0, 0.5, 800) for _ in range(2)] for name in ("lr", "dnn", "dynint")}
    comparison = compare(labels, runs, reference="lr", replicates=40)
    plot_comparison(tmp_path / "forest.png", comparison, ("auc", "log_loss", "calibration_ratio"))
    assert inked(tmp_path / "forest.png") > 0.01
    with pytest.raises(ValueError, match="Did you mean 'log_loss'"):
        plot_comparison(tmp_path / "forest.png", comparison, ["logloss"])
    with pytest.raises(ValueError, match="at least one metric"):
        plot_comparison(tmp_path / "forest.png", comparison, [])
    alone = compare(labels, {"lr": logits}, reference="lr", replicates=40)
    with pytest.raises(ValueError, match="nothing to compare 'lr' with"):
        plot_comparison(tmp_path / "forest.png", alone)


def test_pictures_show_names_as_they_are(tmp_path: Path, evaluation) -> None:
    """Between two dollars matplotlib reads a formula, and fails at this one."""
    name = "$model_$"
    plot_run(tmp_path / "run.png", dataclasses.replace(evaluation, name=name))
    labels, logits, _ = some_rows()
    plot_comparison(
        tmp_path / "forest.png", compare(labels, {name: logits, "lr": -logits}, reference=name, replicates=40)
    )
    plot_days(tmp_path / "days.png", {name: {"$1_$.csv": evaluation}, "lr": {"$1_$.csv": evaluation}}, title=name)
    assert all(inked(tmp_path / f"{picture}.png") > 0.005 for picture in ("run", "forest", "days"))


def test_pictures_are_png(tmp_path: Path, evaluation) -> None:
    with pytest.raises(ValueError, match="must end in '.png'"):
        plot_run(tmp_path / "run.pdf", evaluation)


def test_no_global_state_of_matplotlib_is_touched(tmp_path: Path, evaluation) -> None:
    backend, settings = matplotlib.get_backend(), dict(matplotlib.rcParams)
    plot_run(tmp_path / "run.png", evaluation)
    assert pyplot.get_fignums() == []
    assert matplotlib.get_backend() == backend
    assert dict(matplotlib.rcParams) == settings
