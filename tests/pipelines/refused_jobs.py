"""Jobs that end with a message, for the tests of the jobs."""

from __future__ import annotations

from typing import Any

import pytest


def refused(job: Any, words: list[str], capsys: pytest.CaptureFixture[str], status: int = 2) -> str:
    """Starts a job that ends with a status and a message without a traceback; returns the message in one line."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        job.main(words)
    assert ended.value.code == status
    text = capsys.readouterr().err
    assert "Traceback" not in text
    return " ".join(text.split())
