"""keras-tuner's loop around a training function."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras_tuner
from tqdm.auto import tqdm

from dynctr_tf.models.catalogue import SearchSpace
from dynctr_tf.tuning.search_errors import ending_the_search
from dynctr_tf.tuning.search_space import drawn_values
from dynctr_tf.tuning.search_trials import Train, read_record, trained


class SearchLoop(keras_tuner.Tuner):  # type: ignore[misc]
    """Trains the trials that an oracle draws, each in its folder.

    Args:
        oracle: Draws the trials.
        train: As in `search`.
        space: As in `search`.
        place: The folder of the search.
        bar: Moves on with each trial.
        epochs_name: Under which name `train` gets how long hyperband trains a trial. Default `None`: another oracle.
    """

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        train: Train,
        space: SearchSpace,
        place: Path,
        bar: tqdm[Any],
        epochs_name: str | None = None,
    ) -> None:
        self._train, self._space, self._place, self._bar, self._epochs_name = train, space, place, bar, epochs_name
        super().__init__(oracle=oracle, directory=str(place.parent), project_name=place.name)

    def run_trial(self, trial: Any, *_: Any, **__: Any) -> dict[str, float]:
        """Trains one trial."""
        values = drawn_values(trial.hyperparameters, self._space)
        folder = name = f"trial_{trial.trial_id}"
        if self._epochs_name is not None:
            drawn = trial.hyperparameters.values
            values[self._epochs_name] = drawn["tuner/epochs"]
            if "tuner/trial_id" in drawn:
                folder = read_record(self._place / f"trial_{drawn['tuner/trial_id']}")["folder"]
        with ending_the_search():
            record = trained(self._train, values, self._place / name, self._place / folder)
        self._bar.update()
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
        """Reads nothing: `search` reads the oracle, whichever process ran it last."""
