"""Pieces of embeddings become whole again."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.layers import MergeSubspaces, SplitSubspaces


def test_by_hand() -> None:
    """Two fields of two pieces: the pieces of a field stand side by side."""
    pieces = tf.constant([[[1.0], [2.0], [3.0], [4.0]]])
    assert MergeSubspaces(2)(pieces).numpy().tolist() == [[[1.0, 2.0], [3.0, 4.0]]]
    last = tf.transpose(pieces, [0, 2, 1])
    assert MergeSubspaces(2, fields_last=True)(last).numpy().tolist() == [[[1.0, 2.0], [3.0, 4.0]]]


@pytest.mark.parametrize("fields_last", [True, False])
def test_splitting_undoes_merging(fields_last: bool) -> None:
    shape = (3, 2, 8) if fields_last else (3, 8, 2)
    pieces = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    merged = MergeSubspaces(4, fields_last=fields_last)(tf.constant(pieces))
    assert merged.shape == (3, 2, 8)
    np.testing.assert_array_equal(SplitSubspaces(4, fields_last=fields_last)(merged).numpy(), pieces)
