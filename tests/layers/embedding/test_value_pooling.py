"""Pooling of the values of a field."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.layers import FieldEmbedding, ValuePooling

IDS = np.array([[1, 5, 0], [1, 7, 9], [5, 5, 1]], np.int32)


def built(**options: object) -> FieldEmbedding:
    layer = FieldEmbedding(10, 4, **options)
    layer(tf.constant(IDS))
    return layer


@pytest.mark.parametrize(("mode", "expected"), [("mean", [[9, 9], [2, 3], [0, 0]]), ("sum", [[9, 9], [4, 6], [0, 0]])])
def test_pooling_leaves_padding_out(mode: str, expected: list[list[float]]) -> None:
    embeddings = tf.constant([[[9, 9], [1, 2], [3, 4], [0, 0], [0, 0]]], tf.float32)
    first, second = tf.constant([[7, 8, 0]]), tf.constant([[0]])
    assert ValuePooling(mode)([embeddings, first, second]).numpy()[0].tolist() == expected


def test_wider_padding_changes_nothing() -> None:
    embedding, pooling = built(), ValuePooling()
    ids = tf.constant([[3, 4, 0]])
    wider = tf.constant([[3, 4, 0, 0, 0, 0]])
    np.testing.assert_allclose(
        pooling([embedding(ids), ids]).numpy(), pooling([embedding(wider), wider]).numpy(), rtol=1e-6
    )


def test_pooling_refuses_more_values_than_rows_and_unknown_modes() -> None:
    with pytest.raises(ValueError, match="3 rows"):
        ValuePooling()([tf.ones((1, 3, 2)), tf.ones((1, 4), tf.int32)])
    with pytest.raises(ValueError, match="Did you mean 'mean'"):
        ValuePooling("means")
