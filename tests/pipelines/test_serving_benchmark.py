"""The benchmark of requests: every way, in both loaders, with bytes and operations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.benchmarks import saved_model_client, serving


@pytest.mark.skipif(not saved_model_client.can_build(), reason="gcc is not installed, so nothing is timed in C")
def test_every_way_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model", "lr", "--rows", "40", "--values", "50", "--repeats", "2", "--rounds", "1"]
    words += ["--output", str(tmp_path)]
    serving.main(words)
    figures = json.loads((tmp_path / "serving.json").read_text(encoding="utf-8"))
    ways = ["ids", "raw", "tf.Example", "one user, repeated", "one user, once"]
    assert [(figure["rows"], figure["way"]) for figure in figures] == [(rows, way) for rows in (40,) for way in ways]
    assert all(figure[loader] > 0 for figure in figures for loader in ("c", "python"))
    large = {figure["way"]: figure for figure in figures if figure["rows"] == 40}
    assert large["ids"]["c / ids"] == 1.0
    assert large["one user, once"]["bytes"] < 0.5 * large["one user, repeated"]["bytes"]
    # A graph for each feature took 716 operations. There is none for each of the 39 features.
    assert large["raw"]["operations"] < 90
    assert "| 40 | one user, once |" in capsys.readouterr().out
