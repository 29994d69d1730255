"""The record of a training run: one line per validation, from which every decision is derived; on disk as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dynctr_tf.durable_files import write_text


@dataclasses.dataclass(frozen=True)
class Validation:
    """The state of a training after some steps.

    Attributes:
        step: Steps done since the start.
        epoch: Passes over the training rows done, with fraction.
        train_loss: Mean training loss since the last validation, penalties included.
        val_logloss: Exact logloss of the validation split, nats per row; NaN where nothing is validated.
        val_auc: Exact AUC of the validation split; NaN where nothing is validated.
        learning_rate: The optimizer's learning rate.
        rows_per_second: Rows over the median time of a step since the last validation. The time includes waiting for
            input, but not validation and checkpoints.
    """

    step: int
    epoch: float
    train_loss: float
    val_logloss: float
    val_auc: float
    learning_rate: float
    rows_per_second: float


class TrainingLog:
    """The validations of a run so far, shown in a CSV file that is always whole.

    Early stopping and the choice of the best checkpoint are functions of this log alone, so a resumed run
    decides as an uninterrupted one does. A run continues with the validations of its checkpoint. The file is for people
    and pictures, and is written again from them even if it was changed or removed.

    Args:
        path: The CSV file.
        monitor: `"logloss"` (lower is better), `"auc"` (higher is better), or `"none"`: nothing is validated, and the
            last is best.
        patience: Validations without a better one after which training stops; 0 for never.
    """

    def __init__(self, path: str | Path, monitor: str = "logloss", patience: int = 0) -> None:
        if monitor not in ("logloss", "auc", "none"):
            raise ValueError(f"monitor must be 'logloss', 'auc' or 'none', got {monitor!r}.")
        self.path = Path(path)
        self.monitor = monitor
        self.patience = patience
        self.validations: list[Validation] = []

    def restore(self, validations: Sequence[Mapping[str, Any]]) -> None:
        """Takes over the validations that a checkpoint holds, as `as_records` gave them, and writes the file."""
        # A number that is not finite comes back as a text.
        numbers = [{key: float(value) for key, value in record.items() if key != "step"} for record in validations]
        self.validations = [
            Validation(step=int(record["step"]), **own) for record, own in zip(validations, numbers, strict=True)
        ]
        self.write()

    def as_records(self) -> list[dict[str, Any]]:
        """The validations as mappings."""
        return [dataclasses.asdict(line) for line in self.validations]

    def append(self, validation: Validation) -> None:
        """Adds a validation; `write` shows it in the file."""
        self.validations.append(validation)

    def write(self) -> None:
        """Writes the whole file, in one move.

        Raises:
            OSError: It cannot be written.
        """
        stream = io.StringIO(newline="")
        writer = csv.DictWriter(stream, [field.name for field in dataclasses.fields(Validation)])
        writer.writeheader()
        writer.writerows(self.as_records())
        write_text(self.path, stream.getvalue())

    @property
    def best(self) -> Validation | None:
        """The best validation so far, the first of equals; `None` before the first."""
        if not self.validations:
            return None
        if self.monitor == "none":
            return self.validations[-1]
        if self.monitor == "auc":
            return max(self.validations, key=lambda line: line.val_auc)
        return min(self.validations, key=lambda line: line.val_logloss)

    @property
    def should_stop(self) -> bool:
        """Whether `patience` validations in a row brought nothing better."""
        best = self.best
        if best is None or not self.patience:
            return False
        return len(self.validations) - 1 - self.validations.index(best) >= self.patience
