"""Searching hyper-parameters with keras-tuner."""

from dynctr_tf.tuning.hyper_model import HyperModel
from dynctr_tf.tuning.search import search
from dynctr_tf.tuning.search_report import explained_share, memory_growth, plot_search, reached_ends, trials_table
from dynctr_tf.tuning.search_space import catalogue_space, grid_size, options_of, with_own_space
from dynctr_tf.tuning.search_trials import Trial

__all__ = [
    "HyperModel",
    "Trial",
    "catalogue_space",
    "explained_share",
    "grid_size",
    "memory_growth",
    "options_of",
    "plot_search",
    "reached_ends",
    "search",
    "trials_table",
    "with_own_space",
]
