"""Experts, mixed by a gate."""

from __future__ import annotations

from equations import Drawn, close, softmax

from dynctr_tf.layers import ExpertMixture

floats = Drawn(21).floats


def test_it_is_the_mean_of_experts_weighted_by_a_softmax() -> None:
    experts, logits = floats(7, 3, 2), floats(7, 3)
    close(ExpertMixture()([experts, logits]), sum(softmax(logits)[:, k : k + 1] * experts[:, k] for k in range(3)))
