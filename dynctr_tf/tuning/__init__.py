"""Searching hyper-parameters with keras-tuner."""

from dynctr_tf.tuning.search import Trial, search

__all__ = ["Trial", "search"]
