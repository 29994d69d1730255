"""Names of ids: the values, bins and buckets of a feature."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dynctr_tf.encoding.encoded_features import PADDING_ID
from dynctr_tf.encoding.encoder import Encoder
from dynctr_tf.encoding.value_keys import missing_key
from dynctr_tf.encoding.vocabulary import FittedBins
from dynctr_tf.schema import Feature

_MISSING, _UNKNOWN = "(missing)", "(unknown)"


class IdNames:
    """The names of the ids that an encoder gives.

    When to use: to show encoded rows to a person. A number's bin is named by its range, a value that has no id of its
    own is `(unknown)`, and for a hashed feature only the bucket or the key is known.

    Args:
        encoder: The encoder.

    Example:

    >>> from dynctr_tf.datasets import SyntheticCtrRows
    >>> encoder = Encoder.fit(SyntheticCtrRows(num_train=1000), progress=False)
    >>> IdNames(encoder).of(encoder.features.fields[0].name)[:2]
    ['(missing)', '(unknown)']
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[str, list[str]] = {}
        self._first = {entry.name: entry.first_id for entry in encoder.features.entries}

    def of(self, feature: str) -> list[str]:
        """Returns the names of a feature's ids in their order, the missing value first.

        Raises:
            KeyError: No such feature.
            ValueError: Its values have keys, which are too many to be named; see `numbered`.
        """
        owner = self._owner(feature)
        if owner.vocabulary.keys:
            raise ValueError(f"The values of {feature!r} have keys, which have no names in an order.")
        if owner.name not in self._known:
            self._known[owner.name] = [_MISSING, _UNKNOWN, *self._values(owner)]
        return self._known[owner.name]

    def numbered(self, feature: str, ids: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """Returns ids of a feature as numbers from 0, and the name of each number.

        Args:
            feature: Their feature.
            ids: Ids of the one id space, of any shape.

        Raises:
            KeyError: No such feature.
        """
        owner = self._owner(feature)
        if not owner.vocabulary.keys:
            return ids - self._first[feature], self.of(feature)
        distinct, numbers = np.unique(ids, return_inverse=True)
        missing = missing_key(owner.name)
        names = [_MISSING if key == missing else f"(key {key})" for key in distinct.tolist()]
        return numbers.reshape(ids.shape), names

    def _owner(self, feature: str) -> Feature:
        known = self._encoder.schema.feature(feature)
        return self._encoder.schema.feature(known.shares_vocabulary_with or feature)

    def _values(self, feature: Feature) -> Sequence[str]:
        if feature.vocabulary.hash_buckets is not None:
            return [f"(bucket {number})" for number in range(feature.vocabulary.hash_buckets)]
        if feature.kind == "numeric":
            return [
                _bin_name(number, feature.binning, self._encoder.bins[feature.name])
                for number in self._encoder.bins[feature.name].bins
            ]
        values: list[str] = self._encoder.vocabularies[feature.name].values.to_pylist()
        return values

    def shown(self, feature: str, ids: np.ndarray) -> list[str]:
        """Returns ids of the one id space as texts, one a row, with commas between the values of a set or sequence.

        Args:
            feature: Their feature.
            ids: `(rows,)`, or `(rows, width)` with 0 where there is no value.

        Raises:
            KeyError: No such feature.
        """
        numbers, names = self.numbered(feature, ids)
        if ids.ndim == 1:
            return [names[number] for number in numbers.tolist()]
        pairs = zip(numbers.tolist(), (ids != PADDING_ID).tolist(), strict=True)
        return [", ".join(names[one] for one, there in zip(*pair, strict=True) if there) for pair in pairs]


def _bin_name(number: int, binning: str, fitted: FittedBins) -> str:
    if binning == "quantile":
        edges = [-math.inf, *fitted.boundaries, math.inf]
        low, high = edges[number], edges[number + 1]
    elif binning == "log_squared" and number <= 2:
        return str(number)
    elif binning == "log_squared":
        low, high = max(2.0, math.exp(math.sqrt(number - 3))), math.exp(math.sqrt(number - 2))
    else:
        low, high = math.sqrt(math.exp(min(number, 700)) - 1), math.sqrt(math.exp(min(number + 1, 700)) - 1)
    if math.isinf(low) or math.isinf(high):
        return f"below {high:.4g}" if math.isinf(low) else f"{low:.4g} and more"
    return f"{low:.4g} to {high:.4g}"
