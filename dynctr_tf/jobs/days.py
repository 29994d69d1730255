"""The days of a run: what a run's folder holds of each day that its model was trained on after the first training."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dynctr_tf.durable_files import DamagedFileError, make_folder, read_json, remove_folder, write_json
from dynctr_tf.encoding import EncodedDataset, Encoder, ValueTally
from dynctr_tf.evaluation import Evaluation
from dynctr_tf.export.export_card import CARD
from dynctr_tf.export.versions import newest_version, version_folder
from dynctr_tf.export.versions_at_uris import card_at, uri_of_version
from dynctr_tf.folders_at_uris import working_folder
from dynctr_tf.jobs.run_places import RunPlace, record_of
from dynctr_tf.jobs.settings import JobSettings, job_settings, on_one_device
from dynctr_tf.jobs.settings_file import read_file
from dynctr_tf.mirrors import is_mirror
from dynctr_tf.training.run_record import RunRecord
from dynctr_tf.uris import is_uri, path_text, uri_within

KEPT_STATES = 7
"""Number of the newest days whose state is kept, so that a model can go on from them: a week."""

_DAY = "day.json"
_HEAD = "head.json"


@dataclasses.dataclass(frozen=True)
class Day:
    """A day of a run, as `day.json` has it; day 0 is the first training itself.

    Attributes:
        number: Its number, from 1 on.
        goes_on_from: The day whose state it began with.
        name: What it is called in tables and pictures: the name of its file.
        rows_key: A key that is equal for equal rows, so that rows which come again are found.
        made_of: What else its numbers depend on; a day that was interrupted goes on only where this is the same.
        finished: Whether all of it is done.
        clicks: Weight of the clicks of its rows.
        weight: Weight of all its rows.
        version: The folder of the version that was exported after it; `None` where none was.
        about: Notes for a person: files, rows, how vocabularies have grown, steps.
    """

    number: int
    goes_on_from: int
    name: str
    rows_key: str
    made_of: str
    finished: bool = False
    clicks: float = 0.0
    weight: float = 0.0
    version: str | None = None
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Days:
    """The days in a run's folder, `days/NUMBER/`.

    Args:
        run: The run's folder, or its place, which messages name.

    Attributes:
        run: The run's folder.
        place: Its place.
        record: The record of the first training.

    Raises:
        ValueError: A folder that holds no run, or one whose first training is not finished.
    """

    def __init__(self, run: str | Path | RunPlace) -> None:
        self.place = run if isinstance(run, RunPlace) else RunPlace.here(run)
        self.run, name = self.place.folder, self.place.name
        if not self.run.is_dir():
            raise ValueError(f"{name}: there is no such folder. Give the folder of a run, such as runs/clicks-dnn-...")
        record = RunRecord.load(self.run)
        if record is None:
            raise ValueError(
                f"{name} holds no run: it has no run.json that can be read. Give the folder that `dynctr train` "
                "named; of an export, the card assets.extra/about.json names its run. A model of your own goes on in "
                "code: dynctr_tf.encoding.grow_encoder, dynctr_tf.training.carry_over."
            )
        self.record = record
        result = self.run / "result.json"
        if not result.exists() or read_json(result).get("fingerprint") != record.fingerprint:
            raise ValueError(
                f"The training in {name} is not finished. Start it again with its command, or with `dynctr train "
                f"--config {self.run / 'settings.toml'} --run-directory {name}`; it goes on from what was saved."
            )

    def folder(self, number: int) -> Path:
        """The folder of a day."""
        return self.run / "days" / f"{number:04d}"

    def numbers(self) -> list[int]:
        """The numbers of all days, finished or not, ascending."""
        place = self.run / "days"
        return sorted(int(path.name) for path in place.iterdir() if path.name.isdigit()) if place.is_dir() else []

    def load(self, number: int) -> Day | None:
        """Reads a day; `None` where it has not begun."""
        try:
            return Day(**read_json(self.folder(number) / _DAY))
        except FileNotFoundError:
            return None

    def save(self, day: Day) -> None:
        """Writes a day's record."""
        write_json(make_folder(self.folder(day.number)) / _DAY, dataclasses.asdict(day))

    @property
    def head(self) -> int:
        """The day that the next one goes on from; 0 for the first training."""
        try:
            return int(read_json(self.run / "days" / _HEAD)["day"])
        except FileNotFoundError:
            return 0

    def go_on_from(self, number: int) -> None:
        """Sets the day from which the next one goes on."""
        write_json(make_folder(self.run / "days") / _HEAD, {"day": number})

    def chain(self) -> list[Day]:
        """The finished days that led to the present state, the first one first."""
        found: list[Day] = []
        number = self.head
        while number:
            day = self.load(number)
            if day is None or not day.finished:
                raise DamagedFileError(f"{self.folder(number)} is not the whole day that the next one goes on from.")
            found.append(day)
            number = day.goes_on_from
        return found[::-1]

    def begun(self, rows_key: str, made_of: str) -> int:
        """The number of the next day: that of one with the same rows that was interrupted, or a new one.

        An interrupted day with other rows or settings stays as long as it can go on: until the model has gone on
        without it. Then it is removed.
        """
        for number in self.numbers():
            day = self.load(number)
            if day is not None and day.finished:
                continue
            if day is not None and day.goes_on_from == self.head:
                if (day.rows_key, day.made_of) == (rows_key, made_of):
                    return number
                print(
                    f"day {number} was interrupted, and these are other rows or settings; it can go on until these "
                    "rows are trained on"
                )
                continue
            print(f"day {number} was interrupted, and the model has gone on without it; it is removed")
            if day is not None:
                rows = encoded_rows(self.settings(number), day.made_of)
                if rows.is_dir():
                    remove_folder(rows)
            remove_folder(self.folder(number))
        return max(self.numbers(), default=0) + 1

    def settings(self, number: int) -> JobSettings:
        """The settings that a day was trained with; without a strategy, because one process goes on from the run."""
        folder = self.run if number == 0 else self.folder(number)
        return on_one_device(job_settings(read_file(folder / "settings.toml")))

    def training(self, number: int) -> Path:
        """The folder of a day's checkpoints.

        Raises:
            ValueError: Its state is not kept any more.
        """
        folder = self.run if number == 0 else self.folder(number) / "training"
        if not folder.is_dir():
            raise ValueError(
                f"The state of day {number} of {self.place.name} is not kept any more, as those of the newest "
                f"{KEPT_STATES} are; go on from a later one."
            )
        return folder

    def encoder(self, number: int) -> tuple[Encoder, ValueTally | None]:
        """The encoder of a day, and what its vocabularies remember.

        Raises:
            ValueError: The encoded rows of the first training are gone, or were made anew from other rows.
        """
        if number:
            folder = self.folder(number) / "encoder"
            return Encoder.load(folder), ValueTally.load(folder)
        encoded = read_json(self.run / "about.json")["encoded"]
        if not is_uri(encoded) and not Path(encoded).is_dir():
            raise ValueError(
                f"The encoded rows of the run, {encoded}, are not there any more, and its vocabularies with them. To "
                f"prepare them again: `dynctr train --config {self.run / 'settings.toml'} --run-directory "
                f"{self.place.name}`."
            )
        data = EncodedDataset.open(encoded)
        if data.fingerprint != self.record.rows["fingerprint"]:
            raise ValueError(f"{encoded} holds other rows than those that {self.place.name} was trained on.")
        with data.encoder_folder() as folder:
            return data.encoder(), ValueTally.load(folder)

    def evaluations(self) -> dict[str, Evaluation]:
        """For each day of the present state, the metrics of its rows under the model of the day before."""
        chain = self.chain()
        names = [day.name for day in chain]
        return {
            day.name if names.count(day.name) == 1 else f"{day.name} ({day.number})": Evaluation.load(
                self.folder(day.number) / "evaluation.json"
            )
            for day in chain
        }

    def day_of_version(self, folder: Path, card: Mapping[str, Any]) -> int:
        """The day after which a version was exported.

        Args:
            folder: The version's folder, for the message.
            card: What its card says.

        Raises:
            ValueError: It is of another run.
        """
        if card.get("fingerprint") != self.record.fingerprint:
            maker = f"another run, {card['run']!r}" if "run" in card else "something else than a run"
            raise ValueError(f"{folder} was made by {maker}, and not by the run in {self.place.name}.")
        return int(card.get("day", 0))

    def forget_old_states(self) -> None:
        """Removes the states of all but the newest days, and of the one that the next day goes on from.

        The other days keep what a person wants to know: the record, the settings and the metrics.
        """
        finished = [number for number in self.numbers() if (day := self.load(number)) is not None and day.finished]
        for number in finished[:-KEPT_STATES]:
            if number != self.head:
                for name in ("training", "encoder"):
                    if (self.folder(number) / name).is_dir():
                        remove_folder(self.folder(number) / name)
                for file in self.folder(number).glob("train_*.npy"):
                    file.unlink()


def run_of(place: str | Path) -> tuple[Path | str, int | None]:
    """Finds the run that a person names by its own folder or by an export that it made.

    The export's card names the run's folder or URI as the job had it. A relative folder is looked for from here and
    from each folder above the export, so that it is found from other folders too.

    Args:
        place: The folder of a run, of an exported version, or of a served model, for its newest version; or the URI of
            one of these.

    Returns:
        The run's folder or URI, and the day after which the export was made (0: after the first training); of a run
        `None`.

    Raises:
        ValueError: An export that no run made, or whose run is not there any more; a URI that cannot be reached.
    """
    place = path_text(place)
    if is_uri(place):
        if is_mirror(place):
            return place, None
        version = uri_of_version(place)
        card, folders_above = card_at(version), []
    else:
        here = Path(place)
        if RunRecord.load(here) is not None or not any(
            folder is not None and (folder / CARD).is_file() for folder in (here, newest_version(here))
        ):
            return here, None
        version = str(version_folder(here))
        card, folders_above = read_json(Path(version, CARD)), list(Path(version).absolute().parents)
    folder = card.get("run_folder")
    if folder is None:
        raise ValueError(
            f"{version} was not exported by `dynctr train`: its card names no run's folder. A model of your own goes "
            "on in code: dynctr_tf.encoding.grow_encoder, dynctr_tf.training.carry_over."
        )
    runs = [folder] if is_uri(folder) else [above / folder for above in (Path(), *folders_above)]
    for run in runs:
        record = record_of(run)
        if record is not None and record.fingerprint == card.get("fingerprint"):
            return run, int(card.get("day", 0))
    raise ValueError(
        f"{version} was made by the run {folder!r}, which has the optimizer's state and the counts of rare values and "
        "is not there any more. Give the folder where it lies now."
    )


def encoded_rows(settings: JobSettings, made_of: str) -> Path:
    """The folder of this machine with the encoded rows of a day, while it is trained on."""
    directory, name = settings.data.directory, f"{settings.data.name}-day-{made_of}"
    return working_folder(uri_within(directory, name)) if is_uri(directory) else Path(directory) / name


def plain(value: Any) -> Any:
    """A value after a round trip through JSON."""
    return json.loads(json.dumps(value, default=repr))
