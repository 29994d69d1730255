from __future__ import annotations

import json

import numpy as np
import pytest

from dynctr_tf import metrics
from dynctr_tf.evaluation import Comparison, compare

ROWS = 1200


def some_runs(seed: int = 0):
    generator = np.random.default_rng(seed)
    true_logits = generator.normal(-1.0, 1.2, ROWS)
    p = 1.0 / (1.0 + np.exp(-true_logits))
    labels = generator.random(ROWS) < p

    def runs(noise: float, count: int):
        return [true_logits + generator.normal(0.0, noise, ROWS) for _ in range(count)]

    return labels, p, {"lr": runs(1.5, 3), "dynint": runs(0.3, 3), "twin": runs(1.5, 2), "fm": runs(1.0, 1)}


@pytest.fixture(scope="module")
def inputs():
    return some_runs()


@pytest.fixture(scope="module")
def comparison(inputs) -> Comparison:
    labels, p, runs = inputs
    return compare(labels, runs, reference="lr", true_probability=p, base_rate=0.3, replicates=150, seed=4)


def test_values_are_means_over_runs(inputs, comparison) -> None:
    labels, p, runs = inputs
    for model in comparison.models:
        losses = [metrics.log_loss(labels, z) for z in runs[model.name]]
        assert model.run_values["log_loss"] == pytest.approx(losses, rel=1e-10)
        assert model.metrics["log_loss"].value == pytest.approx(np.mean(losses), rel=1e-10)
        shares = [metrics.attainable_gain_share(labels, z, p, 0.3) for z in runs[model.name]]
        assert model.share == pytest.approx(np.mean(shares), rel=1e-9)
        assert model.runs == len(runs[model.name])


def test_tests_are_those_over_seeds(inputs, comparison) -> None:
    labels, _, runs = inputs
    for name in ("dynint", "twin"):
        expected = metrics.paired_test_over_seeds(labels, runs[name], runs["lr"], replicates=150, seed=4)
        for metric, test in comparison.model(name).tests.items():
            assert test.difference == pytest.approx(expected[metric].difference, rel=1e-9)
            assert test.standard_error == pytest.approx(expected[metric].standard_error, rel=1e-9)
            assert test.p_value == pytest.approx(expected[metric].p_value, rel=1e-6)
    assert comparison.model("lr").tests == {}


def test_p_values_are_adjusted_for_the_number_of_models(comparison) -> None:
    others = [model for model in comparison.models if model.name != "lr"]
    for metric in ("auc", "log_loss"):
        adjusted = metrics.holm_adjusted([model.tests[metric].p_value for model in others])
        assert [model.adjusted_p_values[metric] for model in others] == adjusted


PAIRS = {"another library's": {"dynint": "lr", "fm": "twin"}, "the static one": {"dynint": "twin"}}


@pytest.fixture(scope="module")
def paired(inputs) -> Comparison:
    labels, _, runs = inputs
    return compare(labels, runs, reference="lr", pairs={**PAIRS, "none here": {}}, replicates=150, seed=4)


def test_pairs_are_tested_as_models_are(inputs, comparison, paired) -> None:
    labels, _, runs = inputs
    library, static = paired.paired
    assert (library.title, static.title) == tuple(PAIRS)
    assert [(pair.model, pair.partner) for pair in library.pairs] == [("dynint", "lr"), ("fm", "twin")]
    assert library.pairs[0].tests == comparison.model("dynint").tests
    expected = metrics.paired_test_over_seeds(labels, runs["dynint"], runs["twin"], replicates=150, seed=4)["auc"]
    assert static.pairs[0].tests["auc"].standard_error == pytest.approx(expected.standard_error, rel=1e-9)
    assert static.pairs[0].adjusted_p_values["auc"] == static.pairs[0].tests["auc"].p_value  # one pair
    both = [pair.tests["auc"].p_value for pair in library.pairs]
    assert [pair.adjusted_p_values["auc"] for pair in library.pairs] == metrics.holm_adjusted(both)
    assert static.mean == static.pairs[0].tests


def test_mean_over_pairs_counts_rows_and_seeds_of_each_model_once(inputs) -> None:
    labels, _, runs = inputs
    models = {"a": runs["dynint"], "b": runs["lr"], "shared": runs["twin"]}
    pairs = {"partners": {"a": "shared", "b": "shared"}}
    (group,) = compare(labels, models, reference="a", pairs=pairs, replicates=400, seed=1).paired
    test, values = group.mean["auc"], {name: [metrics.auc(labels, z) for z in of] for name, of in models.items()}
    means = {name: np.mean(of) for name, of in values.items()}
    assert test.difference == pytest.approx((means["a"] + means["b"]) / 2 - means["shared"], rel=1e-9)
    seeds = sum(
        share**2 * np.var(values[name], ddof=1) / len(values[name])
        for name, share in (("a", 0.5), ("b", 0.5), ("shared", 1.0))
    )
    # The rows' part, from resamples of its own.
    generator = np.random.default_rng(7)
    drawn = []
    for _ in range(400):
        rows = generator.integers(0, ROWS, ROWS)
        auc = {name: np.mean([metrics.auc(labels[rows], z[rows]) for z in of]) for name, of in models.items()}
        drawn.append((auc["a"] + auc["b"]) / 2 - auc["shared"])
    assert test.standard_error == pytest.approx(np.sqrt(seeds + np.var(drawn)), rel=0.1)
    assert test.covers_seeds


def test_text_of_pairs(paired) -> None:
    text = paired.to_text(["auc"])
    assert "each model minus another library's; p adjusted by Holm's rule for 2 tests a metric" in text
    assert "each model minus the static one; p adjusted by Holm's rule for 1 test a metric" in text
    assert text.count("mean of 2") == 1 and "none here" not in text


def test_it_tells_apart_what_differs(comparison) -> None:
    assert comparison.model("dynint").adjusted_p_values["log_loss"] < 0.01
    assert comparison.model("dynint").tests["auc"].lower > 0.0
    assert comparison.model("twin").adjusted_p_values["auc"] > 0.05
    assert not comparison.model("fm").tests["auc"].covers_seeds


def test_runs_may_come_as_an_array_or_a_column(inputs) -> None:
    labels, _, runs = inputs
    as_lists = compare(labels, {"a": runs["lr"], "b": [runs["fm"][0]]}, reference="a", replicates=40)
    as_arrays = compare(labels, {"a": np.stack(runs["lr"]), "b": runs["fm"][0][:, None]}, reference="a", replicates=40)
    assert as_arrays.to_json() == as_lists.to_json()
    assert as_arrays.model("a").runs == 3


def test_json_round_trip_of_pairs(paired) -> None:
    assert Comparison.from_json(paired.to_json()) == paired


def test_json_round_trip(comparison) -> None:
    again = Comparison.from_json(comparison.to_json())
    assert again == comparison
    assert again.to_text() == comparison.to_text()


def test_text(comparison) -> None:
    text = comparison.to_text(["auc", "calibration_ratio"])
    assert "difference to lr on the same rows; p adjusted by Holm's rule for 3 tests a metric" in text
    rows = [line.split() for line in text.splitlines()]
    line = next(row for row in rows if row[:1] == ["dynint"])
    assert line[1:3] == ["3", f"{comparison.model('dynint').metrics['auc'].value:.4f}"]
    assert f"{comparison.model('dynint').tests['auc'].difference:+.5f}" in line
    assert text.rstrip().endswith("training seeds: fm")
    with pytest.raises(ValueError, match="Did you mean 'log_loss'"):
        comparison.to_text(["logloss"])


def test_bad_input(inputs, comparison) -> None:
    labels, _, runs = inputs
    with pytest.raises(ValueError, match="reference model: 'dynin'. Did you mean 'dynint'"):
        compare(labels, runs, reference="dynin", replicates=40)
    with pytest.raises(ValueError, match="model of a pair: 'twn'. Did you mean 'twin'"):
        compare(labels, runs, reference="lr", pairs={"others": {"fm": "twn"}}, replicates=40)
    with pytest.raises(ValueError, match="'lr' has no run"):
        compare(labels, {"lr": []}, reference="lr", replicates=40)
    with pytest.raises(ValueError, match="1200 labels, 3 logits of lr, run 1"):
        compare(labels, {"lr": [runs["lr"][0], [0.0, 1.0, 2.0]]}, reference="lr", replicates=40)
    with pytest.raises(ValueError, match="at least one model"):
        compare(labels, {}, reference="lr")
    with pytest.raises(ValueError, match="Did you mean 'dynint'"):
        comparison.model("dynit")
    plain = json.loads(comparison.to_json())
    plain["models"][0]["nam"] = plain["models"][0].pop("name")
    with pytest.raises(ValueError, match="Did you mean 'name'"):
        Comparison.from_json(json.dumps(plain))
