"""64 random bits of each text, the same on every machine, computed for whole columns at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_LENGTHS = np.uint64(0x9E3779B97F4A7C15)
# By how many of eight bytes belong to the text: the mask that keeps these.
_KEPT = np.array([(1 << 8 * count) - 1 for count in range(8)] + [(1 << 64) - 1], np.uint64)
_AT_ONCE = 1 << 14


def _mixed(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return state ^ (state >> np.uint64(31))


def text_hashes(texts: pa.Array, *, without_zeros: bool = False) -> np.ndarray:
    """Returns 64 random bits of each text, uint64.

    Args:
        texts: Strings, or bytes; null counts as the empty text.
        without_zeros: Whether `.0` at the end is left out, so that `12.0` and `12` have the same bits. Default `False`.

    Cost: 30 nanoseconds for a short text, 10 more for each eight bytes.

    Example:

    >>> a, b, c = text_hashes(pa.array(["12", "12.0", "12"])).tolist()
    >>> a == c != b
    True
    """
    hashes = np.empty(len(texts), np.uint64)
    for begin in range(0, len(texts), _AT_ONCE):
        some = texts.slice(begin, _AT_ONCE)
        hashes[begin : begin + len(some)] = _hashes(some.fill_null("") if some.null_count else some, without_zeros)
    return hashes


def _hashes(texts: pa.Array, without_zeros: bool) -> np.ndarray:
    kind = texts.type
    wide = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
    if not (wide or pa.types.is_string(kind) or pa.types.is_binary(kind)):
        raise ValueError(f"Texts are hashed, got {kind}.")
    _, places, data = texts.buffers()
    offsets = np.frombuffer(places, np.int64 if wide else np.int32)[texts.offset : texts.offset + len(texts) + 1]
    offsets = offsets.astype(np.int64)
    begin, end = int(offsets[0]), int(offsets[-1])
    # Eight more bytes, so that eight can be read from every position.
    bytes_ = np.zeros(end - begin + 8, np.uint8)
    if end > begin:
        bytes_[: end - begin] = np.frombuffer(data, np.uint8)[begin:end]
    words = np.ndarray((end - begin + 1,), "<u8", bytes_, strides=(1,))
    place, left = offsets[:-1] - begin, np.diff(offsets)
    if without_zeros:
        ending = (left > 2) & (bytes_[place + np.maximum(left - 1, 0)] == ord("0"))
        ending &= bytes_[place + np.maximum(left - 2, 0)] == ord(".")
        left = left - 2 * ending
    with np.errstate(over="ignore"):
        state = _mixed(left.astype(np.uint64) * _LENGTHS + _SECOND)
        state = _mixed(state ^ (words[place] & _KEPT[np.minimum(left, 8)]))
        rows = np.flatnonzero(left > 8)
        place, left = place[rows], left[rows]
        while rows.size:
            place, left = place + 8, left - 8
            state[rows] = _mixed(state[rows] ^ (words[place] & _KEPT[np.minimum(left, 8)]))
            longer = left > 8
            rows, place, left = rows[longer], place[longer], left[longer]
    return state
