"""Finds the real rows that development and measurements use; the project ships none."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "DYNCTR_DATA"


def real_rows(*parts: str) -> Path:
    """Returns the path of a file of real rows.

    The folder is what the environment variable `DYNCTR_DATA` names, else `../shared/data` from the project's
    root.

    Args:
        *parts: The path below the folder, such as `"criteo", "train.txt.gz"`.

    Raises:
        ValueError: There is no such file; the message says where it was looked for and what to set.

    Example:

    >>> real_rows("criteo", "no such file")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: There are no real rows at ...
    """
    named = os.environ.get(VARIABLE)
    folder = Path(named) if named else Path(__file__).resolve().parents[2].parent / "shared" / "data"
    path = folder.joinpath(*parts)
    if not path.is_file():
        where = f"the environment variable {VARIABLE} names {named}" if named else f"{VARIABLE} is not set"
        raise ValueError(
            f"There are no real rows at {path} ({where}). Set {VARIABLE} to the folder that has "
            f"{'/'.join(parts)}, or give the file's own path."
        )
    return path
