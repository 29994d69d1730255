"""The nearest known name, for errors about unknown ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

# What other libraries call it -> what it is called here, as the last part of a full name.
_OTHER_WORDS: Mapping[str, str] = {
    "lr": "learning_rate",
    "rate": "learning_rate",
    "learningrate": "learning_rate",
    "epoch": "epochs",
    "numepochs": "epochs",
    "batch": "batch_size",
    "bs": "batch_size",
    "embeddingdim": "dim",
    "embeddingsize": "dim",
    "embsize": "dim",
    "embdim": "dim",
    "hiddenunits": "units",
    "dnnhiddenunits": "units",
    "bottomunits": "units",
    "hidden": "units",
    "layers": "units",
    "dropoutrate": "dropout",
    "netdropout": "dropout",
    "randomseed": "seed",
    "earlystopping": "patience",
    "earlystoppatience": "patience",
    "minfreq": "min_count",
    "mincategrcount": "min_count",
    "minfrequency": "min_count",
    "vocabsize": "max_size",
    "gpus": "replicas",
    "numgpus": "replicas",
    "metric": "monitor",
    "monitormetric": "monitor",
    "file": "path",
    "input": "path",
    "csv": "path",
    "dataset": "name",
    "bootstrap": "replicates",
    "generatordepth": "depth",
    "generatorunits": "hidden_dim",
    "operation": "kind",
    "l2": "row_regularizer_l2",
    "embeddingregularizer": "row_regularizer_l2",
}


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


def nearest_name(given: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """Returns the known name that is meant, by its letters; case, `-` and `_` do not count. `None` where none is near.

    Args:
        given: The name that came.
        known: The names that would have been accepted.
        cutoff: How alike they must be, from 0 to 1. Default 0.5.

    Example:

    >>> nearest_name("Num-Layers", ["units", "num_layers"])
    'num_layers'
    """
    return next(iter(nearest_names(given, known, cutoff)), None)


def nearest_names(given: str, known: Iterable[str], cutoff: float = 0.5) -> list[str]:
    """Returns the known names that are as near as any other, as `nearest_name` does: one, seldom two or three, or none.

    Args:
        given: The name that came.
        known: The names that would have been accepted.
        cutoff: How alike they must be, from 0 to 1. Default 0.5.

    Example:

    >>> nearest_names("dinn", ["din", "dnn", "dcn"])
    ['din', 'dnn']
    """
    names = {_plain(name): name for name in sorted(known)}
    near = difflib.get_close_matches(_plain(given), names, n=3, cutoff=cutoff)
    ratios = [difflib.SequenceMatcher(None, _plain(given), name).ratio() for name in near]
    return sorted(names[name] for name, ratio in zip(near, ratios, strict=True) if ratio == max(ratios))


def nearest_full_names(given: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """Returns the dotted names that are meant: those that end alike, wherever they stand, before those that look alike.

    Args:
        given: The name that came, with the section in which it was looked for or without one.
        known: Full names, such as `"training.epochs"` and `"optimizer.options.learning_rate"`.
        cutoff: How alike names must be that do not end in the same word, from 0 to 1; above it, none is. Default 0.6.

    Returns:
        One name, several where as many end in the word that was given, or none.

    Example:

    >>> nearest_full_names("training.learning_rate", ["training.epochs", "optimizer.options.learning_rate"])
    ['optimizer.options.learning_rate']
    >>> nearest_full_names("lazy_adm", ["addons.lazyadam", "lazy_adam"])
    ['lazy_adam']
    """
    full = sorted(set(known))
    *before, last = given.split(".")
    ends = {name: name.rpartition(".")[2] for name in full}
    word = _plain(last)
    for wanted in (word, _plain(_OTHER_WORDS.get(word, ""))):
        found = [name for name, end in ends.items() if wanted and _plain(end) == wanted]
        if not found:
            continue
        # The section that was given counts, where it has such a name.
        same = [name for name in found if before and name.split(".")[0] == before[0]]
        return same or found
    scores = {}
    for name, end in ends.items():
        whole = difflib.SequenceMatcher(None, _plain(given), _plain(name)).ratio()
        alone = difflib.SequenceMatcher(None, word, _plain(end)).ratio()
        same_section = bool(before) and name.split(".")[0] == before[0]
        scores[name] = min(max(whole if before else 0.0, alone) + (0.1 if same_section else 0.0), 1.0)
    best = max(scores.values(), default=0.0)
    near = [name for name, score in scores.items() if score == best and best >= cutoff]
    # Of names that are as near, the one with as many parts as the given one.
    return sorted(near, key=lambda name: abs(name.count(".") - len(before)))[:1]


def either(names: Iterable[str]) -> str:
    """Joins names as a choice: `'a'`, `'a' or 'b'`."""
    return " or ".join(map(repr, names))


def unknown_name_message(what: str, given: str, known: Iterable[str]) -> str:
    """Says that a name is unknown, which known one is nearest, and what all the known ones are.

    Args:
        what: What the name stands for, such as `"model"` or `"key of [optimizer]"`.
        given: The name that came.
        known: The names that would have been accepted.
    """
    names = sorted(known)
    # Of names with several parts, as options have, the last part counts most.
    dotted = any("." in name for name in names)
    near = (dotted and nearest_full_names(given, names, 0.5)) or nearest_names(given, names)
    hint = f" Did you mean {either(near)}?" if near else ""
    return f"Unknown {what}: {given!r}.{hint} Known: {', '.join(names)}."
