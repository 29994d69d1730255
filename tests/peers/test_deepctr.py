"""Our models and DeepCTR's with the same weights give the same click probabilities. Runs where DeepCTR is installed."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("deepctr")

from pipelines.peers import deepctr_check  # noqa: E402
from pipelines.peers.copied_weights import TOLERANCE  # noqa: E402
from pipelines.peers.cross_check import probabilities  # noqa: E402


@pytest.mark.parametrize("name", deepctr_check.CASES)
def test_same_weights_give_the_same_probabilities(name: str) -> None:
    ours, theirs = probabilities(deepctr_check.CASES[name])
    assert ours.std() > 0.02, "rows that all get one answer compare nothing"
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE)
