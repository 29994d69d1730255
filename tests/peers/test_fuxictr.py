"""Our models and FuxiCTR's with the same weights give the same click probabilities. Runs where FuxiCTR is installed."""

from __future__ import annotations

import os

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("fuxictr")
if not os.environ.get("FUXICTR_ZOO"):
    pytest.skip("FUXICTR_ZOO names no zoo of FuxiCTR's models, which its package lacks", allow_module_level=True)

from pipelines.peers import fuxictr_check  # noqa: E402
from pipelines.peers.copied_weights import TOLERANCE  # noqa: E402
from pipelines.peers.cross_check import probabilities  # noqa: E402


@pytest.mark.parametrize("name", fuxictr_check.CASES)
def test_same_weights_give_the_same_probabilities(name: str) -> None:
    ours, theirs = probabilities(fuxictr_check.CASES[name])
    assert ours.std() > 0.02, "rows that all get one answer compare nothing"
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)
