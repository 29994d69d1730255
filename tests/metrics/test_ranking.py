from __future__ import annotations

import math

import numpy as np
import pytest

from dynctr_tf.metrics import auc, grouped_auc


def auc_over_pairs(labels, logits, weights=None) -> float:
    weights = np.ones(len(labels)) if weights is None else weights
    right = total = 0.0
    for i in range(len(labels)):
        for j in range(len(labels)):
            if labels[i] == 1 and labels[j] == 0:
                pair = weights[i] * weights[j]
                total += pair
                right += pair * (1.0 if logits[i] > logits[j] else 0.5 if logits[i] == logits[j] else 0.0)
    return right / total


def rows_with_ties(seed: int, rows: int = 80):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, rows)
    logits = generator.normal(labels * 0.7).round(1)
    return labels, logits, generator.random(rows) + 0.1


def test_auc_by_hand() -> None:
    assert auc([1, 0, 1, 0], [2.0, 1.0, 1.5, -1.0]) == 1.0
    assert auc([0, 1], [1.0, 0.0]) == 0.0
    assert auc([0, 1, 1, 0], [0.0, 0.0, 0.0, 0.0]) == 0.5
    assert auc([1, 0, 1, 0], [2.0, 1.0, 1.0, -1.0]) == 0.875  # 3.5 of 4 pairs


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_that_over_all_pairs(seed: int) -> None:
    labels, logits, weights = rows_with_ties(seed)
    assert len(np.unique(logits)) < len(logits)
    assert auc(labels, logits) == pytest.approx(auc_over_pairs(labels, logits), rel=1e-13)
    assert auc(labels, logits, weights) == pytest.approx(auc_over_pairs(labels, logits, weights), rel=1e-13)


def test_whole_weights_are_repeated_rows() -> None:
    labels, logits, _ = rows_with_ties(7)
    weights = np.random.default_rng(0).integers(0, 4, labels.size)
    repeated = np.repeat(np.arange(labels.size), weights)
    assert auc(labels, logits, weights) == pytest.approx(auc(labels[repeated], logits[repeated]), rel=1e-13)


def test_auc_knows_order_alone() -> None:
    labels, logits, weights = rows_with_ties(3)
    expected = auc(labels, logits, weights)
    assert auc(labels, 5.0 * logits - 2.0, weights) == expected
    assert auc(labels, -logits, weights) == pytest.approx(1.0 - expected, rel=1e-13)
    assert auc(1 - labels, logits, weights) == pytest.approx(1.0 - expected, rel=1e-13)
    shuffled = np.random.default_rng(1).permutation(labels.size)
    assert auc(labels[shuffled], logits[shuffled], weights[shuffled]) == pytest.approx(expected, rel=1e-13)


def test_auc_sees_differences_that_a_probability_in_float32_does_not() -> None:
    assert auc([1, 0], [40.5, 40.0]) == 1.0


def test_auc_of_one_class_is_undefined() -> None:
    assert math.isnan(auc([1, 1], [0.0, 1.0]))
    assert math.isnan(auc([1, 0], [0.0, 1.0], [1.0, 0.0]))  # the other class does not count


def grouped_by_loop(labels, logits, groups, weights):
    total = mass = 0.0
    for group in np.unique(groups):
        rows = groups == group
        if len(np.unique(labels[rows])) == 2:
            total += weights[rows].sum() * auc_over_pairs(labels[rows], logits[rows], weights[rows])
            mass += weights[rows].sum()
    return total / mass, 1.0 - mass / weights.sum()


@pytest.mark.parametrize("seed", range(5))
def test_grouped_auc_is_the_loop_over_groups(seed: int) -> None:
    labels, logits, weights = rows_with_ties(seed)
    groups = np.random.default_rng(seed).integers(0, 25, labels.size)
    result = grouped_auc(labels, logits, groups, weights)
    value, left_out = grouped_by_loop(labels, logits, groups, weights)
    assert result.value == pytest.approx(value, rel=1e-12)
    assert result.share_left_out == pytest.approx(left_out, abs=1e-12)
    assert 0.0 < result.share_left_out < 1.0
    assert result.groups == len(np.unique(groups)) > result.groups_used


def test_grouped_auc_ignores_what_tells_groups_apart() -> None:
    labels, logits, _ = rows_with_ties(2)
    groups = np.arange(labels.size) % 4
    shift = np.array([0.0, 100.0, -30.0, 7.0])[groups]
    names = np.array(["one", "two", "three", "four"])[groups]
    assert grouped_auc(labels, logits, groups).value == pytest.approx(
        grouped_auc(labels, (logits + shift).round(1), names).value, rel=1e-12
    )


def test_one_group_is_the_auc() -> None:
    labels, logits, weights = rows_with_ties(4)
    result = grouped_auc(labels, logits, np.zeros(labels.size), weights)
    assert result.value == pytest.approx(auc(labels, logits, weights), rel=1e-12)
    assert result[1:] == (1, 1, 0.0)


def test_no_group_with_both_classes() -> None:
    result = grouped_auc([1, 0, 1], [0.0, 1.0, 2.0], ["a", "b", "a"])
    assert math.isnan(result.value)
    assert (result.groups, result.groups_used, result.share_left_out) == (2, 0, 1.0)


def test_bad_groups() -> None:
    with pytest.raises(ValueError, match=r"groups must have the shape \(2,\).* got \(3,\)"):
        grouped_auc([1, 0], [0.0, 1.0], [1, 2, 3])
    with pytest.raises(ValueError, match="groups must not be NaN"):
        grouped_auc([1, 0], [0.0, 1.0], [1.0, math.nan])
