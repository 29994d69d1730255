"""What a sum of functions of single values can predict of click probabilities that are known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities of logits."""
    return 1.0 / (1.0 + np.exp(-logits))


def gain_of_sum(tables: Sequence[tuple[np.ndarray, int]], probability: np.ndarray, sweeps: int) -> float:
    """Returns the share of the attainable gain in logloss that the best sum of tables reaches.

    The tables are fitted to the probabilities of the first half of the rows, and judged on the second half:
    1 - (loss - attainable) / (base - attainable).

    Args:
        tables: For each table the place in it that each row uses, whole numbers `(rows,)`, and its size.
        probability: float64 `(rows,)`, the known probabilities; their number is even.
        sweeps: How often each table is fitted.
    """
    fitted = len(probability) // 2
    held_out = probability[fitted:]
    base = _cross_entropy(held_out, np.full(fitted, held_out.mean()))
    attainable = _cross_entropy(held_out, held_out)
    logits = _additive_logits(tables, probability[:fitted], sweeps)
    loss = _cross_entropy(held_out, sigmoid(logits[fitted:]))
    return float((base - loss) / (base - attainable))


def _cross_entropy(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(-(truth * np.log(predicted) + (1.0 - truth) * np.log1p(-predicted)).mean())


def _additive_logits(tables: Sequence[tuple[np.ndarray, int]], probability: np.ndarray, sweeps: int) -> np.ndarray:
    """Fits a sum of tables on the first rows, by Newton steps, and returns its logits for all of them."""
    fitted = len(probability)
    mean = probability.mean()
    logits = np.full(len(tables[0][0]), math.log(mean / (1.0 - mean)))
    for _ in range(sweeps):
        for values, size in tables:
            predicted = sigmoid(logits[:fitted])
            slope = np.bincount(values[:fitted], probability - predicted, minlength=size)
            curvature = np.bincount(values[:fitted], predicted * (1.0 - predicted), minlength=size)
            # The 1 keeps values that are seen a few times from fitting single rows.
            logits += (slope / (curvature + 1.0))[values]
    return logits
