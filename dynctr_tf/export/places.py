"""Folders that exports go to: whether they can be written, and whether TensorFlow can load from them."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from pathlib import Path

from dynctr_tf.export.versions_at_uris import check_uri_for_exports
from dynctr_tf.uris import is_uri

# TensorFlow loads variables by a pattern made of the path; these characters have another meaning in a pattern.
_UNREADABLE = "[\\"

_LOG = logging.getLogger(__name__)


def check_export_directory(directory: str | Path) -> None:
    """Tries to write to a folder and refuses it if that fails; a job calls this before it trains.

    Absent folders are made for the trial and removed again. A warning names a path from which TensorFlow cannot load.

    Args:
        directory: The folder of the served model, or its URI.

    Raises:
        ValueError: It cannot be made or written, with the reason.
    """
    if is_uri(directory):
        check_uri_for_exports(str(directory))
        return
    directory = Path(directory)
    missing = [place for place in (directory, *directory.parents) if not os.path.lexists(place)]
    made: list[Path] = []
    try:
        for place in reversed(missing):
            place.mkdir(exist_ok=True)
            made.append(place)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"The model could not be exported to {str(directory)!r}: {reason}. Give --export.directory a folder that "
            "this process may write, or 'none' for no export."
        ) from error
    finally:
        for place in reversed(made):
            with contextlib.suppress(OSError):
                place.rmdir()
    if any(letter in str(directory.absolute()) for letter in _UNREADABLE):
        _LOG.warning(
            "TensorFlow and TF Serving load no model from a path with [ or a backslash in it, such as %s: the export "
            "is written there and checked, but copy it elsewhere to serve it.",
            directory,
        )
