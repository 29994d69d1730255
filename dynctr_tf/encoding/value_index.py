"""Finds the places of texts in a vocabulary, with a few bytes for each value beside the values themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynctr_tf.encoding.text_hash import text_hashes

_SORTED_AT_ONCE = 1 << 22
_PARTS = ("starts", "tags", "places")


class ValueIndex:
    """Finds the places of texts among the values of a vocabulary.

    When to use: to look up many texts at a time, of vocabularies of any size. Values are grouped by the first bits of
    their hash; within a group the next 32 bits are compared, and then the texts themselves. So an unknown text is never
    taken for a value.

    Args:
        values: Distinct strings, `large_string`; they may be mapped from a file.
        parts: The arrays that another index of these values has, from `load`. Default `None`: they are made.

    Cost: 12 bytes for each value beside the values; 0.1 to 0.3 microseconds for each text.

    Example:

    >>> ValueIndex(pa.array(["red", "green"], pa.large_string())).find(pa.array(["green", "blue"])).tolist()
    [1, -1]
    """

    def __init__(self, values: pa.Array, parts: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None) -> None:
        self._values = values
        self._bits = np.uint64(max(1, len(values).bit_length() - 1))
        self._starts, self._tags, self._places = self._made() if parts is None else parts

    def _made(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        size = len(self._values)
        hashes = text_hashes(self._values)
        groups = 1 << int(self._bits)
        starts = np.zeros(groups + 1, np.uint32)
        tags, places = np.empty(size, np.uint32), np.empty(size, np.int32)
        filled = 0
        turns = min(groups, -(-size // _SORTED_AT_ONCE)) or 1
        turns = 1 << (turns - 1).bit_length()
        # The first bits of the hash say in which turn; of many values they are not all copied for that.
        first_bits = (turns - 1).bit_length()
        for turn in range(turns):
            least, most = turn << (64 - first_bits), ((turn + 1) << (64 - first_bits)) - 1
            own = np.flatnonzero((hashes >= np.uint64(least)) & (hashes <= np.uint64(most)))
            some = hashes[own]
            order = np.argsort(some, kind="stable")
            some, own = some[order], own[order]
            places[filled : filled + len(own)] = own
            tags[filled : filled + len(own)] = self._tag(some)
            group = (some >> (np.uint64(64) - self._bits)).astype(np.int64)
            first = groups // turns * turn
            counts = np.bincount(group - first, minlength=groups // turns)
            starts[first + 1 : first + 1 + len(counts)] = filled + np.cumsum(counts)
            filled += len(own)
        return starts, tags, places

    def _tag(self, hashes: np.ndarray) -> np.ndarray:
        return ((hashes << self._bits) >> np.uint64(32)).astype(np.uint32)

    def find(self, texts: pa.Array) -> np.ndarray:
        """Returns for each text its place among the values, int64; -1 if it is not among them.

        Args:
            texts: Strings, none of them null.
        """
        found = np.full(len(texts), -1, np.int64)
        if not len(self._values):
            return found
        hashes = text_hashes(texts)
        group = (hashes >> (np.uint64(64) - self._bits)).astype(np.int64)
        tag = self._tag(hashes)
        place, end = self._starts[group].astype(np.int64), self._starts[group + 1].astype(np.int64)
        rows = np.flatnonzero(place < end)
        place, end, tag = place[rows], end[rows], tag[rows]
        texts = texts.cast(self._values.type)
        while rows.size:
            alike = self._tags[place] == tag
            own, candidates = rows[alike], self._places[place[alike]]
            if own.size:
                same = pc.equal(self._values.take(pa.array(candidates)), texts.take(pa.array(own)))
                same = same.to_numpy(zero_copy_only=False)
                found[own[same]] = candidates[same]
            place = place + 1
            open_ = (place < end) & (found[rows] < 0)
            rows, place, end, tag = rows[open_], place[open_], end[open_], tag[open_]
        return found

    def save(self, folder: Path) -> None:
        """Writes the arrays of the index, which other processes then share."""
        for name, array in zip(_PARTS, (self._starts, self._tags, self._places), strict=True):
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def load(cls, values: pa.Array, folder: Path) -> ValueIndex:
        """Maps the arrays that `save` wrote for the same values."""
        starts, tags, places = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in _PARTS)
        return cls(values, (starts, tags, places))
