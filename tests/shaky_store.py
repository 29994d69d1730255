"""A store in memory, `shaky://`, in which operations fail, or a process is killed at one of them."""

from __future__ import annotations

import threading
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem


class Killed(BaseException):
    """The process ends here."""


class Shaky(MemoryFileSystem):  # type: ignore[misc]
    """A store in memory that refuses to write some files, and to delete where it is told to.

    It counts the operations that change it. The one with the number `dies_at` ends the process, before it (`late`
    false) or after it, and no other is done after that. A file that is streamed is there and empty when its process
    ends after it was opened.
    """

    protocol = "shaky"
    store: dict[str, MemoryFile] = {}
    pseudo_dirs = [""]
    refused = ""
    keeps = False
    written: list[str] = []
    operations = 0
    dies_at = 0
    late = False
    _lock = threading.Lock()

    @classmethod
    def reset(cls) -> None:
        cls.store.clear()
        cls.pseudo_dirs[:] = [""]
        cls.refused, cls.keeps, cls.written = "", False, []
        cls.operations, cls.dies_at, cls.late = 0, 0, False

    @classmethod
    def _dies(cls) -> bool:
        """Counts an operation; whether the process ends after it."""
        with cls._lock:
            cls.operations += 1
            number = cls.operations
        if cls.dies_at and (number > cls.dies_at or (number == cls.dies_at and not cls.late)):
            raise Killed
        return bool(cls.dies_at) and number == cls.dies_at

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode != "wb":
            return super()._open(path, mode, **options)
        if Shaky.refused and path.endswith(Shaky.refused):
            raise PermissionError("403: may not write here")
        dies = self._dies()
        Shaky.written.append(path)
        opened = super()._open(path, mode, **options)
        if dies:
            raise Killed
        return opened

    def rm(self, path: str, **options: Any) -> None:
        if Shaky.keeps:
            raise PermissionError("403: may not delete here")
        dies = self._dies()
        super().rm(path, **options)
        if dies:
            raise Killed


def register() -> None:
    """Makes the store known to fsspec."""
    fsspec.register_implementation("shaky", Shaky, clobber=True)


def contents_at(uri: str) -> dict[str, bytes]:
    """The files of a folder at a URI of the store."""
    start = "/" + uri.partition("://")[2] + "/"
    return {
        name.removeprefix(start): bytes(file.getvalue())
        for name, file in sorted(Shaky.store.items())
        if name.startswith(start)
    }


def put(uri: str, contents: dict[str, bytes]) -> None:
    """Makes the files of a folder at a URI those that are given, and the store forget what it has counted."""
    Shaky.reset()
    for name, content in contents.items():
        fsspec.filesystem("shaky").pipe_file(f"/{uri.partition('://')[2]}/{name}", content)
    Shaky.operations = 0
