"""A folder of this machine in which a job works, and its mirror at a URI, from which another machine can go on."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dynctr_tf.durable_files import (
    BusyError,
    DamagedFileError,
    check_file,
    file_checksum,
    is_unfinished,
    json_bytes,
    json_content,
    make_folder,
    new_folder,
    only_process,
    read_json,
    remove_folder,
    write_json,
)
from dynctr_tf.folders_at_uris import FolderAtUri, reason_of, working_folder

LIST = "files.json"
"""The file of a mirror that says which files belong to it, and which objects hold them."""

_NEW = ".new"
_ASIDE = ".aside"
# Locks are of this machine alone, and what is exported lies at a URI of its own.
_NOT_COPIED = ("lock", "export_to_uri")
_NOTE = ".at_uri.json"
# What is left where the first list could not be written, or a trial not be removed.
_OF_TRIALS = (".trial-", f"{LIST}.unfinished")
_ADVICE = "Remove the folder there to begin anew, or give another one."


class _File(NamedTuple):
    """A file of a mirror: its bytes, their checksum, and the name of what holds them at the URI."""

    size: int
    checksum: str
    object: str


class _List(NamedTuple):
    """What the list of a mirror says.

    Attributes:
        writer: Eight characters for the job that wrote it.
        generation: How many lists have been written before.
        by: The process that wrote it, for messages.
        files: The files by their names.
        unlisted: Objects that no file needs and that may be there: those that were about to be written or removed.
    """

    writer: str
    generation: int
    by: str
    files: dict[str, _File]
    unlisted: tuple[str, ...]

    @property
    def stamp(self) -> tuple[str, int]:
        return self.writer, self.generation


class Mirror:
    """A folder of this machine and its mirror at a URI. `working_copy` gives one to a job.

    The files lie at the URI under their own names. `files.json` there names all that belong together, with sizes and
    checksums, and is replaced at once. What an earlier list names is not overwritten before the new list is there: a
    file that has changed goes to `.new/` first, and to its own name once a list names the one in `.new/`. So a kill at
    any moment leaves the earlier state or the new one, whole. Objects that no list needs any more are removed after
    that. Files that others put there are left alone.

    One process at a time works on a mirror. Before it replaces the list, it looks whether the list is still the one
    that it wrote or began with, and ends if another process has written since. A store does not tell a process that
    comes between this look and the write: if two processes write within the same instant, the list of the later one
    stays, and what the earlier one copied last is lost; if one of them also removes files at that instant, the list
    that stays may name a file that has gone. Then the fetch names the file. So do not rely on it: start a run once.

    Args:
        uri: The URI of the mirror, such as `gs://bucket/runs/clicks`.
        folder: The folder of this machine.

    Attributes:
        uri: The URI.
        folder: The folder.

    Cost:
        A copy writes what has changed, several files at a time, changed files twice, and two to four lists. Its first
        one in a process computes the checksums of all files, a second per gigabyte. A fetch needs the room of all files
        on the disk.
    """

    def __init__(self, uri: str, folder: str | Path) -> None:
        self.uri = uri
        self.folder = Path(folder)
        self._there = FolderAtUri(uri)
        self._note = self.folder.with_name(_note_of(self.folder.name))
        self._seen: _List | None = None
        self._writer = secrets.token_hex(4)
        self._leftovers: set[str] = set()
        # The state of each file when its checksum was computed.
        self._states: dict[str, tuple[tuple[int, int, int], _File]] = {}

    # Bringing it here

    def bring(self) -> bool:
        """Makes the folder what the mirror is, and makes the URI a mirror if nothing is there.

        A folder that this machine has copied there last is kept: it may be further than the mirror. Any other content
        of the folder is replaced by the mirror's, or kept beside it where nothing lies at the URI.

        Returns:
            Whether there was a mirror.

        Raises:
            ValueError: The place cannot be reached or written, or has files and no list.
            DamagedFileError: The list or a file is not what was written.
            OSError: A file cannot be read or written.
        """
        listed = read_list(self._there)
        self._seen = listed
        if listed is None:
            self._begin()
            return False
        if list(listed.stamp) not in self._last_time() or not self.folder.is_dir():
            if self.folder.is_dir():
                remove_folder(self.folder)
            fetch(self._there, listed, self.folder)
        self._leftovers = set(listed.unlisted)
        self._keep_note()
        return True

    def _begin(self) -> None:
        refuse_files_of_others(self._there)
        try:
            self._there.check_writable()
        except OSError as error:
            raise ValueError(f"{self.uri} cannot be written: {error}. Give a place that this process may write.") from (
                error
            )
        if self.folder.is_dir():
            aside = self.folder.with_name(f"{self.folder.name}.{secrets.token_hex(4)}{_ASIDE}")
            self.folder.rename(aside)
            print(
                f"Nothing lies at {self.uri} any more, or never did: the job begins anew, and what {self.folder} had "
                f"is kept in {aside}"
            )
        self._replace_list({}, ())
        make_folder(self.folder)

    def _last_time(self) -> list[Any]:
        """The list that this machine wrote or fetched last, and the one that it was about to write."""
        try:
            note = read_json(self._note)
        except (FileNotFoundError, DamagedFileError):
            return []
        return list(note["lists"]) if note.get("uri") == self.uri else []

    def _keep_note(self, about_to: _List | None = None) -> None:
        make_folder(self._note.parent)
        lists = [one.stamp for one in (self._seen, about_to) if one is not None]
        write_json(self._note, {"uri": self.uri, "lists": lists})

    # Copying it there

    def copy(self, leave: Collection[str] = ()) -> None:
        """Copies to the URI what has changed in the folder since the last copy.

        Args:
            leave: Names of folders in the folder whose mirror stays as it is, because another process works in them.
                Default `()`: none.

        Raises:
            BusyError: Another process has written to the mirror meanwhile.
            OSError: The place cannot be reached or written, with what to do.
            DamagedFileError: The list is not what was written.
        """
        try:
            self._copy(leave)
        except (BusyError, DamagedFileError):
            raise
        except (OSError, ValueError) as error:
            raise OSError(
                f"{reason_of(error)}. What this job has done is kept in {self.folder}: the same command again, on this "
                f"machine, copies it to {self.uri} and goes on."
            ) from error

    def _copy(self, leave: Collection[str]) -> None:
        listed = self._check_alone()
        held = {entry.object for entry in listed.files.values()}
        files = {name: entry for name, entry in listed.files.items() if _within(name, leave)}
        changed: dict[str, Path] = {}
        for name, path in self._files_here():
            if _within(name, leave):
                continue
            same = self._unchanged(name, path, listed.files.get(name))
            if same is None:
                changed[name] = path
            else:
                files[name] = same
        unsettled = any(name != entry.object and not _within(name, leave) for name, entry in files.items())
        if not changed and not unsettled and files == listed.files:
            self._remove(self._leftovers - held)
            return
        objects = {name: name if name not in held else f"{_NEW}/{secrets.token_hex(4)}/{name}" for name in changed}
        if changed:
            # So that what a kill leaves is known, and removed by the next copy.
            self._replace_list(listed.files, (*self._leftovers, *objects.values()))
            files |= self._send({objects[name]: (name, path) for name, path in changed.items()})
        aside = {name: entry for name, entry in files.items() if entry.object != name and not _within(name, leave)}
        unneeded = (held | self._leftovers | set(objects.values())) - {entry.object for entry in files.values()}
        self._replace_list(files, (*unneeded, *aside))
        if aside:
            again = {name: (name, self.folder / name) for name in aside if (self.folder / name).is_file()}
            files = {name: entry for name, entry in files.items() if name not in aside} | self._send(again)
            unneeded = unneeded | {entry.object for entry in aside.values()}
            unneeded -= {entry.object for entry in files.values()}
            self._replace_list(files, tuple(unneeded))
        self._remove(unneeded)

    def _files_here(self) -> Iterator[tuple[str, Path]]:
        for place, folders, names in os.walk(self.folder):
            # A folder beside which there is a note has a mirror of its own.
            folders[:] = [name for name in folders if _is_copied(name) and _note_of(name) not in names]
            for name in sorted(filter(_is_copied, names)):
                path = Path(place, name)
                if path.is_file() and not path.is_symlink():
                    within = path.relative_to(self.folder).as_posix()
                    self._there.refuse_leading_out(within)
                    yield within, path

    def _unchanged(self, name: str, path: Path, listed: _File | None) -> _File | None:
        """The file as the list has it, where it is still that."""
        if listed is None:
            return None
        state = _state(path)
        if state is None or state[0] != listed.size:
            return None
        known = self._states.get(name)
        if known is None or known[0] != state or known[1][:2] != listed[:2]:
            if file_checksum(path) != listed.checksum:
                return None
            self._states[name] = (state, listed)
        return listed

    def _send(self, files: Mapping[str, tuple[str, Path]]) -> dict[str, _File]:
        """Copies files to objects, and returns what is there now."""
        states = {name: _state(path) for name, path in files.values()}
        sent = self._there.send({place: path for place, (_, path) in files.items()})
        found = {}
        for place, (name, _) in files.items():
            state = states[name]
            if place in sent and state is not None:
                found[name] = _File(*sent[place], place)
                # A file that has changed since has another state, and is copied again the next time.
                self._states[name] = (state, found[name])
        return found

    def _replace_list(self, files: Mapping[str, _File], unlisted: Collection[str]) -> None:
        before = self._check_alone()
        new = _List(
            self._writer,
            before.generation + 1,
            f"process {os.getpid()} on {socket.gethostname()}",
            dict(files),
            tuple(sorted(set(unlisted))),
        )
        plain = {**new._asdict(), "files": {name: entry._asdict() for name, entry in sorted(files.items())}}
        # Before the list: if this process ends in between, the next one knows the list for its own.
        self._keep_note(new)
        self._there.write_at_once(LIST, json_bytes(plain))
        self._seen = new
        self._leftovers = set(new.unlisted)
        self._keep_note()

    def _check_alone(self) -> _List:
        """Reads the list, and refuses one that another process has written since this one looked last.

        Raises:
            BusyError: There is such a list, or it has been removed.
        """
        found, seen = read_list(self._there), self._seen
        if (None if found is None else found.stamp) == (None if seen is None else seen.stamp):
            return found or _List("", 0, "", {}, ())
        other = "somebody has removed its list" if found is None else f"another process ({found.by}) has written there"
        raise BusyError(
            f"{self.uri}: {other} since this job looked last. Two jobs cannot work on one run: let one of them end, "
            f"then start the command again; it goes on from what is there. What this job has done since its last copy "
            f"is in {self.folder} and is not copied."
        )

    def _remove(self, names: Collection[str]) -> None:
        """Removes what no file needs; some of it may have gone already, as the list still has the names."""
        try:
            self._there.remove(sorted(names))
            self._leftovers = set()
        except OSError as error:  # the mirror is whole all the same
            print(f"{reason_of(error)}: it is not needed any more, and the next copy tries again", flush=True)


def refuse_files_of_others(there: FolderAtUri) -> None:
    """Refuses a folder that has files and no list: what a job copies there would be mixed with them.

    Raises:
        ValueError: It has such files, or cannot be reached.
        DamagedFileError: It has a file whose name leads out of it.
    """
    names = there.sizes()
    if LIST not in names and any(not name.startswith(_OF_TRIALS) for name in names):
        raise ValueError(
            f"{there.place} has files and no {LIST}, which a job writes there: it is not the folder of a run. Give "
            "one with nothing in it; a run that was copied there is gone on with in a folder of this machine."
        )


def read_list(there: FolderAtUri) -> _List | None:
    """Reads the list of a mirror; `None` where there is none.

    Raises:
        ValueError: The place cannot be reached.
        DamagedFileError: It is not what was written, or names a file that is not within the folder.
    """
    content = there.read_whole(LIST)
    if content is None:
        return None
    given = json_content(content, there.uri_of(LIST), _ADVICE)
    files = {name: _File(**entry) for name, entry in given["files"].items()}
    for name in (*files, *(entry.object for entry in files.values()), *given["unlisted"]):
        there.refuse_leading_out(name)
    return _List(given["writer"], given["generation"], given["by"], files, tuple(given["unlisted"]))


def fetch(there: FolderAtUri, listed: _List, folder: Path, names: Collection[str] | None = None) -> None:
    """Copies the files of a mirror to a new folder of this machine, which is there whole or not at all.

    Args:
        there: The mirror.
        listed: Its list.
        folder: The folder, which does not exist.
        names: The files. Default `None`: all.

    Raises:
        DamagedFileError: A file is absent or not what was written, with its URI.
        OSError: A file cannot be read or written, or the disk has not the room.
    """
    files = {name: entry for name, entry in listed.files.items() if names is None or name in names}
    with new_folder(folder) as partial:
        try:
            there.fetch({name: (entry.object, entry.size) for name, entry in files.items()}, partial)
        except FileNotFoundError as error:
            raise DamagedFileError(f"{reason_of(error)}, and {LIST} there names it. {_ADVICE}") from error
        for name, entry in files.items():
            try:
                check_file(partial / name, entry.size, entry.checksum, _ADVICE)
            except DamagedFileError as error:
                raise DamagedFileError(str(error).replace(str(partial / name), there.uri_of(entry.object))) from error


@contextlib.contextmanager
def working_copy(uri: str) -> Iterator[Mirror]:
    """Gives a job the folder `runs/at_uris/...` of what lies at a URI, and copies there at the end what it has done.

    Where the block fails nothing is copied; the folder keeps what was done for the next start on this machine.

    Args:
        uri: The URI.

    Raises:
        BusyError: Another process of this machine works on it, or one elsewhere has written there meanwhile.
        ValueError: As `Mirror.bring`.
        OSError: A file cannot be read or written.
    """
    folder = working_folder(uri)
    with only_process(folder.with_name(f".{folder.name}.lock"), f"works on {uri}"):
        mirror = Mirror(uri, folder)
        mirror.bring()
        yield mirror
        mirror.copy()


@contextlib.contextmanager
def fetched(uri: str, what: str, names: Collection[str] | None = None) -> Iterator[Path]:
    """Gives the files of a mirror in a temporary folder, in the block, to read them alone.

    Args:
        uri: The URI.
        what: What is there, for the message, such as `"run"`.
        names: The files. Default `None`: all.

    Raises:
        ValueError: There is none, or the place cannot be reached.
        DamagedFileError: A file is not what was written.
        OSError: A file cannot be read or written.
    """
    there = FolderAtUri(uri)
    listed = read_list(there)
    if listed is None:
        raise absent_at(uri, what)
    with tempfile.TemporaryDirectory(prefix="fetched-") as place:
        folder = Path(place, working_folder(uri).name)
        fetch(there, listed, folder, names)
        yield folder


def absent_at(uri: str, what: str) -> ValueError:
    """Returns the error of a URI at which no job has written."""
    return ValueError(
        f"There is no {what} at {uri}: it has no {LIST}, which a job writes there. Give the URI that the job was "
        "given, or a folder of this machine."
    )


def is_mirror(uri: str) -> bool:
    """Whether a job has written at a URI.

    Raises:
        ValueError: The place cannot be reached.
    """
    return FolderAtUri(uri).has(LIST)


def _note_of(name: str) -> str:
    return f".{name}{_NOTE}"


def _is_copied(name: str) -> bool:
    return not (name in _NOT_COPIED or name.endswith((".lock", _NOTE, _ASIDE)) or is_unfinished(name))


def _within(name: str, folders: Collection[str]) -> bool:
    return name.partition("/")[0] in folders


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return state.st_size, state.st_mtime_ns, state.st_ino
