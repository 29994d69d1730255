"""Exact metrics of CTR models on logits, in float64, with confidence intervals and paired tests.

Labels come first, then logits, as NumPy arrays or anything that becomes one; nothing here needs TensorFlow:

>>> from dynctr_tf import metrics
>>> metrics.auc([1, 0, 1, 0], [2.0, 1.0, 1.5, -1.0])
1.0
"""

from __future__ import annotations

from dynctr_tf.metrics.attainable import (
    attainable_gain_share,
    base_rate_log_loss,
    expected_auc,
    expected_log_loss,
    oracle_logits,
)
from dynctr_tf.metrics.bootstrap import Bootstrap, Estimate, bootstrap_intervals, bootstrap_metrics
from dynctr_tf.metrics.calibration import (
    LogitHistogram,
    ReliabilityCurve,
    calibration_error_floor,
    calibration_ratio,
    expected_calibration_error,
    logit_histogram,
    reliability_curve,
)
from dynctr_tf.metrics.likelihood import log_loss, normalized_entropy
from dynctr_tf.metrics.paired import (
    PairedTest,
    delong_covariance,
    delong_test,
    holm_adjusted,
    paired_bootstrap_tests,
    paired_test_over_seeds,
)
from dynctr_tf.metrics.ranking import GroupedAUC, auc, grouped_auc
from dynctr_tf.metrics.sampled_negatives import all_negatives, sampling_offset

__all__ = [
    "Bootstrap",
    "Estimate",
    "GroupedAUC",
    "LogitHistogram",
    "PairedTest",
    "ReliabilityCurve",
    "all_negatives",
    "attainable_gain_share",
    "auc",
    "base_rate_log_loss",
    "bootstrap_metrics",
    "bootstrap_intervals",
    "calibration_error_floor",
    "calibration_ratio",
    "delong_covariance",
    "delong_test",
    "expected_auc",
    "expected_calibration_error",
    "expected_log_loss",
    "grouped_auc",
    "holm_adjusted",
    "log_loss",
    "logit_histogram",
    "normalized_entropy",
    "oracle_logits",
    "paired_bootstrap_tests",
    "paired_test_over_seeds",
    "reliability_curve",
    "sampling_offset",
]
