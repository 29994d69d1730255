from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from dynctr_tf.metrics import log_loss, normalized_entropy


def test_log_loss_by_hand() -> None:
    # Probabilities 3/4, 1/2, 1/5: a click, a click, no click.
    logits = [math.log(3.0), 0.0, math.log(0.25)]
    expected = -(math.log(0.75) + math.log(0.5) + math.log(0.8)) / 3.0
    assert log_loss([1, 1, 0], logits) == pytest.approx(expected, rel=1e-15)


def test_log_loss_of_extreme_logits_is_neither_clipped_nor_lost() -> None:
    assert log_loss([1, 0], [-800.0, 800.0]) == 800.0
    assert log_loss([1], [50.0]) == pytest.approx(math.exp(-50.0), rel=1e-12)
    assert log_loss([0], [-50.0]) == pytest.approx(math.exp(-50.0), rel=1e-12)


def test_float32_columns_as_a_model_gives_them() -> None:
    labels = np.array([1, 0, 1], dtype=np.float32)
    logits = np.array([[0.5], [-1.0], [2.0]], dtype=np.float32)
    assert log_loss(labels, logits) == log_loss(labels.astype(bool), logits[:, 0].astype(np.float64))


def test_whole_weights_are_repeated_rows() -> None:
    generator = np.random.default_rng(0)
    labels, logits, weights = (
        generator.integers(0, 2, 50),
        generator.normal(size=50),
        generator.integers(0, 4, 50),
    )
    repeated = np.repeat(np.arange(50), weights)
    for metric in (log_loss, normalized_entropy):
        assert metric(labels, logits, weights) == pytest.approx(metric(labels[repeated], logits[repeated]), rel=1e-13)


def test_normalized_entropy_by_hand() -> None:
    # One click of four, answered 1/2 everywhere, against the entropy of 1/4 and against a base rate of 1/10.
    labels, logits = [1, 0, 0, 0], [0.0] * 4
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert normalized_entropy(labels, logits) == pytest.approx(math.log(2.0) / entropy, rel=1e-14)
    base = -(0.25 * math.log(0.1) + 0.75 * math.log(0.9))
    assert normalized_entropy(labels, logits, base_rate=0.1) == pytest.approx(math.log(2.0) / base, rel=1e-14)


def test_normalized_entropy_of_the_click_rate_is_one() -> None:
    labels = np.arange(100) < 7
    assert normalized_entropy(labels, np.full(100, math.log(7 / 93))) == pytest.approx(1.0, rel=1e-14)


def test_normalized_entropy_of_one_class_is_undefined() -> None:
    assert math.isnan(normalized_entropy([0, 0], [1.0, -1.0]))
    assert normalized_entropy([0, 0], [1.0, -1.0], base_rate=0.5) > 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 0], [0.1, math.nan]), "logits must be finite; 1 of 2 .* row 1"),
        (([1, 0], [math.inf, 0.0]), "logits must be finite"),
        (([0.3, 0.9], [1, 0]), "labels must be 0 or 1; 2 of 2 .* wrong order"),
        (([1, 0], [0.1, 0.2, 0.3]), "2 labels, 3 logits"),
        (([1, 0], [[0.1, 0.2], [0.3, 0.4]]), r"shape \(rows,\) or \(rows, 1\), got \(2, 2\)"),
        (([], []), "labels are empty"),
        (([1, 0], [0.1, 0.2], [1.0, -1.0]), "weights must not be negative, got -1.0 in row 1"),
        (([1, 0], [0.1, 0.2], [0.0, 0.0]), "weights are all zero"),
        (([1, 0], [0.1, 0.2], [1.0]), "2 labels, 1 weights"),
        ((["a", "b"], [0.1, 0.2]), "labels must be numbers"),
    ],
)
def test_bad_input_says_what_came(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        log_loss(*arguments)


def test_base_rate_must_be_a_rate() -> None:
    with pytest.raises(ValueError, match="base_rate .* got 1.5"):
        normalized_entropy([1, 0], [0.0, 0.0], base_rate=1.5)


def test_metrics_need_no_tensorflow() -> None:
    code = "import sys, dynctr_tf.metrics; print('tensorflow' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"
