"""Cutting embeddings into pieces, and back."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from equations import Drawn

from dynctr_tf.layers import (
    FieldSumOutput,
    MergeSubspaces,
    PolynomialInteraction,
    SplitSubspaces,
)

floats = Drawn(3).floats


@pytest.mark.parametrize("fields_last", [True, False])
@pytest.mark.parametrize("h", [1, 2, 4])
def test_merging_undoes_splitting(h: int, fields_last: bool) -> None:
    x = floats(3, 5, 4)
    stacked = SplitSubspaces(h, fields_last=fields_last)(tf.constant(x))
    assert stacked.shape == ((3, 4 // h, 5 * h) if fields_last else (3, 5 * h, 4 // h))
    row_major = stacked.numpy().transpose(0, 2, 1) if fields_last else stacked.numpy()
    for n, f, s, j in np.ndindex(3, 5, h, 4 // h):
        assert row_major[n, f * h + s, j] == x[n, f, s * 4 // h + j]
    np.testing.assert_array_equal(MergeSubspaces(h, fields_last=fields_last)(stacked).numpy(), x)


def test_one_subspace_is_the_plain_layer() -> None:
    x0 = tf.constant(floats(3, 4, 6))
    layer = PolynomialInteraction()
    plain = layer([x0, x0]).numpy()
    stacked = SplitSubspaces(1)(x0)
    np.testing.assert_array_equal(plain, MergeSubspaces(1)(layer([stacked, stacked])).numpy())


def test_order_of_pieces_is_a_permutation_of_the_matrix() -> None:
    """The author's code puts all fields of the first piece first; W permuted alike gives the same output."""
    x, h, fields = floats(2, 3, 4), 2, 3
    ours = SplitSubspaces(h)(tf.constant(x))
    layer = PolynomialInteraction()
    output = MergeSubspaces(h)(layer([ours, ours])).numpy()
    theirs = np.concatenate(np.split(x, h, axis=2), axis=1)  # row s * fields + f
    order = [f * h + s for s in range(h) for f in range(fields)]
    kernel = layer.get_weights()[0][np.ix_(order, order)]
    crossed = theirs * (np.einsum("gf,ngd->nfd", kernel, theirs) + 1)
    merged = np.concatenate(np.split(crossed, h, axis=1), axis=2)
    np.testing.assert_allclose(output, merged, rtol=1e-4, atol=1e-5)


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="4 entries of an embedding among 3"):
        SplitSubspaces(3)(tf.ones((1, 2, 4)))
    with pytest.raises(ValueError, match="5 stacked fields among 2"):
        MergeSubspaces(2)(tf.ones((1, 5, 4)))
    with pytest.raises(ValueError, match="5 stacked fields among 2"):
        FieldSumOutput(2)(tf.ones((1, 5, 4)))
    with pytest.raises(ValueError, match="of one shape"):
        PolynomialInteraction()([tf.ones((1, 5, 4)), tf.ones((1, 4, 4))])
