"""Records in a job's folders of the run that made them: other rows, settings or code are another run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dynctr_tf.code_digest import code_digest
from dynctr_tf.datasets.row_files import RowFile
from dynctr_tf.datasets.row_source import RowSource
from dynctr_tf.datasets.source_files import SourceFile, source_files
from dynctr_tf.datasets.value_vectors import keys_file
from dynctr_tf.durable_files import DamagedFileError, read_array, read_json, write_array, write_json, write_text
from dynctr_tf.encoding import EncodedDataset
from dynctr_tf.evaluation import Evaluation
from dynctr_tf.evaluation.json_records import to_plain
from dynctr_tf.jobs.settings import DataSettings, JobSettings, has_keys
from dynctr_tf.jobs.settings_file import write_settings
from dynctr_tf.training import Validation
from dynctr_tf.training.reproducibility import machine_record
from dynctr_tf.training.run_record import RECORD, RunRecord, own_folder, run_record
from dynctr_tf.uris import is_uri
from dynctr_tf.version import __version__

# What turns raw rows into ids.
_ENCODING_CODE = ("datasets", "encoding", "schema.py")
_NOT_OF_THE_NUMBERS = ("tensorboard", "max_restarts", "tpu_address")
"""Settings of a training that change no weight."""

_OF_THE_PLACE = ("directory", "readers", "processes")
"""Settings of the data that change no row."""

_OF_THE_ROWS = ("batch_size", "evaluate_every", "patience")


def data_record(settings: DataSettings, source: RowSource) -> tuple[str, dict[str, Any]]:
    """What encoded rows depend on: eight characters that name it, and the notes that an encoded data set keeps of it.

    The content of the files counts, not their names, places and dates; so do the schema, the settings and the code that
    encodes.

    Raises:
        ValueError: A file that is absent.
    """
    files = source_files(source.files, notes_folder(settings))
    given = dataclasses.asdict(settings)
    # What features have keys is in the schema, whatever has said so.
    others = ("path", "validation_path", "test_path", "schema", "keys", "negative_sampling_rate", *_OF_THE_PLACE)
    settings_alone = {key: value for key, value in given.items() if key not in others}
    parts = {
        "settings": settings_alone,
        "schema": json.loads(source.schema.to_json()),
        "files": [file.digest for file in files],
        # The same files may be other splits.
        "given": [name for name in ("validation_path", "test_path") if given[name] is not None],
        # The columns that folders give are in no file.
        "partitions": [file.partitions if isinstance(file, RowFile) else () for file in source.files],
        "code": code_digest(*_ENCODING_CODE),
    }
    # Values of TOML that JSON has no type for, such as dates, are compared as texts.
    fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest()[:8]
    about = {
        "settings": json.loads(json.dumps({**given, **dict.fromkeys(_OF_THE_PLACE)}, default=repr)),
        "files": [dataclasses.asdict(file) for file in files],
        "dynctr_tf": __version__,
        "code": parts["code"],
    }
    return fingerprint, about


def notes_folder(settings: DataSettings) -> str | None:
    """Where the digests of files are noted: beside the encoded data, and nowhere if that lies at a URI."""
    return None if is_uri(settings.directory) else settings.directory


def check_unchanged(source: RowSource, settings: DataSettings, about: Mapping[str, Any]) -> None:
    """Refuses rows whose files changed while they were read.

    Raises:
        RuntimeError: A file is another than before.
    """
    before = {file["path"]: file["digest"] for file in about["files"]}
    for file in source_files(source.files, notes_folder(settings)):
        if before.get(file.path) != file.digest:
            raise RuntimeError(f"{file.path} was changed while it was read. Start again when it is whole.")


def training_record(settings: JobSettings, data: EncodedDataset, **further: Any) -> RunRecord:
    """The record of the training that the settings describe on encoded rows.

    Args:
        settings: The settings of the job, as they are used.
        data: The rows.
        **further: What else the numbers depend on, such as the search that a tuning does.
    """
    sections = settings.to_mapping()
    training = {key: value for key, value in sections["training"].items() if key not in _NOT_OF_THE_NUMBERS}
    made_of = {"model": sections["model"], "optimizer": sections["optimizer"], "training": training, **further}
    if has_keys(settings):
        made_of["keys"] = sections["keys"]
    if settings.pretrained.files():
        made_of["pretrained"] = {"vectors": vector_digests(settings)}
    files = tuple(SourceFile(**file) for file in data.about.get("files", ()))
    return run_record(made_of, data, files, data.about.get("settings", sections["data"]))


def vector_digests(settings: JobSettings) -> dict[str, str]:
    """What the files of pretrained vectors hold, by field; their keys too where they are in a file of their own.

    Raises:
        ValueError: A file that is absent.
    """
    digests = {}
    for field, path in settings.pretrained.files().items():
        files = [file for file in (path, keys_file(path)) if file is not None]
        digests[field] = "-".join(file.digest[:16] for file in source_files(files, notes_folder(settings.data)))
    return digests


def folder_of(wanted: Path | None, name: str, record: RunRecord, *, say: bool = True) -> Path:
    """The folder of a run. Where the wanted one holds another run, it is one beside it, and the difference is printed.

    Args:
        wanted: The folder that the user names; `None` for one under `runs/`, named after the record.
        name: What the folder under `runs/` is called before the fingerprint.
        record: The run.
        say: Whether the difference is printed. Default `True`.
    """
    if wanted is not None:
        folder, differences = own_folder(wanted, record)
        if say and folder != wanted:
            print(f"{wanted} holds another run ({in_short(differences)}); this one goes to {folder}")
        return folder
    folder = Path("runs") / f"{name}-{record.fingerprint}"
    if say and not (folder / RECORD).exists():
        # Other rows or other code are worth a word. Other settings are not: the user has just given them.
        for path in sorted(folder.parent.glob(f"{name}-*/{RECORD}"), key=lambda path: path.stat().st_mtime)[::-1]:
            earlier = RunRecord.load(path.parent)
            if earlier is None or _given(earlier.settings) != _given(record.settings):
                continue
            differences = record.differences(dataclasses.replace(earlier, settings=record.settings))
            if differences:
                print(f"since the run {path.parent}: {in_short(differences)}; trained anew in {folder}")
            break
    return folder


def _given(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without those of the training that follow from the number of rows where they are not given."""
    training = {key: value for key, value in settings.get("training", {}).items() if key not in _OF_THE_ROWS}
    return {**settings, "training": training}


def in_short(differences: list[str]) -> str:
    """Joins differences between two runs to one line, of which many are counted alone."""
    return "; ".join(differences[:4]) + (f"; and {len(differences) - 4} more" if len(differences) > 4 else "")


def save_run(folder: Path, settings: JobSettings, data: EncodedDataset, record: RunRecord) -> None:
    """Writes into a run's folder what made it: `run.json`, `settings.toml`, `schema.json`, `about.json`.

    `python -m pipelines.train --config settings.toml` is the same training again; where the rows are the user's own,
    with the schema beside it.
    """
    # First, for other workers that check which run the folder belongs to.
    record.save(folder)
    write_text(folder / "schema.json", data.schema.to_json())
    used = settings
    if settings.data.schema is not None:
        used = dataclasses.replace(used, data=dataclasses.replace(used.data, schema=str(folder / "schema.json")))
    write_settings(folder / "settings.toml", used)
    about = {
        "fingerprint": record.fingerprint,
        "rows": data.fingerprint,
        "encoded": str(data.directory),
        "settings": json.loads(json.dumps(settings.to_mapping(), default=repr)),
        "dynctr_tf": dict(record.code),
        "machine": machine_record(),
    }
    write_json(folder / "about.json", about)


def card_of(
    folder: Path,
    record: RunRecord,
    evaluation: Evaluation,
    validation: Validation,
    as_served: Evaluation | None = None,
    *,
    place: str | None = None,
) -> dict[str, Any]:
    """What the card of an export says of the run that trained the model.

    Args:
        folder: The folder of the run on this machine.
        record: The run.
        evaluation: Its metrics on the test split.
        validation: The best validation.
        as_served: Its metrics as if no row had been left out. Default `None`.
        place: Where a person finds the run, such as the URI that it is copied to. Default `None`: the folder.
    """
    made_by = read_json(folder / "about.json")
    return {
        **{key: made_by[key] for key in ("fingerprint", "rows", "settings", "machine")},
        "run": folder.name,
        "run_folder": place or str(folder),
        "files": record.rows["files"],
        "splits": record.rows["splits"],
        "validation": dataclasses.asdict(validation),
        "test": to_plain(evaluation.metrics),
        **({} if as_served is None else {"test_as_served": to_plain(as_served.metrics)}),
    }


def finished(folder: Path, record: RunRecord) -> bool:
    """Whether a folder holds this very run, with undamaged results."""
    held = RunRecord.load(folder)
    if held is None or held.fingerprint != record.fingerprint:
        return False
    try:
        for name in ("test_rows.npy", "test_logits.npy"):
            read_array(folder / name)
        return bool(read_json(folder / "result.json").get("fingerprint") == record.fingerprint)
    except (FileNotFoundError, DamagedFileError):
        return False


def save_logits(folder: Path, data: EncodedDataset, logits: np.ndarray, split: str = "test") -> None:
    """Writes the logits of a split, and beside them the keys of its rows."""
    write_array(folder / f"{split}_rows.npy", data.row_keys(split))
    write_array(folder / f"{split}_logits.npy", logits)


def load_logits(folder: Path, data: EncodedDataset, split: str = "test") -> np.ndarray:
    """Reads the logits of a split.

    Raises:
        ValueError: They are of other rows.
        DamagedFileError: A file is not what was written.
        FileNotFoundError: There are none.
    """
    if not np.array_equal(read_array(folder / f"{split}_rows.npy"), data.row_keys(split)):
        raise ValueError(f"The logits in {folder} are of other rows than {data.directory}; remove the folder.")
    return read_array(folder / f"{split}_logits.npy")
