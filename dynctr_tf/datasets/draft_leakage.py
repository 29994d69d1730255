"""How well a column alone predicts the label: an almost perfect column was made from the label, or after it."""

from __future__ import annotations

import numpy as np

from dynctr_tf.datasets.draft_columns import Column
from dynctr_tf.datasets.draft_lists import ListForm

_MOST_ROWS = 50_000
_LEAST_ROWS = 20
_FOLDS = 5
_PRIOR_ROWS = 5.0
_MOST_ELEMENTS = 20


def weighted_auc(scores: np.ndarray, clicks: np.ndarray, others: np.ndarray) -> float:
    """Returns the exact AUC of scores whose rows stand for some clicks and some others; ties count half.

    Args:
        scores: float `(rows,)`.
        clicks: float `(rows,)`.
        others: float `(rows,)`.
    """
    _, place = np.unique(scores, return_inverse=True)
    # (distinct scores,)
    positive, negative = np.bincount(place, clicks), np.bincount(place, others)
    below = np.cumsum(negative) - negative
    return float(np.sum(positive * (below + negative / 2)) / (positive.sum() * negative.sum()))


# Not a seed that makes rows: with the same one, the folds would equal the values of their first column.
_SEED = int.from_bytes(b"folds of the leakage check", "big")


class LeakageCheck:
    """Measures columns against one label.

    Rows are drawn from those that have a label, at most 50,000, so that the cost is bounded: about 30 ms a column.

    Args:
        clicks: float `(rows,)`; how many clicks each row stands for.
        others: float `(rows,)`; how many impressions without a click.
    """

    def __init__(self, clicks: np.ndarray, others: np.ndarray) -> None:
        generator = np.random.default_rng(_SEED)
        rows = np.flatnonzero(clicks + others > 0)
        if len(rows) > _MOST_ROWS:
            rows = np.sort(generator.choice(rows, _MOST_ROWS, replace=False))
        self._rows = rows
        self._clicks, self._others = clicks[rows], others[rows]
        self._fold = generator.integers(0, _FOLDS, len(rows))
        self.is_possible = bool(min((self._clicks > 0).sum(), (self._others > 0).sum()) >= _LEAST_ROWS)

    def own_auc(self, column: Column) -> float | None:
        """Returns the AUC of the column alone, at least .5; `None` where a class has too few rows to measure it.

        The score is the value of a number; for a category, the share of clicks in other rows of the category (so an id
        that is new in each row scores nothing); for a list, its length and each frequent element. Whether the value is
        missing is scored too.
        """
        if not self.is_possible or column.unusable is not None:
            return None
        scores = [column.present[self._rows].astype(np.float64)]
        aucs = []
        if column.is_list:
            scores += self._list_scores(column)
        else:
            codes = column.codes[self._rows]
            # An AUC below .5 is not inverted: without its own fold, a share is low where the row's own fold is high.
            aucs.append(weighted_auc(self._target_means(codes, len(column.values)), self._clicks, self._others))
            if isinstance(column.list_form, ListForm):
                scores += self._text_list_scores(column, column.list_form, codes)
        turned = [weighted_auc(score, self._clicks, self._others) for score in scores]
        if column.numbers is not None:
            turned.append(self._number_auc(column.numbers[self._rows]))
        return max(0.5, *aucs, *(max(auc, 1.0 - auc) for auc in turned))

    def _number_auc(self, numbers: np.ndarray) -> float:
        """Scores the rows that have a number; a missing one has its own score."""
        known = ~np.isnan(numbers)
        clicks, others = self._clicks[known], self._others[known]
        if min((clicks > 0).sum(), (others > 0).sum()) < _LEAST_ROWS:
            return 0.5
        return weighted_auc(numbers[known], clicks, others)

    def _target_means(self, codes: np.ndarray, num_values: int) -> np.ndarray:
        """The smoothed share of clicks of each row's category in the other folds; a missing value is a category too."""
        place = (codes + 1) * _FOLDS + self._fold
        size = (num_values + 1) * _FOLDS
        # (categories, folds)
        clicks = np.bincount(place, self._clicks, size).reshape(-1, _FOLDS)
        others = np.bincount(place, self._others, size).reshape(-1, _FOLDS)
        rate = self._clicks.sum() / (self._clicks.sum() + self._others.sum())
        clicks = clicks.sum(1, keepdims=True) - clicks
        others = others.sum(1, keepdims=True) - others
        means: np.ndarray = (clicks + _PRIOR_ROWS * rate) / (clicks + others + _PRIOR_ROWS)
        return means[codes + 1, self._fold]

    def _list_scores(self, column: Column) -> list[np.ndarray]:
        if column.lengths is None:
            raise RuntimeError("Only called for lists.")
        scores = [column.lengths[self._rows].astype(np.float64)]
        row_of = np.repeat(np.arange(column.num_rows), column.lengths)
        for value in np.argsort(-column.counts)[:_MOST_ELEMENTS]:
            having = np.zeros(column.num_rows)
            having[row_of[column.codes == value]] = 1.0
            scores.append(having[self._rows])
        return scores

    def _text_list_scores(self, column: Column, form: ListForm, codes: np.ndarray) -> list[np.ndarray]:
        mark = form.separator if form.list_format == "separated" else ","
        length = np.array([0, *(text.count(mark) + bool(text.strip("[]() ")) for text in column.texts)], np.float64)
        return [length[codes + 1]]
