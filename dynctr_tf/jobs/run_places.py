"""Where the folder of a run is: on this machine, or at a URI with a working copy on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from dynctr_tf.folders_at_uris import FolderAtUri
from dynctr_tf.jobs.records import folder_of, in_short
from dynctr_tf.jobs.settings import JobSettings
from dynctr_tf.mirrors import absent_at, fetched, is_mirror, read_list, refuse_files_of_others, working_copy
from dynctr_tf.training.run_record import RECORD, RunRecord, own_folder
from dynctr_tf.uris import is_uri, without_query


def _nothing(leave: Sequence[str] = ()) -> None:
    """A folder of this machine is where it belongs."""


class RunPlace(NamedTuple):
    """The folder of a run, a search or a comparison.

    Attributes:
        folder: The folder of this machine in which the job works.
        name: What a person calls it: the folder, or the URI to which it is copied.
        copy: Copies to the URI what has changed, but for the folders in it that are named; does nothing without a URI.
    """

    folder: Path
    name: str
    copy: Callable[..., None] = _nothing

    @classmethod
    def here(cls, folder: str | Path) -> RunPlace:
        """A folder that is copied nowhere."""
        return cls(Path(folder), str(folder))


def check_run_place(wanted: str | Path | None, settings: JobSettings, option: str, *, workers: int = 1) -> None:
    """Refuses a URI for a run that cannot be written, and one for processes that must see the folder themselves.

    A job calls this before it prepares rows.

    Args:
        wanted: The folder that the user names; `None` for the one under `runs/`.
        settings: The settings of the job.
        option: The option that names it, for messages.
        workers: Processes that train into the folder at the same time. Default 1.

    Raises:
        ValueError: It cannot be reached or written, has files of others, or does not suit the strategy or
            the processes.
    """
    if wanted is None or not is_uri(wanted):
        return
    uri, strategy = str(wanted), settings.training.strategy
    if strategy in ("multi_worker", "parameter_server"):
        raise ValueError(
            f"{option} {uri}: the processes of the strategy {strategy!r} write into one folder. Give a folder that all "
            "of them see, such as a mounted bucket."
        )
    if workers > 1:
        raise ValueError(
            f"{option} {uri}: {workers} processes train into one folder at the same time. Give --workers 1, or a "
            "folder of this machine."
        )
    refuse_files_of_others(FolderAtUri(uri))
    _check_writable(uri, option)


def _check_writable(uri: str, what: str) -> None:
    try:
        FolderAtUri(uri).check_writable()
    except OSError as error:
        raise ValueError(
            f"The results could not be written to {uri}: {error}. Give {what} a place that this process may write, or "
            "a folder of this machine."
        ) from error


@contextlib.contextmanager
def new_run(wanted: str | Path | None, name: str, record: RunRecord, *, say: bool = True) -> Iterator[RunPlace]:
    """Gives the folder of a run, which begins or goes on in the block, and copies it to its URI at the end.

    Args:
        wanted: The folder or URI that the user names; where it holds another run, one beside it is taken, and the
            difference is printed. `None` for a folder under `runs/`, named after the record.
        name: What the folder under `runs/` is called before the fingerprint.
        record: The run.
        say: Whether the difference is printed. Default `True`.

    Raises:
        BusyError: Another process works on the run.
        ValueError: The URI cannot be reached or written, or is not the folder of a run.
        DamagedFileError: What lies at the URI is damaged.
        OSError: A file cannot be read or written.
    """
    if wanted is None or not is_uri(wanted):
        yield RunPlace.here(folder_of(None if wanted is None else Path(wanted), name, record, say=say))
        return
    uri = str(wanted)
    differences = _differences(uri, record)
    if differences is not None:
        whole, query = without_query(uri)
        beside = f"{whole.rstrip('/')}-{record.fingerprint}{query}"
        if say:
            print(f"{uri} holds another run ({in_short(differences)}); this one goes to {beside}")
        uri = beside
    with place_of(uri, new=True) as place:
        yield place


def _differences(uri: str, record: RunRecord) -> list[str] | None:
    """How a run differs from the one at a URI; `None` where nothing lies there, or this very run."""
    listed = read_list(FolderAtUri(uri))
    if listed is None or not listed.files:
        return None
    if RECORD not in listed.files:
        return ["it has no record of its run"]
    with fetched(uri, "run", [RECORD]) as held:
        own, differences = own_folder(held, record)
    return None if own == held else differences


@contextlib.contextmanager
def place_of(folder: str | Path, *, new: bool = False) -> Iterator[RunPlace]:
    """Gives a folder that is named, to read and write in it in the block; that of a URI is copied there at the end.

    Args:
        folder: The folder or URI.
        new: Whether there may be nothing at the URI. Default `False`.

    Raises:
        BusyError: Another process works on it.
        ValueError: The URI cannot be reached or written, or nothing lies there that a job has written.
        DamagedFileError: What lies at the URI is damaged.
        OSError: A file cannot be read or written.
    """
    if not is_uri(folder):
        yield RunPlace.here(folder)
        return
    uri = str(folder)
    if not new:
        if not is_mirror(uri):
            raise absent_at(uri, "run")
        _check_writable(uri, "the run")
    with working_copy(uri) as mirror:
        yield RunPlace(mirror.folder, uri, mirror.copy)
    print(f"copied: {uri}")


@contextlib.contextmanager
def run_to_read(folder: str | Path) -> Iterator[RunPlace]:
    """Gives the folder of a run to read in the block; that of a URI is copied to a temporary folder.

    Raises:
        ValueError: The URI cannot be reached, or no run lies there.
        DamagedFileError: What lies at the URI is damaged.
        OSError: A file cannot be read or written.
    """
    if not is_uri(folder):
        yield RunPlace.here(folder)
        return
    with fetched(str(folder), "run") as here:
        yield RunPlace(here, str(folder))


def record_of(folder: str | Path) -> RunRecord | None:
    """Reads the record of the run in a folder or at a URI; `None` where there is no run.

    Raises:
        ValueError: The URI cannot be reached.
    """
    if not is_uri(folder):
        return RunRecord.load(folder)
    if not is_mirror(str(folder)):
        return None
    with fetched(str(folder), "run", [RECORD]) as here:
        return RunRecord.load(here)
