"""The cost job of APG's layers: counts against layers that are built, the fit, and a small run with its outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynctr_tf.layers import AdaptiveDense
from pipelines.benchmarks import adaptive_costs


@pytest.mark.parametrize("sizes", [{"inner": 0, "rank": 4}, {"inner": 16, "rank": 3}])
def test_counted_parameters_are_those_of_the_layer(sizes: dict[str, int]) -> None:
    sizes = {**adaptive_costs.LAYER, "inputs": 24, "units": 40, **sizes}
    layer = AdaptiveDense(40, sizes["rank"], sizes["inner"] or None)
    layer.build((None, 24), (None, adaptive_costs.CONDITION_WIDTH))
    assert layer.count_params() == adaptive_costs.layer_parameters(sizes)


def test_kernels_of_v1_are_kept_within_their_bytes() -> None:
    rows = adaptive_costs.kernel_batch(adaptive_costs.WIDTHS, 4096)
    assert 8 * rows * 1024 * 512 <= adaptive_costs.KERNEL_BYTES < 16 * rows * 1024 * 512
    assert adaptive_costs.kernel_batch((4, 4), 64) == 64


def test_fit_finds_the_constants_and_leaves_out_what_would_be_negative() -> None:
    cases = adaptive_costs.sweep_cases(adaptive_costs.SWEEPS)
    matrix = np.stack([adaptive_costs.terms(sizes) for _, sizes in cases])
    true = np.array([0.5, 2e-8, 3e-7, 4e-6])
    np.testing.assert_allclose(adaptive_costs.fitted_constants(matrix, matrix @ true), true, rtol=1e-6)
    found = adaptive_costs.fitted_constants(matrix, 5 + matrix @ [0.0, 2e-8, -1e-9, 1e-6])
    assert found[2] == 0
    assert (found[[0, 1, 3]] > 0).all()


def test_versions_and_sizes_are_measured_and_drawn(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(adaptive_costs, "VERSIONS", ("static", "v5", "folded"))
    monkeypatch.setattr(adaptive_costs, "SWEEPS", {"rank": (2, 4)})
    # In this process: a process of its own for each takes half a minute, and is what `run_contender` is tested for.
    monkeypatch.setattr(
        adaptive_costs, "run_case", lambda version, widths, *sizes: adaptive_costs.measure(version, widths, *sizes)
    )
    words = ["--widths", "12", "20", "8", "--batch-size", "16", "--steps", "2", "--inner", "6", "--rank", "2"]
    adaptive_costs.main([*words, "--sweeps", "rank", "--output", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "folded" in printed and "-96.6%" not in printed
    result = json.loads((tmp_path / "costs.json").read_text())
    versions = result["versions"]
    condition = (adaptive_costs.CONDITION_WIDTH + 1) * 4
    assert versions["static"]["parameters"] == 12 * 20 + 20 + 20 * 8 + 8
    assert versions["v5"]["parameters"] == (12 + 20 + 4 + 20 + 8 + 4) * 6 + 2 * condition + 28
    assert versions["folded"]["parameters"] == (12 + 20 + 20 + 8) * 2 + 2 * condition + 28
    assert "train_s_per_1000" not in versions["folded"]
    assert len(result["sweeps"]) == 2 and all(case["step_ms"] > 0 for case in result["sweeps"])
    assert (tmp_path / "costs.png").stat().st_size > 5_000


def test_one_case_prints_one_line_of_json(capsys: Any) -> None:
    adaptive_costs.main(["--one", "v1", "6,4", "2", "3", "8", "2"])
    figures = json.loads(capsys.readouterr().out)
    assert figures["parameters"] == 33 * 24 + 4
    assert figures["rows"] == 8


def test_wrong_widths_are_refused(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        adaptive_costs.main(["--widths", "12"])
    assert "--widths" in capsys.readouterr().err
