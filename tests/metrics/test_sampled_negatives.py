"""Sampled negatives: the formula, and metrics on sampled rows that are those of all rows."""

import numpy as np
import pytest

from dynctr_tf.metrics import auc, calibration_ratio, log_loss
from dynctr_tf.metrics.sampled_negatives import all_negatives, sampling_offset


def test_the_formula_of_the_paper():
    p, w = 0.3, 0.1
    corrected = 1.0 / (1.0 + np.exp(-(np.log(p / (1 - p)) + sampling_offset(w))))
    assert corrected == pytest.approx(p / (p + (1 - p) / w), rel=1e-12)
    assert sampling_offset(1.0) == 0.0
    for rate in (0.0, 1.5, True, "0.1", float("nan")):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            sampling_offset(rate)


def test_metrics_of_sampled_rows_are_those_of_all_rows():
    generator = np.random.default_rng(0)
    logits = generator.normal(-3.0, 1.0, 400_000)
    labels = (generator.uniform(size=logits.size) < 1.0 / (1.0 + np.exp(-logits))).astype(float)
    kept = (labels == 1.0) | (generator.uniform(size=logits.size) < 0.1)
    rows = all_negatives(labels[kept], logits[kept] - np.log(0.1), rate=0.1)
    assert kept.sum() < 75_000
    assert log_loss(*rows) == pytest.approx(log_loss(labels, logits), rel=0.01)
    assert auc(*rows) == pytest.approx(auc(labels, logits), abs=0.003)
    assert calibration_ratio(*rows) == pytest.approx(1.0, abs=0.02)


def test_soft_labels_are_clicks_and_others_in_part():
    rows = all_negatives([0.25], [1.0], [2.0], rate=0.5)
    # A click of weight .5 and 1.5 without one, of which each stands for two.
    assert (rows.labels * rows.weights)[0] == pytest.approx(0.5) and rows.weights[0] == pytest.approx(3.5)
