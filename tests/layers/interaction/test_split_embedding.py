"""Splitting embeddings."""

from __future__ import annotations

import tensorflow as tf

from dynctr_tf import layers


def test_split_embedding_by_hand() -> None:
    left, right = layers.SplitEmbedding(2)(tf.constant([[[1.0, 2.0, 3.0, 4.0]]]))
    assert (left.numpy().tolist(), right.numpy().tolist()) == ([[[1.0, 2.0]]], [[[3.0, 4.0]]])
