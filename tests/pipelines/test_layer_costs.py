"""What layers cost: formulas against the traced graph, naive forms against the layers, table and picture."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynctr_tf import stack
from dynctr_tf.durable_files import read_json
from pipelines.benchmarks import layer_cost_cases, layer_costs
from pipelines.benchmarks.contenders import run_contender
from pipelines.benchmarks.layer_cost_cases import GROUPS, contender, counted_multiply_adds, evaluate

CASES = [(group, case.name) for group in GROUPS for case in GROUPS[group].cases]


@pytest.mark.parametrize(("group", "name"), CASES, ids=[f"{group}, {name}" for group, name in CASES])
def test_formula_is_what_the_graph_multiplies_and_forms_agree(group: str, name: str) -> None:
    case = GROUPS[group].case(name)
    built = contender(GROUPS[group], case, "layer", 4)
    counted = counted_multiply_adds(built.forward, built.tensors)
    # Attention is an einsum, which the profiler does not count, and DIN's network runs over the behaviours there are.
    if name in ("SelfAttentionEncoder", "AttentionDecoder", "TargetAttention"):
        assert counted is None
    else:
        assert counted == evaluate(case.formula, GROUPS[group].sizes)
    if case.naive is not None:
        naive = contender(GROUPS[group], case, "naive", 4)
        expected = built.forward(*built.tensors).numpy()
        found = naive.forward(*naive.tensors).numpy()
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_formula_is_a_sum_of_products() -> None:
    assert evaluate("2 a b + b", {"a": 3, "b": 5}) == 35
    with pytest.raises(ValueError, match="'c'"):
        evaluate("a c", {"a": 3, "b": 5})


def test_job_prints_writes_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def run(command: list[str], environment: dict[str, str]) -> Any:
        """Measures in a process of its own once, and then in this one, which spares starting TensorFlow."""
        started.append(command)
        assert command[:3] == [sys.executable, "-m", "pipelines.benchmarks.layer_cost_cases"]
        if len(started) == 1 and stack.KERAS_3:
            return run_contender(command, environment)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            layer_cost_cases.main(command[3:])
        return json.loads(printed.getvalue())

    monkeypatch.setattr(layer_costs, "run_contender", run)
    words = ["--groups", "query", "--batch-size", "8", "--steps", "1", "--rounds", "1", "--output", str(tmp_path)]
    layer_costs.main(words)
    text = capsys.readouterr().out
    for word in ("QueryOperation, naive", "TargetAttention", "n l + e m c + e m + l c", "medians of 1 rounds"):
        assert word in text
    (measured,) = read_json(tmp_path / "layer_costs_8.json").values()
    assert [(figures["layer"], figures["form"]) for figures in measured][-1] == ("QueryOperation", "naive")
    assert all(figures["step_ms"] > 0 and figures["added_peak_mib"] >= 0 for figures in measured)
    assert len(started) == 1 + len(measured) == 5
    assert (tmp_path / "layer_costs_8.png").read_bytes()[:4] == b"\x89PNG"
    (tmp_path / "layer_costs_8.json").write_text("{", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        layer_costs.main(words)
    assert ended.value.code == 1 and len(started) == 5
    assert "layer_costs_8.json is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--groups", "quary"], "Did you mean 'query'"), (["--steps", "0"], "--steps must be at least 1, got 0")],
)
def test_what_is_wrong_is_named(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        layer_costs.main(words)
    assert ended.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
