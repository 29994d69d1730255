"""The files that rows are read from, identified by their content."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dynctr_tf.datasets.row_files import RowFile, file_states
from dynctr_tf.durable_files import DamagedFileError, make_folder, read_json, write_json

_PIECE = 1 << 22
_NOTED = "source-files.json"
# A file that was written within these seconds may be written again without a new time.
_SETTLED_SECONDS = 2.0


@dataclasses.dataclass(frozen=True)
class SourceFile:
    """A file as it was when it was read.

    Attributes:
        path: Where it lies, absolute, or its URI.
        size: Its size in bytes.
        modified: When it was last written, seconds since 1970.
        digest: SHA-256 of its content, hexadecimal.
    """

    path: str
    size: int
    modified: float
    digest: str


def source_files(
    paths: Iterable[str | Path | RowFile], notes: str | Path | None, *, progress: bool = True
) -> list[SourceFile]:
    """Reads the files once and returns their sizes, times and digests.

    The digests are noted in a folder, and a file is not read again while its size, its place on the disk and the time
    of its last change stay the same. The system keeps that time; programs cannot set it as they can set the time of the
    content. So other content of the same size and date is noticed. A file at a URI would have to be fetched once more;
    its path, size and time of the last change take the place of its content.

    Args:
        paths: The files.
        notes: The folder where the digests are noted; made where it is absent. With `None` they are not noted, and
            every call reads the files.
        progress: Whether a bar is shown for files of more than a gigabyte. Default `True`.

    Raises:
        ValueError: A file that is absent.

    Cost:
        Reads a file at about a gigabyte a second.
    """
    folder = None if notes is None else Path(notes)
    noted = {} if folder is None else _noted(folder)
    found = []
    for given in paths:
        path = given.local or given if isinstance(given, RowFile) else Path(given)
        if isinstance(path, RowFile):
            found.append(_elsewhere(path))
            continue
        name = str(path.resolve())
        try:
            state = _state(Path(name).stat())
        except FileNotFoundError as error:
            raise ValueError(f"{path}: there is no such file.") from error
        note = noted.get(name)
        if not isinstance(note, dict) or note.get("state") != state or not isinstance(note.get("digest"), str):
            begin = time.time()
            note = {"state": state, "digest": _digest(name, state[0], progress)}
            settled = begin - max(state[1], state[2]) / 1e9 > _SETTLED_SECONDS
            if folder is not None and settled and _state(Path(name).stat()) == state:
                noted[name] = note
                make_folder(folder)
                write_json(folder / _NOTED, noted)
        found.append(SourceFile(name, state[0], state[1] / 1e9, note["digest"]))
    return found


def _elsewhere(file: RowFile) -> SourceFile:
    state = file_states([file])[file.path]
    digest = hashlib.sha256(f"{file.path} {state.size} {state.modified}".encode()).hexdigest()
    return SourceFile(file.path, state.size, state.modified / 1e9, digest)


def _state(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _digest(path: str, size: int, progress: bool) -> str:
    digest = hashlib.sha256()
    name = Path(path).name
    with (
        Path(path).open("rb", buffering=0) as file,
        tqdm(
            total=size, desc=f"looking at {name}", unit="B", unit_scale=True, disable=not progress or size < 1 << 30
        ) as bar,
    ):
        while piece := file.read(_PIECE):
            digest.update(piece)
            bar.update(len(piece))
    return digest.hexdigest()


def _noted(folder: Path) -> dict[str, Any]:
    """The noted digests; empty if they cannot be read, and the files are read again."""
    try:
        return read_json(folder / _NOTED)
    except (OSError, DamagedFileError):
        return {}
