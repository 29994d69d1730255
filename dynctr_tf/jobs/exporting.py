"""Exports what a run of `train` has trained, in this process or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow import keras

from dynctr_tf.child_processes import child_environment, end_with_parent
from dynctr_tf.datasets.row_source import first_rows
from dynctr_tf.durable_files import remove_folder
from dynctr_tf.encoding import EncodedDataset
from dynctr_tf.export import TableStorage, export_model
from dynctr_tf.export.versions import version_numbers
from dynctr_tf.export.versions_at_uris import copy_to_uri
from dynctr_tf.jobs.explain import open_run
from dynctr_tf.jobs.preparing import open_source
from dynctr_tf.jobs.records import load_logits
from dynctr_tf.jobs.served_size import served_size
from dynctr_tf.jobs.settings import JobSettings
from dynctr_tf.training.weight_limit import refuse_weights_that_do_not_fit
from dynctr_tf.uris import is_uri, parts_of, uri_within

_START = "from dynctr_tf.jobs.exporting import export_for_parent; export_for_parent({!r}, {!r})"
_CARD, _EXPORTED = "card.json", "exported.json"
_KILLED = -9


def served_folder(settings: JobSettings) -> Path | str | None:
    """The folder of the served model, or its URI as a text; `None` where nothing is exported."""
    directory = settings.export.directory
    if directory is None:
        return None
    name = settings.export.name or f"{settings.data.name}-{settings.model.name}"
    return uri_within(directory, name) if is_uri(directory) else Path(directory) / name


def folder_here(settings: JobSettings, run: str | Path) -> Path | None:
    """The folder of this machine that versions are exported to: the served model's, or one of the run for a URI."""
    served = served_folder(settings)
    return Path(run, "export_to_uri", parts_of(served)[1]) if isinstance(served, str) else served


def to_its_place(settings: JobSettings, version: Path) -> Path | str:
    """Copies a version to the URI of the served model, where that is one.

    Args:
        settings: The settings of the job, which export.
        version: What was exported to `folder_here`. Earlier versions beside it are removed when it is copied.

    Returns:
        Where the version is: its URI, or the folder itself.

    Raises:
        OSError: The place cannot be written; the version is kept.
    """
    served = served_folder(settings)
    if not isinstance(served, str):
        return version
    advice = f"It is kept in {version}: the same command again copies it without training."
    place = copy_to_uri(served, version, advice=advice)
    for number in version_numbers(version.parent):
        if number != int(version.name):
            remove_folder(version.parent / str(number))
    return place


def export_trained(
    settings: JobSettings,
    data: EncodedDataset,
    model: keras.Model,
    logits: np.ndarray,
    card: Mapping[str, Any],
    run: str | Path,
) -> tuple[Path, str]:
    """Exports a trained model as the settings say, to a folder of this machine.

    Args:
        settings: The settings of the job, which export.
        data: The encoded rows.
        model: The trained model, on one device.
        logits: Its logits of the test split.
        card: What the card of the version says of the run.
        run: The folder of the run.

    Returns:
        The version on this machine, which `to_its_place` copies to a URI, and a text about its size; see
        `dynctr_tf.jobs.served_size`.

    Raises:
        ValueError: The settings export nothing.
    """
    folder, options = folder_here(settings, run), settings.export
    if folder is None:
        raise ValueError("Nothing is exported: export.directory is none.")
    path = export_model(
        model,
        data.encoder(),
        folder,
        first_rows(open_source(settings.data), "test", 1000),
        about=card,
        fold=options.fold,
        group_tables=options.group_tables,
        constant_weights=options.constant_weights,
        tables=TableStorage(options.without_zero_rows, options.table_numbers),
        negative_sampling_rate=settings.data.negative_sampling_rate or 1.0,
    )
    return path, served_size(path, data, logits)


def export_apart(directory: str | Path, card: Mapping[str, Any]) -> tuple[Path, str]:
    """Exports a run in a process of its own, which reads the best weights from the run's folder.

    Use it where this process does not have the memory for the tables, such as the chief of parameter servers: it only
    waits. The other process holds the whole model on one device, as a server of the version does, and the smaller
    tables that it makes, where it makes some. It reads, writes, loads and compares without another copy.

    Args:
        directory: The folder of the run, with its best weights and its logits of the test split.
        card: As in `export_trained`.

    Returns:
        As `export_trained`.

    Raises:
        RuntimeError: The process failed; it has printed why.
    """
    with tempfile.TemporaryDirectory(prefix="export-") as place:
        Path(place, _CARD).write_text(json.dumps(dict(card)), encoding="utf-8")
        # What TF_CONFIG names is the chief's; this process has no part in the cluster.
        environment = {key: value for key, value in os.environ.items() if key != "TF_CONFIG"}
        environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **child_environment()}
        # It trains nothing, so memory that is free goes back to the system.
        environment["TF_CPU_ALLOCATOR_USE_BFC"] = "false"
        command = [sys.executable, "-c", _START.format(str(directory), place)]
        sys.stdout.flush()
        status = subprocess.run(command, env=environment, check=False).returncode
        if status:
            killed = " It was killed, as the system does where the memory is not enough." if status == _KILLED else ""
            raise RuntimeError(
                f"The process that exports {directory} ended with {status}; it says above why.{killed} The "
                "weights are kept: the same command again exports without training. The machine of the chief needs the "
                "memory of the tables, and some hundred MiB; --export.directory none leaves the export out."
            )
        exported = json.loads(Path(place, _EXPORTED).read_text(encoding="utf-8"))
    return Path(exported["path"]), str(exported["size"])


def export_for_parent(directory: str, place: str) -> None:
    """Exports a run and says so to the process that started this one: what `export_apart` starts.

    Args:
        directory: The folder of the run.
        place: The folder in which the other process has left the card, and reads what was exported.
    """
    end_with_parent()
    with refuse_weights_that_do_not_fit(slots=0):
        run = open_run(directory)
    card = json.loads(Path(place, _CARD).read_text(encoding="utf-8"))
    logits = load_logits(run.directory, run.data)
    path, size = export_trained(run.settings, run.data, run.model, logits, card, run.directory)
    Path(place, _EXPORTED).write_text(json.dumps({"path": str(path), "size": size}), encoding="utf-8")
