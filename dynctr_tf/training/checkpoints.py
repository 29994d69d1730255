"""The checkpoints of a run and its best weights, each in a folder of its own that is complete or absent."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from dynctr_tf.durable_files import (
    DamagedFileError,
    check_checksums,
    new_folder,
    plain_path,
    read_json,
    remove_abandoned,
    remove_folder,
    write_checksums,
    write_json,
)
from dynctr_tf.training.large_weights import read_by_pieces

_KEPT = 2
_ABOUT = "about.json"
_STATE = "state"


@contextlib.contextmanager
def _file_errors(folder: Path) -> Iterator[None]:
    """Turns TensorFlow's errors about files in a folder into Python's, with the name of the folder."""
    try:
        yield
    except tf.errors.OpError as error:
        # Other errors come from the cluster: a worker was lost while all of them save.
        if folder.name not in str(error):
            raise
        # The name of the operation comes before the reason.
        reason = re.sub(r"^\{\{.*?\}\}\s*", "", str(error).splitlines()[0])[:300]
        full = isinstance(error, tf.errors.ResourceExhaustedError)
        raise OSError(errno.ENOSPC if full else errno.EIO, f"TensorFlow could not write: {reason}", str(folder)) from (
            error
        )


def write_variables(checkpoint: tf.train.Checkpoint, folder: Path, about: Mapping[str, Any] | None = None) -> None:
    """Writes the variables of a checkpoint into a folder of their own, synced and with checksums.

    A folder of the same name is removed first. Cost: that of TensorFlow, a second per gigabyte for the checksums, and
    the time that the disk needs.

    Raises:
        OSError: It cannot be written.
    """
    if folder.exists():
        remove_folder(folder)
    with new_folder(folder) as partial:
        with _file_errors(partial):
            checkpoint.write(str(partial / _STATE))
        if about is not None:
            write_json(partial / _ABOUT, about)
        write_checksums(partial)


def read_variables(checkpoint: tf.train.Checkpoint, folder: Path) -> None:
    """Reads what `write_variables` wrote into the variables of a checkpoint: all of them, or it refuses.

    Raises:
        DamagedFileError: A file in the folder is absent or damaged.
        ValueError: The checkpoint has other variables.
    """
    with _reading_errors(folder), plain_path(folder) as place:
        checkpoint.read(str(place / _STATE)).assert_consumed()


@contextlib.contextmanager
def _reading_errors(folder: Path) -> Iterator[None]:
    """Turns errors of a checkpoint that is read into those of `read_variables`."""
    try:
        yield
    except DamagedFileError:
        raise
    except (tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.OutOfRangeError) as error:
        raise DamagedFileError(f"{folder} is damaged: {str(error).splitlines()[0][:300]}") from error
    except (AssertionError, ValueError) as error:
        # TensorFlow's message ends with a dump of the whole checkpoint.
        reason = str(error).splitlines()[0][:300]
        raise ValueError(
            f"The checkpoint {folder} is of another model or optimizer ({reason}). Give the settings with which it "
            "was made, or another directory."
        ) from error


class Checkpoints:
    """The checkpoints under a run's directory, of which the newest two are kept, and the best weights that they need.

    A checkpoint is `checkpoints/STEP/`: the variables, `about.json` with what else a run must know to continue, and
    checksums. The checkpoint of the best validation is kept too: a trained model continues from it when there are new
    rows. Best weights are `best/STEP/`. A folder gets its name when its content is on the disk. The state of a run is
    the newest complete checkpoint, so that no other file has to agree with it.

    Args:
        directory: The directory of the run.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._best_of: dict[int, int] = {}

    def _checkpoint(self, step: int) -> Path:
        return self.directory / "checkpoints" / f"{step:09d}"

    def _best(self, step: int) -> Path:
        return self.directory / "best" / f"{step:09d}"

    @staticmethod
    def _steps(folder: Path) -> list[int]:
        if not folder.is_dir():
            return []
        return sorted((int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal()), reverse=True)

    def steps(self) -> list[int]:
        """The steps that have a checkpoint, the newest first."""
        return self._steps(self.directory / "checkpoints")

    @property
    def newest(self) -> Path | None:
        """The folder of the newest checkpoint; `None` before the first."""
        steps = self._steps(self.directory / "checkpoints")
        return self._checkpoint(steps[0]) if steps else None

    def find(self) -> tuple[int, dict[str, Any]] | None:
        """Looks for the newest checkpoint that is complete and has complete best weights.

        Returns:
            Its step and what is known of it; `None` where there is no checkpoint.

        Raises:
            DamagedFileError: There are checkpoints, and none of them can be used.
            ValueError: The checkpoints are of an earlier version.
        """
        if (self.directory / "checkpoints" / "checkpoint").exists():
            raise ValueError(
                f"{self.directory / 'checkpoints'} was written by an earlier version of this library; delete "
                f"{self.directory} to train anew, or give another directory."
            )
        damage = []
        for step in self._steps(self.directory / "checkpoints"):
            folder = self._checkpoint(step)
            try:
                check_checksums(folder, "")
                about = read_json(folder / _ABOUT, "")
                # The weights of this step are in the checkpoint itself.
                if about["best_step"] != step:
                    check_checksums(self._best(about["best_step"]), "")
            except DamagedFileError as error:
                damage.append(str(error).strip())
                continue
            if damage:
                print(f"{damage[0]} Going on from the checkpoint of step {step:,}.", flush=True)
            return step, about
        if damage:
            raise DamagedFileError(
                f"{damage[0]} No older checkpoint can be used in place of it ({len(damage)} looked at); delete "
                f"{self.directory} to train anew."
            )
        return None

    def clean(self, step: int) -> None:
        """Removes checkpoints that are newer than a step, and unfinished ones of processes that have ended."""
        for place in (self.directory, self.directory / "checkpoints", self.directory / "best"):
            remove_abandoned(place)
        for newer in self._steps(self.directory / "checkpoints"):
            if newer > step:
                remove_folder(self._checkpoint(newer))
            else:
                with contextlib.suppress(DamagedFileError, OSError):  # a damaged one needs no best weights
                    self._best_of[newer] = read_json(self._checkpoint(newer) / _ABOUT)["best_step"]

    def best_is_whole(self, step: int) -> bool:
        """Whether the best weights of a step are there as they were saved."""
        try:
            check_checksums(self._best(step), "")
        except DamagedFileError:
            return False
        return True

    def restore(self, checkpoint: tf.train.Checkpoint, step: int) -> None:
        """Reads the checkpoint of a step.

        Raises:
            ValueError: It is of another model or optimizer.
        """
        read_variables(checkpoint, self._checkpoint(step))

    def save_best(self, weights: tf.train.Checkpoint, step: int) -> None:
        """Saves the weights of the best validation so far."""
        write_variables(weights, self._best(step))

    def restore_best(self, weights: tf.train.Checkpoint, step: int) -> None:
        """Reads the best weights."""
        read_variables(weights, self._best(step))

    def restore_best_by_pieces(self, weights: Iterable[Any], step: int) -> None:
        """Reads the best weights into variables on one device, large ones some rows at a time."""
        folder = self._best(step)
        with _reading_errors(folder), plain_path(folder) as place:
            read_by_pieces(weights, place / _STATE)

    def save(self, checkpoint: tf.train.Checkpoint, step: int, about: Mapping[str, Any]) -> None:
        """Saves a checkpoint, and removes the folders that neither of the newest two needs.

        Args:
            checkpoint: The variables.
            step: The steps done.
            about: What else a run must know, with `"best_step"`, whose weights have been saved.
        """
        write_variables(checkpoint, self._checkpoint(step), about)
        self._best_of[step] = about["best_step"]
        steps = self._steps(self.directory / "checkpoints")
        needed = {self._best_of[kept] for kept in steps[:_KEPT] if kept in self._best_of}
        for old in steps[_KEPT:]:
            if old not in needed:
                self._best_of.pop(old, None)
                remove_folder(self._checkpoint(old))
        for old in self._steps(self.directory / "best"):
            if old not in needed:
                remove_folder(self._best(old))

    def keep_only(self, step: int) -> None:
        """Removes all but the checkpoint of a step, after a training that is over."""
        for other in self._steps(self.directory / "checkpoints"):
            if other != step:
                remove_folder(self._checkpoint(other))
