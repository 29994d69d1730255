"""Splits depend on seed and row number alone, and have the shares asked for."""

import numpy as np
import pytest

from dynctr_tf.datasets.row_hash import hashed_bits, hashed_normal, hashed_uniform
from dynctr_tf.datasets.splits import OrderSplit, RandomSplit, checked_split_by

MASK = 2**64 - 1


def splitmix64(state):
    """The generator as published (Steele, Lea, Flood 2014), one step in Python integers."""
    state = (state + 0x9E3779B97F4A7C15) & MASK
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return state, z ^ (z >> 31)


def test_bits_are_those_of_splitmix64():
    _, start = splitmix64(7)
    # The stream enters the start as our own choice; then the published sequence follows.
    _, start = splitmix64((start ^ ((3 * 0x94D049BB133111EB + 0x9E3779B97F4A7C15) & MASK)) - 0x9E3779B97F4A7C15 & MASK)
    state, expected = start, []
    for _ in range(5):
        state, bits = splitmix64(state)
        expected.append(bits)
    assert [int(bits) for bits in hashed_bits(7, np.arange(5), stream=3)] == expected


def test_known_start_of_splitmix64():
    # The published test vector: seed 1234567.
    assert splitmix64(1234567)[1] == 6457827717110365317


def test_uniform_and_normal_moments():
    uniform = hashed_uniform(1, np.arange(200_000))
    assert uniform.min() >= 0.0 and uniform.max() < 1.0
    assert abs(uniform.mean() - 0.5) < 0.003 and abs(uniform.var() - 1 / 12) < 0.001
    assert abs(np.corrcoef(uniform[:-1], uniform[1:])[0, 1]) < 0.01
    assert abs(np.corrcoef(uniform, hashed_uniform(1, np.arange(200_000), 1))[0, 1]) < 0.01
    assert abs(np.corrcoef(uniform, hashed_uniform(2, np.arange(200_000)))[0, 1]) < 0.01
    normal = hashed_normal(0, np.arange(200_000))
    assert abs(normal.mean()) < 0.01 and abs(normal.std() - 1.0) < 0.01 and abs((normal**3).mean()) < 0.03


def test_random_shares_and_independence_of_reading():
    split = RandomSplit(seed=5)
    whole = split.assign(np.arange(100_000))
    assert split.names == ("train", "validation", "test")
    assert np.abs(np.bincount(whole) / 100_000 - [0.7, 0.1, 0.2]).max() < 0.006
    parts = [split.assign(np.arange(start, min(start + 777, 100_000))) for start in range(0, 100_000, 777)]
    assert (np.concatenate(parts) == whole).all()
    assert (RandomSplit(seed=6).assign(np.arange(1000)) != whole[:1000]).any()
    assert whole.dtype == np.int8


def test_order_split_cuts_in_order():
    assigned = OrderSplit(1003).assign(np.arange(1003))
    assert (np.diff(assigned) >= 0).all()
    assert np.bincount(assigned).tolist() == [702, 100, 201]
    with pytest.raises(ValueError, match="Row 1003 came, but 1003 rows were counted"):
        OrderSplit(1003).assign(np.array([1003]))
    with pytest.raises(ValueError, match="2 rows cannot be cut"):
        OrderSplit(2)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"train": 0.5, "test": 0.4}, "sum to 1"),
        ({"test": 0.5, "train": 0.5}, "first split must be 'train'"),
        ({"train": 1.2, "test": -0.2}, "above 0"),
        ({}, "first split"),
    ],
)
def test_bad_shares(shares, message):
    with pytest.raises(ValueError, match=message):
        RandomSplit(shares)


def test_bad_seed_and_bad_way():
    with pytest.raises(ValueError, match="seed must be at least 0"):
        RandomSplit(seed=-1)
    with pytest.raises(ValueError, match="Did you mean 'random'"):
        checked_split_by("randon")
