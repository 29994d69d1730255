"""Rows for an exported model: the features of its schema, keys that are carried along, and labels if there are any."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from dynctr_tf.datasets import avazu, criteo
from dynctr_tf.datasets.bad_rows import OnBadRow, Problem
from dynctr_tf.datasets.cell_values import as_text, is_list, valid_text
from dynctr_tf.datasets.csv_blocks import DELIMITERS, Dialect
from dynctr_tf.datasets.derived_columns import Derive, text_cells
from dynctr_tf.datasets.file_rows import FileOptions, FileRows
from dynctr_tf.datasets.row_checks import typed_columns
from dynctr_tf.datasets.row_files import RowFile
from dynctr_tf.datasets.row_pieces import Piece
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import Schema

_NO_LABEL = "\0no label"


@dataclasses.dataclass(frozen=True)
class FileReading:
    """How a file of rows is read, beside its schema.

    Args:
        column_names: The columns of a file of text that has no header; the file may lack the label's column. Default
            `None`: the first row is the header.
        delimiter: Between the values. Default `None`: recognised.
        quote: As in `TabularFile`. Default `'"'`.
        encoding: Of a file of text. Default `None`: UTF-8.
        read: The columns that are read where features are derived from them. Default `()`: the schema's.
        derive: Makes features of the cells, as in `DerivedTabularFile`. Default `None`: none is made.
    """

    column_names: tuple[str, ...] | None = None
    delimiter: str | None = None
    quote: str | None = '"'
    encoding: str | None = None
    read: tuple[str, ...] = ()
    derive: Derive | None = None


def reading_of(name: str, options: Mapping[str, Any]) -> FileReading:
    """Returns how further files of a data set are read: in the same way as the files of a training.

    Args:
        name: The data set, as `row_source` knows it. If its rows are joined from several files, or made, the further
            files have the schema's columns.
        options: Its options in the training.
    """
    if name == "criteo_display_ads":
        return FileReading(("label", *criteo.NUMERIC, *criteo.CATEGORICAL), "\t", None)
    if name == "avazu":
        return FileReading(delimiter=",", read=("click", "hour", *avazu.CATEGORICAL), derive=avazu.derive_avazu_columns)
    if name != "tabular_file":
        return FileReading()
    known = {key: options[key] for key in ("column_names", "delimiter", "quote", "encoding") if key in options}
    if known.get("column_names") is not None:
        known["column_names"] = tuple(known["column_names"])
    return FileReading(**known)


class BatchToScore(NamedTuple):
    """Some consecutive rows.

    Attributes:
        columns: The features, as in `RowBatch.columns`; where rows have labels, these and the weights too.
        carried: The columns that are carried along, as they are in the file.
        numbers: int64 `(rows,)`, the place of each row among those of the file.
    """

    columns: pa.RecordBatch
    carried: pa.RecordBatch
    numbers: np.ndarray


class RowsToScore(TabularFile):
    """Reads a file of rows for an exported model; the rows may have no label.

    Use it to score rows: values mean the same as in training, and the same rows are bad rows. Columns that neither the
    schema nor the user names are ignored, and so is the label, unless it is asked for.

    Args:
        path: The file.
        schema: The export's schema.
        carried: Columns of the file that are carried along with each row, such as its key; or features that are derived
            from other columns. Default `()`: none.
        labelled: Whether the label, and the weight where the schema has one, are read. Default `False`.
        reading: How the file is read. Default: as `TabularFile` does without further arguments.
        on_bad_row: As in `TabularFile`. Default `"error"`.

    Raises:
        ValueError: As `TabularFile`; a carried column that is absent or holds lists.

    Example:

    >>> import pathlib, tempfile
    >>> from dynctr_tf.schema import Feature
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "today.csv"
    >>> _ = path.write_text("id,colour\\n7,red\\n8,\\n")
    >>> source = RowsToScore(path, Schema((Feature("colour", "categorical"),), label="click"), carried=("id",))
    >>> batch = next(source.batches_to_score())
    >>> batch.columns.to_pydict(), batch.carried.to_pydict(), batch.numbers.tolist()
    ({'colour': ['red', None]}, {'id': ['7', '8']}, [0, 1])
    """

    def __init__(
        self,
        path: str | Path | RowFile,
        schema: Schema,
        *,
        carried: Sequence[str] = (),
        labelled: bool = False,
        reading: FileReading = FileReading(),
        on_bad_row: OnBadRow = "error",
    ) -> None:
        twice = sorted({name for name in carried if list(carried).count(name) > 1})
        if twice:
            raise ValueError(f"Columns named more than once: {twice}. Name each once.")
        self.carried = tuple(carried)
        self.labelled = labelled
        self.reading = reading
        # Only rows that are made have a known click probability.
        known = dataclasses.replace(schema, true_probability=None)
        if not labelled:
            known = dataclasses.replace(
                known, label=_NO_LABEL, weight=None, impressions=None, positive=None, soft_label=False
            )
        self._label = schema.label
        super().__init__(
            path,
            known,
            on_bad_row=on_bad_row,
            column_names=reading.column_names,
            delimiter=reading.delimiter,
            quote=reading.quote,
            encoding=reading.encoding,
        )

    def _columns_of_file(self) -> tuple[str, ...]:
        own = [name for name in self._schema.file_columns if name != _NO_LABEL]
        if self.reading.derive is not None:
            own = [name for name in self.reading.read if self.labelled or name != self._label]
        return tuple(dict.fromkeys((*own, *(name for name in self.carried if name not in self._derived))))

    @property
    def _derived(self) -> set[str]:
        """The features that the file does not have as columns."""
        if self.reading.derive is None:
            return set()
        return {feature.name for feature in self._schema.features} - set(self.reading.read)

    def _find_columns(self, rows: FileRows, first: FileRows | None) -> None:
        known = [*rows.names, *dict(rows.file.partitions)]
        for name in self.carried:
            if name not in known and name not in self._derived:
                raise ValueError(
                    f"{rows.file}: there is no column {name!r} to carry along. "
                    + unknown_name_message("column", name, known)
                )
        super()._find_columns(rows, first)

    def _options_of_csv(self, start: bytes, options: FileOptions) -> FileOptions:
        """The given names where the file has no header; without the label's if the file has no label."""
        names = options.column_names
        wanted = set(self._columns_of_file())
        for mark in DELIMITERS if options.delimiter is None else (options.delimiter,):
            if names is None or mark == options.quote:
                continue
            dialect = Dialect(mark, options.quote)
            record = dialect.first_record(start)
            values = [] if record is None else dialect.values(start[record.start : record.end])
            if wanted <= {value.strip() for value in values}:
                names = None
            elif len(values) == len(names):
                break
            elif len(values) == len(names) - 1 and not self.labelled and self._label in names:
                names = tuple(name for name in names if name != self._label)
                break
        return dataclasses.replace(options, column_names=names)

    def _typed(self, raw: list[pa.Array]) -> tuple[pa.RecordBatch, list[Problem]]:
        given = dict(zip(self._columns_of_file(), raw, strict=True))
        problems: list[Problem] = []
        missing = self._missing
        if self.reading.derive is not None:
            cells, problems = text_cells({name: given[name] for name in self.reading.read if name in given}, missing)
            derived, found = self.reading.derive(cells)
            problems += found
            given, missing = {**given, **cells, **derived}, None
        rows = len(raw[0])
        if not self.labelled:
            given[_NO_LABEL] = pa.repeat(pa.scalar(0.0), rows)
        columns, found = typed_columns([given[name] for name in self._schema.file_columns], self._schema, missing)
        return columns if self.labelled else columns.drop_columns([_NO_LABEL]), [*problems, *found]

    def carried_types(self) -> dict[str, pa.DataType]:
        """The types of the carried columns: text in files of text, the column's own type in Parquet files.

        Raises:
            ValueError: A column that holds lists or records, which cannot be keys.
        """
        types: dict[str, pa.DataType] = {}
        for name in self.carried:
            kind = self._parts[0].types.get(name, pa.string())
            kind = kind.value_type if pa.types.is_dictionary(kind) else kind
            if is_list(kind) or pa.types.is_nested(kind):
                raise ValueError(
                    f"{self.path}: column {name!r} holds {kind}; a column that is carried along has one value a row."
                )
            types[name] = kind
        return types

    def batches_to_score(self, types: Mapping[str, pa.DataType] | None = None) -> Iterator[BatchToScore]:
        """Reads all rows once.

        Args:
            types: The types that the carried columns get; text where files have different ones. Default `None`: their
                own.

        Raises:
            BadRowError: A bad row, with `on_bad_row="error"`.
            ValueError: Damaged data.
        """
        kinds = self.carried_types() if types is None else types
        skipped: Counter[str] = Counter()
        for piece in self.pieces():
            yield from self.piece_to_score(piece, kinds, skipped)
        self._skipped = dict(skipped)

    def piece_to_score(
        self, piece: Piece, types: Mapping[str, pa.DataType], skipped: Counter[str]
    ) -> Iterator[BatchToScore]:
        """Reads the rows of a piece, which any thread may do.

        Args:
            piece: One that `pieces` gave.
            types: The types that the carried columns get.
            skipped: Takes how many rows were left out, by reason.

        Raises:
            BadRowError: A bad row, with `on_bad_row="error"`.
            ValueError: Damaged data.
        """
        columns = self._columns_of_file()
        part = self._parts[piece.part]
        for rows in part.rows(piece):
            typed, problems = self._typed(rows.raw)
            problems += rows.problems
            given = dict(zip(columns, rows.raw, strict=True))
            carried = {}
            for name in self.carried:
                values = given[name] if name in given else typed.column(name)
                carried[name], found = _as_type(name, values, types[name])
                problems += found
            along = pa.RecordBatch.from_arrays(list(carried.values()), names=list(carried))
            numbers = rows.numbers
            if problems or rows.malformed:
                if self.on_bad_row == "error":
                    rows.refuse(str(part.file), problems)
                kept = rows.kept(problems, skipped)
                typed, numbers = typed.filter(pa.array(kept)), numbers[kept]
                along = along.filter(pa.array(kept)) if carried else along
            if typed.num_rows:
                yield BatchToScore(typed, along, numbers)


def _as_type(name: str, values: pa.Array, kind: pa.DataType) -> tuple[pa.Array, list[Problem]]:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string(kind):
        return valid_text(name, as_text(values))
    return (values if values.type == kind else values.cast(kind)), []


def open_rows(path: str | Path | RowFile, schema: Schema, reading: FileReading, **options: Any) -> RowsToScore:
    """Opens a file for `RowsToScore`; features that training derives may also be columns of the file.

    Args:
        path: The file.
        schema: The export's schema.
        reading: How the file is read.
        **options: The other arguments of `RowsToScore`.

    Raises:
        ValueError: As `RowsToScore`.
    """
    try:
        return RowsToScore(path, schema, reading=reading, **options)
    except ValueError as error:
        if reading.derive is None:
            raise
        plain = dataclasses.replace(reading, read=(), derive=None)
        try:
            return RowsToScore(path, schema, reading=plain, **options)
        except ValueError:
            raise error from None
