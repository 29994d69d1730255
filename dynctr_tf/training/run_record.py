"""The record of the run in a folder: its rows, settings and code; and how another run differs from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dynctr_tf.code_digest import code_digest
from dynctr_tf.datasets.source_files import SourceFile
from dynctr_tf.durable_files import DamagedFileError, is_unfinished, make_folder, read_json, write_json
from dynctr_tf.encoding.encoded_dataset import EncodedDataset
from dynctr_tf.stack import KERAS_3
from dynctr_tf.version import __version__

RECORD = "run.json"
"""The file in a run's folder that says what the run is."""

_PLACES = ("path", "validation_path", "test_path", "schema", "directory")
_TRAINED_ON = "trained_on.json"
# The settings that the weights depend on, for given rows; every run makes reports and exports again.
_CODE = ("layers", "metrics", "models", "optimizers", "training", "stack")


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """Everything that the numbers of a run depend on.

    Two runs with the same `fingerprint` give the same weights, up to rounding; a run continues from another's
    checkpoint only then.

    Attributes:
        settings: The settings that the weights depend on, section by section.
        rows: What it trains on: `"fingerprint"` of the encoded rows, `"splits"` (rows of each), `"schema"`, and for
            messages alone `"files"` (see `SourceFile`) and `"settings"` of the data.
        code: Version and digest of the library's code that trains, and which Keras it ran on.
    """

    settings: Mapping[str, Any]
    rows: Mapping[str, Any]
    code: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """Eight characters that change when a row, a setting or the code does."""
        parts = {
            "settings": self.settings,
            "rows": self.rows["fingerprint"],
            "code": {key: value for key, value in self.code.items() if key != "version"},
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]

    def differences(self, earlier: RunRecord) -> list[str]:
        """Lists in a few words each how this run differs from an earlier one; empty if it does not."""
        said = []
        if self.rows["fingerprint"] != earlier.rows["fingerprint"]:
            said += list(_row_differences(earlier.rows, self.rows)) or ["the rows are others"]
        said += list(_setting_differences(earlier.settings, self.settings))
        if self.code.get("digest") != earlier.code.get("digest"):
            versions = [record.code.get("version", "?") for record in (earlier, self)]
            said.append(
                f"dynctr_tf {versions[0]} -> {versions[1]}"
                if versions[0] != versions[1]
                else "the code of dynctr_tf has changed"
            )
        if self.code.get("keras") != earlier.code.get("keras"):
            said.append(f"{earlier.code.get('keras')} -> {self.code.get('keras')}")
        return said

    def save(self, folder: str | Path) -> None:
        """Writes the record into a run's folder, which is made where it is absent."""
        write_json(make_folder(folder) / RECORD, {"fingerprint": self.fingerprint, **dataclasses.asdict(self)})

    @classmethod
    def load(cls, folder: str | Path) -> RunRecord | None:
        """Reads the record of a run's folder; `None` if there is no readable record."""
        try:
            given = read_json(Path(folder) / RECORD)
        except (OSError, DamagedFileError):
            return None
        return cls(given["settings"], given["rows"], given["code"])


def run_record(
    settings: Mapping[str, Any],
    data: EncodedDataset,
    files: tuple[SourceFile, ...] = (),
    data_settings: Mapping[str, Any] | None = None,
) -> RunRecord:
    """Makes the record of a run that is about to begin.

    Args:
        settings: What the weights depend on beside the rows, as plain values.
        data: The rows.
        files: What these were read from. Default none.
        data_settings: The settings of the data, for messages. Default none.
    """
    rows = {
        "fingerprint": data.fingerprint,
        "splits": {split: data.num_rows(split) for split in data.split_names},
        "schema": json.loads(data.schema.to_json()),
        "files": [dataclasses.asdict(file) for file in files],
        "settings": dict(data_settings or {}),
    }
    code = {
        "version": __version__,
        "digest": code_digest(*_CODE),
        "keras": "Keras 3" if KERAS_3 else "Keras 2",
    }
    # As they are read back, so that a tuple does not count as a difference.
    plain: dict[str, Any] = json.loads(json.dumps({"settings": settings, "rows": rows}))
    return RunRecord(plain["settings"], plain["rows"], code)


def own_folder(wanted: str | Path, record: RunRecord) -> tuple[Path, list[str]]:
    """Finds the folder of a run: the wanted one, unless it holds another run.

    Args:
        wanted: The folder that was asked for.
        record: The run.

    Returns:
        The folder, and how the run differs from the one in the wanted folder: empty if the wanted folder is free or
        holds this very run. Otherwise the folder has the run's fingerprint in its name.
    """
    wanted = Path(wanted)
    held = RunRecord.load(wanted)
    if held is not None and held.fingerprint == record.fingerprint:
        return wanted, []
    # What another worker of the same job is about to write there belongs to this run.
    if not wanted.exists() or (wanted.is_dir() and all(is_unfinished(path.name) for path in wanted.iterdir())):
        return wanted, []
    differences = ["it has no record of its run"] if held is None else record.differences(held)
    return wanted.with_name(f"{wanted.name}-{record.fingerprint}"), differences


def check_goes_on(directory: Path, *, resumes: bool, note: bool, **arguments: Any) -> None:
    """Refuses to continue from a checkpoint of other rows or of another order of steps.

    Args:
        directory: The folder of the training.
        resumes: Whether it has a checkpoint.
        note: Whether this process writes what the folder is of.
        **arguments: The values that must be the same.

    Raises:
        ValueError: The checkpoint is of something else; the message names it.
    """
    file = directory / _TRAINED_ON
    if not resumes:
        if note:
            write_json(make_folder(directory) / _TRAINED_ON, arguments)
        return
    advice = "Give another directory, or remove this one to train anew."
    if not file.exists():
        raise ValueError(f"{directory} has a checkpoint, but no {file.name}, which says what it is of. {advice}")
    held = read_json(file, advice)
    others = [
        f"{name.replace('_', ' ')} {held.get(name)!r} -> {value!r}"
        for name, value in arguments.items()
        if held.get(name) != value
    ]
    if others:
        raise ValueError(
            f"The checkpoint in {directory} is of another training ({', '.join(others)}). Give another directory, or "
            "what it was begun with."
        )


# ------------------------------------------------------------------------------------------------- differences


def _row_differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    counts = [sum(rows.get("splits", {}).values()) for rows in (earlier, now)]
    old_files = {file["path"]: file for file in earlier.get("files", ())}
    new_files = {file["path"]: file for file in now.get("files", ())}
    changed = [path for path in new_files if path in old_files and new_files[path] != old_files[path]]
    changed = [path for path in changed if new_files[path]["digest"] != old_files[path]["digest"]]
    for path in changed:
        yield f"{Path(path).name} has changed{_more_or_fewer(counts) if path == changed[0] else ''}"
    gone, come = sorted(set(old_files) - set(new_files)), sorted(set(new_files) - set(old_files))
    digests = {file["digest"] for file in old_files.values()}
    if come and not {new_files[path]["digest"] for path in come} <= digests:
        yield f"{', '.join(gone) or 'no file'} -> {', '.join(come)}{'' if changed else _more_or_fewer(counts)}"
    yield from _schema_differences(earlier.get("schema", {}), now.get("schema", {}))
    settings = [
        {key: value for key, value in rows.get("settings", {}).items() if key not in _PLACES} for rows in (earlier, now)
    ]
    yield from _setting_differences({"data": settings[0]}, {"data": settings[1]})


def _more_or_fewer(counts: list[int]) -> str:
    more = counts[1] - counts[0]
    if not more:
        return f": as many rows, {counts[1]:,}, of other content"
    return f": {abs(more):,} rows {'more' if more > 0 else 'fewer'}"


def _schema_differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys([*earlier, *now]):
        if key != "features" and earlier.get(key) != now.get(key):
            yield f"schema: {key} {earlier.get(key)!r} -> {now.get(key)!r}"
    old, new = ({feature["name"]: feature for feature in one.get("features", ())} for one in (earlier, now))
    if gone := [name for name in old if name not in new]:
        yield f"schema: without {_listed(gone)}"
    if come := [name for name in new if name not in old]:
        yield f"schema: with {_listed(come)}"
    for name in new:
        if name in old and old[name] != new[name]:
            keys = [key for key in dict.fromkeys([*old[name], *new[name]]) if old[name].get(key) != new[name].get(key)]
            changes = ", ".join(f"{key} {old[name].get(key)!r} -> {new[name].get(key)!r}" for key in keys)
            yield f"schema: {name}: {changes}"
    if list(old) != list(new) and set(old) == set(new):
        yield "schema: another order of the features"


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _setting_differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    old, new = dict(_leaves(earlier)), dict(_leaves(now))
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield f"{name} {_shown(old.get(name))} -> {_shown(new.get(name))}"


def _shown(value: Any) -> str:
    return "default" if value is None else str(value)


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
