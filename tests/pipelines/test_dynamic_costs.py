"""What dynamic models cost beside static ones is counted, and the pictures of gains are drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.benchmarks import gain_conditions, gain_picture
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


@pytest.mark.slow
def test_the_picture_of_conditions_is_drawn_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gain_picture, "DYNAMIC", {"DynamicGeneratedParameters": {"rank": 2}})
    words = ["--rows", "500", "1000", "--strengths", "1.6", "--values", "10", "80"]
    words += ["--epochs", "1", "--seeds", "1", "--test-rows", "400"]
    gain_conditions.main([*words, "--output", str(tmp_path)])
    first = capsys.readouterr().out
    # Fewer rows are passed over more often.
    names = {f"1.6-{values}-{rows}-1-400.json" for values in (10, 80) for rows in ("500-2", "1000-1")}
    assert names <= {file.name for file in tmp_path.iterdir()}
    assert (tmp_path / "gain_conditions.png").read_bytes()[:4] == b"\x89PNG"
    monkeypatch.setattr(gain_conditions, "measure", lambda *_: pytest.fail("It is measured again."))
    gain_conditions.main([*words, "--output", str(tmp_path)])
    assert capsys.readouterr().out == first and "1,000" in first


def test_conditions_that_are_none_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gain_conditions.main(["--rows", "0", "--output", str(tmp_path / "out")])
    assert "--rows must be above 0, got [0]" in capsys.readouterr().err and not (tmp_path / "out").exists()
