"""Numbers to bins, and bins to ids, as one Keras layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import FIRST_VALUE_OFFSET, MISSING_OFFSET, UNKNOWN_OFFSET
from dynctr_tf.encoding.number_bins import FIRST_LOGARITHMIC_BIN, OUTERMOST_BIN
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import BINNINGS


def numeric_bins(values: Any, binning: str, boundaries: Sequence[float] = ()) -> tf.Tensor:
    """Puts numbers into bins.

    The numbers are read as float32, and the bins are computed in float64. No edge of a logarithmic bin is a float32
    number, and the nearest float32 number is farther from it than the rounding error of float64. So NumPy, the CPU and
    an accelerator agree on every number.

    * `"log_squared"`: floor(v) for v <= 2, and 3 + floor(ln(v)^2) for v > 2.
    * `"log_squared_plus_one"`: floor(ln(v^2 + 1)).
    * `"log_of_square"`: floor(ln(v^2)); 0, whose logarithm is not a number, has the lowest bin to itself.
    * `"quantile"`: how many boundaries are at or below v.

    Args:
        values: Numbers of any shape; NaN, a missing number, has bin 0 here, and the caller finds it.
        binning: One of the above.
        boundaries: The boundaries of quantile bins, ascending. Default none.

    Returns:
        int64, of the shape of `values`.

    Raises:
        ValueError: An unknown binning.

    Example:

    >>> numeric_bins([0.0, 2.0, 3.0, 100.0], "log_squared").numpy().tolist()
    [0, 2, 4, 24]
    """
    if binning not in BINNINGS:
        raise ValueError(unknown_name_message("binning", binning, BINNINGS))
    single = tf.cast(values, tf.float32)
    single = tf.where(tf.math.is_nan(single), tf.zeros_like(single), single)
    if binning == "quantile":
        edges = tf.constant(np.asarray(boundaries, np.float32))
        return tf.reshape(
            tf.searchsorted(edges, tf.reshape(single, [-1]), side="right", out_type=tf.int64), tf.shape(single)
        )
    double = tf.cast(single, tf.float64)
    if binning == "log_squared":
        logarithm = tf.math.log(tf.maximum(double, 2.0))
        bins = tf.where(double > 2.0, FIRST_LOGARITHMIC_BIN + tf.floor(tf.square(logarithm)), tf.floor(double))
    elif binning == "log_squared_plus_one":
        bins = tf.floor(tf.math.log(tf.square(double) + 1.0))
    else:
        bins = tf.floor(tf.math.log(tf.square(double)))
    return tf.cast(tf.clip_by_value(bins, -OUTERMOST_BIN, OUTERMOST_BIN), tf.int64)


@stack.serializable
class NumericBinning(keras.layers.Layer):
    """Turns numbers into ids of bins: 0 missing, 1 a bin not seen when the bins were fitted, 2, 3, ... the bins.

    Use it for numeric features whose effect is not linear, as nearly all are in click logs; counts
    with long tails need a logarithmic rule, anything else `"quantile"`.

    ```
    log_squared            bin(v) = floor(v)              for v <= 2
                           bin(v) = 3 + floor(ln(v)^2)    for v > 2
    log_squared_plus_one   bin(v) = floor(ln(v^2 + 1))
    log_of_square          bin(v) = floor(ln(v^2)), -2^53 for v = 0
    quantile               bin(v) = |{b in boundaries: b <= v}|
    id(v)                  = 2 + place of bin(v) among the fitted bins, 1 where it is not among them, 0 for NaN
    ```

    Args:
        binning: The rule, string. Default `"log_squared"`.
        bins: The fitted bins, distinct whole numbers in ascending order. Default none: every number has an unseen bin.
        boundaries: The boundaries of quantile bins, distinct numbers in ascending order. Default none.
        name: The layer's name, string. Default `None`: chosen by Keras.
        dtype: Keras gives it when it loads the layer; numbers are always read as float32. Default `None`.

    Call arguments:
        values: Numbers, NaN where missing; any dtype that casts to float32.

    Input shape:
        Any.

    Output shape:
        As the input, int32.

    Raises:
        ValueError: An unknown binning, bins or boundaries that do not ascend, or boundaries for another rule
            than `"quantile"`.

    Cost:
        No trained parameter; one logarithm and a binary search among the bins for each number.

    Example:

    >>> layer = NumericBinning("log_squared", bins=(0, 1, 2, 4))
    >>> layer(np.array([np.nan, 0.0, 1.5, 3.0, 1e6])).numpy().tolist()
    [0, 2, 3, 5, 1]

    Reference:
        The first three are readings of the rounding of xDeepInt and DynInt, which the papers print as floor(Log(V^2)).
        The first is the rule of the winners of the 2014 Criteo competition, which the papers follow; the second is that
        of the author's code; the third is the printed formula. The bins of some numbers:

        | v                    | -1 | 0      | 0.5 | 1 | 2 | 3 | 10 | 100 | 1000 |
        |----------------------|----|--------|-----|---|---|---|----|-----|------|
        | log_squared          | -1 | 0      | 0   | 1 | 2 | 4 | 8  | 24  | 50   |
        | log_squared_plus_one | 0  | 0      | 0   | 0 | 1 | 2 | 4  | 9   | 13   |
        | log_of_square        | 0  | lowest | -2  | 0 | 1 | 2 | 4  | 9   | 13   |

        The winners give the bins of v <= 2 a prefix that keeps them apart from those of v > 2; here those of v > 2
        begin with 3, to the same effect. Quantiles, the unseen bin and the id of a missing number are ours.
    """

    def __init__(
        self,
        binning: str = "log_squared",
        bins: Sequence[int] = (),
        boundaries: Sequence[float] = (),
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        # Under a mixed policy Keras would round the numbers to 16 bits before `call` sees them.
        super().__init__(name=name, dtype=dtype, autocast=False, **kwargs)
        if binning not in BINNINGS:
            raise ValueError(unknown_name_message("binning", binning, BINNINGS))
        if len(boundaries) and binning != "quantile":
            raise ValueError(f"Only the binning 'quantile' has boundaries, got {len(boundaries)} for {binning!r}.")
        for what, ascending in (("bins", bins), ("boundaries", boundaries)):
            if any(right <= left for left, right in zip(ascending, ascending[1:], strict=False)):
                raise ValueError(f"The {what} must be distinct and ascending, got {list(ascending)[:20]}.")
        self.binning = binning
        self.bins = tuple(int(value) for value in bins)
        self.boundaries = tuple(float(value) for value in boundaries)

    def build(self, input_shape: Any) -> None:
        """Makes no weights."""
        self.built = True

    def call(self, values: Any) -> tf.Tensor:
        single = tf.cast(values, tf.float32)
        missing = tf.math.is_nan(single)
        if not self.bins:
            ids = tf.fill(tf.shape(single), UNKNOWN_OFFSET)
        else:
            found = numeric_bins(single, self.binning, self.boundaries)
            bins = tf.constant(self.bins, tf.int64)
            place = tf.searchsorted(bins, tf.reshape(found, [-1]))
            place = tf.reshape(tf.minimum(place, len(self.bins) - 1), tf.shape(single))
            ids = tf.where(tf.gather(bins, place) == found, place + FIRST_VALUE_OFFSET, UNKNOWN_OFFSET)
        ids = tf.where(missing, MISSING_OFFSET, ids)
        return tf.ensure_shape(ids, single.shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "binning": self.binning,
            "bins": list(self.bins),
            "boundaries": list(self.boundaries),
        }
