"""Names that TensorFlow and Keras accept, in place of the names of columns, which may be any text."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

_LONGEST = 64
_NOT_FOR_ARGUMENTS = frozenset({"self", "cls", *keyword.kwlist})


def plain_names(names: Iterable[str]) -> dict[str, str]:
    """Gives each name one that TensorFlow and Keras accept for an argument, an operation or a layer.

    Use it where a column's name becomes part of a graph. TensorFlow itself would replace characters that it does not
    accept, and fails or confuses columns where two names become equal.

    A name of ASCII letters, digits and `_` that begins with a letter stays as it is. In other names, `_` replaces every
    other character. Names that are equal then, apart from upper and lower case, are numbered.

    Args:
        names: Distinct names.

    Returns:
        The plain name of each.

    Example:

    >>> plain_names(["user id", "a-b", "a_b", "1st", "class"])
    {'user id': 'user_id', 'a-b': 'a_b_2', 'a_b': 'a_b', '1st': 'column_1st', 'class': 'class_2'}
    """
    given = list(names)
    plain = {name: _plain(name) for name in given}
    found: dict[str, str] = {}
    taken = {word.lower() for word in _NOT_FOR_ARGUMENTS}
    for name in given:  # names that are plain already stay
        if plain[name] == name and name.lower() not in taken:
            found[name] = name
            taken.add(name.lower())
    for name in given:
        candidate, number = found.get(name, plain[name]), 1
        while name not in found and candidate.lower() in taken:
            number += 1
            candidate = f"{plain[name]}_{number}"
        found[name] = candidate
        taken.add(candidate.lower())
    return {name: found[name] for name in given}


def _plain(name: str) -> str:
    swapped = re.sub(r"[^A-Za-z0-9_]", "_", name)[:_LONGEST]
    return swapped if swapped[:1].isalpha() else f"column_{swapped}"
