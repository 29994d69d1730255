"""URIs of files and folders, such as `gs://bucket/rows`: their file system, and what is within them."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.fs

_URI = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]+://")
# `Path` turns gs://bucket into gs:/bucket.
_URI_AS_PATH = re.compile(r"^(gs|gcs|s3|s3a|hdfs|viewfs|abfs|abfss|az|memory|file|https?):/(?!/)")
_OF_ARROW = ("file", "gs", "gcs", "s3", "hdfs", "viewfs", "abfs", "abfss")
# What follows the path of a URI; any other question mark belongs to a pattern.
_QUERY = re.compile(r"\?(?=\w+=)")


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
    whole, query = without_query(uri)
    scheme, _, rest = whole.partition("://")
    host, _, path = rest.partition("/")
    system = _system_of(f"{scheme}://{host}/{query}" if scheme == "file" else f"{scheme}://{host}{query}")
    if scheme.lower() in ("file", "hdfs", "viewfs"):
        return system, "/" + path
    bucket = host.rpartition("@")[2]
    return system, f"{bucket}/{path}" if path else bucket


def uri_within(uri: str, name: str) -> str:
    """Returns the URI of a file or folder in the folder of a URI, which keeps its query."""
    whole, query = without_query(uri)
    return f"{whole.rstrip('/')}/{name}{query}"


def cannot_be_listed(uri: str, error: OSError) -> ValueError:
    """Returns the error of a URI whose file system cannot be reached, with what to look at."""
    return ValueError(
        f"{uri}: cannot be listed: {' '.join(str(error).split())[:300]}. Is the name right, and do the environment "
        "variables or files of its file system give the credentials?"
    )


def without_query(uri: str) -> tuple[str, str]:
    """Returns a URI without its query, such as `?region=eu-west-1`, and the query."""
    found = _QUERY.search(uri) if is_uri(uri) else None
    return (uri, "") if found is None else (uri[: found.start()], uri[found.start() :])


def path_text(path: str | Path) -> str:
    """Returns a path as text, and as a URI again where a `Path` was made of one."""
    if isinstance(path, Path):
        return _URI_AS_PATH.sub(lambda start: "file:///" if start[1] == "file" else f"{start[1]}://", str(path))
    return path


def parts_of(uri: str) -> tuple[str, str]:
    """Returns the URI of the folder above a file or folder at a URI, without its query, and the name of the last one.

    Example:

    >>> parts_of("s3://bucket/models/clicks/?region=eu-west-1")
    ('s3://bucket/models', 'clicks')
    """
    above, _, name = uri.partition("?")[0].rstrip("/").rpartition("/")
    return above, name
