"""Reports by scenario: the metrics of their rows, the weighted mean, negative transfer, tiny scenarios."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from dynctr_tf import metrics
from dynctr_tf.evaluation import ScenarioReport, plot_scenarios, plot_transfer, scenario_report

NAMES = ["home", "search", "cart", "silent"]


def some_rows(rows: int = 6000, seed: int = 0):
    """Four scenarios, the last one without a click; "shared" is spoilt in the third and good elsewhere."""
    generator = np.random.default_rng(seed)
    scenario = generator.choice(4, rows, p=[0.5, 0.3, 0.17, 0.03])
    true_logits = generator.normal(-1.5, 1.2, rows)
    p = 1.0 / (1.0 + np.exp(-true_logits))
    labels = (generator.random(rows) < p) & (scenario < 3)
    noise = np.where(scenario == 2, 2.5, 0.2)
    shared = [true_logits + noise * generator.normal(size=rows) for _ in range(2)]
    single = [true_logits + 0.8 * generator.normal(size=rows) for _ in range(3)]
    return labels.astype(np.float64), scenario, {"shared": shared, "single": single}, p


@pytest.fixture(scope="module")
def report() -> ScenarioReport:
    labels, scenario, predictions, _ = some_rows()
    weights = 0.5 + (np.arange(labels.size) % 3)
    return scenario_report(labels, predictions, scenario, single="single", names=NAMES, weights=weights, replicates=200)


def test_values_are_those_of_each_scenarios_rows(report: ScenarioReport) -> None:
    labels, scenario, predictions, _ = some_rows()
    weights = 0.5 + (np.arange(labels.size) % 3)
    assert [entry.name for entry in report.scenarios] == NAMES
    assert sum(entry.share for entry in report.scenarios) == pytest.approx(1.0)
    for index, entry in enumerate(report.scenarios[:3]):
        chosen = scenario == index
        y, w = labels[chosen], weights[chosen]
        assert (entry.rows, entry.clicks, entry.undefined) == (chosen.sum(), y.sum(), None)
        assert entry.share == pytest.approx(w.sum() / weights.sum())
        assert entry.click_rate == pytest.approx(np.average(y, weights=w))
        for model, runs in predictions.items():
            for metric in ("auc", "log_loss", "calibration_ratio"):
                expected = np.mean([getattr(metrics, metric)(y, run[chosen], w) for run in runs])
                found = entry.scores[model].metrics[metric]
                assert found.value == pytest.approx(expected, rel=1e-9)
                assert found.lower < found.value < found.upper


def test_weighted_mean(report: ScenarioReport) -> None:
    for model in ("shared", "single"):
        for metric, count in (("auc", 3), ("log_loss", 4), ("calibration_ratio", 3)):
            defined = report.scenarios[:count]
            values = [entry.scores[model].metrics[metric].value for entry in defined]
            mean = report.means[model].metrics[metric]
            assert mean.value == pytest.approx(np.average(values, weights=[entry.share for entry in defined]))
            assert mean.lower < mean.value < mean.upper


def test_mean_of_the_smaller_half(report: ScenarioReport) -> None:
    assert [entry.name for entry in report.smaller_half] == [entry.name for entry in report.scenarios[2:]]
    third, fourth = report.smaller_half
    assert fourth.undefined == "no positives"
    for model in ("shared", "single"):
        mean = report.small_means[model].metrics
        assert mean["auc"].value == pytest.approx(third.scores[model].metrics["auc"].value)
        losses = [entry.scores[model].metrics["log_loss"].value for entry in (third, fourth)]
        assert mean["log_loss"].value == pytest.approx(np.average(losses, weights=[third.share, fourth.share]))
        assert mean["log_loss"].lower < mean["log_loss"].value < mean["log_loss"].upper
    line = next(line for line in report.to_text().splitlines() if line.startswith("mean of the smaller half"))
    assert f"{third.rows + fourth.rows:,}" in line and f"{mean['auc'].value:.4f}" in report.to_text("single")


def test_one_scenario_has_no_smaller_half() -> None:
    labels, _, predictions, _ = some_rows(300)
    report = scenario_report(labels, predictions, np.zeros(300, int), replicates=60)
    assert report.smaller_half == () and not report.small_means and "smaller half" not in report.to_text()


def test_negative_transfer_is_found_where_it_is(report: ScenarioReport) -> None:
    assert report.lost("shared") == ("cart",) == report.lost(metric="auc")
    for entry in report.scenarios[:2]:
        assert entry.scores["shared"].verdict("log_loss", 0.95) == "better"
    assert report.scenarios[3].scores["shared"].verdict("log_loss", 0.95) == "not tested"
    assert report.scenarios[0].scores["single"].tests == {}
    # Each of the three tests stands beside those of the other scenarios.
    raw = sorted(entry.scores["shared"].tests["auc"].p_value for entry in report.scenarios[:3])
    adjusted = sorted(entry.scores["shared"].adjusted_p_values["auc"] for entry in report.scenarios[:3])
    assert adjusted == pytest.approx(sorted(metrics.holm_adjusted(raw)))
    test = report.scenarios[2].scores["shared"].tests["log_loss"]
    assert test.covers_seeds and test.difference > 0.1


def test_equal_models_do_not_differ() -> None:
    """Over many draws, a scenario that did not lose is called lost no more often than the confidence says."""
    wrong = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        true_logits = generator.normal(-1.0, 1.0, 1500)
        labels = generator.random(1500) < 1.0 / (1.0 + np.exp(-true_logits))
        runs = {name: true_logits + 0.5 * generator.normal(size=1500) for name in ("shared", "single")}
        scenario = generator.integers(5, size=1500)
        wrong += bool(scenario_report(labels, runs, scenario, single="single", replicates=60).lost())
    assert wrong <= 5


def test_text(report: ScenarioReport) -> None:
    text = report.to_text()
    assert text.count("not defined: no positives") == 2 * 2  # of each model
    assert "not tested: no positives" in text
    lost = "shared against single for each scenario alone, by log loss: worse in 1 of 4 scenarios: cart; better in 2"
    assert lost in text
    assert any(line.startswith("weighted mean") and "100.0 %" in line for line in text.splitlines())
    assert "adjusted by Holm's rule for the scenarios" in text
    assert "... and 2 smaller scenarios" in report.to_text(max_scenarios=2)
    alone = report.to_text("single")
    assert "difference to" not in alone and "worse in" not in alone


def test_many_models_are_one_table_a_metric() -> None:
    labels, scenario, predictions, _ = some_rows(3000)
    more = {**predictions, "star": predictions["single"][0]}
    text = scenario_report(labels, more, scenario, single="single", names=NAMES, replicates=60).to_text()
    lines = text.splitlines()
    assert sum(line.split()[:3] == ["scenario", "rows", "share"] for line in lines) == 3
    cart = [line for line in lines if line.startswith("cart")]
    assert len(cart) == 3 and " -" in cart[0] and " -" in cart[1]
    assert sum("for each scenario alone" in line for line in lines) == 2


def test_json_round_trip(report: ScenarioReport, tmp_path: Path) -> None:
    again = ScenarioReport.from_json(report.to_json())
    assert again.to_json() == report.to_json() and again.to_text() == report.to_text()
    assert again.lost() == report.lost()
    report.save(tmp_path / "scenarios.json")
    assert ScenarioReport.load(tmp_path / "scenarios.json").to_text() == report.to_text()
    plain = json.loads(report.to_json())
    assert plain["scenarios"][3]["scores"]["shared"]["metrics"]["auc"]["value"] is None
    plain["scenario"] = plain.pop("scenarios")
    (tmp_path / "wrong.json").write_text(json.dumps(plain))
    with pytest.raises(ValueError, match=r"wrong\.json: The report by scenario lacks 'scenarios'"):
        ScenarioReport.load(tmp_path / "wrong.json")


@pytest.mark.parametrize("clicks", ["none", "all", "one"])
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_scenarios_with_next_to_nothing(tmp_path: Path, clicks: str, rows: int) -> None:
    labels, scenario, predictions, p = some_rows(500)
    few = {"none": np.zeros(rows), "all": np.ones(rows), "one": np.arange(rows) == 0}[clicks].astype(float)
    y = np.concatenate([labels, few])
    z = {name: [np.concatenate([run, np.zeros(rows)]) for run in runs] for name, runs in predictions.items()}
    index = np.concatenate([np.minimum(scenario, 2), np.full(rows, 9)])
    with np.errstate(divide="raise", invalid="raise"):
        report = scenario_report(
            y, z, index, single="single", true_probability=np.append(p, np.full(rows, 0.5)), replicates=60
        )
    entry = report.scenarios[-1]
    undefined = {"none": "no positives", "all": "no negatives", "one": "no negatives" if rows == 1 else None}[clicks]
    assert (entry.name, entry.rows, entry.undefined) == ("9", rows, undefined)
    score = entry.scores["shared"]
    assert math.isnan(score.metrics["auc"].value) == (undefined is not None)
    assert score.metrics["log_loss"].value == pytest.approx(math.log(2.0))
    assert score.verdict("auc", 0.95) == score.verdict("log_loss", 0.95) == "not tested"
    assert not math.isnan(report.means["shared"].metrics["auc"].value)
    text = report.to_text()
    assert ("not defined: " + (undefined or "nothing") in text) == (undefined is not None)
    assert ScenarioReport.from_json(report.to_json()).to_text() == text
    if rows == 1:
        plot_scenarios(tmp_path / "few.png", report)
        plot_transfer(tmp_path / "transfer.png", report)


def test_share_of_the_attainable_gain() -> None:
    labels, scenario, predictions, p = some_rows()
    some = scenario < 3
    report = scenario_report(
        labels[some],
        {name: [run[some] for run in runs] for name, runs in predictions.items()},
        scenario[some],
        true_probability=p[some],
        base_rate=0.3,
        replicates=60,
    )
    base = np.full(some.sum(), math.log(0.3 / 0.7))
    chosen = scenario[some] == 1
    q, run = p[some][chosen], [run[some][chosen] for run in predictions["single"]]
    best = metrics.expected_log_loss(q)
    gain = metrics.expected_log_loss(q, base[chosen]) - np.mean([metrics.expected_log_loss(q, z) for z in run])
    share = report.scenarios[1].scores["single"].share
    assert share.value == pytest.approx(gain / (metrics.expected_log_loss(q, base[chosen]) - best))
    assert share.lower < share.value < share.upper
    assert "attainable gain" in report.to_text("single")
    table = report.to_text().split("share of the attainable gain\n")[1].splitlines()
    assert f"{100 * share.value:.1f} %" in next(line for line in table if line.startswith(report.scenarios[1].name))
    smallest = report.scenarios[2].scores["single"].share
    last = next(line for line in table if line.startswith("mean of the smaller half"))
    assert f"{100 * smallest.value:.1f} % [" in last


def test_resamples_without_a_click_do_not_widen_the_mean() -> None:
    """One scenario ranks well, the other, with two clicks, badly; without them a resample is no mean of one of both."""
    generator = np.random.default_rng(0)
    well = (generator.random(400) < 0.5).astype(np.float64)
    two = np.zeros(400)
    two[:2] = 1.0
    logits = np.concatenate([2.0 * well + generator.normal(size=400), np.linspace(-3.0, 0.0, 400)])
    report = scenario_report(
        np.concatenate([well, two]), {"one": logits}, np.repeat([0, 1], 400), replicates=400, progress=False
    )
    first, second = (entry.scores["one"].metrics["auc"] for entry in report.scenarios)
    assert first.value > 0.9 and second.value < 0.01 and math.isnan(second.lower), "a seventh of them has no click"
    mean = report.means["one"].metrics["auc"]
    assert mean.value == pytest.approx((first.value + second.value) / 2.0)
    # The bad scenario hardly varies: half of the good one's interval is left.
    assert mean.upper - mean.lower == pytest.approx((first.upper - first.lower) / 2.0, rel=0.2)
    assert mean.lower < mean.value < mean.upper < 0.55


def test_resamples_without_weight_do_not_move_the_mean_gain() -> None:
    """The second scenario has two rows that count, and a seventh of its resamples none."""
    generator = np.random.default_rng(0)
    p = np.where(np.arange(800) < 400, generator.uniform(0.05, 0.95, 800), generator.uniform(0.3, 0.7, 800))
    logits = np.log(p / (1.0 - p)) * np.where(np.arange(800) < 400, 1.0, -1.0)
    weights = np.ones(800)
    weights[400:] = 0.0
    weights[400:402] = 200.0
    labels = (generator.random(800) < p).astype(np.float64)
    report = scenario_report(
        labels,
        {"one": logits},
        np.repeat([0, 1], 400),
        weights=weights,
        true_probability=p,
        base_rate=0.5,
        replicates=400,
        progress=False,
    )
    good, _ = (entry.scores["one"].share for entry in report.scenarios)
    share = report.means["one"].share
    assert good.value == pytest.approx(1.0)
    assert share.lower < share.value < share.upper < 0.99


def test_rows_without_weight_do_not_count() -> None:
    labels, scenario, predictions, _ = some_rows(2000)
    report = scenario_report(
        labels, {"shared": predictions["shared"]}, scenario, weights=(scenario != 1).astype(float), replicates=60
    )
    entry = next(entry for entry in report.scenarios if entry.name == "1")
    assert entry.undefined == "no weight" and entry.share == 0.0 and math.isnan(entry.click_rate)
    assert not math.isnan(report.means["shared"].metrics["log_loss"].value)
    assert ScenarioReport.from_json(report.to_json()).to_text() == report.to_text()


def test_pictures_show_names_as_they_are(tmp_path: Path, report: ScenarioReport) -> None:
    # Between two dollars matplotlib reads a formula, and fails at this one.
    scenarios = tuple(
        dataclasses.replace(
            entry,
            name=f"${entry.name}_$9",
            scores={f"${model}_$": scores for model, scores in entry.scores.items()},
        )
        for entry in report.scenarios
    )
    named = {
        field: {f"${model}_$": value for model, value in getattr(report, field).items()}
        for field in ("runs", "means", "small_means")
    }
    drawn = dataclasses.replace(report, scenarios=scenarios, single="$single_$", column="$page_$", **named)
    plot_scenarios(tmp_path / "scenarios.png", drawn, max_scenarios=2)
    plot_transfer(tmp_path / "transfer.png", drawn)
    assert imread(tmp_path / "transfer.png").shape[1] > 600


def test_pictures(tmp_path: Path, report: ScenarioReport) -> None:
    plot_scenarios(tmp_path / "scenarios.png", report)
    plot_scenarios(tmp_path / "single.png", report, "single")
    plot_scenarios(tmp_path / "two.png", report, max_scenarios=2)
    plot_transfer(tmp_path / "transfer.png", report)
    pictures = {name: imread(tmp_path / f"{name}.png") for name in ("scenarios", "single", "two", "transfer")}
    for name, pixels in pictures.items():
        assert pixels.shape[1] > 600 and (pixels[..., :3].min(axis=-1) < 0.95).mean() > 0.01, name
    assert pictures["scenarios"].shape[1] > pictures["single"].shape[1]
    assert pictures["scenarios"].shape[0] > pictures["two"].shape[0]
    with pytest.raises(ValueError, match="Did you mean 'shared'"):
        plot_scenarios(tmp_path / "scenarios.png", report, "sharde")
    labels, scenario, predictions, _ = some_rows(500)
    without = scenario_report(labels, {"shared": predictions["shared"]}, scenario, replicates=60)
    with pytest.raises(ValueError, match="give `single` to scenario_report"):
        plot_transfer(tmp_path / "transfer.png", without)


def test_bad_input() -> None:
    labels, scenario, predictions, _ = some_rows(300)
    with pytest.raises(ValueError, match="Did you mean 'single'"):
        scenario_report(labels, predictions, scenario, single="singel")
    with pytest.raises(ValueError, match="Give at least one model"):
        scenario_report(labels, {}, scenario)
    with pytest.raises(ValueError, match=r"scenario must have the shape \(300,\)"):
        scenario_report(labels, predictions, scenario[:7])
    with pytest.raises(ValueError, match="no name for the scenario 2"):
        scenario_report(labels, predictions, scenario, names=["a", "b"])
    report = scenario_report(labels, predictions, scenario, single="single", replicates=60)
    with pytest.raises(ValueError, match="Did you mean 'log_loss'"):
        report.lost(metric="logloss")
