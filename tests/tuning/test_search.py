"""Searches: equal effort, failures kept apart, and going on after a kill without training anything twice."""

from __future__ import annotations

import errno
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynctr_tf.durable_files import DamagedFileError, read_json, write_json
from dynctr_tf.models.catalogue import Choice, LogUniform
from dynctr_tf.tuning import search

SPACE = {"rate": LogUniform(1e-4, 1e-1), "units": Choice(((8,), (16, 8), (32,)))}


def distance(values: Mapping[str, Any], folder: Path) -> float:
    """Best at a rate of 0.01."""
    return abs(math.log10(values["rate"]) + 2.0) + len(values["units"])


@pytest.mark.parametrize("tuner", ["random", "bayesian"])
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


def test_a_start_that_is_refused_ends_the_search(tmp_path: Path) -> None:
    def train(values: Mapping[str, Any], folder: Path) -> float:
        if values["units"] == (7,):
            raise ValueError("units must be even, got (7,).")
        return distance(values, folder)

    with pytest.raises(ValueError, match=r"starts from cannot be trained: units must be even, got \(7,\)"):
        search(train, SPACE, trials=2, directory=tmp_path / "search", start={"rate": 0.01, "units": (7,)})
    trials = search(train, SPACE, trials=2, directory=tmp_path / "search", start={"rate": 0.01, "units": (8,)})
    assert [trial.error for trial in trials] == [None] * 3 and trials[0].values["units"] == (8,)


@pytest.mark.slow
def test_the_gaussian_process_learns_where_the_good_values_are(tmp_path: Path) -> None:
    space = {name: LogUniform(1e-4, 1.0) for name in ("a", "b")}

    def valley(values: Mapping[str, Any], folder: Path) -> float:
        return sum((math.log10(value) + 1.0) ** 2 for value in values.values())

    # The first three trials of both are drawn by chance.
    means = {}
    for tuner in ("random", "bayesian"):
        trials = search(valley, space, trials=9, directory=tmp_path / tuner, tuner=tuner)
        means[tuner] = np.mean([trial.score for trial in trials if int(trial.name.removeprefix("trial_")) >= 3])
    assert means["bayesian"] < 0.6 * means["random"]


def test_hyperband_trains_the_better_half_further_in_its_folder(tmp_path: Path) -> None:
    calls: list[tuple[str, int, float]] = []

    def train(values: Mapping[str, Any], folder: Path) -> dict[str, float]:
        calls.append((folder.name, values["epochs"], values["rate"]))
        folder.mkdir(parents=True, exist_ok=True)
        trained = folder / "trained"
        before = int(trained.read_text()) if trained.exists() else 0
        assert before < values["epochs"]  # a set that comes again has been trained less before
        trained.write_text(str(values["epochs"]))
        return {"score": distance(values, folder) + 1.0 / values["epochs"], "before": float(before)}

    budget = ("epochs", 9)
    options: dict[str, Any] = {"tuner": "hyperband", "budget": budget, "directory": tmp_path / "search"}
    trials = search(train, SPACE, trials=17, **options)
    assert len(trials) == 17 and all(trial.error is None for trial in trials)
    further = [trial for trial in trials if trial.figures["before"]]
    # The first bracket: 9 sets for 1 epoch, 3 for 3, 1 for 9; in each round the best of the round before.
    first = calls[:13]
    assert [epochs for _, epochs, _ in first] == [1] * 9 + [3] * 3 + [9]
    one, three, nine = ({name for name, epochs, _ in first if epochs == budget} for budget in (1, 3, 9))
    assert nine < three < one and len(one) == 9
    assert further and all(trial.values["epochs"] > trial.figures["before"] for trial in further)
    lowest = {
        trial.name
        for trial in sorted((t for t in trials if t.name in one), key=lambda trial: trial.score)[:3]
    }  # fmt: skip
    assert three == lowest
    before = len(calls)
    assert search(train, SPACE, trials=17, **options) == trials and len(calls) == before
    with pytest.raises(ValueError, match="needs a budget of at least 3 epochs, got 1"):
        search(train, SPACE, trials=2, directory=tmp_path / "no", tuner="hyperband", budget=("epochs", 1))


def test_what_is_left_half_written_is_no_end(tmp_path: Path) -> None:
    """A kill between keras-tuner's two files: the trial is known, the search does not know that it was begun."""
    whole = search(distance, SPACE, trials=4, directory=tmp_path / "whole")
    search(distance, SPACE, trials=2, directory=tmp_path / "search")
    lost = tmp_path / "search" / "trial_1"
    (lost / "record.json").unlink()
    trial = read_json(lost / "trial.json")
    write_json(lost / "trial.json", {**trial, "status": "RUNNING", "score": None})
    (tmp_path / "search" / "oracle.unfinished-0a1b2c3d.json").write_text('{"ongoing_tri', encoding="utf-8")
    assert search(distance, SPACE, trials=4, directory=tmp_path / "search") == whole
    assert not list((tmp_path / "search").glob("*.unfinished-*"))


def test_damage_in_a_search_is_named_or_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "search[1]"
    whole = search(distance, SPACE, trials=3, directory=place, start={"rate": 0.01, "units": (8,)})
    for name in ("trial_0", "trial_2", "trial_start"):
        record = place / name / "record.json"
        record.write_bytes(record.read_bytes().replace(b"score", b"scare"))
    assert search(distance, SPACE, trials=3, directory=place, start={"rate": 0.01, "units": (8,)}) == whole
    assert capsys.readouterr().out.count("It is trained again.") == 3
    (place / "trial_1" / "record.json").unlink()
    assert search(distance, SPACE, trials=3, directory=place, start={"rate": 0.01, "units": (8,)}) == whole
    for file in (place / "trial_1" / "trial.json", place / "oracle.json"):
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
        with pytest.raises(DamagedFileError, match=rf"{file.name} is damaged: it is not JSON .* to search again"):
            search(distance, SPACE, trials=3, directory=place)
        file.write_bytes(content)


def test_a_full_disk_is_no_fault_of_a_trial(tmp_path: Path) -> None:
    full = True

    def train(values: Mapping[str, Any], folder: Path) -> float:
        if full and folder.name == "trial_1":
            raise OSError(errno.ENOSPC, "No space left on device", str(folder))
        return distance(values, folder)

    whole = search(distance, SPACE, trials=3, directory=tmp_path / "whole")
    with pytest.raises(OSError, match="No space left on device: '.*trial_1'"):
        search(train, SPACE, trials=3, directory=tmp_path / "search")
    full = False
    assert search(train, SPACE, trials=3, directory=tmp_path / "search") == whole


def test_one_search_in_a_directory_at_a_time(tmp_path: Path) -> None:
    def train(values: Mapping[str, Any], folder: Path) -> float:
        with pytest.raises(RuntimeError, match="This process already searches in"):
            search(distance, SPACE, trials=1, directory=tmp_path / "search")
        return 1.0

    assert search(train, SPACE, trials=1, directory=tmp_path / "search")[0].error is None


def test_bad_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Unknown tuner: 'bayes'. Did you mean 'bayesian'"):
        search(distance, SPACE, trials=1, directory=tmp_path, tuner="bayes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a worker_command for more than one"):
        search(distance, SPACE, trials=1, directory=tmp_path, workers=2)
    for space, count in (({}, 1), (SPACE, 0)):
        with pytest.raises(ValueError, match="needs a space and at least one trial"):
            search(distance, space, trials=count, directory=tmp_path)


def test_the_grid_trains_every_set_of_values_once_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    space = {"rate": Choice((1e-3, 1e-2, 1e-1)), "units": Choice(((8,), (16, 8)))}
    whole = search(distance, space, trials=6, directory=tmp_path / "whole", tuner="grid")
    found = {(trial.values["rate"], trial.values["units"]) for trial in whole}
    assert len(whole) == 6 and found == {(rate, units) for rate in (1e-3, 1e-2, 1e-1) for units in ((8,), (16, 8))}
    assert whole[0].values == {"rate": 1e-2, "units": (8,)}
    calls: list[str] = []

    def train(values: Mapping[str, Any], folder: Path) -> float:
        calls.append(folder.name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return distance(values, folder)

    with pytest.raises(KeyboardInterrupt):
        search(train, space, trials=6, directory=tmp_path / "search", tuner="grid")
    assert search(train, space, trials=6, directory=tmp_path / "search", tuner="grid") == whole
    assert len(calls) == 7 and calls[2] == calls[3]
    # More trials than sets: the grid has an end.
    more = search(distance, space, trials=50, directory=tmp_path / "more", tuner="grid")
    assert [(trial.values, trial.score) for trial in more] == [(trial.values, trial.score) for trial in whole]


def test_a_grid_needs_lists_and_enough_trials(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rate is the range from 0.0001 to 0.1.*points = 4"):
        search(distance, SPACE, trials=9, directory=tmp_path, tuner="grid")
    space = {"units": SPACE["units"]}
    with pytest.raises(ValueError, match="3 sets of values, which are more than 2 trials"):
        search(distance, space, trials=2, directory=tmp_path, tuner="grid")
