"""A search of hyper-parameters with keras-tuner, over spaces written as plain data, for any training function."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import math
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import keras_tuner
from tensorflow import keras
from tqdm.auto import tqdm

from dynctr_tf.child_processes import child_environment, end_with_parent
from dynctr_tf.durable_files import (
    BusyError,
    DamagedFileError,
    make_folder,
    only_process,
    read_json,
    remove_abandoned,
    write_json,
)
from dynctr_tf.models.catalogue import SearchSpace
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.training.memory import give_back_memory, resident_memory_mib
from dynctr_tf.tuning.search_space import declare, drawn_values, grid_size

TunerName = Literal["random", "bayesian", "hyperband", "grid"]

_TUNERS = ("random", "bayesian", "hyperband", "grid")
_HYPERBAND_FACTOR = 3
# A trial as short as this trained no model; looking through all objects would take longer than the trial.
_CLEANING_SECONDS = 0.5
# A worker that ended while it trained a trial gets the trial once more; if it ends again, the trial has failed.
_CRASHES_PER_TRIAL = 2
_ENVIRONMENT = ("KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT", "KERASTUNER_TUNER_ID")
_ENDED = ("COMPLETED", "INVALID", "FAILED")


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trained set of hyper-parameters.

    Attributes:
        values: The hyper-parameters.
        score: What the training function returned for them; `nan` for a trial that failed.
        error: Why it failed; `None` for one that did not.
        name: The name of its folder in the search's directory.
        figures: What else is known of it: `"seconds"`, `"memory_mib"` (resident in its process when it ended) and
            what the training function gave beside the score.
    """

    values: Mapping[str, Any]
    score: float
    error: str | None = None
    name: str = dataclasses.field(default="", compare=False)
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict, compare=False)


class _EndOfSearch(keras_tuner.errors.FatalError):  # type: ignore[misc]
    """An error that keras-tuner does not take for the failure of a trial; its cause ended the search."""


_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


def _is_no_fault_of_the_trial(error: BaseException) -> bool:
    """Whether every trial would end in the same way: a full or broken disk, a damaged file, a folder in use."""
    if isinstance(error, (DamagedFileError, BusyError)):
        return True
    return isinstance(error, OSError) and error.errno in _OF_THE_DISK


@contextlib.contextmanager
def _ending_the_search() -> Iterator[None]:
    try:
        yield
    except (OSError, DamagedFileError, BusyError) as error:
        raise _EndOfSearch(str(error)) from error


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """Raises what ended the search."""
    try:
        yield
    except _EndOfSearch as ended:
        raise (ended.__cause__ or ended) from None


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
        with _ending_the_search():
            write_json(self._get_oracle_fname(), self.get_state())

    def _save_trial(self, trial: Any) -> None:
        with _ending_the_search():
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
            if trial.status in _ENDED and _has_record(place / f"trial_{name}")
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

    class Search(keras_tuner.Tuner):  # type: ignore[misc]
        """keras-tuner's loop around the training function."""

        def run_trial(self, trial: Any, *_: Any, **__: Any) -> dict[str, float]:
            """Trains one trial."""
            values = drawn_values(trial.hyperparameters, space)
            folder = f"trial_{trial.trial_id}"
            if budget is not None and tuner == "hyperband":
                drawn = trial.hyperparameters.values
                values[budget[0]] = drawn["tuner/epochs"]
                if "tuner/trial_id" in drawn:
                    folder = _read_record(place / f"trial_{drawn['tuner/trial_id']}")["folder"]
            with _ending_the_search():
                record = _trained(train, values, place / f"trial_{trial.trial_id}", place / folder)
            bar.update()
            if record["error"] is not None:
                raise keras_tuner.errors.FailedTrialError(record["error"])
            return {"score": record["score"]}

        def pre_create_trial(self) -> None:
            """Waits between two questions to the chief."""
            if self._is_worker():
                time.sleep(0.1)

        def save(self) -> None:
            """Writes the state of the search; this object has none."""
            if not self._is_worker():
                self.oracle.save()

        def reload(self) -> None:
            """Reads nothing: the oracle is read below, whichever process ran it last."""

    role = _role()
    if role == "worker":
        end_with_parent()
        oracle = _oracle(tuner, trials, hyperparameters, maximize, seed, budget)
        with tqdm(desc="trials of this worker", unit="trial") as bar, _as_it_was():
            Search(oracle=oracle, directory=str(place.parent), project_name=place.name).search(verbose=0)
        return []

    make_folder(place)
    remove_abandoned(place)
    with only_process(place / "lock", f"searches in {place}"):
        oracle = _oracle(tuner, trials, hyperparameters, maximize, seed, budget)
        bar = tqdm(total=grid_size(space) if tuner == "grid" else trials, desc="trials", unit="trial")
        with bar, _as_it_was(), _chief_of_workers(workers, role) as environment:
            loop = Search(oracle=oracle, directory=str(place.parent), project_name=place.name)
            if (place / "oracle.json").exists():
                oracle.reload()
            bar.update(_ended(oracle))
            if start is not None:
                _train_start(train, start, place / "trial_start")
            if environment is None:
                loop.search(verbose=0)
            else:
                _serve(loop, workers, worker_command, environment, place, bar)
        return _results(oracle, space, place, budget if tuner == "hyperband" else None, start, maximize)


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
    if tuner == "hyperband" and (budget is None or budget[1] < _HYPERBAND_FACTOR):
        raise ValueError(
            f"The tuner 'hyperband' trains some sets of values {_HYPERBAND_FACTOR} times as long as others, so it "
            f"needs a budget of at least {_HYPERBAND_FACTOR} epochs, got {None if budget is None else budget[1]}."
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


def _oracle(
    tuner: str,
    trials: int,
    hyperparameters: keras_tuner.HyperParameters,
    maximize: bool,
    seed: int,
    budget: tuple[str, int] | None,
) -> Any:
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
    longest = _HYPERBAND_FACTOR if budget is None else budget[1]
    oracle = _HyperbandOracle(max_epochs=longest, factor=_HYPERBAND_FACTOR, hyperband_iterations=None, **options)
    oracle.max_trials = trials  # keras-tuner's own end of hyperband is a number of sweeps
    return oracle


# ------------------------------------------------------------------------------------------------- one trial


def _trained(
    train: Callable[[Mapping[str, Any], Path], float | Mapping[str, float]],
    values: Mapping[str, Any],
    place: Path,
    folder: Path,
) -> dict[str, Any]:
    """Trains a trial that has no record yet, and returns its record; a failure has a record with its error."""
    if _has_record(place):
        return _read_record(place)
    begin = time.perf_counter()
    figures: dict[str, float] = {}
    score, error = math.nan, None
    try:
        given = train(values, folder)
        figures = {key: float(value) for key, value in given.items()} if isinstance(given, Mapping) else {}
        score = figures.pop("score") if isinstance(given, Mapping) else float(given)
        if not math.isfinite(score):
            raise ValueError(f"The score is {score}.")
    except Exception as caught:  # with any other error the trial has failed, and its record says why
        if _is_no_fault_of_the_trial(caught):
            raise
        error = _described(caught)
    if time.perf_counter() - begin > _CLEANING_SECONDS:
        _clean_up()
    figures.update(seconds=time.perf_counter() - begin, memory_mib=resident_memory_mib())
    return _write_record(place, folder.name, values, score, error, figures)


def _train_start(
    train: Callable[[Mapping[str, Any], Path], float | Mapping[str, float]], values: Mapping[str, Any], place: Path
) -> None:
    """Trains the values that a search starts from. If they are refused, the search is refused: the user asked for them.

    Raises:
        ValueError: They are refused; no record is kept, so that the corrected call begins with them again.
    """
    refused: list[ValueError] = []

    def train_or_note(values: Mapping[str, Any], folder: Path) -> float | Mapping[str, float]:
        try:
            return train(values, folder)
        except ValueError as error:
            refused.append(error)
            raise

    _trained(train_or_note, values, place, place)
    if refused:
        (place / "record.json").unlink()
        raise ValueError(f"What the search starts from cannot be trained: {refused[0]}") from refused[0]


def _clean_up() -> None:
    """Releases a trial's model, and gives its memory back to the system."""
    keras.backend.clear_session()
    give_back_memory()


def _write_record(
    place: Path,
    folder: str,
    values: Mapping[str, Any],
    score: float,
    error: str | None,
    figures: Mapping[str, float],
) -> dict[str, Any]:
    record = {
        "values": dict(values),
        "score": None if error else score,
        "error": error,
        "folder": folder,
        "figures": dict(figures),
    }
    write_json(make_folder(place) / "record.json", record)
    return record


def _read_record(place: Path) -> dict[str, Any]:
    return read_json(place / "record.json", "Delete it to have this trial trained again.")


def _has_record(place: Path) -> bool:
    """Whether a trial has its record; a damaged one is removed, so that the trial is trained again."""
    try:
        _read_record(place)
    except FileNotFoundError:
        return False
    except DamagedFileError as error:
        print(f"{error} It is trained again.", flush=True)
        (place / "record.json").unlink()
        return False
    return True


def _described(error: Exception) -> str:
    """The error in one line of bounded length: TensorFlow's come with the graph."""
    line = " ".join(f"{type(error).__name__}: {error}".split())
    return line if len(line) <= 500 else line[:497] + "..."


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
        record = _read_record(place / name)
        if record["error"] is None:
            finished.append(Trial(values, record["score"], None, name, record["figures"]))
        else:
            failed.append(Trial(values, math.nan, record["error"], name, record["figures"]))
    if not finished:
        raise RuntimeError("No trial succeeded:\n" + "\n".join(f"{trial.values}: {trial.error}" for trial in failed))
    finished.sort(key=lambda trial: trial.score, reverse=maximize)
    return finished + failed


def _ended(oracle: Any) -> int:
    return sum(trial.status in _ENDED for trial in list(oracle.trials.values()))


# ------------------------------------------------------------------------------------------------- processes


def _role() -> str:
    """What keras-tuner's environment variables make of this process: `"alone"`, `"chief"` or `"worker"`."""
    missing = [name for name in _ENVIRONMENT if name not in os.environ]
    if len(missing) == len(_ENVIRONMENT):
        return "alone"
    if missing:
        raise ValueError(
            f"keras-tuner's workers need {', '.join(_ENVIRONMENT)} in the environment; {', '.join(missing)} is missing."
        )
    return "chief" if "chief" in os.environ["KERASTUNER_TUNER_ID"] else "worker"


@contextlib.contextmanager
def _chief_of_workers(workers: int, role: str) -> Iterator[dict[str, str] | None]:
    """Makes this process the chief of workers on this machine, and returns the environment that they need."""
    if role == "chief" or workers == 1:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    addresses = dict(zip(_ENVIRONMENT, ("127.0.0.1", str(port), "chief"), strict=True))
    os.environ.update(addresses)
    try:
        yield addresses
    finally:
        for name in addresses:
            del os.environ[name]


def share_of_cores(workers: int) -> dict[str, str]:
    """The environment that keeps one of several training processes to its part of the cores.

    Args:
        workers: How many train at a time. What the user's environment sets stays.
    """
    threads = str(max(1, (os.cpu_count() or 1) // workers))
    return {name: os.environ.get(name, threads) for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")}


def _serve(
    loop: keras_tuner.Tuner,
    workers: int,
    command: Sequence[str],
    addresses: Mapping[str, str],
    place: Path,
    bar: tqdm[Any],
) -> None:
    """Starts the workers, answers them as keras-tuner's chief until all have ended, and restarts those that crashed."""
    oracle = loop.oracle
    shares = share_of_cores(workers)

    def launch(number: int) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **shares, **addresses, "KERASTUNER_TUNER_ID": f"worker{number}"}
        environment.update(child_environment())
        with (place / f"worker{number}.log").open("ab") as log:
            return subprocess.Popen(list(command), env=environment, stdout=log, stderr=subprocess.STDOUT)

    running = {number: launch(number) for number in range(workers)}
    crashes: dict[tuple[int, str], int] = {}
    # It ends by itself, long after the last worker; nobody waits for it.
    threading.Thread(target=loop.search, kwargs={"verbose": 0}, daemon=True).start()
    try:
        while running:
            time.sleep(0.1)
            bar.update(_ended(oracle) - bar.n)
            for number, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[number]
                if process.returncode == 0:
                    continue
                trial = oracle.ongoing_trials.get(f"worker{number}")
                key = (number, "" if trial is None else trial.trial_id)
                crashes[key] = crashes.get(key, 0) + 1
                if crashes[key] >= _CRASHES_PER_TRIAL:
                    _give_up(place, number, process.returncode, trial)
                running[number] = launch(number)
    finally:
        for process in running.values():
            process.kill()
            process.wait()
        bar.update(_ended(oracle) - bar.n)


def _give_up(place: Path, number: int, status: int, trial: Any) -> None:
    """Records a trial as failed if it ends its worker each time; without a trial, workers themselves do not start."""
    log = place / f"worker{number}.log"
    if trial is None:
        end = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        raise RuntimeError(f"Worker {number} ended with status {status} before it trained a trial; {log} ends:\n{end}")
    name = f"trial_{trial.trial_id}"
    error = f"the process that trained it ended with status {status}, {_CRASHES_PER_TRIAL} times; see {log}"
    _write_record(place / name, name, {}, math.nan, error, {})
