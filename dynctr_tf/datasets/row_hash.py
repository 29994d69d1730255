"""Random numbers that depend on a seed and a row number alone, not on what was read or drawn before."""

from __future__ import annotations

import numpy as np

_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def _mix(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return state ^ (state >> np.uint64(31))


def hashed_bits(seed: int, rows: np.ndarray, stream: int = 0) -> np.ndarray:
    """Returns 64 random bits per row: the splitmix64 generator, started at the row's position.

    The generator jumps to the position by arithmetic, so the bits of row 10 000 000 cost as much as those of row 0. The
    result is the same on every machine and with every version of NumPy.

    Args:
        seed: Any whole number of at least 0 and below 2^63.
        rows: Row numbers, integers of at least 0, of any shape.
        stream: Which of the independent streams of the seed; one per use. Default 0.

    Returns:
        uint64, the shape of `rows`.

    Raises:
        ValueError: A negative seed or stream, or a seed of 2^63 or more.

    Example:

    >>> hashed_bits(0, np.array([0])) == hashed_bits(0, np.array([5, 0]))[1:]
    array([ True])
    """
    if not 0 <= seed < 2**63 or stream < 0:
        raise ValueError(f"A seed must be at least 0 and below 2^63, and a stream at least 0; got {seed}, {stream}.")
    with np.errstate(over="ignore"):
        start = _mix(np.array([seed], np.uint64) + _INCREMENT)
        start = _mix(start ^ (np.array([stream], np.uint64) * _SECOND + _INCREMENT))
        positions = np.asarray(rows).astype(np.uint64) + np.uint64(1)
        return _mix(start + positions * _INCREMENT)


def hashed_uniform(seed: int, rows: np.ndarray, stream: int = 0) -> np.ndarray:
    """Returns one float64 per row, uniform in [0, 1): the upper 53 bits of `hashed_bits`."""
    return (hashed_bits(seed, rows, stream) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def hashed_normal(seed: int, rows: np.ndarray, stream: int = 0) -> np.ndarray:
    """Returns one standard normal float64 per row, by the Box-Muller transform of streams 2s and 2s + 1."""
    radius = np.sqrt(-2.0 * np.log1p(-hashed_uniform(seed, rows, 2 * stream)))
    return radius * np.cos(2.0 * np.pi * hashed_uniform(seed, rows, 2 * stream + 1))
