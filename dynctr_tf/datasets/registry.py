"""Data sets by name, for the training job."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dynctr_tf.datasets.given_splits import GivenSplits
from dynctr_tf.datasets.row_files import RowPaths
from dynctr_tf.datasets.row_source import RowSource
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.options import check_options
from dynctr_tf.schema import Schema


def _loaded(schema: Schema | str | Path) -> Schema:
    return schema if isinstance(schema, Schema) else Schema.load(schema)


def _tfds(dataset: str, schema: Schema | str | Path | None = None, **options: Any) -> RowSource:
    return _maker("tfds")(dataset, None if schema is None else _loaded(schema), **options)


def _tabular_file(
    path: RowPaths,
    schema: Schema | str | Path,
    *,
    validation_path: RowPaths | None = None,
    test_path: RowPaths | None = None,
    **options: Any,
) -> RowSource:
    schema = _loaded(schema)
    if validation_path is None and test_path is None:
        return TabularFile(path, schema, **options)
    return GivenSplits(path, schema, validation_path=validation_path, test_path=test_path, **options)


_FILES_OF_SPLITS = ("validation_path", "test_path")
_MAKERS: Mapping[str, tuple[str, str]] = {
    # By name: the file and the function in it that makes the source; its arguments are the options.
    "ali_ccp": ("ali_ccp", "AliCcpRows"),
    "amazon_reviews": ("amazon_reviews", "amazon_reviews_rows"),
    "amexpert": ("amexpert", "amexpert_rows"),
    "avazu": ("avazu", "avazu_rows"),
    "criteo_display_ads": ("criteo", "criteo_rows"),
    "frappe": ("frappe", "frappe_rows"),
    "iaac": ("iaac", "iaac_rows"),
    "ipinyou": ("ipinyou", "ipinyou_rows"),
    "kuairand": ("kuairand", "kuairand_rows"),
    "movielens_1m": ("movielens_1m", "movielens_1m_rows"),
    "movielens_tag": ("movielens_tag", "movielens_tag_rows"),
    "synthetic_ctr": ("synthetic_ctr", "SyntheticCtrRows"),
    "tabular_file": ("tabular_file", "TabularFile"),
    "tfds": ("tfds_rows", "TfdsRows"),
}
# Those that take a schema also as the path of its file.
_WITH_SCHEMA: Mapping[str, Callable[..., RowSource]] = {"tabular_file": _tabular_file, "tfds": _tfds}


def _maker(name: str) -> Callable[..., RowSource]:
    """The function whose arguments are the options of a data set; its file imports TFDS, so it is imported late."""
    file, function = _MAKERS[name]
    maker: Callable[..., RowSource] = getattr(importlib.import_module(f"dynctr_tf.datasets.{file}"), function)
    return maker


ROW_SOURCES: tuple[str, ...] = tuple(sorted(_MAKERS))
"""The names that `row_source` knows."""


def row_source_options(name: str) -> dict[str, Any]:
    """Returns the options of a data set and their defaults; `inspect.Parameter.empty` for an option without one.

    Raises:
        ValueError: An unknown name.
    """
    if name not in _MAKERS:
        raise ValueError(unknown_name_message("data set", name, _MAKERS))
    options = {key: parameter.default for key, parameter in inspect.signature(_maker(name)).parameters.items()}
    return {**options, **dict.fromkeys(_FILES_OF_SPLITS)} if name == "tabular_file" else options


def check_option_types(name: str, options: Mapping[str, Any]) -> None:
    """Refuses options that the data set does not have, or of another type than it takes.

    Args:
        name: One of `ROW_SOURCES`.
        options: The options, as a person wrote them.

    Raises:
        ValueError: An unknown name or option, or a value of another type, such as a text for a number.
    """
    known = row_source_options(name)
    check_options(f"data set {name!r}", _maker(name), options, known, ranges=False)


def row_source(name: str, **options: Any) -> RowSource:
    """Returns the rows of a data set by its name.

    Args:
        name: One of `ROW_SOURCES`.
        **options: Those that `row_source_options` gives for the data set; a `schema` may be the path of a schema file
            here.

    Raises:
        ValueError: An unknown name or option, the nearest known one named; an option that is needed and
            missing; or as the data set's own.

    Example:

    >>> row_source("synthetic_ctr", num_train=1000).split_names
    ('train', 'validation', 'test')
    """
    known = row_source_options(name)
    for key in options:
        if key not in known:
            raise ValueError(unknown_name_message(f"option of data set {name!r}", key, known))
    missing = [key for key, default in known.items() if default is inspect.Parameter.empty and key not in options]
    if missing:
        raise ValueError(f"The data set {name!r} needs the option(s) {', '.join(missing)}; got {sorted(options)}.")
    return _WITH_SCHEMA.get(name, _maker(name))(**options)
