"""A search of hyper-parameters with keras-tuner, over spaces written as plain data, for any training function."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import keras_tuner
from tqdm.auto import tqdm

from dynctr_tf.models.catalogue import LogUniform, SearchSpace
from dynctr_tf.nearest import unknown_name_message

Tuner = Literal["random", "bayesian"]

_ORACLES: Mapping[str, type] = {
    "random": keras_tuner.oracles.RandomSearchOracle,
    "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
}


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trained set of hyper-parameters.

    Attributes:
        values: The hyper-parameters.
        score: What the training function returned for them; `nan` for a trial that failed.
        error: Why it failed; `None` for one that did not.
    """

    values: Mapping[str, Any]
    score: float
    error: str | None = None


def search(
    train: Callable[[Mapping[str, Any], Path], float],
    space: SearchSpace,
    *,
    trials: int,
    directory: str | Path,
    start: Mapping[str, Any] | None = None,
    maximize: bool = False,
    tuner: Tuner = "random",
    seed: int = 0,
) -> list[Trial]:
    """Trains with hyper-parameters drawn from a space and returns all trials, the best first.

    Use it to give every model of a comparison the same effort. A killed search goes on when it is called again with
    the same directory: trials that ended are not trained again, the one that was under way is, in its folder. A trial
    that raises is kept with its error, is never among the best, and the search goes on.

    Args:
        train: Trains with some hyper-parameters, in a folder of its own, and returns the score, such as the
            logloss of the validation split.
        space: The hyper-parameters and what they are drawn from.
        trials: How many sets of hyper-parameters to train.
        directory: Where the search keeps its state.
        start: Hyper-parameters that are trained first, beside the trials that are drawn, such as a model's
            defaults; they need not lie in the space. Trained again when a search goes on, so let `train` remember
            the score. Default `None`: drawn trials alone.
        maximize: Whether a larger score is better. Default `False`.
        tuner: `"random"`, or `"bayesian"`, which needs scipy (`pip install 'keras-tuner[bayesian]'`).
            Default `"random"`.
        seed: Seed of the draws. Default 0.

    Returns:
        The trials that succeeded, the best first, then those that failed.

    Raises:
        ValueError: An unknown tuner or one that lacks a package, an empty space, or fewer than one trial.
        RuntimeError: No trial succeeded; the message has the error of each.
    """
    if tuner not in _ORACLES:
        raise ValueError(unknown_name_message("tuner", str(tuner), _ORACLES))
    if not space or trials < 1:
        raise ValueError(f"A search needs a space and at least one trial, got {len(space)} and {trials}.")
    if tuner == "bayesian" and importlib.util.find_spec("scipy") is None:
        raise ValueError(
            "The tuner 'bayesian' needs scipy, which is not installed: pip install 'keras-tuner[bayesian]'."
        )
    place = Path(directory)
    hyperparameters = keras_tuner.HyperParameters()
    for name, draw in space.items():
        if isinstance(draw, LogUniform):
            hyperparameters.Float(name, draw.low, draw.high, sampling="log")
        else:
            # Values may be tuples, which keras-tuner does not take; it draws their place.
            hyperparameters.Choice(name, list(range(len(draw.values))))

    def values_of(drawn: keras_tuner.HyperParameters) -> dict[str, Any]:
        return {
            name: drawn.get(name) if isinstance(draw, LogUniform) else draw.values[drawn.get(name)]
            for name, draw in space.items()
        }

    finished: list[Trial] = []
    failed: list[Trial] = []
    if start is not None:
        try:
            finished.append(Trial(dict(start), _finite(train(start, place / "trial_start"))))
        except (ValueError, FloatingPointError) as error:
            failed.append(Trial(dict(start), math.nan, _described(error)))
    bar = tqdm(total=trials, desc="trials", unit="trial")

    class Search(keras_tuner.Tuner):
        """keras-tuner's loop around the training function."""

        def run_trial(self, trial: Any, *_: Any, **__: Any) -> dict[str, float]:
            """Trains one trial."""
            values = values_of(trial.hyperparameters)
            try:
                score = _finite(train(values, place / f"trial_{trial.trial_id}"))
            except (ValueError, FloatingPointError) as error:
                # keras-tuner keeps the last line of a message with the trial, on disk.
                raise keras_tuner.errors.FailedTrialError(_described(error)) from error
            bar.update()
            return {"score": score}

    oracle = _ORACLES[tuner](
        objective=keras_tuner.Objective("score", "max" if maximize else "min"),
        max_trials=trials,
        hyperparameters=hyperparameters,
        allow_new_entries=False,
        max_consecutive_failed_trials=trials + 1,
        seed=seed + 1,  # keras-tuner takes 0 for no seed at all.
    )
    loop = Search(oracle=oracle, directory=str(place.parent), project_name=place.name, overwrite=False)
    bar.update(sum(trial.status in ("COMPLETED", "INVALID", "FAILED") for trial in oracle.trials.values()))
    loop.search(verbose=0)
    bar.close()
    for _, trial in sorted(oracle.trials.items()):
        values = values_of(trial.hyperparameters)
        if trial.status == "COMPLETED":
            finished.append(Trial(values, float(trial.score)))
        else:
            failed.append(Trial(values, math.nan, _last_message(trial.message) or f"ended as {trial.status}"))
    if not finished:
        raise RuntimeError("No trial succeeded:\n" + "\n".join(f"{trial.values}: {trial.error}" for trial in failed))
    finished.sort(key=lambda trial: trial.score, reverse=maximize)
    return finished + failed


def _finite(score: float) -> float:
    if not math.isfinite(score):
        raise ValueError(f"The score is {score}.")
    return float(score)


def _described(error: Exception) -> str:
    """The error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _last_message(trace: str | None) -> str:
    """The message of the error at the end of a traceback, without the name of keras-tuner's own error."""
    last = (trace or "").strip().splitlines()[-1:] or [""]
    return re.sub(r"^keras_tuner\S*FailedTrialError: ", "", last[0])
