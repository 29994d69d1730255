"""DPN's field-based operation against loops over its formulas, and the factorization machine as a case of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from equations import Drawn, softmax

from dynctr_tf.layers.dynamic import FieldOperation
from dynctr_tf.layers.interaction import FactorizationMachine

DRAWN = Drawn(8)
randomise = DRAWN.randomise
X, Z = DRAWN.floats(3, 4, 5), DRAWN.floats(3, 2, 6)
MASK = np.array([[True, False], [True, True], [False, True]])


def in_loops(w: dict[str, np.ndarray], aggregator: str, projected: bool, z: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The outputs `(3, 4, c)` of a layer with an implicit part."""

    def gate(v: np.ndarray) -> np.ndarray:
        return softmax(w["kernel_1"].T @ v + w["bias_1"])

    y = np.zeros((3, 4, w["kernels"].shape[-1]))
    for i in range(3):
        present = [j for j in range(z.shape[1]) if mask[i, j]]
        for f in range(4):
            if aggregator == "summation":
                g = sum(gate(z[i, j]) for j in present) / len(present)
            elif aggregator == "self":
                g = gate(X[i, f])
            elif aggregator == "attention":
                h = softmax(np.array([w["score_kernel"][j] @ z[i, j] + w["score_bias"][j] for j in present]))
                g = sum(h[k] * gate(z[i, j]) for k, j in enumerate(present))
            else:
                whole = (z[i] * mask[i][:, None]).ravel()
                g = gate(whole @ w["projection"] if projected else whole)
            for e in range(len(g)):
                y[i, f] += g[e] * (w["kernels"][0, e].T @ X[i, f] + w["biases"][e])
            y[i, f] += w["kernel"].T @ X[i, f] + w["bias"]
    return y


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("aggregator", ["summation", "self", "attention", "concatenate", "projected concatenate"])
def test_field_operation_is_its_formula(aggregator: str, masked: bool) -> None:
    projected = aggregator == "projected concatenate"
    aggregator = aggregator.split()[-1]
    layer = FieldOperation(7, aggregator, 3, project_contexts=projected)
    condition = () if aggregator == "self" else (Z,)
    keywords = {"mask": MASK} if masked and condition else {}
    layer(X, *condition, **keywords)
    w = randomise(layer)
    expected = in_loops(w, aggregator, projected, Z, MASK if keywords else np.ones_like(MASK))
    np.testing.assert_allclose(layer(X, *condition, **keywords), expected, rtol=1e-3, atol=1e-4)


def test_factorization_machine_is_a_field_operation() -> None:
    dim, fields = 5, 4
    layer = FieldOperation(
        1, "summation", num_kernels=dim, gate_activation="linear", implicit=False, bias_kind="none", exclude_self=True
    )
    layer(X)
    # g = identity, and f = the dot product: kernel e takes entry e of x.
    layer.set_weights([np.eye(dim), np.zeros(dim), np.eye(dim).reshape(1, dim, dim, 1)])
    y = np.array(layer(X))
    for i in range(fields):
        others = [X[:, j] for j in range(fields) if j != i]
        np.testing.assert_allclose(y[:, i, 0], np.sum(X[:, i] * sum(others), axis=1) / (fields - 1), atol=1e-5)
    expected = np.array(FactorizationMachine()(X))
    np.testing.assert_allclose((fields - 1) / 2 * y.sum(axis=1), expected, atol=2e-5)


def test_by_hand() -> None:
    layer = FieldOperation(1, "summation", 2, gate_activation="linear", implicit=False, bias_kind="none")
    x, z = np.array([[[3.0]]], np.float32), np.array([[[1.0], [5.0]]], np.float32)
    layer(x, z)
    layer.set_weights([np.array([[1.0, 0.0]]), np.array([0.0, 2.0]), np.array([[[[10.0]], [[100.0]]]])])
    # Gates (1, 2) and (5, 2), mean (3, 2): 3 * (3 * 10 + 2 * 100)
    assert float(layer(x, z)[0, 0, 0]) == 690.0


@pytest.mark.parametrize("aggregator", ["summation", "attention", "concatenate"])
def test_a_missing_field_says_nothing(aggregator: str) -> None:
    layer = FieldOperation(3, aggregator)
    one, other = Z.copy(), Z.copy()
    other[~MASK] = 1e3
    np.testing.assert_array_equal(layer(X, one, mask=MASK), layer(X, other, mask=MASK))
    none = np.zeros_like(MASK)
    assert np.isfinite(np.array(layer(X, one, mask=none))).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FieldOperation(3, "sum"), "summation"),
        (lambda: FieldOperation(3, "concatenate", exclude_self=True), "summation"),
        (lambda: FieldOperation(3, "self", project_contexts=True), "concatenate"),
        (lambda: FieldOperation(3, "self")(X, Z), "no condition"),
        (lambda: FieldOperation(3, "summation", exclude_self=True)(X, Z), "as many"),
    ],
)
def test_bad_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
