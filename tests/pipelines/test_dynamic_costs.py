"""What dynamic models cost beside static ones is counted, and the pictures of gains are drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.benchmarks import gain_picture
from pipelines.benchmarks.dynamic_costs import PAIRS, cost_of, example_batch, example_features, ratio
from pipelines.benchmarks.gain_picture import STATIC, draw, measure


def test_the_cost_of_a_known_network() -> None:
    inputs, widths = (39 + 1) * 16, (400, 400, 400)  # the history is pooled into a field
    products = inputs * 400 + 400 * 400 + 400 * 400 + 400
    assert cost_of("dnn", {}) == (products, products + sum(widths) + 1)
    assert cost_of("dnn", {"deep.units": (8,)}).multiply_adds == inputs * 8 + 8


def test_a_ratio_is_that_of_the_two_models() -> None:
    (pair,) = [pair for pair in PAIRS if pair.dynamic == "poso"]
    assert ratio(pair) == pytest.approx(cost_of("poso", {}).multiply_adds / cost_of("dnn", pair.options).multiply_adds)
    assert 1.0 < ratio(pair) < 1.1


def test_the_batch_has_all_that_the_features_have() -> None:
    features = example_features()
    batch = example_batch(features, rows=3)
    assert {name: values.shape for name, values in batch.items()} == {
        "fields": (3, 39),
        "history": (3, 50),
        "scenario": (3,),
    }
    assert batch["fields"].max() < features.num_ids


@pytest.mark.slow
def test_the_picture_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gain_picture, "DYNAMIC", {"DynamicGeneratedParameters": {"rank": 2}})
    found, best = measure(500, 1, [0])
    assert list(found) == [STATIC, "DynamicGeneratedParameters"] and all(len(values) == 1 for values in found.values())
    assert all(0.3 < values[0] < best for values in found.values())
    draw(found, best, tmp_path / "gain.png")
    assert (tmp_path / "gain.png").read_bytes()[:4] == b"\x89PNG"
