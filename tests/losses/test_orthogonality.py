"""The orthogonal penalty of a batch."""

from __future__ import annotations

import pytest
import tensorflow as tf

from dynctr_tf.losses import ORTHOGONAL_KINDS, orthogonality

BATCH = tf.constant([[[3.0, 4.0], [0.0, 2.0]], [[1.0, 0.0], [0.0, 1.0]]])


@pytest.mark.parametrize(("kind", "expected"), [("cosine", 0.4), ("frobenius", 0.64)])
def test_the_mean_over_rows_by_hand(kind: str, expected: float) -> None:
    """One row has the cosine 0.8, which the Frobenius distance squares and counts twice; the other has 0."""
    assert float(orthogonality(BATCH, kind)) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ORTHOGONAL_KINDS)
def test_its_gradient_turns_vectors_apart(kind: str) -> None:
    vectors = tf.Variable(BATCH)
    before = float(orthogonality(vectors, kind))
    with tf.GradientTape() as tape:
        penalty = orthogonality(vectors, kind)
    vectors.assign_sub(0.1 * tape.gradient(penalty, vectors))
    assert float(orthogonality(vectors, kind)) < before


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="Did you mean 'cosine'"):
        orthogonality(BATCH, "cosines")
    with pytest.raises(ValueError, match=r"shape \(\.\.\., count, size\), got \(3,\)"):
        orthogonality(tf.ones(3))
