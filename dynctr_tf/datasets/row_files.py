"""Lists the files that rows are read from, on this machine or under a URI, and opens each in the same way."""

from __future__ import annotations

import dataclasses
import functools
import glob
import json
import os
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.fs

_URI = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]+://")
# `Path` makes gs:/bucket of gs://bucket.
_URI_AS_PATH = re.compile(r"^(gs|gcs|s3|s3a|hdfs|viewfs|abfs|abfss|az|memory|file|https?):/(?!/)")
_OF_ARROW = ("file", "gs", "gcs", "s3", "hdfs", "viewfs", "abfs", "abfss")
_PATTERN = re.compile(r"[*?\[]")
_NO_ROWS = (".schema.json", ".crc")
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_ADVICE = "Give the path of a CSV, JSON lines or Parquet file, a folder of such files, a pattern, or a list of these."
_MOST_NAMED = 5


class FileState(NamedTuple):
    """What tells that a file is no longer what it was.

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
        return self.path.rstrip("/").rpartition("/")[2]

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
"""What names files of rows: a file, a folder, a pattern, a URI of one of these, or a list of them."""


def is_uri(path: str | Path) -> bool:
    """Whether a path is a URI, such as `gs://bucket/rows`, and not a path of this machine."""
    return _URI.match(str(path)) is not None


@functools.lru_cache(maxsize=64)
def _system_of(start: str) -> pa.fs.FileSystem:
    """The file system of a URI without its path: scheme, host and query."""
    scheme = start.partition("://")[0].lower()
    if scheme in _OF_ARROW:
        try:
            return pa.fs.FileSystem.from_uri(start)[0]
        except (ImportError, NotImplementedError, pa.ArrowInvalid) as error:
            without = error
    else:
        without = None
    try:
        import fsspec

        system, _ = fsspec.core.url_to_fs(start)
        return pa.fs.PyFileSystem(pa.fs.FSSpecHandler(system))
    except (ImportError, ValueError) as error:
        reason = f"{error}" if without is None else f"{without}; {error}"
        raise ValueError(
            f"{start}: no file system for {scheme}:// is installed ({reason}). pyarrow brings gs, s3, hdfs and file; "
            "for others install fsspec with the package of the scheme."
        ) from error


def file_system(uri: str) -> tuple[pa.fs.FileSystem, str]:
    """Returns the file system of a URI, and the path within it.

    Credentials come from where the file system itself looks for them: its environment variables and files.

    Raises:
        ValueError: No file system for the scheme is installed.
    """
    uri = re.sub(r"^s3[an]://", "s3://", uri)
    start, _, query = uri.partition("?")
    scheme, _, rest = start.partition("://")
    host, slash, path = rest.partition("/")
    tail = f"?{query}" if query and "=" in query else ""
    if not tail and query:  # a question mark of a pattern
        path += f"?{query}" if slash else ""
    system = _system_of(f"{scheme}://{host or ''}/{tail}" if scheme == "file" else f"{scheme}://{host}{tail}")
    if scheme.lower() == "file":
        return system, "/" + path
    if scheme.lower() in ("hdfs", "viewfs"):
        return system, "/" + path
    bucket = host.rpartition("@")[2]
    return system, f"{bucket}/{path}" if path else bucket


def _state_of(info: pa.fs.FileInfo) -> FileState:
    return FileState(int(info.size or 0), int(info.mtime_ns or 0))


def _as_text(path: str | Path) -> str:
    if isinstance(path, Path):
        return _URI_AS_PATH.sub(r"\1://", str(path))
    return path


def row_paths(paths: RowPaths) -> list[str | RowFile]:
    """Returns the paths that are given one by one; the text of a JSON list, `["a.csv", "b.csv"]`, gives several.

    Raises:
        ValueError: An empty path or list, or a list that holds something else.
    """
    # `Path.exists` fails for a text that is too long for a name.
    if isinstance(paths, str) and paths.lstrip().startswith('["') and not os.path.exists(paths):  # noqa: PTH110
        try:
            paths = json.loads(paths)
        except ValueError as error:
            raise ValueError(f'A list of files is written as ["a.csv", "b.csv"], got {paths}: {error}.') from error
    several = [paths] if isinstance(paths, (str, Path, RowFile)) else list(paths)
    found: list[str | RowFile] = []
    for path in several:
        if not isinstance(path, (str, Path, RowFile)) or not str(path) or "\0" in str(path):
            raise ValueError(f"The path of a file of rows must be a text or a Path that is not empty, got {path!r}.")
        found.append(path if isinstance(path, RowFile) else _as_text(path))
    if not found:
        raise ValueError(f"The list of files is empty. {_ADVICE}")
    return found


def list_row_files(paths: RowPaths) -> tuple[RowFile, ...]:
    """Lists the files of rows that paths name.

    A folder means all files in it and in its folders, in the order of their names, and so does a pattern (`*`, `?`,
    `[...]`, `**` for any number of folders); a list keeps its order. In folders what starts with `_` or `.` is passed
    over, as other readers do, and so are schema files. Folders called `name=value` give their files a column.

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
    for folder in re.split(r"[/\\]", path)[:-1]:
        name, equals, value = folder.partition("=")
        if equals and name and "?" not in name:
            text = urllib.parse.unquote(value)
            pairs.append((urllib.parse.unquote(name), None if text in (_NULL_PARTITION, "") else text))
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError(f"{path}: its folders give one column twice: {[name for name, _ in pairs]}.")
    return tuple(pairs)


def _listed(path: str) -> list[str]:
    return _listed_elsewhere(path) if is_uri(path) else _listed_here(path)


def _passed_over(name: str) -> bool:
    return name.startswith(("_", ".")) or name.endswith(_NO_ROWS)


def _refuse_unfinished(folder: str, names: Sequence[str]) -> None:
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


def _listed_here(path: str) -> list[str]:
    if Path(path).is_dir():
        found = []
        for place, folders, files in os.walk(path):
            _refuse_unfinished(place, folders)
            folders[:] = sorted(name for name in folders if not _passed_over(name))
            found += [str(Path(place, name)) for name in files if not _passed_over(name)]
        return _some(path, sorted(found, key=_by_folders), "the folder holds no file of rows")
    if Path(path).exists():
        return [path]
    if _PATTERN.search(path):
        places = sorted(glob.glob(path, recursive=True), key=_by_folders)  # noqa: PTH207 (`Path.glob` takes no whole path)
        found = [place for place in places if Path(place).is_file() and not _passed_over(Path(place).name)]
        for place in places:
            # Folders that the last part of the pattern names, such as day=*, stand for the files in them.
            if Path(place).is_dir() and "**" not in path:
                found += _listed_here(place)
        return _some(path, sorted(found, key=_by_folders), "the pattern matches no file of rows")
    raise ValueError(f"{path}: there is no such file. {_ADVICE}")


def _by_folders(path: str) -> list[str]:
    return re.split(r"[/\\]", path)


def _some(path: str, found: list[str], without: str) -> list[str]:
    if not found:
        raise ValueError(f"{path}: {without}. {_ADVICE}")
    return found


def _listed_elsewhere(uri: str) -> list[str]:
    system, place = file_system(uri)
    # What stands before the place in the URI of each file: scheme, and the host where it is not part of the place.
    query = uri[uri.index("?") :] if "?" in uri and "=" in uri[uri.index("?") :] else ""
    whole = uri.removesuffix(query)
    start = whole.removesuffix(place) if whole.endswith(place) else whole.partition("://")[0] + "://"
    try:
        info = system.get_file_info(place)
        if info.type == pa.fs.FileType.File:
            return [uri]
        if info.type == pa.fs.FileType.Directory:
            base = place.rstrip("/")
            found = [
                name
                for name in _files_under(system, base, uri)
                if not any(map(_passed_over, name[len(base) :].strip("/").split("/")))
            ]
            without = "the folder holds no file of rows"
        elif _PATTERN.search(place):
            fixed = place[: _PATTERN.search(place).start()].rpartition("/")[0]  # type: ignore[union-attr]
            like = re.compile(_expression(place))
            found = [
                name
                for name in _files_under(system, fixed, uri)
                if like.fullmatch(name) and not any(map(_passed_over, name[len(fixed) :].strip("/").split("/")))
            ]
            without = "the pattern matches no file of rows"
        else:
            raise ValueError(f"{uri}: there is no such file. {_ADVICE}")
    except OSError as error:
        raise ValueError(
            f"{uri}: cannot be listed: {' '.join(str(error).split())[:300]}. Is the name right, and do the environment "
            "variables or files of its file system give the credentials?"
        ) from error
    return _some(uri, [f"{start}{name}{query}" for name in sorted(found, key=_by_folders)], without)


def _files_under(system: pa.fs.FileSystem, folder: str, uri: str) -> Iterator[str]:
    for info in system.get_file_info(pa.fs.FileSelector(folder, recursive=True)):
        parts = info.path.strip("/")[len(folder.strip("/")) :].strip("/").split("/")
        _refuse_unfinished(uri, parts[:-1] if info.type == pa.fs.FileType.File else parts)
        if info.type == pa.fs.FileType.File:
            # fsspec's begin with a slash that the folder does not have.
            yield info.path if folder.startswith("/") else info.path.lstrip("/")


def _expression(pattern: str) -> str:
    """A pattern as a regular expression; one that ends with the name of a folder takes the files in it."""
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
            raise ValueError(f"{file}: cannot be looked at: {error}.") from error
    return states


def refuse_changed_files(paths: RowPaths, before: dict[str, FileState]) -> None:
    """Refuses files that appeared, went away or changed since their states were taken.

    Args:
        paths: What names the files, as in `list_row_files`.
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
