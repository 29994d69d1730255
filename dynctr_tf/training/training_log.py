"""The record of a training run: one line per validation, on disk as CSV, from which every decision is derived."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Validation:
    """What was known after some steps of training.

    Attributes:
        step: Steps done since the start.
        epoch: Passes over the training rows done, with fraction.
        train_loss: Mean training loss since the last validation, penalties included.
        val_logloss: Exact logloss of the validation split, nats per row.
        val_auc: Exact AUC of the validation split.
        learning_rate: The optimizer's learning rate.
        rows_per_second: Rows over the median time of a step since the last validation; the input is
            waited for in it, validation and checkpoints are not.
    """

    step: int
    epoch: float
    train_loss: float
    val_logloss: float
    val_auc: float
    learning_rate: float
    rows_per_second: float


class TrainingLog:
    """The validations of a run so far, kept in a CSV file that is always whole.

    Early stopping and the choice of the best checkpoint are functions of this log alone, so a resumed run
    decides as an uninterrupted one does.

    Args:
        path: The CSV file.
        monitor: `"logloss"` (lower is better) or `"auc"` (higher is better).
        patience: Validations without a better one after which training stops; 0 for never.
    """

    def __init__(self, path: str | Path, monitor: str = "logloss", patience: int = 0) -> None:
        if monitor not in ("logloss", "auc"):
            raise ValueError(f"monitor must be 'logloss' or 'auc', got {monitor!r}.")
        self.path = Path(path)
        self.monitor = monitor
        self.patience = patience
        self.validations: list[Validation] = []

    def read(self, up_to_step: int, path: Path | None = None) -> None:
        """Takes over what the file holds up to a step; later lines belong to work that was lost.

        Args:
            up_to_step: The last step to take over.
            path: Another file to read. Default `None`: the log's own.
        """
        path = self.path if path is None else path
        if not path.exists():
            return
        lines = []
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                numbers = {name: float(value) for name, value in row.items() if name != "step"}
                lines.append(Validation(step=int(row["step"]), **numbers))
        self.validations = [line for line in lines if line.step <= up_to_step]

    def append(self, validation: Validation) -> None:
        """Adds a validation and writes the file anew, in one move."""
        self.validations.append(validation)
        names = [field.name for field in dataclasses.fields(Validation)]
        partial = self.path.with_suffix(".partial")
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(dataclasses.asdict(line) for line in self.validations)
        partial.replace(self.path)

    @property
    def best(self) -> Validation | None:
        """The best validation so far, the first of equals; `None` before the first."""
        if not self.validations:
            return None
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
