"""Labels between 0 and 1: a row of label y is a click of weight y and a row without one of weight 1 - y."""

import numpy as np
import pytest

from dynctr_tf.metrics import (
    auc,
    bootstrap_metrics,
    calibration_ratio,
    delong_covariance,
    grouped_auc,
    log_loss,
    normalized_entropy,
)


def soft_rows():
    """Soft labels with ties and weights, and the same rows taken apart into clicks and rows without one."""
    random = np.random.default_rng(0)
    labels = np.round(random.random(400), 1)
    logits = np.round(random.normal(size=400) + labels, 1)
    weights = random.random(400)
    groups = random.integers(0, 5, 400)
    hard = np.concatenate([np.ones(400), np.zeros(400)])
    shares = np.concatenate([weights * labels, weights * (1 - labels)])
    return labels, logits, weights, groups, hard, np.tile(logits, 2), shares, np.tile(groups, 2)


def test_every_metric_equals_that_of_the_rows_taken_apart():
    labels, logits, weights, groups, hard, logits2, shares, groups2 = soft_rows()
    for metric in (auc, log_loss, normalized_entropy, calibration_ratio):
        assert metric(labels, logits, weights) == pytest.approx(metric(hard, logits2, shares), rel=1e-12), metric
    found = grouped_auc(labels, logits, groups, weights)
    assert found.value == pytest.approx(grouped_auc(hard, logits2, groups2, shares).value, rel=1e-12)


def test_bootstrap_values_agree_and_delong_refuses():
    labels, logits, weights, _, hard, logits2, shares, _ = soft_rows()
    soft = bootstrap_metrics(labels, {"a": logits}, weights=weights, replicates=40, seed=0)
    apart = bootstrap_metrics(hard, {"a": logits2}, weights=shares, replicates=40, seed=0)
    for metric in ("auc", "log_loss"):
        i, j = soft.position("a", metric)
        assert soft.values[i, j] == pytest.approx(apart.values[i, j], rel=1e-12)
    with pytest.raises(ValueError, match="labels must be 0 or 1"):
        delong_covariance(labels, [logits])


def test_labels_and_logits_in_the_wrong_order_are_still_refused():
    with pytest.raises(ValueError, match="labels must be 0 or 1; 2 of 3 .* wrong order"):
        auc([0.3, 0.9, 1.0], [1, 0, 1])
    with pytest.raises(ValueError, match="labels must be 0 or 1"):
        auc([0.3, 1.9, 1.0], [0.5, 2.0, 1.0])
