"""Frappe: uses of apps in contexts, in the split of the NFM, AFM and AFN papers or from the raw log."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow_datasets as tfds

from dynctr_tf.datasets.bad_rows import OnBadRow
from dynctr_tf.datasets.column_rows import ColumnRows, dictionary_column
from dynctr_tf.datasets.negative_sampling import NegativesBy, sample_negatives
from dynctr_tf.datasets.original_files import BadRows, codes, find_file, text_lines
from dynctr_tf.datasets.row_source_builder import RowSourceBuilder, RowSourceConfig
from dynctr_tf.datasets.splits import PAPER_SHARES, RandomSplit
from dynctr_tf.schema import Feature, Schema, Vocabulary

FEATURES: tuple[str, ...] = (
    "user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city",
)  # fmt: skip
"""The ten features, in the order of the columns of both forms."""

_SPLITS = ("train", "validation", "test")
_LIBFM = re.compile(rb"(-1|0|\+?1)((?: +[0-9]+:1(?:\.0)?){10}) *")


def frappe_schema(*, min_count: int = 1) -> Schema:
    """Describes the columns: user, item and eight of the context; label `used`.

    Args:
        min_count: Values seen fewer times in the training rows share the unknown bucket. Default 1: keep all.
    """
    rule = Vocabulary(min_count=min_count)

    def feature(name: str) -> Feature:
        role = name if name in ("user", "item") else "context"
        return Feature(name, "categorical", role=role, vocabulary=rule)  # type: ignore[arg-type]

    return Schema(tuple(map(feature, FEATURES)), label="used")


def _read_libfm(path: Path, bad_rows: BadRows) -> tuple[np.ndarray, np.ndarray]:
    """Reads `label token:1 ...`: labels 0 or 1, and the ten tokens of each row."""
    labels: list[bool] = []
    tokens: list[bytes] = []
    for line, text in text_lines(path):
        found = _LIBFM.fullmatch(text.rstrip(b"\r"))
        if found is None:
            detail = f"expected a label and ten features as number:1, got {text[:60]!r}"
            bad_rows.add(path, line, None, "the row is not in libFM's format", detail)
            continue
        labels.append(found[1] in (b"1", b"+1"))
        tokens.append(found[2])
    numbers = np.array(re.findall(rb"([0-9]+):", b" ".join(tokens)), np.int64)
    return np.array(labels, np.float32), numbers.reshape(-1, len(FEATURES))


def _read_log(path: Path, bad_rows: BadRows) -> tuple[list[list[str]], np.ndarray]:
    """Reads the raw log: for each row its ten values, and its line."""
    lines = text_lines(path)
    _, first = next(lines, (1, b""))
    header = first.decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r").split("\t")
    lacking = [name for name in FEATURES if name not in header]
    if lacking:
        raise ValueError(
            f"{path}, line 1: expected the tab-separated columns {', '.join(FEATURES)}, and there is no "
            f"{', '.join(lacking)}. Give frappe.csv, or the folder of the three .libfm files."
        )
    places = [header.index(name) for name in FEATURES]
    rows: list[list[str]] = []
    numbers: list[int] = []
    for line, text in lines:
        cells = text.decode("utf-8", "replace").rstrip("\r").split("\t")
        if len(cells) != len(header) or not all(cells[place] for place in places):
            detail = f"expected {len(header)} columns and a value in each feature, got {text[:60]!r}"
            bad_rows.add(path, line, None, "the row lacks a value", detail)
            continue
        rows.append([cells[place] for place in places])
        numbers.append(line)
    return rows, np.array(numbers, np.int64)


def frappe_rows(
    path: str | Path,
    *,
    num_negatives: int = 2,
    negatives_by: NegativesBy = "uniform",
    seed: int = 0,
    min_count: int = 1,
    shares: Mapping[str, float] = PAPER_SHARES,
    on_bad_row: OnBadRow = "error",
) -> ColumnRows:
    """Reads the rows of the papers with their negatives, or the raw log, for which negatives are drawn.

    When to use: to compare models of feature interactions with published results; AUC is .97 to .98, gaps are small.

    Args:
        path: The folder of `frappe.train.libfm`, `frappe.validation.libfm` and `frappe.test.libfm`, whose split and
            negatives are kept, and whose numbers of features are the values; or `frappe.csv`, the raw log,
            tab-separated with header. All plain or gzip-compressed.
        num_negatives: For the raw log, how many items that this user did not use in this context are drawn for each
            row. Default 2, as in the papers.
        negatives_by: For the raw log, `"uniform"` or `"frequency"`, see `sample_negatives`. Default `"uniform"`.
        seed: For the raw log, of the split and the negatives. Default 0.
        min_count: As in `frappe_schema`. Default 1.
        shares: For the raw log, share of each split. Default: 70 % train, 20 % validation, 10 % test.
        on_bad_row: `"error"`, or `"skip"` to leave bad rows out and count them. Default `"error"`.

    Raises:
        ValueError: No such file, a file of another form, a folder that lacks one of the three.
        BadRowError: A line that cannot be read as a row.

    Cost: five microseconds per row; all rows are kept in memory, 80 bytes each.

    Reference: Baltrunas et al., Frappe, arXiv 1505.03014; the split with two negatives for each row is that of He and
    Chua, Neural Factorization Machines, arXiv 1708.05027. Its terms allow research only.
    """
    path, bad_rows = Path(path), BadRows(on_bad_row)
    schema = frappe_schema(min_count=min_count)
    if path.is_dir():
        files = [find_file(path, (f"frappe.{name}.libfm",), Frappe.MANUAL_DOWNLOAD_INSTRUCTIONS) for name in _SPLITS]
        read = [_read_libfm(file, bad_rows) for file in files]
        label = np.concatenate([labels for labels, _ in read])
        tokens = np.concatenate([numbers for _, numbers in read])
        splits = np.repeat(np.arange(len(_SPLITS), dtype=np.int8), [len(labels) for labels, _ in read])
        values = [np.unique(column, return_inverse=True) for column in tokens.T]
        coded = {name: number for name, (_, number) in zip(FEATURES, values, strict=True)}
        texts = {name: pa.array(known.astype(str)) for name, (known, _) in zip(FEATURES, values, strict=True)}
        names: tuple[str, ...] = _SPLITS
    else:
        files = [path]
        rows, lines = _read_log(path, bad_rows)
        if not rows:
            raise ValueError(f"{path}: the file has no usable row; left out: {dict(bad_rows.skipped)}.")
        found = {name: codes(list(column)) for name, column in zip(FEATURES, zip(*rows, strict=True), strict=True)}
        numbers = {name: number for name, (number, _) in found.items()}
        texts = {name: pa.array(known) for name, (_, known) in found.items()}
        _, context = np.unique(
            np.stack([number for name, number in numbers.items() if name != "item"]), axis=1, return_inverse=True
        )
        drawn = sample_negatives(
            context.reshape(-1), numbers["item"], len(texts["item"]), num_negatives=num_negatives,
            by=negatives_by, seed=seed,
        )  # fmt: skip
        group = 1 + num_negatives
        coded = {name: np.repeat(number, group) for name, number in numbers.items()}
        coded["item"] = np.concatenate([numbers["item"][:, None], drawn], axis=1).reshape(-1)
        label = (np.arange(len(rows) * group) % group == 0).astype(np.float32)
        split = RandomSplit(dict(shares), seed)
        splits, names = split.assign((lines[:, None] * group + np.arange(group)).reshape(-1)), split.names

    def columns(rows: np.ndarray) -> dict[str, pa.Array]:
        return {
            "used": pa.array(label[rows]),
            **{name: dictionary_column(coded[name][rows], texts[name]) for name in FEATURES},
        }

    return ColumnRows(schema, names, splits, columns, bad_rows.skipped, files)


class Frappe(RowSourceBuilder, tfds.core.GeneratorBasedBuilder):
    """TFDS builder `frappe`: app, user and context.

    When to use: `tfds.load("frappe/papers")` or `/log`, for reading the data set as any other. `frappe_rows` gives the
    same rows in columns, many times faster.

    Features: `used` float32, 0 or 1; `categorical` text `(10,)` in the order of `FEATURES`; `numeric` float32 `(0,)`.

    Raises:
        ValueError: A file is not in the manual directory, or has a bad row, named by its line.

    Example:

    >>> Frappe.name
    'frappe'
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put frappe.train.libfm, frappe.validation.libfm and frappe.test.libfm (configuration papers), or frappe.csv "
        "(configuration log), into the manual directory."
    )
    BUILDER_CONFIGS = [
        RowSourceConfig(name="papers", description="The rows, negatives and split of the NFM, AFM and AFN papers."),
        RowSourceConfig(name="log", description="The raw log, two negatives drawn for each row; 70/20/10 at random."),
    ]
    DESCRIPTION = "Frappe: 96 203 uses of 4 082 apps by 957 people in eight kinds of context."
    HOMEPAGE = "https://www.baltrunas.info/context-aware"

    def schema(self) -> Schema:
        """What the columns mean."""
        return frappe_schema()

    def row_source(self, manual_dir: str | Path) -> ColumnRows:
        """The same rows in columnar batches.

        Raises:
            ValueError: A file is not in the directory.
        """
        if self.builder_config.name == "papers":
            return frappe_rows(manual_dir)
        return frappe_rows(find_file(manual_dir, ("frappe.csv",), self.MANUAL_DOWNLOAD_INSTRUCTIONS))
