"""What the tables of options take: those of a data set, of a model and of an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def optimizer_maker(kind: str) -> Callable[..., Any]:
    """The function or class that makes an optimizer of this kind.

    Raises:
        ValueError: There is none of this name.
    """
    from dynctr_tf.nearest import unknown_name_message
    from dynctr_tf.optimizers import Adam, LazyAdam, dynint_optimizer

    makers: dict[str, Callable[..., Any]] = {"group_ftrl": dynint_optimizer, "lazy_adam": LazyAdam, "adam": Adam}
    if kind not in makers:
        raise ValueError(unknown_name_message("optimizer", kind, makers))
    return makers[kind]


def optimizer_options(kind: str) -> list[str]:
    """The options that a person may give to an optimizer of this kind."""
    from dynctr_tf.options import keyword_options

    # The batch size is that of the training, and names are the library's own.
    return [name for name in keyword_options(optimizer_maker(kind)) if name not in ("batch_size", "name")]


def table_options(data: str, model: str, optimizer: str) -> Mapping[str, list[str]]:
    """The options of each table, for the names of a data set, a model and an optimizer; of unknown names those of all.

    Imports TensorFlow: for messages, when there is one to be written.
    """
    from dynctr_tf.datasets.registry import ROW_SOURCES, row_source_options
    from dynctr_tf.models.catalogue import CATALOGUE

    own = ("path", "schema", "split_by", "min_count", "max_size", "binning", "on_bad_row", "seed")
    sources = [data] if data in ROW_SOURCES else ROW_SOURCES
    entries = [CATALOGUE[model]] if model in CATALOGUE else list(CATALOGUE.values())
    kinds = [entry.optimizer if optimizer == "default" else optimizer for entry in entries]
    return {
        "data.options": sorted({name for source in sources for name in row_source_options(source) if name not in own}),
        "model.options": sorted({name for entry in entries for name in entry.defaults}),
        "optimizer.options": sorted({name for kind in set(kinds) for name in optimizer_options(kind)}),
    }
