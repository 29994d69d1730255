"""Encoded data that was prepared on this machine, copied to a URI: all of it is taken for encoded data, or nothing."""

from __future__ import annotations

import secrets
from pathlib import Path

from dynctr_tf.durable_files import DamagedFileError, json_bytes, json_content, read_json, write_json
from dynctr_tf.encoding.row_writer import ENCODER, FOLDER, INDEX
from dynctr_tf.folders_at_uris import FolderAtUri, reason_of

_ADVICE = "Delete the folder and prepare the data set again."


def is_encoded_at(uri: str) -> bool:
    """Whether there is whole encoded data at a URI.

    Raises:
        ValueError: The place cannot be reached.
    """
    return FolderAtUri(uri).has(INDEX)


def check_uri_for_encoded_data(uri: str) -> None:
    """Tries to write a file to the folder of encoded data at a URI, and refuses it if that fails.

    Raises:
        ValueError: It cannot be reached or written, with the reason.
    """
    try:
        FolderAtUri(uri).check_writable()
    except OSError as error:
        raise ValueError(
            f"The encoded data could not be written to {uri}: {error}. Give --data.directory a place that this process "
            "may write, or a folder of this machine."
        ) from error


def copy_encoded_to_uri(folder: str | Path, uri: str) -> None:
    """Copies the folder of encoded data to a URI, unless there is encoded data already.

    All files but the index go to a folder `copy-XXXXXXXX` within, of which each machine has its own name. The index
    names it and is written last, at once. So several processes that copy at the same time never mix their files: the
    index names those of one of them. A copy that was interrupted goes on with the files that are missing.

    Args:
        folder: The folder on this machine. It stays.
        uri: The URI of the folder, such as `gs://bucket/encoded/clicks-1234abcd`.

    Raises:
        OSError: The place cannot be written, with the URI.
        ValueError: The place cannot be reached.
        DamagedFileError: A file of the folder is not what was written.
    """
    folder, there = Path(folder), FolderAtUri(uri)
    if there.has(INDEX):
        return
    note = folder.with_name(f".{folder.name}.copy.json")
    try:
        own = str(read_json(note)[FOLDER])
    except (FileNotFoundError, DamagedFileError):
        own = f"copy-{secrets.token_hex(4)}"
        write_json(note, {FOLDER: own})
    try:
        _copy(folder, there, own)
    except OSError as error:
        raise OSError(
            f"The encoded data could not be written to {uri}: {reason_of(error)}. It is kept in {folder}: the same "
            "command again copies it without preparing."
        ) from error
    note.unlink()


def _copy(folder: Path, there: FolderAtUri, own: str) -> None:
    index = read_json(folder / INDEX, _ADVICE)
    files = {f"{own}/{path.name}": path for path in folder.glob("*.block")}
    files |= {f"{own}/{path.relative_to(folder).as_posix()}": path for path in (folder / ENCODER).rglob("*")}
    sizes = {name: path.stat().st_size for name, path in files.items() if path.is_file()}
    found = there.sizes()
    sent = there.send({name: files[name] for name, size in sizes.items() if found.get(name) != size})
    for split in index["splits"]:
        for block in split["blocks"]:
            name = f"{own}/{block['file']}"
            if name in sent and sent[name].checksum != block["checksum"]:
                raise DamagedFileError(f"{files[name]} is damaged: its content is not what was written. {_ADVICE}")
    found = there.sizes()
    if {name: size for name, size in found.items() if name.startswith(f"{own}/")} != sizes:
        raise OSError("the files there are not of the sizes that were written")
    # Who is the first has written the same rows; what was copied here is not needed then.
    if INDEX not in found:
        there.write_at_once(INDEX, json_bytes({**index, FOLDER: own}, indent=1))
    named = _folder_named(there)
    if named != own:
        there.remove(sizes)
    others = sorted(set(there.folders()) - {named, own})
    if others:
        print(
            f"{there.place}: {', '.join(others)} was left by a copy that was interrupted, or another process copies "
            f"there; {INDEX} does not name it. Remove it when no job copies there."
        )


def _folder_named(there: FolderAtUri) -> str:
    """The folder that the index at a URI names; empty where it names none.

    Raises:
        DamagedFileError: The index is not what was written.
    """
    return str(json_content(there.read_whole(INDEX) or b"", there.uri_of(INDEX), _ADVICE).get(FOLDER, ""))
