"""The first stage of a job: raw rows are opened, and encoded where an earlier job has not done that."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dynctr_tf.datasets.key_features import give_keys
from dynctr_tf.datasets.registry import check_option_types, row_source, row_source_options
from dynctr_tf.datasets.row_source import RowSource
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.durable_files import make_folder, only_process, remove_folder
from dynctr_tf.encoding import EncodedDataset
from dynctr_tf.encoding.beam_preparation import prepare_on_beam
from dynctr_tf.encoding.cluster_preparation import RunTasks, prepare_on_cluster
from dynctr_tf.encoding.encoded_at_uris import check_uri_for_encoded_data, copy_encoded_to_uri, is_encoded_at
from dynctr_tf.encoding.preparation import prepare_encoded_dataset
from dynctr_tf.encoding.row_writer import INDEX
from dynctr_tf.folders_at_uris import working_folder
from dynctr_tf.jobs.keys import ids_text
from dynctr_tf.jobs.records import check_unchanged, data_record
from dynctr_tf.jobs.settings import DataSettings
from dynctr_tf.training.cluster import Cluster
from dynctr_tf.training.partners import absent_partners
from dynctr_tf.uris import is_uri, uri_within


def open_source(settings: DataSettings) -> RowSource:
    """Opens the raw rows that the settings name, with their schema and split.

    Raises:
        ValueError: A setting that the data set does not take, or one that it does not accept.
    """
    accepted = row_source_options(settings.name)
    given = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.name in ("name", "options", "directory", "readers", "processes", "negative_sampling_rate", "keys"):
            continue
        if field.name in accepted:
            if value is not None:
                given[field.name] = value
        elif value != field.default:
            raise ValueError(_setting_not_taken(settings, field.name, accepted))
    for name, value in settings.options.items():
        if name in given:
            raise ValueError(
                f"data.options.{name} is given, and data.{name} too; leave out one of the two (got {value!r})."
            )
    check_option_types(settings.name, settings.options)
    source = row_source(settings.name, **given, **settings.options)
    if settings.keys is not None:
        give_keys(source, settings.keys)
    return source


def _setting_not_taken(settings: DataSettings, name: str, accepted: Mapping[str, Any]) -> str:
    value = getattr(settings, name)
    if settings.name == "tabular_file" and name in ("min_count", "max_size", "binning"):
        where = "of a numeric feature" if name == "binning" else 'of each feature, under "vocabulary",'
        return (
            f"data.{name} is not taken with a file of your own: set it in the schema, as {name!r} {where} in "
            f"{settings.schema or 'the schema file'} (got {value!r})."
        )
    taken = [f"data.{field.name}" for field in dataclasses.fields(settings) if field.name in accepted]
    hint = (
        " A file of your own has --data.name tabular_file."
        if name in ("path", "validation_path", "test_path", "schema")
        else ""
    )
    return f"The data set {settings.name!r} takes no data.{name} (got {value!r}).{hint} It takes: {', '.join(taken)}."


def prepare(
    settings: DataSettings, cluster: Cluster | None = None, runner: Sequence[str] | RunTasks | None = None
) -> EncodedDataset:
    """Encodes the raw rows to disk, or opens the rows that an earlier job encoded by the same rules.

    The folder is named after the content of the files, the schema, the settings and the code that encodes. In a
    multi-worker job the chief encodes and the other workers wait for it. If several jobs start together, the first one
    encodes, and locks the empty file `.NAME.lock` beside the folder while it does. The file stays afterwards and means
    nothing then.

    Where the folder is at a URI, this machine encodes in `runs/at_uris/` and copies the result, see
    `dynctr_tf.encoding.encoded_at_uris`; the rows are then read from the URI, and the local ones are removed.

    Args:
        settings: The settings of the data.
        cluster: The cluster of a multi-worker job. Default `None`: the job has one process.
        runner: Options of a pipeline of Apache Beam that encodes, or the function of another cluster, as
            `dynctr_tf.encoding.cluster_preparation.prepare_on_cluster` takes it. Default `None`: this machine does.

    Raises:
        RuntimeError: A file was changed while it was read.
        ValueError: A runner for rows that are not read from files of one's own, or one of several machines together
            with a URI; a URI that cannot be reached or written.
        OSError: The disk or the URI cannot be written; what was done is kept for the next start.
    """
    source = open_source(settings)
    fingerprint, about = data_record(settings, source)
    name = f"{settings.name}-{fingerprint}"
    if is_uri(settings.directory):
        return _prepare_at_uri(source, settings, uri_within(settings.directory, name), about, cluster, runner)
    directory = Path(settings.directory) / name
    # A folder gets its name only when it is whole.
    made = directory / INDEX
    if cluster is not None and not cluster.is_chief:
        _wait_for_chief(cluster, f"{directory.resolve()}, on a file system that all workers share", made.exists)
    if not made.exists():  # An existing folder is read without a lock, also one of another account.
        with _alone(directory):
            if not made.exists():
                _encode(source, settings, directory, about, runner)
                data = EncodedDataset.open(directory, readers=settings.readers)
                _say_encoded(source, data)
                return data
    print(f"encoded data: {directory} (from an earlier run)")
    return EncodedDataset.open(directory, readers=settings.readers)


def _alone(directory: Path) -> contextlib.AbstractContextManager[None]:
    """Lets one process of this machine encode rows; others wait for it."""
    return only_process(directory.with_name(f".{directory.name}.lock"), "encodes the same rows", wait_seconds=None)


def _wait_for_chief(cluster: Cluster, place: str, is_made: Callable[[], bool], seconds: float = 1.0) -> None:
    """Waits, as another worker, until the chief has encoded the rows."""
    start = said = time.monotonic()
    first = True
    while not is_made():
        if first:
            print(f"waiting for the chief to encode {place}")
            first = False
        time.sleep(seconds)
        if time.monotonic() - said >= 30.0:
            said = time.monotonic()
            absent = absent_partners(cluster)
            silent = f"; nobody answers at {', '.join(absent)}" if absent else ""
            print(f"still waiting for the chief to encode, {said - start:.0f} s now{silent}", flush=True)


def _prepare_at_uri(
    source: RowSource,
    settings: DataSettings,
    place: str,
    about: dict[str, Any],
    cluster: Cluster | None,
    runner: Sequence[str] | RunTasks | None,
) -> EncodedDataset:
    directory = working_folder(place)
    if cluster is not None and not cluster.is_chief:
        _wait_for_chief(cluster, place, lambda: is_encoded_at(place), seconds=5.0)
    made = is_encoded_at(place)
    if not made:
        check_uri_for_encoded_data(settings.directory)
        if runner is not None and (callable(runner) or "--runner=DirectRunner" not in runner):
            raise ValueError(
                f"The machines of a cluster encode into a folder that all of them see, and {settings.directory} is "
                "not one. Give --data.directory such a folder, a mounted bucket for one, or leave out --runner."
            )
        with _alone(directory):
            made = is_encoded_at(place)  # by a process that this one has waited for
            if not made:
                if not (directory / INDEX).exists():
                    _encode(source, settings, make_folder(directory.parent) / directory.name, about, runner)
                copy_encoded_to_uri(directory, place)
            if directory.exists():
                remove_folder(directory)
    data = EncodedDataset.open(place, readers=settings.readers)
    if not made:
        _say_encoded(source, data)
    print(f"encoded data: {place}, read by {data.readers} requests at a time")
    return data


def _encode(
    source: RowSource,
    settings: DataSettings,
    directory: Path,
    about: dict[str, Any],
    runner: Sequence[str] | RunTasks | None,
) -> None:
    def check() -> None:
        check_unchanged(source, settings, about)

    if runner is None:
        prepare_encoded_dataset(source, directory, processes=settings.processes, about=about, check=check)
    elif not isinstance(source, TabularFile):
        raise ValueError(f"Rows of {settings.name!r} are not read in shards; leave out --runner.")
    elif callable(runner):
        prepare_on_cluster(source, directory, runner, about=about, check=check)
    else:
        prepare_on_beam(source, directory, runner, about=about, check=check)


def _say_encoded(source: RowSource, data: EncodedDataset) -> None:
    rows = ", ".join(f"{data.num_rows(split):,} {split}" for split in data.split_names)
    print(f"encoded data: {data.directory}: {rows} rows; {data.features.num_fields} fields, {ids_text(data.features)}")
    for note in getattr(source, "split_notes", ()):
        print(note)
    for reason, count in source.skipped.items():
        print(f"skipped {count:,} rows: {reason}")
