"""What is left of a folder when the power fails: recorded at each operation on its files, and made anew elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# name -> content of a file or a folder's own names
Tree = dict[str, Any]


class Recorder:
    """Records every state that a loss of power may leave.

    Two kinds of file systems are thought of. The strict one has what was synced alone: a name once its folder was
    synced after it was made, a file's content as it was when it was synced. The usual one keeps a journal of names, so
    that these are all there, and contents that were not synced are empty.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.states: dict[str, Tree] = {}
        self._contents: dict[int, bytes] = {}
        self._synced_at: dict[int, tuple[int, int]] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._folders: set[int] = set()
        self._open: list[int] = []  # so that no number of a file is used again
        self._sync_folder(root)

    def _keep(self, path: Path) -> os.stat_result:
        state = path.stat()
        self._open.append(os.open(path, os.O_RDONLY))
        return state

    def _sync_folder(self, folder: Path) -> None:
        number = self._keep(folder).st_ino
        self._folders.add(number)
        names = {}
        for entry in folder.iterdir():
            state = self._keep(entry)
            names[entry.name] = state.st_ino
            if entry.is_dir():
                self._folders.add(state.st_ino)
        self._names[number] = names

    def synced(self, path: Path) -> None:
        if self.root not in (path, *path.parents):
            return
        if path.is_dir():
            self._sync_folder(path)
        else:
            state = self._keep(path)
            self._contents[state.st_ino] = path.read_bytes()
            self._synced_at[state.st_ino] = (state.st_size, state.st_mtime_ns)

    def _strict(self, number: int) -> Tree:
        tree: Tree = {}
        for name, entry in self._names.get(number, {}).items():
            tree[name] = self._strict(entry) if entry in self._folders else self._contents.get(entry, b"")
        return tree

    def _journalled(self, folder: Path) -> Tree:
        tree: Tree = {}
        for entry in folder.iterdir():
            if entry.is_dir():
                tree[entry.name] = self._journalled(entry)
                continue
            state = entry.stat()
            whole = self._synced_at.get(state.st_ino) == (state.st_size, state.st_mtime_ns)
            tree[entry.name] = entry.read_bytes() if whole else b""
        return tree

    def note(self) -> None:
        """Notes what would be left now."""
        for tree in (self._strict(self.root.stat().st_ino), self._journalled(self.root)):
            self.states[_known_by(tree)] = tree

    def close(self) -> None:
        for descriptor in self._open:
            os.close(descriptor)


def _known_by(tree: Tree) -> str:
    """Equal for trees that differ in the random part of unfinished names, and in what such hold, alone."""
    parts = []
    for name, content in sorted(tree.items()):
        if ".unfinished-" in name:
            parts.append(name.split(".unfinished-")[0] + ".unfinished")
        else:
            parts.append(f"{name}={_known_by(content) if isinstance(content, dict) else hash(content)}")
    return f"({' '.join(sorted(set(parts)))})"


def make(tree: Tree, folder: Path) -> None:
    """Makes a folder as it was left."""
    folder.mkdir()
    for name, content in tree.items():
        if isinstance(content, dict):
            make(content, folder / name)
        else:
            (folder / name).write_bytes(content)


@contextmanager
def recorded(root: Path) -> Iterator[Recorder]:
    """Records what is done to a folder in the block, before and after each operation."""
    recorder = Recorder(root)
    with pytest.MonkeyPatch.context() as patch:
        fsync = os.fsync

        def noted_fsync(descriptor: int) -> None:
            recorder.note()
            fsync(descriptor)
            recorder.synced(Path(os.readlink(f"/proc/self/fd/{descriptor}")))  # noqa: PTH115
            recorder.note()

        patch.setattr(os, "fsync", noted_fsync)
        for module, name in ((os, "replace"), (os, "rename"), (os, "mkdir"), (os, "unlink"), (shutil, "rmtree")):
            patch.setattr(module, name, _noted(getattr(module, name), recorder))
        try:
            yield recorder
        finally:
            recorder.note()
            recorder.close()


def _noted(function: Any, recorder: Recorder) -> Any:
    def noted(*arguments: Any, **options: Any) -> Any:
        recorder.note()
        result = function(*arguments, **options)
        recorder.note()
        return result

    return noted
