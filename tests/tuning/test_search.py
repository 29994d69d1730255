"""Searches: equal effort, failures kept apart, and going on after a kill without training anything twice."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dynctr_tf.models.catalogue import Choice, LogUniform
from dynctr_tf.tuning import search

SPACE = {"rate": LogUniform(1e-4, 1e-1), "units": Choice(((8,), (16, 8), (32,)))}


def distance(values: Mapping[str, Any], folder: Path) -> float:
    """Best at a rate of 0.01."""
    return abs(math.log10(values["rate"]) + 2.0) + len(values["units"])


HAS_SCIPY = importlib.util.find_spec("scipy") is not None


@pytest.mark.parametrize(
    "tuner", ["random", pytest.param("bayesian", marks=pytest.mark.skipif(not HAS_SCIPY, reason="needs scipy"))]
)
def test_draws_lie_in_the_space_and_the_best_comes_first(tuner: Any, tmp_path: Path) -> None:
    trials = search(distance, SPACE, trials=6, directory=tmp_path / "search", tuner=tuner)
    assert len(trials) == 6
    assert [trial.score for trial in trials] == sorted(trial.score for trial in trials)
    for trial in trials:
        assert trial.score == pytest.approx(distance(trial.values, tmp_path)) and trial.error is None
        assert 1e-4 <= trial.values["rate"] <= 1e-1 and trial.values["units"] in SPACE["units"].values
    assert len({trial.values["rate"] for trial in trials}) == 6


def test_maximizing_turns_the_order(tmp_path: Path) -> None:
    trials = search(distance, SPACE, trials=4, directory=tmp_path / "search", maximize=True)
    assert trials[0].score == max(trial.score for trial in trials)


def test_the_seed_gives_the_draws(tmp_path: Path) -> None:
    first, same, other = (
        search(distance, SPACE, trials=3, directory=tmp_path / name, seed=seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == same and [trial.values for trial in first] != [trial.values for trial in other]


def test_a_trial_that_fails_is_reported_and_never_best(tmp_path: Path) -> None:
    calls: list[float] = []

    def train(values: Mapping[str, Any], folder: Path) -> float:
        calls.append(values["rate"])
        if len(calls) == 2:
            raise ValueError("rank must be at most 4,\ngot 8.")
        return math.nan if len(calls) == 3 else distance(values, folder)

    def failures(trials: list[Any]) -> list[str]:
        return [trial.error for trial in trials if trial.error is not None]

    trials = search(train, SPACE, trials=4, directory=tmp_path / "search")
    assert len(trials) == 4 and [trial.error is None for trial in trials] == [True, True, False, False]
    assert failures(trials) == ["ValueError: rank must be at most 4, got 8.", "ValueError: The score is nan."]
    assert all(math.isnan(trial.score) for trial in trials[2:])
    # Asked again it still knows all of it, without training.
    again = search(train, SPACE, trials=4, directory=tmp_path / "search")
    assert len(calls) == 4 and failures(again) == failures(trials) and again[:2] == trials[:2]


def test_where_all_fail_the_errors_are_told(tmp_path: Path) -> None:
    def train(values: Mapping[str, Any], folder: Path) -> float:
        raise FloatingPointError("The training loss is nan at step 7.")

    with pytest.raises(RuntimeError, match=r"(?s)No trial succeeded:.*FloatingPointError: .* nan at step 7"):
        search(train, SPACE, trials=2, directory=tmp_path / "search", start={"rate": 1.0, "units": (8,)})


@pytest.mark.parametrize("killed", [1, 3])
def test_a_killed_search_goes_on_and_trains_no_trial_twice(killed: int, tmp_path: Path) -> None:
    expected = search(distance, SPACE, trials=4, directory=tmp_path / "whole")
    calls: list[tuple[str, float]] = []

    def train(values: Mapping[str, Any], folder: Path) -> float:
        calls.append((folder.name, values["rate"]))
        if len(calls) == killed:
            raise KeyboardInterrupt  # which nothing on the way catches, as a kill
        return distance(values, folder)

    with pytest.raises(KeyboardInterrupt):
        search(train, SPACE, trials=4, directory=tmp_path / "search")
    trials = search(train, SPACE, trials=4, directory=tmp_path / "search")
    assert trials == expected
    # Only the trial that was under way comes twice, with the same values in the same folder.
    assert len(calls) == 5 and len(set(calls)) == 4 and calls[killed - 1] == calls[killed]


def test_the_start_is_trained_beside_the_draws(tmp_path: Path) -> None:
    trials = search(distance, SPACE, trials=2, directory=tmp_path / "search", start={"rate": 0.01, "units": (8,)})
    assert len(trials) == 3 and trials[0].values == {"rate": 0.01, "units": (8,)} and trials[0].score == 1.0


@pytest.mark.skipif(HAS_SCIPY, reason="scipy is installed")
def test_a_tuner_that_lacks_a_package_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs scipy, which is not installed: pip install"):
        search(distance, SPACE, trials=1, directory=tmp_path, tuner="bayesian")


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Unknown tuner: 'bayes'. Did you mean 'bayesian'"):
        search(distance, SPACE, trials=1, directory=tmp_path, tuner="bayes")  # type: ignore[arg-type]
    for space, count in (({}, 1), (SPACE, 0)):
        with pytest.raises(ValueError, match="needs a space and at least one trial"):
            search(distance, space, trials=count, directory=tmp_path)
