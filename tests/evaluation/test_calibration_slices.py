"""Calibration by slice: hand-computed values, coverage of the intervals, what is called off."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from dynctr_tf.evaluation import CalibrationSlices, calibration_slices, plot_slices
from dynctr_tf.metrics import all_negatives


def test_values_by_hand_and_the_largest_first():
    labels = [1, 0, 0, 0, 1, 1, 0, 0, 0]
    logits = [0.0] * 4 + [-np.log(3.0)] * 5
    report = calibration_slices(labels, logits, {"site": ["a"] * 4 + ["b"] * 5}, weights=[1.0] * 4 + [2.0] * 5)
    b, a = report.of("site")
    assert (b.value, b.rows, a.value, a.rows) == ("b", 5, "a", 4)
    assert a.ratio == pytest.approx(0.5 / 0.25) and b.ratio == pytest.approx(0.25 / 0.4)
    assert a.lower < a.ratio < a.upper and not a.is_off
    # The weight of all rows of a slice says nothing of how many there are.
    alone = calibration_slices(labels[4:], logits[4:], {"site": ["b"] * 5}).of("site")[0]
    assert (alone.lower, alone.upper) == pytest.approx((b.lower, b.upper))


def test_values_with_few_rows_are_one_slice_and_empty_ones_none():
    index = np.array([0] * 50 + [3] * 30 + [1] * 5 + [4] * 4)
    report = calibration_slices([1, 0] * 44 + [1], [0.0] * 89, {"c": (index, list("abcde"))}, max_slices=3)
    assert [(entry.value, entry.rows) for entry in report.slices] == [("a", 50), ("d", 30), ("(others)", 9)]
    assert CalibrationSlices.from_json(report.to_json()) == report
    no_click = calibration_slices([0, 0, 1], [0.0] * 3, {"c": ["x", "x", "y"]})
    assert np.isnan(no_click.of("c")[0].ratio) and no_click.of("c")[0].upper == np.inf
    assert CalibrationSlices.from_json(no_click.to_json()).to_text() == no_click.to_text()
    for part in ("upper", "predicted"):
        with pytest.raises(ValueError, match=f"slice lacks '{part}'"):
            CalibrationSlices.from_json(no_click.to_json().replace(f'"{part}"', '"other"'))


def test_true_predictions_are_seldom_off_and_wrong_ones_are_found(tmp_path):
    generator = np.random.default_rng(0)
    logits = generator.normal(-2.0, 1.0, 60_000)
    slices = generator.integers(0, 30, 60_000)
    wrong = np.where(slices == 7, logits + 0.5, logits)
    held, off = [], 0
    for _ in range(20):
        labels = generator.uniform(size=60_000) < 1.0 / (1.0 + np.exp(-logits))
        report = calibration_slices(labels, logits, {"slice": slices})
        held += [entry.lower <= 1.0 <= entry.upper for entry in report.slices]
        off += any(entry.is_off for entry in report.slices)
    assert 0.92 < np.mean(held) < 0.98 and off <= 4
    report = calibration_slices(labels, wrong, {"slice": slices})
    assert [entry.value for entry in report.slices if entry.is_off] == ["7"]
    assert "1 of 30 slices of slice are off" in report.to_text()
    plot_slices(tmp_path / "slices.png", report)
    assert (tmp_path / "slices.png").stat().st_size > 10_000


def test_a_click_among_a_few_rows_is_not_off():
    """Columns of CTR data have many values with a row or two, and clicks are rare."""
    generator = np.random.default_rng(5)
    slices = np.repeat(np.arange(90), generator.integers(1, 6, 90))
    logits, off = np.full(slices.size, -3.0), 0
    for _ in range(40):
        labels = generator.uniform(size=slices.size) < 1.0 / (1.0 + np.exp(-logits))
        off += any(entry.is_off for entry in calibration_slices(labels, logits, {"slice": slices}).slices)
    assert off <= 4, "5 % of the reports have a slice that is off by chance"
    (alone,) = calibration_slices([1, 0], [-2.7, -2.7], {"slice": ["a", "a"]}).slices
    assert alone.lower < 1.0 < alone.upper and not alone.is_off


def test_intervals_hold_where_rows_without_a_click_stand_for_several():
    generator = np.random.default_rng(3)
    held = []
    for _ in range(60):
        logits = generator.normal(-2.5, 0.7, 40_000)
        labels = (generator.uniform(size=logits.size) < 1.0 / (1.0 + np.exp(-logits))).astype(float)
        kept = (labels == 1.0) | (generator.uniform(size=logits.size) < 0.1)
        rows = all_negatives(labels[kept], logits[kept] - np.log(0.1), rate=0.1)
        slices = generator.integers(0, 10, int(kept.sum()))
        report = calibration_slices(rows.labels, rows.logits, {"slice": slices}, weights=rows.weights)
        held += [entry.lower <= 1.0 <= entry.upper for entry in report.slices]
    assert 0.92 < np.mean(held) < 0.98


def test_a_picture_shows_values_as_they_are(tmp_path):
    # Between two dollars matplotlib reads a formula, and fails at this one.
    report = calibration_slices([1, 0] * 50, [0.0] * 100, {"price $_$": ["$10_$20", r"$\nothing$"] * 50})
    plot_slices(tmp_path / "slices.png", report)
    assert (tmp_path / "slices.png").stat().st_size > 5_000


def test_a_picture_has_plain_numbers_and_shows_all_ratios(tmp_path, monkeypatch):
    """Slices without a click, with a click of a row or two, and with a ratio far from 1."""
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file, **_: drawn.append(figure) or file.write_bytes(b""))
    sites = ["many"] * 400 + ["none"] * 5 + ["one"] * 2 + ["far"] * 300
    labels = [1, 0] * 200 + [0] * 5 + [1, 0] + [1] * 3 + [0] * 297
    logits = [0.0] * 400 + [-2.0] * 7 + [-1.0] * 300
    for kept in (slice(None), slice(400)):
        plot_slices(tmp_path / "a.png", calibration_slices(labels[kept], logits[kept], {"site": sites[kept]}))
    wide, narrow = (figure.axes[0] for figure in drawn)
    assert wide.get_xlim()[0] < 0.5 and wide.get_xlim()[1] > 26.0
    for axes, expected in ((wide, {"0.5", "1", "2", "10"}), (narrow, {"0.95", "1", "1.05"})):
        axes.figure.canvas.draw()
        assert expected <= {label.get_text() for label in axes.get_xticklabels()}
        assert not axes.get_xticklabels(minor=True)


def test_what_is_refused():
    with pytest.raises(ValueError, match="one value for each of 2 rows"):
        calibration_slices([0, 1], [0.0, 0.0], {"c": ["a"]})
    with pytest.raises(ValueError, match="at least one column"):
        calibration_slices([0, 1], [0.0, 0.0], {})
    with pytest.raises(ValueError, match="max_slices"):
        calibration_slices([0, 1], [0.0, 0.0], {"c": ["a", "b"]}, max_slices=0)
