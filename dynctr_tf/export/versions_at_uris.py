"""The versions of a served model at a URI: copied there from this machine, whole or not taken for one, and back."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dynctr_tf.durable_files import (
    DamagedFileError,
    check_checksums,
    json_content,
    read_json,
    write_checksums,
    write_json,
)
from dynctr_tf.export.export_card import CARD
from dynctr_tf.export.versions import MODEL_FILE, version_folder, version_numbers
from dynctr_tf.export.warm_up import WARM_UP
from dynctr_tf.folders_at_uris import FolderAtUri, reason_of
from dynctr_tf.uris import file_system, is_uri, path_text, uri_within

_CHECKSUMS = "checksums.json"
_ADVICE = "Copy the version there again, or export the model again."


def _folders(uri: str) -> list[int]:
    """The numbers of the folders of versions at a URI, whole or not, ascending; none where there is nothing."""
    return sorted(int(name) for name in FolderAtUri(uri).folders() if name.isascii() and name.isdigit())


def _is_whole(uri: str) -> bool:
    return FolderAtUri(uri).has(MODEL_FILE)


def newest_number(place: str | Path) -> int:
    """The number of the newest version in a served model's folder, or at its URI; 0 where there is none.

    What a copy left that was interrupted, files without `saved_model.pb`, is not a version.

    Raises:
        ValueError: The URI cannot be reached.
    """
    if not is_uri(place):
        return max(version_numbers(place), default=0)
    uri = str(place)
    return next((number for number in reversed(_folders(uri)) if _is_whole(uri_within(uri, str(number)))), 0)


def newest_at_uri(uri: str) -> str | None:
    """The URI of the newest version of a served model at a URI; `None` where there is none."""
    number = newest_number(uri)
    return uri_within(uri, str(number)) if number else None


def check_uri_for_exports(uri: str) -> None:
    """Tries to write a file to the folder of a served model at a URI, and refuses it if that fails.

    The file is removed again, where this account may do that. What interrupted copies left is named.

    Raises:
        ValueError: It cannot be listed or written, with the reason.
    """
    left = [str(number) for number in _folders(uri) if not _is_whole(uri_within(uri, str(number)))]
    if left:
        print(
            f"{uri}: {', '.join(left)} has no {MODEL_FILE}: a copy was interrupted there, or is under way. It is not "
            "taken for a version and its number is left out; remove it, or a server may try to load it."
        )
    try:
        FolderAtUri(uri).check_writable()
    except OSError as error:
        raise ValueError(
            f"The model could not be exported to {uri}: {error}. Give --export.directory a place that this "
            "process may write, or 'none' for no export."
        ) from error


def copy_to_uri(uri: str, source: Path, fill: Callable[[Path, int], None] | None = None, *, advice: str) -> str:
    """Copies a version of this machine to the next number of a served model at a URI, unless the newest is the same.

    Nothing that is there is changed. The model's file comes last: until then nobody takes the folder for a version, and
    where the copy fails, what was copied is removed again. One process at a time copies versions of a served model.

    Args:
        uri: The served model, such as `gs://bucket/models/clicks`.
        source: The folder of the version.
        fill: Given a folder with the files of the version, and the new number, it changes card and warm-up requests;
            other files are links to those of the source. Default `None`: the number in the card is changed.
        advice: What to do where the copy fails, as the end of the message.

    Returns:
        The URI of the version; of the newest one there, if that was made of the same and is whole.

    Raises:
        OSError: The place cannot be written, with the URI.
        ValueError: The URI cannot be reached.
        DamagedFileError: A file of the source is damaged.
    """
    check_checksums(source, "Export the model again.")
    card = read_json(source / CARD)
    newest = newest_number(uri)
    if newest and _made_of(uri_within(uri, str(newest))) == card.get("made_of"):
        return uri_within(uri, str(newest))
    number = max([0, *_folders(uri)]) + 1
    target = uri_within(uri, str(number))
    with tempfile.TemporaryDirectory(prefix="version-") as place:
        folder = Path(place, str(number))
        shutil.copytree(source.resolve(), folder, copy_function=_link_or_copy)
        fill_copy = _with_number if fill is None else fill
        fill_copy(folder, number)
        write_checksums(folder)
        try:
            _copy(folder, target)
        except OSError as error:
            reason = reason_of(error.__cause__ or error)
            raise OSError(f"{target}: the version could not be written there: {reason}. {advice}") from error
    return target


def _link_or_copy(source: str, target: str) -> None:
    """Links the files that are the same in a copy, so that tables are not on the disk twice."""
    if Path(source).name in (CARD.name, WARM_UP.name):
        shutil.copyfile(source, target)
    else:
        Path(target).symlink_to(source)


def _with_number(folder: Path, number: int) -> None:
    write_json(folder / CARD, {**read_json(folder / CARD), "version": number})


def _copy(folder: Path, uri: str) -> None:
    """Copies a folder to a URI, where nothing is, the model's file last; what it copied goes where it fails."""
    there = FolderAtUri(uri)
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    sizes = {name: file.stat().st_size for name, file in files.items()}
    model = files.pop(MODEL_FILE)
    ours = True
    try:
        there.send(files)
        if there.sizes() != {name: size for name, size in sizes.items() if name != MODEL_FILE}:
            ours = False
            raise OSError("other files are there than were copied; does another process write there?")
        there.write_at_once(MODEL_FILE, model.read_bytes())
        if there.sizes() != sizes:
            raise OSError("the files there are not of the sizes that were written")
    except BaseException:
        if ours:
            with contextlib.suppress(OSError):
                there.remove_all()
        raise


def card_at(uri: str) -> dict[str, Any]:
    """Reads the card of a version at a URI.

    Raises:
        OSError: It is absent, or cannot be read.
        DamagedFileError: It is not what was written.
    """
    there, name = FolderAtUri(uri), CARD.as_posix()
    content = there.read_whole(name)
    if content is None:
        raise FileNotFoundError(f"{there.uri_of(name)}: there is no such file.")
    return json_content(content, there.uri_of(name), _ADVICE)


def _made_of(uri: str) -> str | None:
    """What a version at a URI was made of; `None` where a file of it has another size than what was written."""
    there = FolderAtUri(uri)
    sizes = there.sizes()
    try:
        known = json_content(there.read_whole(_CHECKSUMS) or b"", there.uri_of(_CHECKSUMS), _ADVICE)
        whole = all(sizes.get(name) == file["bytes"] for name, file in known["files"].items())
        return str(card_at(uri).get("made_of")) if whole else None
    except (OSError, DamagedFileError):
        return None


def uri_of_version(uri: str) -> str:
    """Returns the URI of a version that a person names, by its own URI or by that of its served model.

    Raises:
        ValueError: There is no version, or the URI cannot be reached.
    """
    if _is_whole(uri):
        return uri
    newest = newest_number(uri)
    if newest:
        return uri_within(uri, str(newest))
    numbers = _folders(uri)
    what = f"version {numbers[-1]} has no {MODEL_FILE}" if numbers else f"it has no {MODEL_FILE} and no version"
    raise ValueError(
        f"There is no export at {uri}: {what}. An export is a version such as gs://bucket/models/clicks/3, or "
        "the folder above it for its newest version."
    )


@contextlib.contextmanager
def versions_here(*exports: str | Path) -> Iterator[list[Path]]:
    """Gives the folders of exports on this machine, in the block; those at URIs are copied to a temporary folder.

    Args:
        *exports: Folders or URIs of versions, or of served models for their newest versions.

    Raises:
        ValueError: There is no export, or its URI cannot be reached.
        OSError: A file cannot be read.
        DamagedFileError: A file there is not what was written.

    Cost: the disk space of the versions at URIs, in the folder for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="exports-") as place:
        found = []
        for export in map(path_text, exports):
            if not is_uri(export):
                found.append(version_folder(export))
                continue
            uri = uri_of_version(export)
            # The folders keep their names, by which reports call a version.
            folder = Path(place, *filter(None, file_system(uri)[1].split("/")))
            if not folder.exists():
                _fetch(uri, folder)
            found.append(folder)
        yield found


def _fetch(uri: str, folder: Path) -> None:
    there = FolderAtUri(uri)
    there.fetch({name: (name, size) for name, size in there.sizes().items()}, folder)
    try:
        check_checksums(folder, _ADVICE)
    except DamagedFileError as error:
        raise DamagedFileError(str(error).replace(str(folder), uri)) from error
