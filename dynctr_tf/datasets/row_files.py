"""Lists the files that rows are read from, on this machine or under a URI, and opens each in the same way."""

from __future__ import annotations

import dataclasses
import glob
import json
import os
import re
import urllib.parse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.fs

from dynctr_tf.uris import cannot_be_listed, file_system, is_uri, path_text, without_query

_PATTERN = re.compile(r"[*?\[]")
_LIST = re.compile(r'\s*\[\s*"')
_NO_ROWS = (".schema.json", ".crc")
_UNFINISHED = ("_temporary", "_delta_log")
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_ADVICE = "Give the path of a CSV, JSON lines or Parquet file, a folder of such files, a pattern, or a list of these."
_MOST_NAMED = 5


class FileState(NamedTuple):
    """The size and time of a file, by which a change is noticed.

    Attributes:
        size: Its bytes.
        modified: When it was last written, in nanoseconds since 1970; 0 where its file system does not say.
    """

    size: int
    modified: int


@dataclasses.dataclass(frozen=True)
class RowFile:
    """A file of rows, on this machine or in a file system that pyarrow or fsspec knows.

    Use `list_row_files`, which makes them.

    Args:
        path: A path of this machine, or a URI; messages name the file by it.
        partitions: The columns that its folders give all its rows, such as `("day", "2024-01-31")` for a file in
            `day=2024-01-31/`; `None` is a missing value. Default none.
    """

    path: str
    partitions: tuple[tuple[str, str | None], ...] = ()

    def __str__(self) -> str:
        return self.path

    @property
    def name(self) -> str:
        """The name of the file without its folders."""
        return without_query(self.path)[0].rstrip("/").rpartition("/")[2]

    @property
    def local(self) -> Path | None:
        """Where the file is on this machine; `None` where it is elsewhere."""
        return None if is_uri(self.path) else Path(self.path)

    def open(self) -> pa.NativeFile:
        """Opens the file for reading at any place.

        Raises:
            OSError: It is absent, or cannot be reached or read.
        """
        if not is_uri(self.path):
            return pa.OSFile(self.path, "rb")
        system, place = file_system(self.path)
        return system.open_input_file(place)

    def state(self) -> FileState:
        """Returns the file's size and when it was last written.

        Raises:
            FileNotFoundError: It is absent.
            OSError: It cannot be reached.
        """
        if not is_uri(self.path):
            status = Path(self.path).stat()
            return FileState(status.st_size, status.st_mtime_ns)
        system, place = file_system(self.path)
        info = system.get_file_info(place)
        if info.type == pa.fs.FileType.NotFound:
            raise FileNotFoundError(f"{self.path}: there is no such file.")
        return _state_of(info)


RowPaths = str | Path | RowFile | Sequence[str | Path | RowFile]
"""A value that names files of rows: a file, a folder, a pattern, a URI of one of these, or a list of them."""


def _state_of(info: pa.fs.FileInfo) -> FileState:
    return FileState(int(info.size or 0), int(info.mtime_ns or 0))


def row_paths(paths: RowPaths) -> list[str | RowFile]:
    """Returns the given paths one by one; the text of a JSON list, `["a.csv", "b.csv"]`, gives several.

    Raises:
        ValueError: An empty path or list, or a list that holds something else.
    """
    # `Path.exists` fails for a text that is longer than a name may be.
    if isinstance(paths, str) and _LIST.match(paths) and not os.path.exists(paths):  # noqa: PTH110
        try:
            paths = json.loads(paths)
        except ValueError as error:
            raise ValueError(f'A list of files is written as ["a.csv", "b.csv"], got {paths}: {error}.') from error
    several = [paths] if isinstance(paths, (str, Path, RowFile)) else list(paths)
    found: list[str | RowFile] = []
    for path in several:
        if not isinstance(path, (str, Path, RowFile)) or not str(path) or "\0" in str(path):
            raise ValueError(f"The path of a file of rows must be a text or a Path that is not empty, got {path!r}.")
        found.append(path if isinstance(path, RowFile) else path_text(path))
    if not found:
        raise ValueError(f"The list of files is empty. {_ADVICE}")
    return found


def list_row_files(paths: RowPaths) -> tuple[RowFile, ...]:
    """Lists the files of rows that paths name.

    A folder stands for all files in it and in its folders, in the order of their names. A pattern (`*`, `?`, `[...]`,
    `**` for any number of folders) stands for the files that match it, in the same order; a list keeps its order. Names
    in folders and patterns that start with `_` or `.` are skipped, as other readers do, and so are schema files; links
    to folders are followed. Folders called `name=value` give their files a column.

    Args:
        paths: A file, a folder, a pattern, a URI of one of these (`gs://`, `s3://`, `hdfs://`, `file://`, and what
            fsspec knows), or a list of them, also as the text of a JSON list.

    Raises:
        ValueError: No such file, a folder or pattern without files, a file named twice, files whose folders give
            other columns than those of the first, a folder that is still being written, or a place that cannot be
            reached.

    Cost: one listing of each folder; no file is opened.

    Example:

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for day in ("2024-01-01", "2024-01-02"):
    ...     (folder / f"day={day}").mkdir()
    ...     _ = (folder / f"day={day}" / "part-0.csv").write_text("user,click\\nanna,1\\n")
    >>> [file.partitions for file in list_row_files(folder)]
    [(('day', '2024-01-01'),), (('day', '2024-01-02'),)]
    """
    found: list[RowFile] = []
    for path in row_paths(paths):
        if isinstance(path, RowFile):
            found.append(path)
        else:
            found += [RowFile(name, _partitions(name)) for name in _listed(path)]
    seen: set[str] = set()
    for file in found:
        name = file.path if is_uri(file.path) else os.path.realpath(file.path)
        if name in seen:
            raise ValueError(f"{file}: is named twice among the files. Give each file once.")
        seen.add(name)
    first = found[0]
    columns = [name for name, _ in first.partitions]
    for file in found[1:]:
        own = [name for name, _ in file.partitions]
        if own != columns:
            raise ValueError(
                f"{file}: its folders give it the columns {own}, those of {first} give {columns}. Give files that are "
                "partitioned alike."
            )
    return tuple(found)


def named_paths(paths: RowPaths) -> str:
    """Returns what messages call paths: the first, and how many more there are."""
    several = row_paths(paths)
    return str(several[0]) + (f" and {len(several) - 1} more" if len(several) > 1 else "")


def _partitions(path: str) -> tuple[tuple[str, str | None], ...]:
    pairs = []
    for folder in _by_folders(without_query(path)[0])[:-1]:
        name, equals, value = folder.partition("=")
        if equals and name:
            text = urllib.parse.unquote(value)
            pairs.append((urllib.parse.unquote(name), None if text in (_NULL_PARTITION, "") else text))
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError(f"{path}: its folders give one column twice: {[name for name, _ in pairs]}.")
    return tuple(pairs)


def _listed(path: str) -> list[str]:
    return _listed_elsewhere(path) if is_uri(path) else _listed_here(path)


def _passed_over(name: str) -> bool:
    return name.startswith(("_", ".")) or name.endswith(_NO_ROWS)


def _refuse_unfinished(folder: str, names: Iterable[str]) -> None:
    if "_temporary" in names:
        raise ValueError(
            f"{folder}: holds a folder _temporary, so a job still writes there, or has failed. Wait for its end, or "
            "remove what it left."
        )
    if "_delta_log" in names:
        raise ValueError(
            f"{folder}: is a Delta Lake table, whose folder also holds rows that have been replaced or deleted. Write "
            "its rows to plain Parquet files, and give those."
        )


def _refuse_unlisted(error: OSError) -> None:
    raise ValueError(f"{error.filename}: cannot be listed: {error.strerror}. May this account read it?") from error


def _leads_back(place: Path, folder: str) -> bool:
    """Whether a link such as `latest` leads to files that are listed already, or endlessly to itself."""
    return place.is_symlink() and place.resolve().is_relative_to(Path(folder).resolve())


def _files_in(folder: str) -> list[str]:
    found = []
    for place, folders, files in os.walk(folder, onerror=_refuse_unlisted, followlinks=True):
        _refuse_unfinished(place, folders)
        folders[:] = [name for name in folders if not _passed_over(name) and not _leads_back(Path(place, name), folder)]
        found += [str(Path(place, name)) for name in files if not _passed_over(name)]
    return found


def _listed_here(path: str) -> list[str]:
    if Path(path).is_dir():
        return _some(path, _files_in(path), "the folder holds no file of rows")
    if Path(path).exists():
        return [path]
    if not _PATTERN.search(path):
        raise ValueError(f"{path}: there is no such file. {_ADVICE}")
    base = _before_pattern(path)
    found: set[str] = set()
    for place in glob.glob(path, recursive=True):  # noqa: PTH207 (`Path.glob` takes no whole path)
        parts = _by_folders(place[len(base) :])
        _refuse_unfinished(path, parts)
        if any(map(_passed_over, parts)):
            continue
        if not Path(place).is_dir():
            found.add(place)
        elif not path.endswith("**"):
            # Folders that the last part of the pattern names, such as day=*, stand for the files in them.
            found.update(_files_in(place))
    for folder in _folders_of(found, base):
        _refuse_unfinished(path, [name for name in _UNFINISHED if Path(folder, name).is_dir()])
    return _some(path, found, "the pattern matches no file of rows")


def _before_pattern(path: str) -> str:
    """The folders before the part that begins a pattern, such as `logs/` of `logs/day=*/a.csv`."""
    fixed = path[: _PATTERN.search(path).start()]  # type: ignore[union-attr]
    return fixed[: fixed.rfind("/") + 1]


def _folders_of(names: Iterable[str], base: str) -> set[str]:
    """The folders that hold files, down from the one in which a pattern begins."""
    parts = [name[len(base) :].split("/") for name in names]
    return {base + "/".join(own[:depth]) for own in parts for depth in range(len(own))}


def _by_folders(path: str) -> list[str]:
    return re.split(r"[/\\]", path)


def _some(path: str, found: Iterable[str], without: str) -> list[str]:
    if not found:
        raise ValueError(f"{path}: {without}. {_ADVICE}")
    return sorted(found, key=_by_folders)


def _listed_elsewhere(uri: str) -> list[str]:
    system, place = file_system(uri)
    # The beginning of each file's URI: the scheme, and the host where it is not a part of the path.
    whole, query = without_query(uri)
    start = whole.removesuffix(place) if whole.endswith(place) else whole.partition("://")[0] + "://"
    try:
        info = system.get_file_info(place)
        if info.type == pa.fs.FileType.File:
            return [uri]
        if info.type == pa.fs.FileType.Directory:
            base, like, without = place.rstrip("/") + "/", None, "the folder holds no file of rows"
        elif _PATTERN.search(place):
            base, without = _before_pattern(place), "the pattern matches no file of rows"
            like = re.compile(_expression(place))
        else:
            raise ValueError(f"{uri}: there is no such file. {_ADVICE}")
        entries = system.get_file_info(pa.fs.FileSelector(base.rstrip("/"), recursive=True))
    except OSError as error:
        raise cannot_be_listed(uri, error) from error
    # fsspec's paths begin with a slash, the given path does not.
    names = {entry.path if base.startswith("/") else entry.path.lstrip("/"): entry.type for entry in entries}
    matched = [name for name in names if like is None or like.fullmatch(name)]
    found = [
        name
        for name in matched
        if names[name] == pa.fs.FileType.File and not any(map(_passed_over, name[len(base) :].split("/")))
    ]
    holding = _folders_of(matched if like is None else found, base)
    for name in names:
        parts = name[len(base) :].split("/")
        _refuse_unfinished(uri, [part for depth, part in enumerate(parts) if base + "/".join(parts[:depth]) in holding])
    return _some(uri, [f"{start}{name}{query}" for name in found], without)


def _expression(pattern: str) -> str:
    """A pattern as a regular expression; one that ends with the name of a folder takes the files in it."""
    if pattern.endswith("/**"):
        pattern += "/*"
    parts = []
    for part in pattern.rstrip("/").split("/"):
        if part == "**":
            parts.append(r"(?:[^/]+/)*")
            continue
        text = ""
        for piece in re.split(r"(\*|\?|\[!?[^\]]+\])", part):
            if piece == "*":
                text += "[^/]*"
            elif piece == "?":
                text += "[^/]"
            elif re.fullmatch(r"\[!?[^\]]+\]", piece):
                text += piece.replace("[!", "[^")
            else:
                text += re.escape(piece)
        parts.append(text + "/")
    expression = "".join(parts)
    return expression.removesuffix("/") + "(?:/.*)?"


def file_states(files: Sequence[RowFile]) -> dict[str, FileState]:
    """Returns the state of each file, by its path.

    Raises:
        ValueError: A file that is absent or cannot be reached.
    """
    states = {}
    for file in files:
        try:
            states[file.path] = file.state()
        except FileNotFoundError as error:
            raise ValueError(f"{file}: there is no such file. {_ADVICE}") from error
        except OSError as error:
            raise ValueError(f"{file}: its size and time cannot be read: {error}.") from error
    return states


def refuse_changed_files(paths: RowPaths, before: dict[str, FileState]) -> None:
    """Refuses files that appeared, disappeared or changed since their states were taken.

    Args:
        paths: The files, as in `list_row_files`.
        before: What `file_states` returned.

    Raises:
        RuntimeError: Says which files.
    """
    try:
        now = file_states(list_row_files(paths))
    except ValueError as error:
        raise RuntimeError(f"The files changed while they were read: {error}") from error
    changes = [
        ("appeared", [path for path in now if path not in before]),
        ("went away", [path for path in before if path not in now]),
        ("changed", [path for path in now if path in before and now[path] != before[path]]),
    ]
    said = [
        f"{', '.join(names[:_MOST_NAMED])}{f' and {len(names) - _MOST_NAMED} more' * (len(names) > _MOST_NAMED)} {what}"
        for what, names in changes
        if names
    ]
    if said:
        raise RuntimeError(
            f"{'; '.join(said)} while the rows were read. Start again when nothing is written there any more."
        )
