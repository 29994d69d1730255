"""Bins against the rules written out, at every edge, and against NumPy."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.encoding.number_bins import bins_of_numbers
from dynctr_tf.encoding.numeric_binning import NumericBinning, numeric_bins


def edge_neighbours(edge: Decimal) -> tuple[np.float32, np.float32]:
    """The float32 numbers next below and next above a real number."""
    near = np.float32(float(edge))
    if Decimal(float(near)) < edge:
        return near, np.nextafter(near, np.float32(np.inf))
    return np.nextafter(near, np.float32(-np.inf)), near


@pytest.mark.parametrize("rule", ["log_squared", "log_squared_plus_one", "log_of_square"])
def test_bins_are_exact_at_both_sides_of_every_edge(rule: str) -> None:
    below, above, bins = [], [], []
    with localcontext() as context:
        context.prec = 60
        for number in range(1, 400):
            root = Decimal(number).sqrt()
            if rule == "log_squared":
                edge = root.exp()
            else:
                edge = (Decimal(number).exp() - (rule == "log_squared_plus_one")).sqrt()
            if edge > Decimal(10) ** 37 or (rule == "log_squared" and edge <= 2):
                continue
            left, right = edge_neighbours(edge)
            below.append(left)
            above.append(right)
            bins.append(number + (3 if rule == "log_squared" else 0))
    assert len(bins) > 150
    np.testing.assert_array_equal(numeric_bins(np.array(below), rule), np.array(bins) - 1)
    np.testing.assert_array_equal(numeric_bins(np.array(above), rule), bins)
    # NumPy's logarithm, by which rows are prepared, need not be the graph's to the last bit; the bins are.
    np.testing.assert_array_equal(bins_of_numbers(np.array(below), rule), np.array(bins) - 1)
    np.testing.assert_array_equal(bins_of_numbers(np.array(above), rule), bins)


def test_small_numbers_keep_their_floor_and_share_no_bin_with_large_ones() -> None:
    values = [-7.5, -1.0, -0.5, 0.0, 0.9, 1.0, 2.0, np.nextafter(np.float32(2), np.float32(3)), 2.7, 2.8, 5.0]
    # floor(ln(v)^2) is 0 up to e = 2.718..., and 1 up to e^sqrt(2) = 4.11...
    assert numeric_bins(values, "log_squared").numpy().tolist() == [-8, -1, -1, 0, 0, 1, 2, 3, 3, 4, 5]


def test_the_table_of_the_docstring() -> None:
    doc = NumericBinning.__doc__ or ""
    values = [float(cell) for cell in next(line for line in doc.splitlines() if "| v " in line).split("|")[2:-1]]
    for rule in ("log_squared", "log_squared_plus_one", "log_of_square"):
        line = next(line for line in doc.splitlines() if line.strip().startswith(f"| {rule} "))
        printed = [-(2**53) if "lowest" in cell else int(cell) for cell in line.split("|")[2:-1]]
        assert numeric_bins(values, rule).numpy().tolist() == printed


@pytest.mark.parametrize("rule", ["log_squared", "log_squared_plus_one", "log_of_square"])
def test_tensorflow_and_numpy_give_the_same_bins(rule: str) -> None:
    random = np.random.default_rng(0)
    wide = np.exp(random.normal(0, 20, 9_999))
    values = np.concatenate([random.standard_cauchy(20_000) * 100, random.integers(-5, 100_000, 20_000), wide])
    values = values.astype(np.float32)
    exact = values.astype(np.float64)
    if rule == "log_squared":
        expected = np.where(exact > 2, 3 + np.floor(np.log(np.maximum(exact, 2)) ** 2), np.floor(exact))
    else:
        with np.errstate(divide="ignore"):
            expected = np.floor(np.log(exact**2 + (rule == "log_squared_plus_one")))
    eager = numeric_bins(values, rule).numpy()
    graph = tf.function(lambda v: numeric_bins(v, rule))(tf.constant(values)).numpy()
    np.testing.assert_array_equal(eager, np.clip(expected, -(2.0**53), 2.0**53))
    np.testing.assert_array_equal(graph, eager)


def test_a_number_is_taken_at_float32_as_serving_does() -> None:
    nearly_three = 3.0 - 1e-12
    assert math.floor(nearly_three) == 2
    layer = NumericBinning("quantile", bins=(0, 1), boundaries=(3.0,))
    np.testing.assert_array_equal(layer(np.array([nearly_three])), layer(np.array([3.0], np.float32)))


def test_quantile_bins_count_the_boundaries_at_or_below() -> None:
    bins = numeric_bins([[-1.0, 0.0], [0.5, 9.0]], "quantile", (0.0, 1.0)).numpy()
    assert bins.tolist() == [[0, 1], [1, 2]]


def test_ids_of_missing_unseen_and_fitted_bins() -> None:
    layer = NumericBinning("log_squared", bins=(-2, 0, 1, 27))
    ids = layer(np.array([math.nan, -1.5, 0.2, 1.0, 2.0, math.exp(math.sqrt(24.5)), math.inf, -math.inf]))
    assert ids.dtype == tf.int32
    assert ids.numpy().tolist() == [0, 2, 3, 4, 1, 5, 1, 1]
    assert NumericBinning()(np.array([1.0, math.nan])).numpy().tolist() == [1, 0], "nothing fitted: all unseen"


def test_a_mixed_policy_does_not_round_the_numbers() -> None:
    values = np.array([1001.0, 1003.0], np.float32)  # one number in bfloat16
    plain = NumericBinning("quantile", bins=(0, 1), boundaries=(1002.0,))
    mixed = NumericBinning("quantile", bins=(0, 1), boundaries=(1002.0,), dtype="mixed_bfloat16")
    assert plain(values).numpy().tolist() == mixed(values).numpy().tolist() == [2, 3]


def test_configuration_round_trip() -> None:
    layer = NumericBinning("quantile", bins=(0, 1, 2), boundaries=(1e-7, 0.25), name="own")
    again = NumericBinning.from_config(layer.get_config())
    assert (again.binning, again.bins, again.boundaries, again.name) == ("quantile", (0, 1, 2), (1e-7, 0.25), "own")


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="Did you mean 'log_squared'"):
        NumericBinning("log_square")
    with pytest.raises(ValueError, match="Did you mean 'quantile'"):
        numeric_bins([1.0], "quantiles")
    with pytest.raises(ValueError, match="ascending"):
        NumericBinning(bins=(1, 1))
    with pytest.raises(ValueError, match="ascending"):
        NumericBinning("quantile", boundaries=(2.0, 1.0))
    with pytest.raises(ValueError, match="Only the binning 'quantile'"):
        NumericBinning("log_squared", boundaries=(2.0,))
