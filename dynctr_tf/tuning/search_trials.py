"""The trials of a search: each is trained once, and has a record in its folder, also of its failure."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tensorflow import keras

from dynctr_tf.durable_files import DamagedFileError, make_folder, read_json, write_json
from dynctr_tf.training.memory import give_back_memory, resident_memory_mib
from dynctr_tf.tuning.search_errors import is_no_fault_of_the_trial

Train = Callable[[Mapping[str, Any], Path], float | Mapping[str, float]]
# A trial as short as this trained no model; looking through all objects would take longer than the trial.
_CLEANING_SECONDS = 0.5


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


def trained(
    train: Train,
    values: Mapping[str, Any],
    place: Path,
    folder: Path,
) -> dict[str, Any]:
    """Trains a trial that has no record yet, and returns its record; a failure has a record with its error."""
    if has_record(place):
        return read_record(place)
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
        if is_no_fault_of_the_trial(caught):
            raise
        error = _described(caught)
    if time.perf_counter() - begin > _CLEANING_SECONDS:
        _clean_up()
    figures.update(seconds=time.perf_counter() - begin, memory_mib=resident_memory_mib())
    return write_record(place, folder.name, values, score, error, figures)


def train_start(train: Train, values: Mapping[str, Any], place: Path) -> None:
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

    trained(train_or_note, values, place, place)
    if refused:
        (place / "record.json").unlink()
        raise ValueError(f"What the search starts from cannot be trained: {refused[0]}") from refused[0]


def _clean_up() -> None:
    """Releases a trial's model, and gives its memory back to the system."""
    keras.backend.clear_session()
    give_back_memory()


def write_record(
    place: Path,
    folder: str,
    values: Mapping[str, Any],
    score: float,
    error: str | None,
    figures: Mapping[str, float],
) -> dict[str, Any]:
    """Writes how a trial ended into its folder, and returns the record.

    Args:
        place: The folder of the trial.
        folder: The name of the folder in which its model was trained: under hyperband that of an earlier trial.
        values: What was drawn.
        score: What was measured; where the trial failed, any number.
        error: Why it failed, or `None`.
        figures: What else was measured.
    """
    record = {
        "values": dict(values),
        "score": None if error else score,
        "error": error,
        "folder": folder,
        "figures": dict(figures),
    }
    write_json(make_folder(place) / "record.json", record)
    return record


def read_record(place: Path) -> dict[str, Any]:
    """Reads how a trial ended."""
    return read_json(place / "record.json", "Delete it to have this trial trained again.")


def has_record(place: Path) -> bool:
    """Whether a trial has its record; a damaged one is removed, so that the trial is trained again."""
    try:
        read_record(place)
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
