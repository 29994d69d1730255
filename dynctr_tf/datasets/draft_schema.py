"""A first schema for a file, guessed from its columns, for its owner to edit."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from dynctr_tf.datasets.draft_columns import Column
from dynctr_tf.datasets.draft_features import POINT_IN_TIME, high_auc, kind_of, leak_of, left_out, sharing, splits_rows
from dynctr_tf.datasets.draft_labels import find_label
from dynctr_tf.datasets.draft_leakage import LeakageCheck
from dynctr_tf.datasets.draft_names import LABEL_NAMES, WEIGHT_NAMES, after_the_click, plain, role_of
from dynctr_tf.datasets.draft_sample import read_sample
from dynctr_tf.datasets.row_files import RowPaths, named_paths
from dynctr_tf.schema import Feature, Schema

_MANY_SCENARIOS = 100


class DraftedColumn(NamedTuple):
    """The result for one column.

    Attributes:
        name: The column.
        kind: The feature's kind; `"label"`, `"weight"`, `"true_probability"` or `"left out"`.
        role: The feature's role; empty where the column is not a feature.
        distinct: How many distinct values there are in the rows looked at.
        missing: The share of the rows in which the value is missing.
        reason: Why.
        auc: The AUC of the column alone against the label, at least .5; `None` where it was not measured.
    """

    name: str
    kind: str
    role: str
    distinct: int
    missing: float
    reason: str
    auc: float | None = None


class SchemaDraft(NamedTuple):
    """A drafted schema and the reasons for it.

    Attributes:
        schema: The schema.
        columns: One entry per column of the file, in its order.
        num_rows: How many rows were looked at.
        num_left_out: How many rows were left out, because they have too few or too many columns.
        options: The options with which `TabularFile` reads the file; defaults are left out.
    """

    schema: Schema
    columns: tuple[DraftedColumn, ...]
    num_rows: int
    num_left_out: int
    options: Mapping[str, Any] = MappingProxyType({})

    def table(self) -> str:
        """Returns the columns as a text table."""
        head = ("column", "kind", "role", "distinct", "missing", "own AUC", "reason")
        rows = [head] + [
            (
                _shown(entry.name),
                entry.kind,
                entry.role,
                f"{entry.distinct:,}",
                f"{entry.missing:.1%}",
                "" if entry.auc is None else f"{entry.auc:.3f}",
                entry.reason,
            )
            for entry in self.columns
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head) - 1)]
        lines = []
        for row in rows:
            cells = [
                cell.rjust(width) if i in (3, 4, 5) else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row[:-1], widths, strict=True))
            ]
            lines.append("  ".join([*cells, row[-1]]).rstrip())
        lines.insert(1, "-" * max(len(line) for line in lines))
        return "\n".join(lines)


def _shown(name: str) -> str:
    """A name for the table: in quotes where it is not a plain word, and shortened where it is long."""
    shown = name if name and name.isprintable() and name == name.strip() else repr(name)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."


def draft_schema(
    path: RowPaths,
    *,
    label: str | None = None,
    positive: str | None = None,
    impressions: str | None = None,
    max_rows: int = 200_000,
    delimiter: str | None = None,
    quote: str | None = '"',
    missing_values: Sequence[str] = ("",),
    encoding: str | None = None,
    column_names: Sequence[str] | None = None,
) -> SchemaDraft:
    """Guesses a schema from a file's first rows.

    When to use: as a start for a new data set; its owner reads the reasons and edits the result. The draft looks at
    names, cells and numbers of distinct values, and measures how well each column alone predicts the label: a column
    that predicts it almost perfectly was made from it, and is left out.

    Args:
        path: A file that `TabularFile` reads, or what names several files, of which some are looked at.
        label: The label's column. Default `None`: the first usual name of a label that the file has.
        positive: What in it counts as a click, such as `"yes"` or `">= 4"`. Default `None`: 1, true or yes.
        impressions: The column of impressions, where the label counts clicks. Default `None`: recognised by usual
            names.
        max_rows: How many rows are looked at. Default `200_000`.
        delimiter: As in `TabularFile`. Default `None`.
        quote: As in `TabularFile`. Default `'"'`.
        missing_values: As in `TabularFile`; marks such as `NULL`, `\\N` and `-` are recognised beside them and stand
            in the schema. Default `("",)`.
        encoding: As in `TabularFile`. Default `None`.
        column_names: As in `TabularFile`. Default `None`.

    Raises:
        ValueError: No such file, no rows, no label, or one that can be read in several ways; the message has a command
            that chooses one.

    Cost: about 1.5 seconds of one core for 100,000 rows of 40 columns; at most 50,000 rows are measured against the
    label, and separators are looked for in at most 5,000 distinct texts of a column.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "clicks.csv"
    >>> _ = path.write_text("user_id,price,click\\nanna,1.5,1\\nbert,2.5,0\\n")
    >>> [(entry.name, entry.kind, entry.role) for entry in draft_schema(path).columns]
    [('user_id', 'categorical', 'user'), ('price', 'numeric', 'item'), ('click', 'label', '')]
    """
    name_of_rows = named_paths(path)
    if max_rows < 1:
        raise ValueError(f"max_rows must be at least 1, got {max_rows}.")
    given = {
        "label": label,
        "positive": positive,
        "impressions": impressions,
        "delimiter": delimiter,
        "quote": None if quote == '"' else quote or "none",
        "encoding": encoding,
        "column_names": None if column_names is None else json.dumps(list(column_names), ensure_ascii=False),
        "missing": [value for value in missing_values if value],
    }
    reading = {"delimiter": delimiter, "quote": quote, "encoding": encoding, "column_names": column_names}
    sample = read_sample(path, max_rows, missing_values, reading)
    columns = [Column(name, sample.cells[name], missing_values) for name in sample.names if name in sample.cells]
    named = [name for name in sample.names if plain(name) in LABEL_NAMES] if label is None else [label]
    if named and all(name in sample.unreadable for name in named):
        raise ValueError(f"{name_of_rows}: the label {named[0]!r} cannot be used: {sample.unreadable[named[0]]}.")
    found = find_label(columns, label, positive, impressions, path, given, sample.header, is_whole=sample.is_whole)
    check = LeakageCheck(found.clicks, found.others)
    drafted: list[DraftedColumn] = []
    features: list[Feature] = []
    single: dict[str, str] = {}
    taken: set[str] = set()
    marks: dict[str, list[str]] = {}
    by_name = {column.name: column for column in columns}
    for name in sample.names:
        if name in sample.unreadable:
            drafted.append(DraftedColumn(name, "left out", "", 0, 0.0, sample.unreadable[name]))
            continue
        column = by_name[name]
        if column.marks:
            marks.update((mark, [*marks.get(mark, []), column.name]) for mark in column.marks)
        entry = DraftedColumn(column.name, "left out", "", column.distinct, column.missing, "")
        special = _special(column, found.column, found.impressions, single)
        if special is not None:
            reason = found.reason if special == "label" else "by its name"
            if special == "weight":
                reason += ": each row counts as much; if it is a weight of an item or the like, make it a feature"
            drafted.append(entry._replace(kind=special, reason=reason))
            continue
        why_not = left_out(column, sample.num_rows)
        auc = check.own_auc(column) if why_not is None or after_the_click(column.name) else None
        why_not = leak_of(column, auc) or why_not
        if why_not is not None:
            if why_not.startswith(POINT_IN_TIME) and splits_rows(column):
                way = shlex.quote(f"time:{column.name}")
                why_not += f"; --data.split_by {way} trains on the earlier rows and tests on the later ones"
            drafted.append(entry._replace(reason=why_not, auc=auc))
            continue
        kind, arguments, reason = kind_of(column, sample.num_rows)
        may_be_scenario = kind == "categorical" and "scenario" not in taken and column.distinct <= _MANY_SCENARIOS
        role, role_reason = role_of(column.words, may_be_scenario)
        taken.add(role)
        features.append(Feature(column.name, kind, role=role, **arguments))
        missing = f"missing where {', '.join(map(repr, column.marks))}" if column.marks else ""
        reasons = "; ".join(part for part in (reason, role_reason, missing, high_auc(auc)) if part)
        drafted.append(entry._replace(kind=kind, role=role, reason=reasons, auc=auc))
    if not features:
        reasons = "; ".join(f"{entry.name!r}: {entry.reason}" for entry in drafted)
        raise ValueError(f"{name_of_rows}: no column makes a feature. {reasons}.")
    if all(feature.kind == "sequence" for feature in features):
        # A model needs at least one field, and a sequence is not a field.
        features = [dataclasses.replace(feature, kind="multi_valued") for feature in features]
        said = "; as a set, since a model cannot have sequences alone"
        drafted = [
            entry._replace(kind="multi_valued", reason=entry.reason + said) if entry.kind == "sequence" else entry
            for entry in drafted
        ]
    schema = Schema(
        tuple(sharing(feature, features) for feature in features),
        label=found.column,
        positive=found.positive,
        impressions=found.impressions,
        soft_label=found.soft,
        missing_values=tuple(dict.fromkeys([*missing_values, *marks])),
        **single,
    )
    return SchemaDraft(schema, tuple(drafted), sample.num_rows, sample.num_left_out, sample.options)


def _special(column: Column, label: str, impressions: str | None, single: dict[str, str]) -> str | None:
    """Says that a column is the label, the impressions, the weight or the true probability."""
    if column.name == label:
        return "label"
    if column.name == impressions:
        return "impressions"
    numbers = column.known_numbers
    if not len(numbers) or column.missing or numbers.min() < 0:
        return None
    if plain(column.name) in WEIGHT_NAMES and "weight" not in single:
        single["weight"] = column.name
        return "weight"
    if column.name == "true_probability" and numbers.max() <= 1:
        single["true_probability"] = column.name
        return "true_probability"
    return None
