"""Jobs in processes of their own: what their progress bar shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dynctr_tf.jobs.child_jobs import Job, run_all


def test_the_bar_begins_with_the_jobs_of_an_earlier_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def left(*names: str) -> list[Job]:
        return [Job(name, ["this"], tmp_path / f"{name}.log") for name in names]

    run_all([(3, lambda: left("a")), (4, lambda: left("b", "c"))], workers=1)
    shown = [int(found) for found in re.findall(r"(\d+)/7", capsys.readouterr().err)]
    assert shown == sorted(shown) and {2, 5, 7} <= set(shown) and shown[-1] == 7
    assert "Zen" in (tmp_path / "c.log").read_text()
