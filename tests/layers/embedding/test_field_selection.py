"""Some fields of a field map, or some columns of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.layers import FieldSelection

X = np.arange(2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, X),
        ({"positions": [1, 2]}, X[:, 1:3]),  # in a row: a slice
        ({"positions": [3, 0, 0]}, X[:, [3, 0, 0]]),
        ({"start": 1}, X[:, :, 1:]),
        ({"positions": [2], "stop": 2}, X[:, 2:3, :2]),
    ],
)
def test_it_takes_rows_and_columns(options: dict[str, Any], expected: np.ndarray) -> None:
    layer = FieldSelection(**options)
    np.testing.assert_array_equal(layer(tf.constant(X)).numpy(), expected)
    assert tuple(layer.compute_output_shape((None, 4, 3))) == (None, *expected.shape[1:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": []}, "one or more rows"),
        ({"positions": [4]}, "There are 4 fields"),
        ({"start": 2, "stop": 2}, "There are 3 columns"),
        ({"stop": 4}, "There are 3 columns"),
    ],
)
def test_what_there_is_not_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FieldSelection(**options)(tf.constant(X))
