"""A folder at a URI: its files are listed, read, written and copied, by several requests at a time."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import secrets
import shutil
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.fs
from tqdm import tqdm

from dynctr_tf.durable_files import DamagedFileError
from dynctr_tf.uris import cannot_be_listed, file_system, uri_within, without_query

READERS = 8
"""How many requests at a time read or write files at a URI, where nobody says it."""

_PIECE = 1 << 22
_SHOWN_BYTES = 1 << 28  # from 256 MiB on a bar shows how far a copy is
# File systems that have folders, and show a file while it is written. A store shows it when it is closed.
_WITH_FOLDERS = {"local", "file", "hdfs", "arrow_hdfs", "webhdfs", "sftp", "ssh", "smb", "ftp"}


class Sent(NamedTuple):
    """What was written of a file.

    Attributes:
        size: Its bytes.
        checksum: That of its content, as `dynctr_tf.durable_files.checksum_of` gives it.
    """

    size: int
    checksum: str


class FolderAtUri:
    """The files of a folder at a URI. Files are named by their paths in it, with `/` between folders.

    Args:
        uri: The URI of the folder, which need not be there.

    Raises:
        ValueError: No file system for the scheme is installed.
    """

    def __init__(self, uri: str) -> None:
        self.place = uri
        self._system, root = file_system(uri)
        self._root = root.rstrip("/")
        handler = getattr(self._system, "handler", None)
        self._fsspec: Any = handler.fs if isinstance(handler, pa.fs.FSSpecHandler) else None
        own = self._system.type_name if self._fsspec is None else self._fsspec.protocol
        self._shows_unfinished = not _WITH_FOLDERS.isdisjoint([own] if isinstance(own, str) else own)
        self._made: set[str] = set()

    def uri_of(self, name: str) -> str:
        """The URI of a file, for messages."""
        return uri_within(self.place, name)

    def sizes(self) -> dict[str, int]:
        """The files in the folder and in its folders with their bytes; none where there is no folder.

        Raises:
            ValueError: The place cannot be reached.
            DamagedFileError: It has a file whose name leads out of it.
        """
        try:
            self._forget_listings()
            entries = self._system.get_file_info(pa.fs.FileSelector(self._root, allow_not_found=True, recursive=True))
        except OSError as error:
            raise cannot_be_listed(self.place, error) from error
        start = self._root.strip("/") + "/"
        sizes = {
            entry.path.lstrip("/").removeprefix(start): int(entry.size)
            for entry in entries
            if entry.type == pa.fs.FileType.File
        }
        for name in sizes:
            self.refuse_leading_out(name)
        return sizes

    def refuse_leading_out(self, name: str) -> None:
        """Refuses a name that is not one of a file within the folder: a copy writes files by their names.

        Raises:
            DamagedFileError: It leads out of the folder.
        """
        # A store takes any text as a name.
        if {"..", ""} & set(name.split("/")) or "\\" in name or "\0" in name:
            raise DamagedFileError(f"{self.place}: it has a file {name!r}, which is not a name of a file within it.")

    def folders(self) -> list[str]:
        """The names of the folders in this one; none where there is nothing.

        Raises:
            ValueError: The place cannot be reached.
        """
        try:
            self._forget_listings()
            entries = self._system.get_file_info(pa.fs.FileSelector(self._root or "/", allow_not_found=True))
        except OSError as error:
            raise cannot_be_listed(self.place, error) from error
        return [entry.base_name for entry in entries if entry.type == pa.fs.FileType.Directory]

    def has(self, name: str) -> bool:
        """Whether there is a file of this name.

        Raises:
            ValueError: The place cannot be reached.
        """
        try:
            self._forget_listings()
            return bool(self._system.get_file_info(self._path(name)).type == pa.fs.FileType.File)
        except OSError as error:
            raise cannot_be_listed(self.place, error) from error

    # Reading

    def read(self, name: str, begin: int, size: int, advice: str = "Copy the folder there again.") -> bytes:
        """Reads a part of a file by one request, or two where its file system must open it first.

        Args:
            name: The file.
            begin: The first byte.
            size: How many bytes.
            advice: What to do about a file that ends before, as the end of the message.

        Raises:
            OSError: It cannot be read, with its name.
            DamagedFileError: It ends before.
        """
        with self._naming(name, "cannot be read"):
            if self._fsspec is not None:
                # An open file of fsspec would read further than it is asked to.
                content: bytes = self._fsspec.cat_file(self._path(name), start=begin, end=begin + size)
            else:
                with self._system.open_input_file(self._path(name)) as opened:
                    content = opened.read_at(size, begin)
        if len(content) != size:
            raise DamagedFileError(
                f"{self.uri_of(name)} is damaged: it ends after {begin + len(content):,} bytes, before "
                f"{begin + size:,}. {advice}"
            )
        return content

    def read_whole(self, name: str) -> bytes | None:
        """Reads a small file; `None` where it is absent.

        Raises:
            ValueError: The place cannot be reached.
            OSError: It cannot be read, with its name.
        """
        if not self.has(name):
            return None
        with self._naming(name, "cannot be read"):
            if self._fsspec is not None:
                content: bytes = self._fsspec.cat_file(self._path(name))
            else:
                with self._system.open_input_stream(self._path(name)) as opened:
                    content = opened.read()
        return content

    def fetch(self, files: Mapping[str, tuple[str, int]], to: Path) -> None:
        """Copies files to a folder of this machine.

        Args:
            files: For each name in the new folder, the name of the file here and its bytes.
            to: The folder; it and those of the files are made.

        Raises:
            OSError: A file cannot be read or written, or the disk has not the room for all.
            DamagedFileError: A file is shorter, or its name leads out of the folder.

        Cost: `READERS` requests at a time of 4 MiB each, and their memory.
        """
        total = sum(size for _, size in files.values())
        to.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(to).free
        if free < total:
            raise OSError(
                errno.ENOSPC, f"No room for {total:,} bytes from {self.place}: {free:,} bytes are free", str(to)
            )
        for name, (_, size) in files.items():
            self.refuse_leading_out(name)
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            with (to / name).open("wb") as file:
                file.truncate(size)

        def fetch(piece: tuple[str, str, int, int]) -> int:
            name, there, begin, size = piece
            content = self.read(there, begin, size)
            with (to / name).open("r+b") as file:
                file.seek(begin)
                file.write(content)
            return size

        pieces = [
            (name, there, begin, min(_PIECE, size - begin))
            for name, (there, size) in files.items()
            for begin in range(0, size, _PIECE)
        ]
        with _bar(f"from {self.place}", total) as bar:
            for size in _at_a_time(fetch, pieces):
                bar.update(size)

    # Writing

    def write_at_once(self, name: str, content: bytes) -> None:
        """Writes a small file that is there whole or not at all, in place of an earlier one, whatever ends the process.

        Raises:
            OSError: It cannot be written, with its name.
        """
        self._make_folder_of(name)
        place = self._path(name)
        with self._naming(name, "cannot be written"):
            if self._shows_unfinished:
                # Another process may write the same file now.
                partial = f"{place}.unfinished-{secrets.token_hex(4)}"
                with self._system.open_output_stream(partial) as there:
                    there.write(content)
                self._system.move(partial, place)
            elif self._fsspec is not None:
                self._fsspec.pipe_file(place, content)
            else:
                with self._system.open_output_stream(place) as there:
                    there.write(content)

    def send(self, files: Mapping[str, Path]) -> dict[str, Sent]:
        """Copies files of this machine here, several at a time.

        Args:
            files: The files by their names here.

        Returns:
            What was written of each. A file that has gone meanwhile is left out.

        Raises:
            OSError: One cannot be written, with its name.
        """
        sizes = {name: path.stat().st_size for name, path in files.items() if path.is_file()}
        lock = threading.Lock()
        with _bar(f"to {self.place}", sum(sizes.values())) as bar:

            def count(size: int) -> None:
                with lock:
                    bar.update(size)

            def send(name: str) -> tuple[str, Sent | None]:
                return name, self._send_one(name, files[name], count)

            for name in sizes:
                self._make_folder_of(name)
            # The largest first, so that no reader is alone with one at the end.
            sent = dict(_at_a_time(send, sorted(sizes, key=lambda name: -sizes[name])))
        return {name: one for name in files if (one := sent.get(name)) is not None}

    def _send_one(self, name: str, path: Path, count: Callable[[int], None]) -> Sent | None:
        try:
            here = path.open("rb", buffering=0)
        except FileNotFoundError:
            return None
        size = crc = 0
        with here, self._naming(name, "cannot be written"), self._system.open_output_stream(self._path(name)) as there:
            while piece := here.read(_PIECE):
                there.write(piece)
                size, crc = size + len(piece), zlib.crc32(piece, crc)
                count(len(piece))
        return Sent(size, f"crc32:{crc:08x}")

    def remove(self, names: Iterable[str]) -> None:
        """Removes files, several at a time, and folders in which nothing is left; a file that has gone is left out.

        Raises:
            OSError: One cannot be removed, with its name.
        """

        def remove(name: str) -> None:
            with contextlib.suppress(FileNotFoundError), self._naming(name, "cannot be removed"):
                self._system.delete_file(self._path(name))

        names = list(names)
        for _ in _at_a_time(remove, names):
            pass
        if self._shows_unfinished:
            self._remove_empty_folders(names)

    def _remove_empty_folders(self, names: Iterable[str]) -> None:
        """Removes the folders of removed files in which nothing is left; a store has no folders."""
        above = {"/".join(name.split("/")[:depth]) for name in names for depth in range(1, name.count("/") + 1)}
        for folder in sorted(above, key=lambda folder: -folder.count("/")):
            place = self._path(folder)
            with self._naming(folder, "cannot be removed"):
                if not self._system.get_file_info(pa.fs.FileSelector(place, allow_not_found=True)):
                    with contextlib.suppress(FileNotFoundError):
                        self._system.delete_dir(place)
                    self._made.discard(place)

    def remove_all(self) -> None:
        """Removes the folder with all files in it.

        Raises:
            OSError: It cannot be removed.
        """
        self._made.clear()
        with self._naming("", "cannot be removed"):
            self._system.delete_dir(self._root)

    def check_writable(self) -> None:
        """Tries to write a file here. It is removed again, where this account may do that.

        Raises:
            ValueError: The place cannot be reached.
            OSError: It cannot be written, with the reason alone.
        """
        self.has("")
        name = f".trial-{secrets.token_hex(4)}"
        try:
            self.write_at_once(name, b"")
        except OSError as error:
            raise OSError(reason_of(error.__cause__ or error)) from error
        with contextlib.suppress(OSError):
            self.remove([name])

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _make_folder_of(self, name: str) -> None:
        above = self._path(name).rpartition("/")[0]
        if above not in self._made:
            with self._naming(name, "cannot be written"):
                self._system.create_dir(above, recursive=True)
            self._made.add(above)

    def _forget_listings(self) -> None:
        """fsspec keeps listings, in which what another process writes is missing."""
        if self._fsspec is not None:
            self._fsspec.invalidate_cache()

    @contextlib.contextmanager
    def _naming(self, name: str, what: str) -> Iterator[None]:
        """Gives the URI of a file to errors of its file system."""
        try:
            yield
        except (OSError, NotImplementedError) as error:
            kind = type(error) if isinstance(error, (FileNotFoundError, PermissionError)) else OSError
            raise kind(f"{self.uri_of(name) if name else self.place}: {what}: {reason_of(error)}.") from error


def working_folder(uri: str) -> Path:
    """The folder of this machine in which a job makes what is copied to a URI: `runs/at_uris/gs/bucket/...`.

    Raises:
        ValueError: A name in the URI leads out of the folder.

    Example:

    >>> working_folder("gs://bucket/runs/clicks").as_posix()
    'runs/at_uris/gs/bucket/runs/clicks'
    """
    whole, query = without_query(uri)
    scheme, _, path = whole.partition("://")
    parts = [part for part in path.split("/") if part]
    if {"..", "."} & set(parts) or not parts:
        raise ValueError(f"{uri}: a job writes to a folder such as gs://bucket/runs; give the URI of one.")
    # Another endpoint or region is another place.
    start = f"{scheme}-{hashlib.sha256(query.encode()).hexdigest()[:8]}" if query else scheme
    return Path("runs", "at_uris", start, *parts)


def reason_of(error: BaseException) -> str:
    """What an error says, in one line of bounded length."""
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__


def _at_a_time(function: Callable[[Any], Any], tasks: list[Any]) -> Iterator[Any]:
    """Yields what a function returns for each task, several at a time; an error takes back what has not begun."""
    pool = ThreadPoolExecutor(READERS, thread_name_prefix="folder_at_uri")
    try:
        yield from pool.map(function, tasks)
    finally:
        pool.shutdown(cancel_futures=True)


def _bar(what: str, size: int) -> Any:
    return tqdm(desc=what, total=size, unit="B", unit_scale=True, disable=size < _SHOWN_BYTES)
