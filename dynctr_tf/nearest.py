"""The nearest known name, for errors about unknown ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown_name_message(what: str, given: str, known: Iterable[str]) -> str:
    """Says that a name is unknown, which known one is nearest, and what all the known ones are.

    Args:
        what: What the name stands for, such as `"model"` or `"key of [optimizer]"`.
        given: The name that came.
        known: The names that would have been accepted.
    """
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"Unknown {what}: {given!r}.{hint} Known: {', '.join(names)}."
