"""Reports and pictures of what models reach."""

from __future__ import annotations

from dynctr_tf.evaluation.comparison import ComparedModel, Comparison, compare
from dynctr_tf.evaluation.report import Attainable, Evaluation, evaluate

__all__ = ["Attainable", "ComparedModel", "Comparison", "Evaluation", "compare", "evaluate"]
