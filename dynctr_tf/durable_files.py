"""Files and folders that are whole or not there, also after a power loss, and whose damage is noticed when read."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import json
import logging
import math
import os
import re
import secrets
import shutil
import socket
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_CHECKSUMS = "checksums.json"
_PIECE = 1 << 22
_TRAILER = len("crc32:00000000")
# What a write in progress is called. mkdtemp's names, which earlier versions gave, are of the same form.
_UNFINISHED = re.compile(r".*\.unfinished-\w+(\.[^.]*)?|\.partial-\w+", re.DOTALL)
# What a pattern is made of.
_PATTERN = set("*?[]\\")
_URI_START = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:")
# fsync and flock say these where a file system has no such thing.
_UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS, errno.EBADF)

_LOG = logging.getLogger(__name__)


class DamagedFileError(ValueError):
    """A file that was written whole and is not what was written."""


class BusyError(RuntimeError):
    """Another process holds what only one may have."""


# ------------------------------------------------------------------------------------------------ to the disk


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Gives the name of the file to an error that has none, as those of a write on an open file have."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _sync(path: Path, flags: int = 0) -> None:
    with _naming(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if not flags or error.errno not in _UNSUPPORTED:
                raise
        finally:
            os.close(descriptor)


def sync_folder(folder: str | Path) -> None:
    """Brings the names in a folder to the disk: those that were made, renamed or removed."""
    _sync(Path(folder), os.O_DIRECTORY)


def sync_tree(folder: str | Path) -> None:
    """Brings a folder with all files and folders in it to the disk."""
    for place, _, files in os.walk(folder, topdown=False):
        for file in files:
            if not Path(place, file).is_symlink():
                _sync(Path(place, file))
        sync_folder(place)


def refuse_uri(path: str | Path, what: str = "files") -> None:
    """Refuses a place at a URI, such as `gs://bucket/runs`, of which a path would make a local folder `gs:`.

    Args:
        path: Where something is to be written.
        what: What that is, for the message. Default `"files"`.

    Raises:
        ValueError: It is a URI.
    """
    start = Path(path).parts[:1]
    if start and _URI_START.fullmatch(start[0]) and not Path(start[0]).exists():
        scheme = start[0].rstrip(":")
        raise ValueError(
            f"{path}: {what} go to folders of this machine alone, and {scheme}: is not one; rows are read from URIs, "
            f"{scheme}://bucket/rows, and encoded data, runs and exports are written there. Give a folder of this "
            "machine, or one that is mounted here, and copy it when the job is done."
        )


def make_folder(folder: str | Path) -> Path:
    """Makes a folder with those above it, where they are not there, and brings their names to the disk.

    Raises:
        ValueError: A URI; see `refuse_uri`.
    """
    refuse_uri(folder)
    folder = Path(folder)
    missing = []
    for place in (folder, *folder.parents):
        if place.exists():
            break
        missing.append(place)
    folder.mkdir(parents=True, exist_ok=True)
    for place in reversed(missing):
        sync_folder(place.parent)
    return folder


# -------------------------------------------------------------------------------------------------- the names


def _try_lock(descriptor: int) -> bool | None:
    """Locks an open file or folder; `False` where another has it, `None` where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return None
        raise
    return True


@contextlib.contextmanager
def plain_path(folder: Path) -> Iterator[Path]:
    """Gives a path by which TensorFlow, which takes those of checkpoints and models for patterns, finds a folder.

    It is the folder itself, or a link to it in the system's folder for temporary files where its path is not plain
    pattern.

    Args:
        folder: The folder, which exists.
    """
    if not _PATTERN & set(str(folder.absolute())):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="plain-path-") as place:
        link = Path(place) / "folder"
        link.symlink_to(folder.absolute(), target_is_directory=True)
        yield link


def _remove(path: Path) -> None:
    """Removes a file or folder of this process; what is left of it is removed by the next run."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def is_unfinished(name: str) -> bool:
    """Whether a file or folder has the name of one that is being written, or was when its process ended."""
    return _UNFINISHED.fullmatch(name) is not None


@contextlib.contextmanager
def _under_way(path: Path, stem: str, suffix: str, make: Callable[[Path], object]) -> Iterator[Path]:
    """Gives a new file or folder beside the wanted one, for a block that fills and renames it, or else it is removed.

    It is held in the block: what nobody holds was left by a process that has ended.

    Args:
        path: The wanted file or folder.
        stem: How the name of the new one begins.
        suffix: How it ends.
        make: Makes it.
    """
    while True:
        partial = path.with_name(f"{stem}.unfinished-{secrets.token_hex(4)}{suffix}")
        make(partial)
        try:
            descriptor = os.open(partial, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        # Between the two lines above another process may have taken it for abandoned.
        if _try_lock(descriptor) is not False and partial.exists():
            break
        os.close(descriptor)
    try:
        yield partial
    except BaseException:
        _remove(partial)
        raise
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


@contextlib.contextmanager
def new_file(path: str | Path) -> Iterator[Path]:
    """Gives the name of a new file beside the wanted one, which takes its place when the block ends well.

    The file is synced before it is renamed, and its folder after, so that a kill or a power loss leaves the old file
    or the new one. Any function that writes a file by its name can be used in the block; the name has the wanted
    file's suffix. Where the block fails the new file is removed.

    Args:
        path: The wanted file. It may exist.

    Raises:
        OSError: The file cannot be written, with its name.
    """
    path = Path(path)
    with (
        _under_way(path, path.stem, path.suffix, lambda partial: partial.touch(exist_ok=False)) as partial,
        _naming(path),
    ):
        yield partial
        _sync(partial)
        partial.replace(path)


@contextlib.contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Gives a new folder beside the wanted one, which takes its name when the block ends well.

    Every file in it is synced before it is renamed. Where the block fails it is removed.

    Args:
        path: The wanted folder. It must not exist, or be empty.

    Raises:
        OSError: The folder or a file in it cannot be written; or the folder exists (`FileExistsError`).
    """
    path = Path(path)
    make_folder(path.parent)
    with _under_way(path, path.name, "", Path.mkdir) as partial:
        yield partial
        sync_tree(partial)
        try:
            partial.rename(path)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise FileExistsError(errno.EEXIST, "The folder exists already", str(path)) from error
            raise


def remove_folder(folder: str | Path) -> None:
    """Removes a folder with all in it; where that is interrupted, what is left no longer has its name."""
    folder = Path(folder)
    leaving = folder.with_name(f"{folder.name}.unfinished-{secrets.token_hex(4)}")
    folder.rename(leaving)
    shutil.rmtree(leaving, ignore_errors=True)


def remove_abandoned(folder: str | Path) -> list[Path]:
    """Removes the unfinished files and folders that processes left which have ended.

    Args:
        folder: Where they are; folders in it are not looked into.

    Returns:
        What was removed. What another process writes is left alone, on this machine and, where the file system has
        locks that reach them, on others; so is everything on a file system without locks.
    """
    removed = []
    for path in sorted(Path(folder).iterdir() if Path(folder).is_dir() else ()):
        if not is_unfinished(path.name) or path.is_symlink():
            continue
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # it has just been finished, or is another user's
            continue
        try:
            if _try_lock(descriptor):
                _remove(path)
                removed.append(path)
        finally:
            os.close(descriptor)
    return removed


# ------------------------------------------------------------------------------------------------- checksums


def checksum_of(content: Any) -> str:
    """Returns the CRC-32 of bytes or of an array's bytes, as `crc32:` and eight digits."""
    return f"crc32:{zlib.crc32(content):08x}"


def file_checksum(path: str | Path) -> str:
    """Returns the checksum of a file's content, as `checksum_of` does; a core reads a gigabyte in a second."""
    crc, piece = 0, bytearray(_PIECE)
    path = Path(path)
    with _naming(path), path.open("rb", buffering=0) as file:
        while size := file.readinto(piece):
            crc = zlib.crc32(memoryview(piece)[:size], crc)
    return f"crc32:{crc:08x}"


def check_file(path: str | Path, size: int, checksum: str, advice: str) -> None:
    """Refuses a file that is not what was written.

    Args:
        path: The file.
        size: Its bytes.
        checksum: What `checksum_of` gives for its content.
        advice: What to do about it, as the end of the message.

    Raises:
        DamagedFileError: It is absent, of another size, or of another content.
    """
    path = Path(path)
    if not path.is_file():
        raise DamagedFileError(f"{path} is absent. {advice}")
    found = path.stat().st_size
    if found != size:
        raise DamagedFileError(f"{path} is damaged: it has {found:,} bytes in place of {size:,}. {advice}")
    if file_checksum(path) != checksum:
        raise DamagedFileError(f"{path} is damaged: its content is not what was written. {advice}")


def write_checksums(folder: str | Path) -> None:
    """Writes the sizes and checksums of all files in a folder into `checksums.json` there."""
    folder = Path(folder)
    files = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "checksum": file_checksum(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / _CHECKSUMS
    }
    write_json(folder / _CHECKSUMS, {"files": files})


def check_checksums(folder: str | Path, advice: str = "Delete the folder and make it again.") -> None:
    """Refuses a folder in which a file is not what it was when `write_checksums` was called.

    Args:
        folder: The folder.
        advice: What to do about it, as the end of the message.

    Raises:
        DamagedFileError: A file that is absent, or of another size or content.
    """
    folder = Path(folder)
    if not (folder / _CHECKSUMS).is_file():
        raise DamagedFileError(f"{folder / _CHECKSUMS} is absent. {advice}")
    for name, known in read_json(folder / _CHECKSUMS, advice)["files"].items():
        check_file(folder / name, known["bytes"], known["checksum"], advice)


# --------------------------------------------------------------------------------------------- whole contents


def write_bytes(path: str | Path, content: bytes) -> None:
    """Writes a file in one move, synced: whatever happens, the old content or the new one is there.

    Raises:
        OSError: It cannot be written, with its name.
    """
    with new_file(path) as partial, partial.open("wb", buffering=0) as file:
        _write_all(file, content)


def write_inside(path: str | Path, content: Any) -> None:
    """Writes the bytes of an array or the like into a file of a folder that `new_folder` is about to sync.

    Raises:
        OSError: It cannot be written, with its name.
    """
    path = Path(path)
    with _naming(path), path.open("wb", buffering=0) as file:
        _write_all(file, content)


def _write_all(file: Any, content: Any) -> None:
    rest = memoryview(content).cast("B")
    while rest:
        rest = rest[file.write(rest) :]


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file in UTF-8 in one move, synced.

    Raises:
        OSError: It cannot be written, with its name.
    """
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def _plain(value: Any) -> Any:
    """Numbers that JSON does not know as strings that `float` reads."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _checksum_of_object(mapping: Mapping[str, Any]) -> str:
    return checksum_of(json.dumps(mapping, sort_keys=True).encode())


def write_json(path: str | Path, mapping: Mapping[str, Any], *, indent: int | None = 2) -> None:
    """Writes a JSON object in one move, synced, with its checksum as a last entry, `"checksum"`.

    A number that is not finite is written as `"NaN"`, `"Infinity"` or `"-Infinity"`, which `float` reads.

    Args:
        path: The file.
        mapping: What is written, without an entry `"checksum"`.
        indent: As in `json.dumps`. Default 2.

    Raises:
        OSError: It cannot be written, with its name.
    """
    write_bytes(path, json_bytes(mapping, indent=indent))


def json_bytes(mapping: Mapping[str, Any], *, indent: int | None = 2) -> bytes:
    """Returns what `write_json` writes, for a file that lies elsewhere.

    Args:
        mapping: As in `write_json`.
        indent: As in `json.dumps`. Default 2.
    """
    plain = _plain(mapping)
    # As it will be read: what JSON has no type for has become something else.
    checksum = _checksum_of_object(json.loads(json.dumps(plain)))
    text = json.dumps({**plain, "checksum": checksum}, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def read_json(path: str | Path, advice: str = "Delete it and make it again.") -> dict[str, Any]:
    """Reads what `write_json` wrote, without the checksum.

    Args:
        path: The file.
        advice: What to do about damage, as the end of the message.

    Raises:
        DamagedFileError: It is empty, half a file, or not what was written.
        OSError: It is absent or cannot be read.
    """
    return json_content(Path(path).read_bytes(), path, advice)


def json_content(content: bytes, path: str | Path, advice: str) -> dict[str, Any]:
    """Returns what `read_json` reads, of the bytes of a file that lies elsewhere.

    Args:
        content: The bytes.
        path: What messages call the file.
        advice: What to do about damage, as the end of the message.

    Raises:
        DamagedFileError: They are none, half a file, or not what was written.
    """
    try:
        mapping = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        state = "it is empty" if not content else f"it is not JSON ({str(error).splitlines()[0][:100]})"
        raise DamagedFileError(f"{path} is damaged: {state}. {advice}") from error
    checksum = mapping.pop("checksum", None) if isinstance(mapping, dict) else None
    if checksum is None or checksum != _checksum_of_object(mapping):
        raise DamagedFileError(f"{path} is damaged or was changed: its checksum is not that of its content. {advice}")
    plain: dict[str, Any] = mapping
    return plain


def write_array(path: str | Path, array: np.ndarray) -> None:
    """Writes an array as `.npy` in one move, synced; a checksum follows it, which `numpy.load` ignores.

    Raises:
        OSError: It cannot be written, with its name.
    """
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    content = stream.getvalue()
    write_bytes(path, content + checksum_of(content).encode())


def read_array(path: str | Path, advice: str = "Delete it and make it again.") -> np.ndarray:
    """Reads what `write_array` wrote.

    Raises:
        DamagedFileError: Its content is not what was written.
        OSError: It is absent or cannot be read.
    """
    content = Path(path).read_bytes()
    array, ending = content[:-_TRAILER], content[-_TRAILER:]
    if ending != checksum_of(array).encode():
        raise DamagedFileError(f"{path} is damaged: its checksum is not that of its content. {advice}")
    read: np.ndarray = np.load(io.BytesIO(array), allow_pickle=False)
    return read


# ----------------------------------------------------------------------------------------------------- locks


@contextlib.contextmanager
def only_process(lock: str | Path, what: str, *, wait_seconds: float | None = 5.0) -> Iterator[None]:
    """Holds a lock file while the block runs; the system lets go of it when the process ends, however it does.

    The file stays when it is let go of. On a file system without locks nothing is held, and a warning says so.

    Args:
        lock: The lock file; it is made where it is not there.
        what: What its holder does, as in `f"Another process {what}"`.
        wait_seconds: How long to wait for another process that holds it. Default 5.0, which is enough for one that has
            just been stopped to end. `None`: as long as it takes.

    Raises:
        BusyError: Another process holds it, or this one.
        OSError: The lock file cannot be made.
    """
    lock = Path(os.path.realpath(lock))
    make_folder(lock.parent)
    own = f"process {os.getpid()} on {socket.gethostname()}"
    with lock.open("a+b", buffering=0) as file:
        deadline = None if wait_seconds is None else time.monotonic() + wait_seconds
        said = False
        while (got := _try_lock(file.fileno())) is False:
            file.seek(0)
            holder = file.read(200).decode("utf-8", "replace").strip() or "unknown"
            if holder == own:
                raise BusyError(f"This process already {what}. (Lock: {lock})")
            if deadline is not None and time.monotonic() > deadline:
                raise BusyError(f"Another process ({holder}) {what}; wait for its end, or end it. (Lock: {lock})")
            if not said and deadline is None:
                print(f"waiting: another process ({holder}) {what}", flush=True)
                said = True
            time.sleep(0.1)
        if got is None:
            _LOG.warning("%s is on a file system without locks: take care that no other process %s.", lock, what)
        else:
            # For the message above alone.
            with contextlib.suppress(OSError):
                file.truncate(0)
                file.write(f"{own}\n".encode())
        yield
