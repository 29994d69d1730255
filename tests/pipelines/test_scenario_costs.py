"""What towers of many scenarios cost: formulas against built layers, measurement, curves and picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.benchmarks.scenario_costs import KINDS, draw, formula, make_towers, measure, orthogonality_curves


@pytest.mark.parametrize("kind", KINDS)
def test_formula_counts_what_is_built(kind: str) -> None:
    for scenarios in (2, 30):
        layer = make_towers(kind, scenarios)
        layer(np.zeros((2, 128), np.float32), np.array([2, 3], np.int32))
        assert layer.count_params() == formula(kind, scenarios)
    # Past some number of scenarios generating saves, at any size of the towers.
    assert formula("generated", 1000) < formula("separate", 1000) / 20


def test_other_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="kinds"):
        make_towers("stars", 3)


def test_one_case_is_measured() -> None:
    result = measure("generated, rank 8", 3, batch=8, steps=1)
    assert result["parameters"] == formula("generated, rank 8", 3)
    assert result["step_ms"] > 0


def test_curves_fall_and_are_drawn(tmp_path: Path) -> None:
    curves = orthogonality_curves(rows=2048, scenarios=3, epochs=4, weight=1.0, forms=["cosine"])
    free, held = curves["cosine, weight 0"], curves["cosine, weight 1"]
    assert len(held) > 4
    assert held[0] == pytest.approx(free[0])
    assert held[-1] < 0.7 * held[0]
    assert held[-1] < free[-1]
    draw(curves, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5_000
