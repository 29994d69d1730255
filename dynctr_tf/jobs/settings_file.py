"""Settings as TOML files, which carry a checksum where a job wrote them, and as single values of a command line.

Values are data: nothing of a file is ever executed.
"""

from __future__ import annotations

import datetime
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dynctr_tf.durable_files import DamagedFileError, checksum_of, write_bytes
from dynctr_tf.jobs.settings import JobSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_file(path: str | Path) -> dict[str, Any]:
    """Reads a TOML settings file into nested plain settings.

    Raises:
        ValueError: The file is absent, or is not TOML.
        DamagedFileError: It is empty, or `write_settings` wrote something else.
    """
    try:
        content = Path(path).read_bytes()
        _check_first_line(path, content)
        return tomllib.loads(content.decode("utf-8-sig"))
    except DamagedFileError:
        raise
    except FileNotFoundError as error:
        raise ValueError(f"There is no settings file {str(path)!r}.") from error
    except IsADirectoryError as error:
        raise ValueError(f"The settings file {str(path)!r} is a folder; give a TOML file in it.") from error
    except OSError as error:
        raise ValueError(f"The settings file {str(path)!r} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not TOML: byte {error.start} is not UTF-8. A file of rows is given as --data.path."
        ) from error
    except RecursionError as error:
        raise ValueError(
            f"{path} is not TOML that can be read: too many lists or tables within one another."
        ) from error
    except ValueError as error:  # not TOML, or a number of thousands of digits
        raise ValueError(f"{path} is not TOML: {error}.") from error


def write_settings(path: str | Path, settings: JobSettings) -> None:
    """Writes settings as a TOML file whose first line holds a checksum of the others, which `read_file` checks.

    A person who edits the file deletes that line; the line says so.

    Raises:
        OSError: It cannot be written, with its name.
    """
    lines = to_toml(settings).encode("utf-8", "surrogateescape")
    write_bytes(path, _first_line(lines) + lines)


def _first_line(lines: bytes) -> bytes:
    return f"# {checksum_of(lines)} of the lines below; delete this line when you change them\n".encode()


def _check_first_line(path: str | Path, content: bytes) -> None:
    begin = _first_line(b"")[: len("# crc32:")]
    # This is also a file that was cut within its first line, or is empty.
    if not begin.startswith(content[: len(begin)]):
        return
    first, newline, lines = content.partition(b"\n")
    if first + newline != _first_line(lines):
        if not content:
            raise DamagedFileError(f"The settings file {str(path)!r} is empty. Make it again, or leave it out.")
        raise DamagedFileError(
            f"The settings file {str(path)!r} is damaged or was changed: its first line has another checksum than the "
            "lines below it. Make it again; or, where the change is yours, delete its first line."
        )


def parse_value(text: str) -> Any:
    """Reads one value from the command line: a TOML value (`3`, `0.1`, `true`, `[400, 400]`), `none`, or else a text.

    A number may begin or end with its point, which TOML does not allow. A date is a text here: no setting is one.

    Example:

    >>> parse_value("[400, 400]"), parse_value("1e-3"), parse_value("dgp"), parse_value("2020-01-01")
    ([400, 400], 0.001, 'dgp', '2020-01-01')
    >>> parse_value(".02"), parse_value("1.")
    (0.02, 1.0)
    """
    if text.lower() in ("none", "null"):
        return None
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if "\n" in text or "\r" in text:
        return text
    if re.fullmatch(r"[+-]?(\.\d+|\d+\.)([eE][+-]?\d+)?", text):
        return float(text)
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
    return text if isinstance(value, (datetime.date, datetime.time)) else value


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml_key(key)} = {_toml_value(part)}" for key, part in value.items()) + "}"
    # A JSON string is a TOML basic string, but for the one control character that JSON leaves as it is.
    return json.dumps("none" if value is None else value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml_value(key)


def _toml_table(name: str, given: Mapping[str, Any]) -> list[str]:
    """The lines of a table. Tables within it follow it; only `{low = ..., high = ...}` stays in one line."""
    inner = {key: value for key, value in given.items() if isinstance(value, Mapping) and "low" not in value}
    lines = [f"{_toml_key(key)} = {_toml_value(value)}" for key, value in given.items() if key not in inner]
    lines = [f"[{name}]", *lines, ""] if lines else []
    for key, value in inner.items():
        lines += _toml_table(f"{name}.{_toml_key(key)}", value)
    return lines


def to_toml(settings: JobSettings) -> str:
    """Writes settings as a TOML file that `read_file` takes; what has its default is left out.

    Example:

    >>> from dynctr_tf.jobs.settings import job_settings
    >>> print(to_toml(job_settings({"training": {"epochs": 2}})), end="")
    [training]
    epochs = 2
    """
    lines: list[str] = []
    mapping = settings.to_mapping()
    for section, defaults in JobSettings().to_mapping().items():
        given = mapping[section]
        lines += _toml_table(section, {key: value for key, value in given.items() if value != defaults.get(key, ...)})
    return "\n".join(lines[:-1]) + "\n"
