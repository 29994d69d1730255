"""A first schema for a file, guessed from its columns, for its owner to edit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from dynctr_tf.datasets.csv_blocks import Dialect, blocks
from dynctr_tf.datasets.row_checks import NUMBER
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import RESERVED_NAMES, Binning, Feature, Kind, Role, Schema, Vocabulary

LABEL_NAMES: tuple[str, ...] = (
    "click",
    "label",
    "is_click",
    "clicked",
    "is_clicked",
    "clk",
    "target",
    "y",
    "conversion",
    "converted",
    "is_converted",
)
"""Names by which the label is recognised, the first found wins."""

_WEIGHT_NAMES = frozenset({"weight", "sample_weight", "row_weight"})
_TIME_NAMES = frozenset({"timestamp", "time", "datetime", "date", "ts", "unix_time"})
_ID_WORDS = frozenset({"id", "uid", "code", "hash", "type", "key", "index", "zip", "zipcode"})
_SEQUENCE_WORDS = frozenset({"history", "hist", "sequence", "seq"})
_CLOCK_WORDS = frozenset({"hour", "day", "weekday", "month", "minute", "week"})
_ROLE_WORDS: tuple[tuple[Role, frozenset[str]], ...] = (
    # The first word that has a role decides: "app_category" is about the app, "user_city" about the user.
    ("context", _CLOCK_WORDS | {"site", "app", "device", "page", "position", "os", "browser", "country", "city"}),
    ("scenario", frozenset({"scenario", "domain", "surface", "tab", "webpage"})),
    ("user", frozenset({"user", "uid", "userid", "member", "customer", "visitor", "gender", "age", "occupation"})),
    ("query", frozenset({"query", "search", "keyword"})),
    (
        "item",
        frozenset({"item", "itemid", "ad", "adid", "ads", "product", "goods", "sku", "movie", "video", "article"})
        | {"news", "song", "brand", "category", "cate", "campaign", "creative", "advertiser", "adgroup", "price"}
        | {"genre", "genres", "title"},
    ),
)
_SEPARATORS = "|;,^"
_MANY_INTEGERS = 100
_MANY_SCENARIOS = 100
_MANY_VALUES = 1000
_DRAFT_MIN_COUNT = 5


class DraftedColumn(NamedTuple):
    """What was made of one column.

    Attributes:
        name: The column.
        kind: The feature's kind; `"label"`, `"weight"`, `"true_probability"` or `"left out"`.
        role: The feature's role; empty where it is none.
        distinct: How many distinct values there are in the rows looked at.
        missing: The share of them that is missing.
        reason: Why.
    """

    name: str
    kind: str
    role: str
    distinct: int
    missing: float
    reason: str


class SchemaDraft(NamedTuple):
    """A drafted schema and how it came about.

    Attributes:
        schema: The schema.
        columns: One entry per column of the file, in its order.
        num_rows: How many rows were looked at.
        num_left_out: How many were not, since they have too few or too many columns.
    """

    schema: Schema
    columns: tuple[DraftedColumn, ...]
    num_rows: int
    num_left_out: int

    def table(self) -> str:
        """Returns the columns as a text table."""
        head = ("column", "kind", "role", "distinct", "missing", "reason")
        rows = [head] + [
            (entry.name, entry.kind, entry.role, f"{entry.distinct:,}", f"{entry.missing:.1%}", entry.reason)
            for entry in self.columns
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head) - 1)]
        lines = []
        for row in rows:
            cells = [
                cell.rjust(width) if i in (3, 4) else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row[:-1], widths, strict=True))
            ]
            lines.append("  ".join([*cells, row[-1]]).rstrip())
        lines.insert(1, "-" * max(len(line) for line in lines))
        return "\n".join(lines)


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return [word.lower() for word in re.split(r"[^A-Za-z0-9]+", spaced) if word]


def _csv_tables(path: Path, dialect: Dialect, missing: Sequence[str], left_out: list[int]) -> Iterator[pa.Table]:
    names: list[str] = []

    def skip(_: Any) -> str:
        left_out.append(1)
        return "skip"

    for block in blocks(path, dialect, 2 << 20):
        data = block.data
        if not names:
            records = dialect.records(data, block.first_line)
            if not records:
                continue
            try:
                names = dialect.values(data[records[0].start : records[0].end])
            except UnicodeDecodeError as error:
                raise ValueError(f"{path}, line {records[0].line}: the header is not UTF-8 text: {error}.") from error
            if len(names) != len(set(names)):
                twice = sorted({name for name in names if names.count(name) > 1})
                raise ValueError(f"{path}, line {records[0].line}: columns named more than once: {twice}.")
            data = data[records[0].end :].lstrip(b"\r\n")
        if not data:
            continue
        try:
            yield pa.csv.read_csv(
                pa.BufferReader(data),
                read_options=pa.csv.ReadOptions(column_names=names, block_size=len(data) + 1, use_threads=False),
                parse_options=pa.csv.ParseOptions(
                    delimiter=dialect.delimiter,
                    quote_char=dialect.quote or False,
                    newlines_in_values=dialect.quote is not None,
                    invalid_row_handler=skip,
                ),
                convert_options=pa.csv.ConvertOptions(
                    column_types={name: pa.string() for name in names},
                    null_values=list(missing),
                    strings_can_be_null=True,
                ),
            )
        except (pa.ArrowInvalid, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: the rows from line {block.first_line} on cannot be read: {error}") from error


def _sample(
    path: Path, max_rows: int, delimiter: str | None, quote: str | None, missing: Sequence[str]
) -> tuple[pa.Table, int]:
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file. Give the path of a CSV or Parquet file.")
    left_out: list[int] = []
    with path.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    tables: list[pa.Table] = []
    num_rows = 0
    if parquet:
        with pa.parquet.ParquetFile(path) as file:
            source: Iterator[pa.Table] = (pa.Table.from_batches([batch]) for batch in file.iter_batches())
            for table in source:
                tables.append(table)
                num_rows += table.num_rows
                if num_rows >= max_rows:
                    break
    else:
        if delimiter is None:
            delimiter = "\t" if path.name.lower().removesuffix(".gz").endswith(".tsv") else ","
        for table in _csv_tables(path, Dialect(delimiter, quote), missing, left_out):
            tables.append(table)
            num_rows += table.num_rows
            if num_rows >= max_rows:
                break
    if not num_rows:
        raise ValueError(f"{path}: the file has no usable row. Give a file that has a header and rows.")
    return pa.concat_tables(tables).slice(0, max_rows).combine_chunks(), len(left_out)


class _Column:
    """What a column's cells look like."""

    def __init__(self, name: str, values: pa.ChunkedArray, missing: Sequence[str]) -> None:
        self.name = name
        self.words = _words(name)
        self.type = values.type
        if pa.types.is_dictionary(self.type):
            values, self.type = values.cast(self.type.value_type), self.type.value_type
        if pa.types.is_large_string(self.type):
            values, self.type = values.cast(pa.string()), pa.string()
        self.is_list = bool(pa.types.is_list(self.type) or pa.types.is_large_list(self.type))
        self.is_time = bool(pa.types.is_temporal(self.type))
        if pa.types.is_string(self.type):
            values = pc.if_else(pc.is_in(values, value_set=pa.array(missing, pa.string())), None, values)
        elif pa.types.is_floating(self.type):
            values = pc.if_else(pc.is_nan(values), None, values)
        self.missing = values.null_count / len(values)
        present = values.drop_null()
        flat = pc.list_flatten(present) if self.is_list else present
        self.unknown_type = not (
            self.is_time
            or pa.types.is_string(flat.type)
            or pa.types.is_integer(flat.type)
            or pa.types.is_floating(flat.type)
            or pa.types.is_boolean(flat.type)
            or pa.types.is_decimal(flat.type)
        )
        self.distinct = 0 if self.unknown_type else int(pc.count_distinct(flat).as_py())
        self.present = present
        self.numbers = self._as_numbers()

    def _as_numbers(self) -> pa.ChunkedArray | None:
        """The cells as numbers, where all are."""
        if self.is_list or self.is_time or self.unknown_type or not len(self.present):
            return None
        if not pa.types.is_string(self.type):
            return self.present.cast(pa.float64())
        text = pc.utf8_trim_whitespace(self.present)
        if not pc.all(pc.match_substring_regex(text, NUMBER)).as_py():
            return None
        return text.cast(pa.float64())

    @property
    def is_binary(self) -> bool:
        """Whether all cells are there and are 0 or 1, and both occur."""
        if self.numbers is None or self.missing:
            return False
        return set(pc.unique(self.numbers).to_pylist()) == {0.0, 1.0}

    @property
    def is_whole(self) -> bool:
        """Whether the numbers have no fractions."""
        return self.numbers is not None and bool(pc.all(pc.equal(pc.floor(self.numbers), self.numbers)).as_py())

    def separator(self) -> str | None:
        """What separates several values in a cell, where many cells have several."""
        if self.numbers is not None or not pa.types.is_string(self.type) or not len(self.present):
            return None
        for mark in _SEPARATORS:
            share = pc.mean(pc.cast(pc.match_substring(self.present, mark), pa.float64())).as_py()
            if share < 0.2:
                continue
            parts = pc.list_flatten(pc.split_pattern(self.present, mark))
            # Several values of a set come again in other sets; the parts of a sentence hardly do.
            if pc.count_distinct(parts).as_py() <= max(self.distinct, 0.2 * len(parts)):
                return mark
        return None


def _find_label(columns: Sequence[_Column], label: str | None, path: Path) -> tuple[str, str]:
    names = [column.name for column in columns]
    if label is not None:
        if label not in names:
            raise ValueError(f"{path}: " + unknown_name_message("column for the label", label, names))
        chosen = columns[names.index(label)]
        if not chosen.is_binary:
            shown = ", ".join(repr(value) for value in pc.unique(chosen.present)[:5].to_pylist())
            raise ValueError(
                f"{path}: the label must be 0 or 1 in every row, and both must occur; column {label!r} has {shown} "
                f"and {chosen.missing:.1%} missing in the rows looked at."
            )
        return label, "given"
    binary = [column.name for column in columns if column.is_binary]
    for wanted in LABEL_NAMES:
        for name in binary:
            if "_".join(_words(name)) == wanted:
                return name, "by its name, 0 or 1 in every row"
    raise ValueError(
        f"{path}: no column is called {', '.join(LABEL_NAMES[:4])} or the like and is 0 or 1 in every row. Give the "
        f"label's column; columns of 0 and 1 are: {', '.join(binary) or 'none'}."
    )


def _role(column: _Column, kind: Kind, taken: set[str]) -> tuple[Role, str]:
    may_be_scenario = kind == "categorical" and "scenario" not in taken and column.distinct <= _MANY_SCENARIOS
    for word in column.words:
        for role, words in _ROLE_WORDS:
            if word in words and (role != "scenario" or may_be_scenario):
                return role, f'role by "{word}" in the name'
    return "context", ""


def _kind(column: _Column) -> tuple[Kind, dict[str, Any], str]:
    sequence = any(word in _SEQUENCE_WORDS for word in column.words)
    several: Kind = "sequence" if sequence else "multi_valued"
    vocabulary: dict[str, Any] = {}
    rare = ""
    if column.distinct > _MANY_VALUES:
        vocabulary = {"vocabulary": Vocabulary(min_count=_DRAFT_MIN_COUNT)}
        rare = f", many values: min_count {_DRAFT_MIN_COUNT}"
    if column.is_list:
        return several, vocabulary, "lists" + rare
    separator = column.separator()
    if separator is not None:
        return several, {**vocabulary, "separator": separator}, f"values separated by {separator!r}" + rare
    if column.numbers is None:
        return "categorical", vocabulary, "text" + rare
    id_like = next((word for word in column.words if word in _ID_WORDS or word.endswith("id")), None)
    whole = column.is_whole
    if whole and id_like is not None:
        return "categorical", vocabulary, f'whole numbers, "{id_like}" in the name' + rare
    if whole and column.distinct <= _MANY_INTEGERS:
        return "categorical", {}, "few whole numbers"
    low, high = pc.min(column.numbers).as_py(), pc.max(column.numbers).as_py()
    binning: Binning = "log_squared" if whole and low >= 0 and high > 1000 else "quantile"
    text = f"{'whole ' if whole else ''}numbers from {low:g} to {high:g}, bins: {binning}"
    return "numeric", {"binning": binning}, text


def _left_out(column: _Column, num_rows: int) -> str | None:
    """Says why a column makes no feature; `None` where it makes one."""
    if column.unknown_type:
        return f"holds {column.type}, which is neither text nor number"
    if column.name in RESERVED_NAMES:
        return "the name is reserved for encoded batches; rename the column to use it"
    if not len(column.present):
        return "no value at all"
    if column.distinct == 1 and not column.missing:
        return "the same value in every row"
    if column.is_time or (column.name.lower() in _TIME_NAMES and column.distinct > _MANY_INTEGERS):
        return "a point in time, new in every later row"
    whole_or_text = column.numbers is None or column.is_whole
    if any(word in _CLOCK_WORDS for word in column.words) and column.is_whole:
        latest = pc.max(column.numbers).as_py()
        if latest > 366:
            return f"a point in time (up to {latest:.0f}), new in later rows; make an hour or a weekday of it"
    owned = any(word in words for role, words in _ROLE_WORDS if role != "context" for word in column.words)
    if whole_or_text and not owned and num_rows >= 100 and column.distinct > 0.95 * num_rows and not column.is_list:
        return "another value in nearly every row"
    return None


def draft_schema(
    path: str | Path,
    *,
    label: str | None = None,
    max_rows: int = 200_000,
    delimiter: str | None = None,
    quote: str | None = '"',
    missing_values: Sequence[str] = ("",),
) -> SchemaDraft:
    """Guesses a schema from a file's first rows.

    When to use: to start from, when a data set is new; its owner reads the reasons and edits the result.
    Names, cell types, separators and the number of distinct values are looked at, nothing else.

    Args:
        path: A CSV file with a header, plain or gzip-compressed, or a Parquet file.
        label: The label's column. Default `None`: the first of `LABEL_NAMES` that is 0 or 1 in every row.
        max_rows: How many rows are looked at. Default `200_000`.
        delimiter: As in `TabularFile`. Default `None`.
        quote: As in `TabularFile`. Default `'"'`.
        missing_values: As in `TabularFile`. Default `("",)`.

    Raises:
        ValueError: No such file, no rows, no label, or a label that is not 0 or 1.

    Example:

    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "clicks.csv"
    >>> _ = path.write_text("user_id,price,click\\nanna,1.5,1\\nbert,2.5,0\\n")
    >>> [(entry.name, entry.kind, entry.role) for entry in draft_schema(path).columns]
    [('user_id', 'categorical', 'user'), ('price', 'numeric', 'item'), ('click', 'label', '')]
    """
    path = Path(path)
    if max_rows < 1:
        raise ValueError(f"max_rows must be at least 1, got {max_rows}.")
    table, num_left_out = _sample(path, max_rows, delimiter, quote, missing_values)
    columns = [_Column(name, table.column(name), missing_values) for name in table.column_names]
    label, label_reason = _find_label(columns, label, path)
    drafted: list[DraftedColumn] = []
    features: list[Feature] = []
    single: dict[str, str] = {}
    taken: set[str] = set()
    for column in columns:

        def entry(kind: str, role: str, reason: str, column: _Column = column) -> DraftedColumn:
            return DraftedColumn(column.name, kind, role, column.distinct, column.missing, reason)

        if column.name == label:
            drafted.append(entry("label", "", label_reason))
            continue
        if column.numbers is not None and not column.missing:
            low, high = pc.min(column.numbers).as_py(), pc.max(column.numbers).as_py()
            if column.name.lower() in _WEIGHT_NAMES and low >= 0 and "weight" not in single:
                single["weight"] = column.name
                drafted.append(entry("weight", "", "by its name"))
                continue
            if column.name == "true_probability" and low >= 0 and high <= 1:
                single["true_probability"] = column.name
                drafted.append(entry("true_probability", "", "by its name"))
                continue
        why_not = _left_out(column, table.num_rows)
        if why_not is not None:
            drafted.append(entry("left out", "", why_not))
            continue
        kind, arguments, reason = _kind(column)
        role, role_reason = _role(column, kind, taken)
        taken.add(role)
        features.append(Feature(column.name, kind, role=role, **arguments))
        drafted.append(entry(kind, role, "; ".join(part for part in (reason, role_reason) if part)))
    if not features:
        reasons = "; ".join(f"{entry.name!r}: {entry.reason}" for entry in drafted)
        raise ValueError(f"{path}: no column makes a feature. {reasons}.")
    schema = Schema(tuple(_sharing(feature, features) for feature in features), label=label, **single)
    return SchemaDraft(schema, tuple(drafted), table.num_rows, num_left_out)


def _sharing(feature: Feature, features: Sequence[Feature]) -> Feature:
    """Lets a history of items use the item's vocabulary, where the names say that it is one."""
    if feature.kind != "sequence":
        return feature
    rest = [word for word in _words(feature.name) if word not in _SEQUENCE_WORDS | {"list"}]
    for other in features:
        if other.kind == "categorical" and rest and _words(other.name) == rest:
            return Feature(
                feature.name,
                "sequence",
                role=feature.role,
                separator=feature.separator,
                shares_vocabulary_with=other.name,
            )
    return feature
