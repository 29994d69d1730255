"""keras-tuner's oracles, which draw the trials of a search, with files that are whole whenever they are killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import keras_tuner

from dynctr_tf.durable_files import make_folder, read_json, write_json
from dynctr_tf.tuning.search_errors import ending_the_search
from dynctr_tf.tuning.search_trials import has_record

TunerName = Literal["random", "bayesian", "hyperband", "grid"]

HYPERBAND_FACTOR = 3
_ENDED = ("COMPLETED", "INVALID", "FAILED")


class _WholeFiles(keras_tuner.Oracle):  # type: ignore[misc]
    """An oracle whose files are whole whenever it is killed, and which remembers the trials that were running.

    keras-tuner writes its files in place: if it is killed while it writes, it leaves half a file, which nothing can
    read. It also notes the start of a trial in two files, and the end of a trial before it takes the trial off the list
    of running ones, so that a kill in between loses a trial or repeats it.
    """

    start_order: list[str]
    end_order: list[str]

    def save(self) -> None:
        """Writes the state of the search in one move."""
        with ending_the_search():
            write_json(self._get_oracle_fname(), self.get_state())

    def _save_trial(self, trial: Any) -> None:
        with ending_the_search():
            write_json(make_folder(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())

    def reload(self) -> None:
        """Reads the state of an interrupted search; the trials that were running come next.

        Raises:
            DamagedFileError: A file of it is not what was written.
        """
        place = Path(self._project_dir)
        advice = f"Delete {place} to search again."
        state = read_json(self._get_oracle_fname(), advice)
        self.trials = {}
        for file in sorted(place.glob("trial_*/trial.json")):
            trial = keras_tuner.engine.trial.Trial.from_state(read_json(file, advice))
            self.trials[trial.trial_id] = trial
        self.set_state(state)
        self.ongoing_trials: dict[str, Any] = {}
        for name, trial in self.trials.items():
            if name not in self.start_order:
                self._record_values(trial)  # so that it is not drawn again
        self.start_order = sorted(self.trials)
        ended = {
            name
            for name, trial in self.trials.items()
            if trial.status in _ENDED and has_record(place / f"trial_{name}")
        }
        self.end_order = [name for name in self.end_order if name in ended]
        self._retry_queue = [name for name in reversed(self.start_order) if name not in ended]


class _RandomOracle(_WholeFiles, keras_tuner.oracles.RandomSearchOracle):  # type: ignore[misc]
    pass


class _BayesianOracle(_WholeFiles, keras_tuner.oracles.BayesianOptimizationOracle):  # type: ignore[misc]
    pass


class _HyperbandOracle(_WholeFiles, keras_tuner.oracles.HyperbandOracle):  # type: ignore[misc]
    pass


class _GridOracle(_WholeFiles):
    """Every set of values of the grid once, the last hyper-parameter changing first.

    The number of a trial says which set it is, so that a killed search needs no state to continue. keras-tuner's own
    grid keeps a linked list of trials, and puts values of its own into ranges that have no steps.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Returns the set of values of a trial's number."""
        number, values = int(trial_id), {}
        for parameter in reversed(self.hyperparameters.space):
            number, place = divmod(number, len(parameter.values))
            values[parameter.name] = parameter.values[place]
        status = keras_tuner.engine.trial.TrialStatus
        return {"status": status.STOPPED if number else status.RUNNING, "values": values}


def make_oracle(
    tuner: str,
    trials: int,
    hyperparameters: keras_tuner.HyperParameters,
    maximize: bool,
    seed: int,
    budget: tuple[str, int] | None,
) -> Any:
    """Returns what draws the trials.

    Args:
        tuner: `"random"`, `"grid"`, `"bayesian"` or `"hyperband"`.
        trials: How many it draws at most.
        hyperparameters: What it draws.
        maximize: Whether the largest score is the best.
        seed: Of its draws.
        budget: Under hyperband the name and the number of epochs of the longest trial.
    """
    options: dict[str, Any] = {
        "objective": keras_tuner.Objective("score", "max" if maximize else "min"),
        "hyperparameters": hyperparameters,
        "allow_new_entries": False,
        "max_consecutive_failed_trials": trials + 1,
        "seed": seed + 1,  # keras-tuner takes 0 for no seed at all.
    }
    if tuner == "random":
        return _RandomOracle(max_trials=trials, **options)
    if tuner == "grid":
        return _GridOracle(max_trials=trials, **options)
    if tuner == "bayesian":
        # keras-tuner would draw three per hyper-parameter at random first, which is more than many a search has.
        first = min(3 * len(hyperparameters.space), max(3, trials // 3))
        return _BayesianOracle(max_trials=trials, num_initial_points=first, **options)
    longest = HYPERBAND_FACTOR if budget is None else budget[1]
    oracle = _HyperbandOracle(max_epochs=longest, factor=HYPERBAND_FACTOR, hyperband_iterations=None, **options)
    oracle.max_trials = trials  # keras-tuner's own end of hyperband is a number of sweeps
    return oracle


def ended_trials(oracle: Any) -> int:
    """How many trials have ended, failed ones included."""
    return sum(trial.status in _ENDED for trial in list(oracle.trials.values()))
