"""The versions of a served model: `<model>/<number>/`, each whole or absent. A server takes the highest number."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from dynctr_tf.durable_files import make_folder, new_folder, remove_abandoned, write_checksums
from dynctr_tf.nearest import nearest_name

MODEL_FILE = "saved_model.pb"
"""The file that makes a folder a SavedModel."""

_FOLDERS_FOR_ALL = 0o555
_FILES_FOR_ALL = 0o444


def version_numbers(directory: str | Path) -> list[int]:
    """Returns the numbers of the versions in a served model's folder, ascending."""
    folder = Path(directory)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def next_version(directory: str | Path) -> int:
    """The version after the largest one in a served model's folder; 1 for the first."""
    return max(version_numbers(directory), default=0) + 1


def newest_version(directory: str | Path) -> Path | None:
    """The version with the highest number, which TF Serving serves; `None` where there is none."""
    numbers = version_numbers(directory)
    return Path(directory) / str(numbers[-1]) if numbers else None


def version_folder(export: str | Path) -> Path:
    """Finds the export that a person names: a version's folder, or that of a served model, for its newest version.

    Args:
        export: Such as `saved_models/clicks/3` or `saved_models/clicks`.

    Raises:
        ValueError: There is no export.
    """
    path = Path(export)
    if (path / MODEL_FILE).is_file():
        return path
    newest = newest_version(path)
    if newest is not None and (newest / MODEL_FILE).is_file():
        return newest
    form = "An export is a folder such as saved_models/clicks/3, or the one above for its newest version."
    if not path.exists():
        beside = [place.name for place in path.parent.iterdir() if place.is_dir()] if path.parent.is_dir() else []
        near = nearest_name(path.name, beside)
        hint = f" Did you mean {str(path.parent / near)!r}?" if near else ""
        raise ValueError(f"There is no export at {str(path)!r}: there is no such folder.{hint} {form}")
    if newest is not None:
        raise ValueError(f"There is no export at {str(path)!r}: version {newest.name} has no {MODEL_FILE}. {form}")
    models = [place.name for place in sorted(path.iterdir()) if version_numbers(place)] if path.is_dir() else []
    hint = f" It holds those of several models: {', '.join(models[:10])}; name one." if models else ""
    raise ValueError(
        f"There is no export at {str(path)!r}: it has no {MODEL_FILE} and no folder of a version.{hint} {form}"
    )


def new_version(directory: str | Path, fill: Callable[[Path, int], None], version: int | None = None) -> Path:
    """Makes a version's folder, which has its number when it is whole and on the disk.

    Every account may read the folder and its files, whatever the umask is, and the folders above it that are made for
    it: a server runs under its own account. Existing folders keep their permissions, so a model in a private folder is
    private.

    Args:
        directory: The served model's folder.
        fill: A function of a folder and a version's number that writes the content into the folder. It is called again
            if another process has taken the number meanwhile.
        version: The number. Default `None`: one more than the largest one.

    Returns:
        The folder.

    Raises:
        FileExistsError: The version that was asked for exists.
    """
    directory = Path(directory)
    if version is not None and (directory / str(version)).exists():
        raise FileExistsError(_exists(directory / str(version)))
    made = [place for place in (directory, *directory.parents) if not place.exists()]
    make_folder(directory)
    for place in made:
        place.chmod(stat.S_IMODE(place.stat().st_mode) | _FOLDERS_FOR_ALL)
    remove_abandoned(directory)
    while True:
        target = directory / str(next_version(directory) if version is None else version)
        try:
            # Its name becomes a number when it is whole: until then a server that watches the folder ignores it.
            with new_folder(target) as partial:
                fill(partial, int(target.name))
                write_checksums(partial)
                _give_rights(partial)
            return target
        except FileExistsError as error:
            if version is not None:
                raise FileExistsError(_exists(target)) from error
            # Another process has made this version meanwhile; the next one is ours.
            if next_version(directory) <= int(target.name):
                raise


def _give_rights(folder: Path) -> None:
    """Gives a folder and all in it the permissions of the umask, and every account the permission to read.

    TensorFlow itself makes folders that the group may not write.
    """
    mode = stat.S_IMODE(folder.stat().st_mode)
    for place in (folder, *folder.rglob("*")):
        place.chmod(mode | _FOLDERS_FOR_ALL if place.is_dir() else mode & 0o666 | _FILES_FOR_ALL)


def _exists(target: Path) -> str:
    return f"{target} exists; versions are never overwritten. Leave version out for the next one."
