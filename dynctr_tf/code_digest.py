"""Which code made something: a digest of parts of this library, so that what other code made is not taken for it."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path


@functools.cache
def code_digest(*parts: str) -> str:
    """Sixteen characters that change when the source of a part of the library does.

    Args:
        *parts: Folders and files of the library, such as `"encoding"` and `"schema.py"`.

    Raises:
        ValueError: A part that the library does not have.

    Example:

    >>> len(code_digest("encoding", "schema.py"))
    16
    """
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for part in sorted(parts):
        place = root / part
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        if not all(file.is_file() for file in files) or not files:
            raise ValueError(f"The library has no part {part!r}.")
        for file in files:
            content = file.read_bytes()
            digest.update(f"{file.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]
