"""What a search found: the table, the shares and the picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynctr_tf.models.catalogue import Choice, LogUniform, Uniform
from dynctr_tf.tuning import Trial, explained_share, memory_growth, plot_search, reached_ends, trials_table

SPACE = {"optimizer.rate": LogUniform(1e-4, 1e-1), "model.units": Choice(((8,), (16, 8)))}


def found(trials: int = 24) -> list[Trial]:
    random = np.random.default_rng(1)
    listed = []
    for number in range(trials):
        values = {
            "optimizer.rate": 10.0 ** random.uniform(-4, -1),
            "model.units": SPACE["model.units"].values[number % 2],
        }
        score = 0.40 + 0.02 * (math.log10(values["optimizer.rate"]) + 2.5) ** 2 + 0.001 * random.normal()
        figures = {"seconds": 2.0, "memory_mib": 500.0 + number, "epochs": 1.5}
        listed.append(Trial(values, score, None, f"trial_{number:02d}", figures))
    failed = Trial({"optimizer.rate": 0.09, "model.units": (8,)}, math.nan, "ValueError: too fast.", "trial_99")
    return [*sorted(listed, key=lambda trial: trial.score), failed]


def test_the_table_has_each_trial_and_each_error() -> None:
    lines = trials_table([*found(3), Trial({}, 0.5, None, "trial_start")]).splitlines()
    assert lines[0].split() == ["trial", "score", "optimizer.rate", "model.units", "epochs", "seconds", "MiB"]
    assert [line.split()[0] for line in lines[2:7]] == ["00", "02", "01", "99", "start"]
    assert any(line.split()[:2] == ["99", "failed"] for line in lines)
    assert lines[-1] == "trial_99 failed: ValueError: too fast."
    assert any("16x8" in line for line in lines) and any(line.count("(start)") == 2 for line in lines)


def test_shares_tell_what_mattered() -> None:
    trials = found()[:-1]
    scores = [trial.score for trial in trials]
    assert explained_share([math.log(trial.values["optimizer.rate"]) for trial in trials], scores) > 0.95
    assert explained_share([trial.values["model.units"] for trial in trials], scores) < 0.2
    # Nothing is explained by noise on average, however few the trials.
    random = np.random.default_rng(0)
    noise = [explained_share(list(random.normal(size=8)), list(random.normal(size=8))) for _ in range(200)]
    assert np.mean(noise) < 0.25
    assert math.isnan(explained_share([1, 2, 3], [0.1, 0.2, 0.3])) and math.isnan(explained_share([1] * 9, range(9)))
    # One training that went astray does not hide the rest.
    assert explained_share([1.0] * 8 + [2.0] * 8, [0.40, 0.41] * 4 + [0.42, 0.43] * 3 + [0.42, 9.0]) > 0.3


def best_first(values: list[Any]) -> list[Trial]:
    return [Trial({"rate": value}, 0.4 + 0.01 * place, None, f"trial_{place}") for place, value in enumerate(values)]


@pytest.mark.parametrize(
    ("draw", "values", "found"),
    [
        (
            LogUniform(3e-4, 3e-3),
            [2.71e-3, 4.1e-4, 5.2e-4],
            "0.00271, the highest of 3 values (searched: 0.0003 to 0.003)",
        ),
        (
            LogUniform(3e-4, 3e-3),
            [3.1e-4, 4.1e-4, 5.2e-4],
            "0.00031, the lowest of 3 values (searched: 0.0003 to 0.003)",
        ),
        # The highest that was drawn, but not near the end of what could have been.
        (LogUniform(3e-4, 3e-3), [2.0e-3, 4.1e-4, 5.2e-4], None),
        (LogUniform(3e-4, 3e-3), [4.1e-4, 2.71e-3, 3.1e-4], None),
        (Uniform(0.0, 0.5), [0.49, 0.2, 0.1], "0.49, the highest of 3 values (searched: 0 to 0.5)"),
        (Uniform(0.0, 0.5), [0.01, 0.2, 0.1], None),
        (Choice((1, 2, 4)), [4, 2, 1, 4], "4, the highest of 3 values (searched: 1 to 4)"),
        (Choice((1, 2, 4)), [4, 2, 2], None),
        (Choice((1, 2, 4)), [1, 2, 4], None),
        (Choice((2, 4, 8)), [2, 4, 8], "2, the lowest of 3 values (searched: 2 to 8)"),
        (Choice((0.0, 1e-6, 1e-4)), [0.0, 1e-6, 1e-4], None),
        (Choice((False, True)), [True, False, True], None),
        (Choice(((8,), (16, 8), (4,))), [(16, 8), (8,), (4,)], None),
        (Choice(("auto", 2, 4)), [4, 2, "auto"], None),
    ],
)
def test_a_best_value_at_an_end_of_the_space(draw: Any, values: list[Any], found: str | None) -> None:
    failed = Trial({"rate": 9.0}, math.nan, "ValueError: too fast.", "trial_99")
    trials = best_first(values)
    assert reached_ends([*trials, failed], {"rate": draw}) == ({"rate": found} if found else {})
    assert reached_ends([Trial({}, 0.1, None, "trial_start"), *trials], {"rate": draw}) == {}
    assert reached_ends([Trial({"rate": values[0]}, 0.1), *trials], {"rate": draw}) == reached_ends(
        trials, {"rate": draw}
    )
    assert reached_ends([failed], {"rate": draw}) == {}


def test_a_start_beyond_the_space_that_is_best() -> None:
    start = Trial({"rate": 9e-3}, 0.1, None, "trial_start")
    said = "0.009, the highest of 4 values (searched: 0.0003 to 0.003)"
    drawn = best_first([1e-3, 2e-3, 4e-4])
    assert reached_ends([start, *drawn], {"rate": LogUniform(3e-4, 3e-3)}) == {"rate": said}


def test_memory_growth_is_measured() -> None:
    growth = memory_growth(found())
    assert growth["mib_per_trial"] == pytest.approx(1.0) and growth["last_mib"] - growth["first_mib"] == pytest.approx(
        16
    )
    assert memory_growth(found(4)[:-1]) == {}


def test_the_picture(tmp_path: Path) -> None:
    plot_search(tmp_path / "trials.png", found(), SPACE, objective="validation logloss")
    assert (tmp_path / "trials.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with pytest.raises(ValueError, match="must end in '.png'"):
        plot_search(tmp_path / "trials.jpg", found(), SPACE, objective="validation logloss")
    with pytest.raises(ValueError, match="nothing to draw"):
        plot_search(tmp_path / "trials.png", found()[-1:], SPACE, objective="validation logloss")
