"""Sampled negatives: never a known positive, distinct, seeded, spread as asked."""

import numpy as np
import pytest

from dynctr_tf.datasets import sample_negatives


def pairs(seed=0, num_pairs=2000, num_contexts=100, num_values=60):
    random = np.random.default_rng(seed)
    return random.integers(0, num_contexts, num_pairs), (random.random(num_pairs) ** 2 * num_values).astype(np.int64)


@pytest.mark.parametrize("by", ["uniform", "frequency"])
def test_no_negative_is_a_positive_and_none_is_twice(by):
    contexts, values = pairs()
    drawn = sample_negatives(contexts, values, 60, num_negatives=5, by=by, seed=3)
    known = set(zip(contexts.tolist(), values.tolist(), strict=True))
    for context, row in zip(contexts.tolist(), drawn.tolist(), strict=True):
        assert len(set(row)) == 5 and all(0 <= value < 60 and (context, value) not in known for value in row)
    again = sample_negatives(contexts, values, 60, num_negatives=5, by=by, seed=3)
    np.testing.assert_array_equal(drawn, again)
    other = sample_negatives(contexts, values, 60, num_negatives=5, by=by, seed=4)
    assert (drawn != other).mean() > 0.8


def test_values_are_drawn_as_asked():
    contexts, values = np.arange(30_000), np.repeat([0, 1, 2], [21_000, 6_000, 3_000])
    uniform = np.bincount(sample_negatives(contexts, values, 4, num_negatives=1)[:, 0], minlength=4)
    # Those with the value 0 draw from 1, 2, 3 alike, and so on; no pair has the value 3.
    np.testing.assert_allclose(uniform / 30_000, [0.1, 0.2667, 0.3, 0.3333], atol=0.01)
    frequency = np.bincount(sample_negatives(contexts, values, 4, num_negatives=1, by="frequency")[:, 0], minlength=4)
    shares = [0.2 * 0.7 / 0.8 + 0.1 * 0.7 / 0.9, 0.7 * 0.2 / 0.3 + 0.1 * 0.2 / 0.9, 0.7 * 0.1 / 0.3 + 0.2 * 0.1 / 0.8]
    np.testing.assert_allclose(frequency[:3] / 30_000, shares, atol=0.01)
    assert frequency[3] == 0


@pytest.mark.parametrize("by", ["uniform", "frequency"])
def test_contexts_that_have_nearly_everything(by):
    # Context 0 has all but 7 and 9, which hundreds of tries would miss.
    values = np.concatenate([np.setdiff1d(np.arange(3000), [7, 9]), [7, 9]])
    contexts = np.concatenate([np.zeros(2998, np.int64), [1, 1]])
    drawn = sample_negatives(contexts, values, 3000, num_negatives=2, by=by)
    assert {tuple(sorted(row)) for row in drawn[:2998].tolist()} == {(7, 9)}
    assert len({tuple(row) for row in drawn[:2998].tolist()}) == 2
    with pytest.raises(ValueError, match="one context was seen with 2998 of 3000 values"):
        sample_negatives(contexts, values, 3000, num_negatives=3, by=by)


def test_wrong_arguments():
    contexts, values = pairs()
    with pytest.raises(ValueError, match="Did you mean 'uniform'"):
        sample_negatives(contexts, values, 60, num_negatives=1, by="unifrom")
    for number in (0, True, 1.5):
        with pytest.raises(ValueError, match="num_negatives must be a whole number of at least 1"):
            sample_negatives(contexts, values, 60, num_negatives=number)
