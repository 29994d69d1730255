"""Folders that exports go to: whether they can be written, and whether TensorFlow can load from them."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from pathlib import Path

# Loading takes the path of a model's variables for a pattern, which finds no folder with these in its name.
_UNREADABLE = "[\\"

_LOG = logging.getLogger(__name__)


def check_export_directory(directory: str | Path) -> None:
    """Refuses a folder that cannot be written, by trying it; a job asks before it trains.

    Folders that are not there are made for the trial and removed again. Where TensorFlow will load no model from the
    path, a warning says so.

    Args:
        directory: The folder of the served model.

    Raises:
        ValueError: It cannot be made or written, with the reason.
    """
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
