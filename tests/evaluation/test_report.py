from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from dynctr_tf import metrics
from dynctr_tf.evaluation import Evaluation, compare, evaluate, scenario_report


def some_rows(rows: int = 1500, seed: int = 0):
    generator = np.random.default_rng(seed)
    true_logits = generator.normal(-1.5, 1.2, rows)
    p = 1.0 / (1.0 + np.exp(-true_logits))
    return {
        "labels": (generator.random(rows) < p).astype(np.float32),
        "logits": true_logits + generator.normal(0.0, 0.6, rows),
        "true_probability": p,
        "weights": generator.random(rows) + 0.5,
        "groups": generator.integers(0, 200, rows),
        "scenario": generator.choice(3, rows, p=[0.6, 0.3, 0.1]),
    }


@pytest.fixture(scope="module")
def rows():
    return some_rows()


@pytest.fixture(scope="module")
def evaluation(rows) -> Evaluation:
    return evaluate(**rows, name="dynint", base_rate=0.25, scenario_names=["home", "search", "cart"], replicates=200)


def test_values_are_those_of_the_metrics(rows, evaluation) -> None:
    y, z, w = rows["labels"], rows["logits"], rows["weights"]
    expected = {
        "auc": metrics.auc(y, z, w),
        "log_loss": metrics.log_loss(y, z, w),
        "normalized_entropy": metrics.normalized_entropy(y, z, w),
        "calibration_ratio": metrics.calibration_ratio(y, z, w),
        "expected_calibration_error": metrics.expected_calibration_error(y, z, w),
        "grouped_auc": metrics.grouped_auc(y, z, rows["groups"], w).value,
    }
    assert {k: v.value for k, v in evaluation.metrics.items()} == pytest.approx(expected, rel=1e-10)
    assert evaluation.rows == 1500
    assert evaluation.clicks == y.sum()
    assert evaluation.click_rate == pytest.approx(np.average(y, weights=w))
    assert evaluation.share_left_out == metrics.grouped_auc(y, z, rows["groups"], w).share_left_out
    assert evaluation.calibration_error_floor == pytest.approx(metrics.calibration_error_floor(z, w), rel=1e-12)
    assert evaluation.histogram.clicks.sum() + evaluation.histogram.others.sum() == pytest.approx(w.sum())


def test_attainable_stands_beside_it(rows, evaluation) -> None:
    y, z, w, p = (rows[k] for k in ("labels", "logits", "weights", "true_probability"))
    best = evaluation.attainable
    oracle = metrics.oracle_logits(p)
    assert best.metrics["auc"].value == pytest.approx(metrics.auc(y, oracle, w), rel=1e-10)
    assert best.metrics["log_loss"].value == pytest.approx(metrics.log_loss(y, oracle, w), rel=1e-10)
    assert best.base_log_loss.value == pytest.approx(metrics.base_rate_log_loss(y, 0.25, w), rel=1e-10)
    assert best.share.value == pytest.approx(metrics.attainable_gain_share(y, z, p, 0.25, w), rel=1e-9)
    assert best.share.lower < best.share.value < best.share.upper < 1.0
    base = metrics.expected_log_loss(p, np.full(p.size, math.log(1 / 3)), w)
    share = (base - metrics.expected_log_loss(p, z, w)) / (base - metrics.expected_log_loss(p, weights=w))
    assert best.expected_share.value == pytest.approx(share, rel=1e-9)
    assert best.expected_auc == metrics.expected_auc(p, weights=w)
    # Without the noise of the labels the share is known more closely.
    width = best.share.upper - best.share.lower
    assert best.expected_share.upper - best.expected_share.lower < 0.5 * width


def test_share_of_the_best_model_and_of_the_constant() -> None:
    rows = some_rows()
    y, p = rows["labels"], rows["true_probability"]
    best = evaluate(y, metrics.oracle_logits(p), true_probability=p, replicates=40)
    assert best.attainable.share == pytest.approx((1.0, 1.0, 1.0))
    constant = np.full(y.size, math.log(y.mean() / (1.0 - y.mean())))
    none = evaluate(y, constant, true_probability=p, replicates=40)
    assert none.attainable.share == pytest.approx((0.0, 0.0, 0.0), abs=1e-6)
    assert none.attainable.base_rate == pytest.approx(y.mean())


def test_share_interval_holds_the_truth() -> None:
    """The true share is that of a very large sample without label noise."""
    large = some_rows(300_000, seed=10_000)
    share = {"base_rate": 0.25, "replicates": 40}
    labels, logits, p = (large[k] for k in ("labels", "logits", "true_probability"))
    truth = evaluate(labels, logits, true_probability=p, progress=False, **share).attainable.expected_share.value
    share["replicates"] = 150
    held = expected_held = 0
    for seed in range(80):
        small = some_rows(1000, seed=seed)
        best = evaluate(
            small["labels"], small["logits"], true_probability=small["true_probability"], **share
        ).attainable
        held += best.share.lower <= truth <= best.share.upper
        expected_held += best.expected_share.lower <= truth <= best.expected_share.upper
    assert held >= 70
    assert expected_held >= 70


def test_scenarios_are_evaluations_of_their_rows(rows, evaluation) -> None:
    assert [part.name for part in evaluation.scenarios] == ["home", "search", "cart"]
    assert sum(part.rows for part in evaluation.scenarios) == 1500
    for part, index in zip(evaluation.scenarios, range(3), strict=True):
        chosen = rows["scenario"] == index
        y, z, w = (rows[k][chosen] for k in ("labels", "logits", "weights"))
        assert part.rows == chosen.sum()
        assert part.metrics["log_loss"].value == pytest.approx(metrics.log_loss(y, z, w), rel=1e-10)
        assert part.attainable.base_rate == 0.25
        assert part.groups == np.unique(rows["groups"][chosen]).size


def test_json_round_trip(evaluation, tmp_path: Path) -> None:
    again = Evaluation.from_json(evaluation.to_json())
    assert again.to_json() == evaluation.to_json()
    assert again.to_text() == evaluation.to_text()
    assert again.metrics == evaluation.metrics
    assert again.attainable == evaluation.attainable
    np.testing.assert_array_equal(again.calibration.observed, evaluation.calibration.observed)
    evaluation.save(tmp_path / "evaluation.json")
    assert Evaluation.load(tmp_path / "evaluation.json").to_json() == evaluation.to_json()


def test_undefined_metrics_in_json_and_text() -> None:
    evaluation = evaluate(np.zeros(50), np.linspace(-3.0, -1.0, 50), replicates=40)
    plain = json.loads(evaluation.to_json())
    assert plain["metrics"]["auc"] == {"value": None, "lower": None, "upper": None}
    assert math.isnan(Evaluation.from_json(evaluation.to_json()).metrics["auc"].value)
    line = next(line for line in evaluation.to_text().splitlines() if line.startswith("AUC"))
    assert line.split() == ["AUC", "-", "-"]
    assert (
        "AUC, normalized entropy, calibration ratio are not defined, for none of the 50 rows is a click"
        in evaluation.to_text()
    )
    # One click, which a third of the resamples has not: a value, and the reason why there is no interval.
    text = evaluate(np.arange(50) == 3, np.linspace(-3.0, -1.0, 50), replicates=100).to_text()
    assert "no interval of AUC, normalized entropy, calibration ratio: with 1 clicks among 50 rows" in text


def test_counts_and_rates_are_both_of_rows_or_both_by_weight() -> None:
    labels = np.array([1.0, 0.0, 0.0, 0.0] * 25)
    logits = np.linspace(-2.0, 2.0, 100)
    plain = evaluate(labels, logits, replicates=40).to_text()
    assert "100 rows, 25 clicks (25.00 %); 95 % intervals" in plain
    weights = np.where(labels == 1.0, 1.0, 8.0)
    weighted = evaluate(labels, logits, weights=weights, replicates=40)
    assert "100 rows, 25 clicks (25.00 % of the rows; by weight 4.00 %" in weighted.to_text()
    assert Evaluation.from_json(weighted.to_json()).to_text() == weighted.to_text()
    table = compare(labels, {"a": logits, "b": -logits}, reference="a", weights=weights, replicates=40).to_text()
    assert "100 rows, 25 clicks (25.00 % of the rows; by weight 4.00 %" in table
    by_scenario = scenario_report(labels, {"a": logits}, np.arange(100) % 2, weights=weights, replicates=40).to_text()
    assert "100 rows, 25 clicks (25.00 % of the rows; by weight 4.00 %" in by_scenario
    row = next(line for line in by_scenario.splitlines() if line.startswith("weighted mean"))
    assert "4.00 %" in row and "25.00 %" not in row


def test_rare_clicks_have_significant_figures() -> None:
    """iPinYou's tables differ in the sixth decimal of the log loss."""
    generator = np.random.default_rng(0)
    labels = (generator.random(40_000) < 0.0008).astype(float)
    good = np.full(40_000, math.log(labels.mean() / (1.0 - labels.mean())))
    text = evaluate(labels, good, replicates=40).to_text()
    line = next(line for line in text.splitlines() if line.startswith("log loss"))
    value = line.split()[2]
    assert len(value.split(".")[1]) == 6 and float(value) < 0.01, line
    assert re.search(r"clicks \(0\.0[1-9]\d\d %\)", text.splitlines()[0]), "three figures of the click rate"
    table = compare(labels, {"a": good, "b": good + 0.1}, reference="a", replicates=40).to_text()
    line = next(line for line in table[table.index("log loss") :].splitlines() if line.startswith("b "))
    assert len(line.split()[5].split(".")[1]) == 7, line
    shown = evaluate(labels, np.full(40_000, 1e18), replicates=40).to_text()
    assert "e+17" in shown and "e+18" not in shown.splitlines()[0]


def test_text_is_an_aligned_table(evaluation) -> None:
    lines = evaluation.to_text().splitlines()
    assert lines[0].startswith("dynint: 1,500 rows")
    assert "95 % intervals, 200 bootstrap resamples of rows" in lines[0]
    table = lines[2:11]
    assert len({len(line) for line in table[1:8]}) == 1
    assert table[2].split()[:2] == ["AUC", f"{evaluation.metrics['auc'].value:.4f}"]
    assert any(line.startswith("share of attainable gain") for line in table)
    assert any(line.startswith("search") for line in lines)
    assert "... and 1 smaller scenarios" in evaluation.to_text(max_scenarios=2)


def test_bad_input(rows) -> None:
    y, z = rows["labels"], rows["logits"]
    with pytest.raises(ValueError, match=r"scenario must have the shape \(1500,\)"):
        evaluate(y, z, scenario=[1, 2], replicates=40)
    with pytest.raises(ValueError, match="no name for the scenario 2; it names 2"):
        evaluate(y, z, scenario=rows["scenario"], scenario_names=["a", "b"], replicates=40)
    with pytest.raises(ValueError, match="no name for the scenario -1"):
        evaluate(y, z, scenario=rows["scenario"] - 1, scenario_names=["a", "b"], replicates=40)
    with pytest.raises(ValueError, match="true_probability must be from 0 to 1"):
        evaluate(y, z, true_probability=z, replicates=40)
    with pytest.raises(ValueError, match="base_rate"):
        evaluate(y, z, true_probability=rows["true_probability"], base_rate=1.0, replicates=40)


def test_bad_json(evaluation, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="evaluation is not JSON"):
        Evaluation.from_json("{")
    with pytest.raises(ValueError, match="must be a JSON object, got list"):
        Evaluation.from_json("[]")
    plain = json.loads(evaluation.to_json())
    plain["click_rat"] = plain.pop("click_rate")
    (tmp_path / "wrong.json").write_text(json.dumps(plain))
    with pytest.raises(ValueError, match=r"wrong\.json: .*'click_rat'\. Did you mean 'click_rate'"):
        Evaluation.load(tmp_path / "wrong.json")
    plain = json.loads(evaluation.to_json())
    del plain["rows"]
    with pytest.raises(ValueError, match="Evaluation lacks 'rows'"):
        Evaluation.from_json(json.dumps(plain))
    with pytest.raises(ValueError, match="lacks 'metrics'"):
        Evaluation.from_json("{}")
