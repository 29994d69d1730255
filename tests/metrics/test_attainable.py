from __future__ import annotations

import math

import numpy as np
import pytest

from dynctr_tf.metrics import (
    attainable_gain_share,
    auc,
    base_rate_log_loss,
    expected_auc,
    expected_log_loss,
    log_loss,
    oracle_logits,
)


def some_rows(rows: int = 300, seed: int = 0):
    generator = np.random.default_rng(seed)
    true_logits = generator.normal(-1.0, 1.5, rows)
    p = 1.0 / (1.0 + np.exp(-true_logits))
    return generator, p, true_logits + generator.normal(0.0, 0.8, rows), generator.random(rows) + 0.2


def test_oracle_logits() -> None:
    np.testing.assert_allclose(oracle_logits([0.25, 0.5, 0.9]), np.log([1 / 3, 1.0, 9.0]), atol=1e-15)
    certain = oracle_logits([0.0, 1.0])
    assert np.isfinite(certain).all()
    assert log_loss([0, 1], certain) < 1e-15


def test_expected_log_loss_by_hand() -> None:
    # A click with 1/4, answered 1/2.
    assert expected_log_loss([0.25], [0.0]) == pytest.approx(math.log(2.0), rel=1e-15)
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert expected_log_loss([0.25, 0.0, 1.0], weights=[1.0, 1.0, 2.0]) == pytest.approx(entropy / 4, rel=1e-14)


def test_expectations_are_means_over_labels() -> None:
    generator, p, logits, weights = some_rows()
    losses, aucs = [], []
    for _ in range(2000):
        labels = generator.random(p.size) < p
        losses.append(log_loss(labels, logits, weights))
        aucs.append(auc(labels, logits, weights))
    for samples, expected in (
        (losses, expected_log_loss(p, logits, weights)),
        (aucs, expected_auc(p, logits, weights)),
    ):
        assert abs(np.mean(samples) - expected) < 4.0 * np.std(samples) / math.sqrt(2000)


def test_expected_auc_is_the_sum_over_pairs() -> None:
    _, p, logits, weights = some_rows(40)
    logits = logits.round(0)
    right = total = 0.0
    for i in range(40):
        for j in range(40):
            if i != j:
                pair = weights[i] * weights[j] * p[i] * (1.0 - p[j])
                total += pair
                right += pair * ((logits[i] > logits[j]) + 0.5 * (logits[i] == logits[j]))
    assert expected_auc(p, logits, weights) == pytest.approx(right / total, rel=1e-12)
    assert math.isnan(expected_auc([0.3]))


def test_no_model_expects_more_than_the_best() -> None:
    _, p, logits, _ = some_rows()
    assert expected_log_loss(p) == pytest.approx(expected_log_loss(p, oracle_logits(p)), rel=1e-12)
    assert expected_log_loss(p) < expected_log_loss(p, logits)
    assert expected_auc(p) == pytest.approx(expected_auc(p, oracle_logits(p)), rel=1e-12)
    assert expected_auc(p) > expected_auc(p, logits)


def test_base_rate_log_loss_is_that_of_the_constant() -> None:
    generator, p, _, weights = some_rows()
    labels = generator.random(p.size) < p
    constant = np.full(p.size, math.log(0.2 / 0.8))
    assert base_rate_log_loss(labels, 0.2, weights) == pytest.approx(log_loss(labels, constant, weights), rel=1e-12)


def test_share_of_the_attainable_gain() -> None:
    generator, p, logits, weights = some_rows()
    labels = generator.random(p.size) < p
    constant = np.full(p.size, math.log(0.3 / 0.7))
    assert attainable_gain_share(labels, oracle_logits(p), p, 0.3, weights) == pytest.approx(1.0, rel=1e-12)
    assert attainable_gain_share(labels, constant, p, 0.3, weights) == pytest.approx(0.0, abs=1e-10)
    base, best = log_loss(labels, constant, weights), log_loss(labels, oracle_logits(p), weights)
    share = (base - log_loss(labels, logits, weights)) / (base - best)
    assert attainable_gain_share(labels, logits, p, 0.3, weights) == pytest.approx(share, rel=1e-12)
    assert 0.0 < share < 1.0


def test_nothing_to_gain() -> None:
    assert math.isnan(attainable_gain_share([1, 0], [1.0, -1.0], [0.5, 0.5], 0.5))


def test_bad_probabilities() -> None:
    with pytest.raises(ValueError, match=r"true_probability must be from 0 to 1; 1 of 2 .* 1.5 in row 1"):
        expected_log_loss([0.2, 1.5])
    with pytest.raises(ValueError, match="contradicts the labels in 1 rows, the first is row 1"):
        attainable_gain_share([0, 1], [0.0, 0.0], [0.5, 0.0], 0.5)
    with pytest.raises(ValueError, match="2 labels, 3 true_probability"):
        attainable_gain_share([0, 1], [0.0, 0.0], [0.5, 0.1, 0.2], 0.5)
    with pytest.raises(ValueError, match="base_rate"):
        base_rate_log_loss([0, 1], 0.0)
