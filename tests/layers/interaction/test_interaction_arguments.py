"""What layers of interactions refuse."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf

from dynctr_tf import layers


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.AnovaKernel(1), "order"),
        (lambda: layers.AttentionalPooling(0), "attention_dim"),
        (lambda: layers.BilinearInteraction("eech"), "Did you mean 'each'"),
        (lambda: layers.BilinearDense(3, "al"), "Did you mean 'all'"),
        (lambda: layers.BilinearDense(0), "units"),
        (lambda: layers.CompressedInteraction(()), "units"),
        (lambda: layers.CompressedInteraction((3, 2), split_half=True), "even"),
        (lambda: layers.CrossMixtureLayer(0), "rank"),
        (lambda: layers.CrossMixtureLayer(gate_activation="soft_max"), "Did you mean 'softmax'"),
        (lambda: layers.FieldAttention(0), "num_heads"),
        (lambda: layers.LogarithmicTransformation(0), "num_neurons"),
        (lambda: layers.LogarithmicTransformation(epsilon=0.0), "epsilon"),
        (lambda: layers.OuterProduct("kernels"), "Did you mean 'kernel'"),
        (lambda: layers.ResidualUnit(0), "hidden_dim"),
        (lambda: layers.SqueezeExcitation(0.5), "reduction_ratio"),
        (lambda: layers.VectorCrossNetwork(0), "num_layers"),
    ],
)
def test_wrong_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


PAIRED = [
    (layers.CrossLayer, (3, 6)),
    (layers.CrossMixtureLayer, (3, 6)),
    (layers.PolynomialInteraction, (3, 4, 2)),
    (layers.DynamicGeneratedParameters, (3, 4, 2)),
]


@pytest.mark.parametrize(("make", "shape"), PAIRED)
@pytest.mark.parametrize("count", [1, 3])
def test_a_list_is_a_pair(make: Any, shape: tuple[int, ...], count: int) -> None:
    with pytest.raises(ValueError, match=r"or the pair \[.*got \["):
        make()([tf.ones(shape)] * count)
