"""A search of hyper-parameters with keras-tuner, over spaces written as plain data, for any training function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import keras_tuner
from tqdm.auto import tqdm

from dynctr_tf.child_processes import end_with_parent
from dynctr_tf.durable_files import make_folder, only_process, remove_abandoned
from dynctr_tf.models.catalogue import SearchSpace
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.tuning.search_errors import as_it_was
from dynctr_tf.tuning.search_loop import SearchLoop
from dynctr_tf.tuning.search_oracles import HYPERBAND_FACTOR, TunerName, ended_trials, make_oracle
from dynctr_tf.tuning.search_space import declare, drawn_values, grid_size
from dynctr_tf.tuning.search_trials import Trial, read_record, train_start
from dynctr_tf.tuning.search_workers import chief_of_workers, role_of_process, serve_workers

_TUNERS: tuple[str, ...] = get_args(TunerName)


def search(
    train: Callable[[Mapping[str, Any], Path], float | Mapping[str, float]],
    space: SearchSpace,
    *,
    trials: int,
    directory: str | Path,
    start: Mapping[str, Any] | None = None,
    maximize: bool = False,
    tuner: TunerName = "random",
    seed: int = 0,
    budget: tuple[str, int] | None = None,
    workers: int = 1,
    worker_command: Sequence[str] = (),
) -> list[Trial]:
    """Trains with hyper-parameters drawn from a space and returns all trials, the best first.

    Use it to give every model of a comparison the same effort. A killed search continues when it is called again with
    the same directory. Trials that ended are not trained again. The trial that was running is trained in the same
    folder, so that a training that keeps checkpoints there continues too. A trial that raises is kept with its error
    and is never among the best; the search continues.

    Args:
        train: Trains with some hyper-parameters, in a folder of its own, and returns the score, such as the
            logloss of the validation split, or a mapping with `"score"` and further numbers.
        space: The hyper-parameters and what they are drawn from.
        trials: How many sets of hyper-parameters to train; under hyperband also those that are trained further; under
            grid at least as many as the grid has, see `grid_size`.
        directory: Where the search keeps its state.
        start: Hyper-parameters that are trained first, beside the trials that are drawn, such as a model's
            defaults; they need not lie in the space. Default `None`: drawn trials alone.
        maximize: Whether a larger score is better. Default `False`.
        tuner: `"random"`; `"bayesian"`, a Gaussian process after a third of the trials; `"hyperband"`, which
            trains many sets shortly and the best of them further, and needs a budget; or `"grid"`, every set of
            values of a space of choices once. Default `"random"`.
        seed: Seed of the draws. Default 0.
        budget: For hyperband, the name under which `train` gets how long to train, and its largest value, at least 3,
            such as `("training.epochs", 9)`. A set that is trained further is trained in the folder of its earlier
            trial. Default `None`.
        workers: Processes that train trials at the same time. Default 1: this one.
        worker_command: The command that makes the same call of `search` in another process, needed for more
            than one worker; keras-tuner's environment variables make that process a worker of this one.

    Returns:
        The trials that succeeded, the best first, then those that failed; none in a process that is a worker.

    Raises:
        ValueError: An unknown tuner, an empty space, fewer than one trial or worker, hyperband without a budget, a grid
            over a range, or one with more sets of values than trials;
            the start is refused with a `ValueError`, as options of a model are that do not go together.
        RuntimeError: No trial succeeded, the message has the error of each; the workers end before they train;
            another search runs in the directory (`BusyError`).
        DamagedFileError: A file of an interrupted search is not what was written.
        OSError: The disk is full or broken, which is not the fault of a trial; the search continues when it is started
            again.
    """
    _check(space, trials, tuner, budget, workers, worker_command)
    place = Path(directory).absolute()
    hyperparameters = keras_tuner.HyperParameters()
    declare(hyperparameters, space)
    hyperband = budget if tuner == "hyperband" else None
    epochs_name = None if hyperband is None else hyperband[0]

    role = role_of_process()
    if role == "worker":
        end_with_parent()
        oracle = make_oracle(tuner, trials, hyperparameters, maximize, seed, budget)
        with tqdm(desc="trials of this worker", unit="trial") as bar, as_it_was():
            SearchLoop(oracle, train, space, place, bar, epochs_name).search(verbose=0)
        return []

    make_folder(place)
    remove_abandoned(place)
    with only_process(place / "lock", f"searches in {place}"):
        oracle = make_oracle(tuner, trials, hyperparameters, maximize, seed, budget)
        bar = tqdm(total=grid_size(space) if tuner == "grid" else trials, desc="trials", unit="trial")
        with bar, as_it_was(), chief_of_workers(workers, role) as environment:
            loop = SearchLoop(oracle, train, space, place, bar, epochs_name)
            if (place / "oracle.json").exists():
                oracle.reload()
            bar.update(ended_trials(oracle))
            if start is not None:
                train_start(train, start, place / "trial_start")
            if environment is None:
                loop.search(verbose=0)
            else:
                serve_workers(loop, workers, worker_command, environment, place, bar)
        return _results(oracle, space, place, hyperband, start, maximize)


def _check(
    space: SearchSpace,
    trials: int,
    tuner: str,
    budget: tuple[str, int] | None,
    workers: int,
    worker_command: Sequence[str],
) -> None:
    if tuner not in _TUNERS:
        raise ValueError(unknown_name_message("tuner", str(tuner), _TUNERS))
    if not space or trials < 1:
        raise ValueError(f"A search needs a space and at least one trial, got {len(space)} and {trials}.")
    if tuner == "hyperband" and (budget is None or budget[1] < HYPERBAND_FACTOR):
        raise ValueError(
            f"The tuner 'hyperband' trains some sets of values {HYPERBAND_FACTOR} times as long as others, so it "
            f"needs a budget of at least {HYPERBAND_FACTOR} epochs, got {None if budget is None else budget[1]}."
        )
    if tuner == "grid" and grid_size(space) > trials:
        raise ValueError(
            f"The grid has {grid_size(space):,} sets of values, which are more than {trials:,} trials. Give at least "
            "as many trials, or fewer values in the search space."
        )
    if budget is not None and budget[0] in space and tuner == "hyperband":
        raise ValueError(f"{budget[0]!r} is what hyperband hands out; take it out of the search space.")
    if workers < 1 or (workers > 1 and not worker_command):
        raise ValueError(
            f"A search needs at least one worker, and a worker_command for more than one; got {workers} and "
            f"{list(worker_command)}."
        )


def _results(
    oracle: Any,
    space: SearchSpace,
    place: Path,
    budget: tuple[str, int] | None,
    start: Mapping[str, Any] | None,
    maximize: bool,
) -> list[Trial]:
    found = [("trial_start", dict(start))] if start is not None else []
    for name, trial in sorted(oracle.trials.items()):
        values = drawn_values(trial.hyperparameters, space)
        if budget is not None:
            values[budget[0]] = trial.hyperparameters.values["tuner/epochs"]
        found.append((f"trial_{name}", values))
    finished, failed = [], []
    for name, values in found:
        record = read_record(place / name)
        if record["error"] is None:
            finished.append(Trial(values, record["score"], None, name, record["figures"]))
        else:
            failed.append(Trial(values, math.nan, record["error"], name, record["figures"]))
    if not finished:
        raise RuntimeError("No trial succeeded:\n" + "\n".join(f"{trial.values}: {trial.error}" for trial in failed))
    finished.sort(key=lambda trial: trial.score, reverse=maximize)
    return finished + failed
