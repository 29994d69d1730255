"""Numbers to bins with NumPy: the bins that `dynctr_tf.encoding.numeric_binning.numeric_bins` gives in a graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import BINNINGS

# Bins are whole numbers in float64 until they are looked up. Larger numbers share the outermost bin.
OUTERMOST_BIN = float(2**53)

FIRST_LOGARITHMIC_BIN = 3
"""The bin of v > 2 with floor(ln(v)^2) = 0. Numbers v <= 2 have the bins below it, up to 2."""


def bins_of_numbers(values: np.ndarray, binning: str, boundaries: Sequence[float] = ()) -> np.ndarray:
    """Puts numbers into bins, see `dynctr_tf.encoding.numeric_binning.numeric_bins`.

    Args:
        values: Numbers; they are read as float32, and NaN as 0.
        binning: The rule.
        boundaries: The boundaries of quantile bins, ascending. Default none.

    Raises:
        ValueError: An unknown binning.

    Example:

    >>> bins_of_numbers(np.array([0.0, 2.0, 3.0, 100.0]), "log_squared").tolist()
    [0, 2, 4, 24]
    """
    if binning not in BINNINGS:
        raise ValueError(unknown_name_message("binning", binning, BINNINGS))
    single = np.asarray(values, np.float32)
    single = np.where(np.isnan(single), np.float32(0), single)
    if binning == "quantile":
        return np.searchsorted(np.asarray(boundaries, np.float32), single, side="right").astype(np.int64)
    double = single.astype(np.float64)
    with np.errstate(divide="ignore", over="ignore"):
        if binning == "log_squared":
            logarithm = np.log(np.maximum(double, 2.0))
            bins = np.where(double > 2.0, FIRST_LOGARITHMIC_BIN + np.floor(np.square(logarithm)), np.floor(double))
        elif binning == "log_squared_plus_one":
            bins = np.floor(np.log(np.square(double) + 1.0))
        else:
            bins = np.floor(np.log(np.square(double)))
    return np.clip(bins, -OUTERMOST_BIN, OUTERMOST_BIN).astype(np.int64)
