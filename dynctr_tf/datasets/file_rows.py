"""The rows of one file: where its columns are, and what the readers of all formats have in common."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from dynctr_tf.datasets.raw_rows import RawRows
from dynctr_tf.datasets.row_files import RowFile
from dynctr_tf.datasets.row_pieces import Piece
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import Schema


@dataclasses.dataclass(frozen=True)
class FileOptions:
    """How a file is read.

    Args:
        schema: What the columns mean.
        wanted: The columns that are read, from the file or from its folders.
        split_column: The column that decides the split; `None` where no column does.
        column_names: As in `TabularFile`.
        delimiter: As in `TabularFile`.
        quote: As in `TabularFile`.
        encoding: As in `TabularFile`.
    """

    schema: Schema
    wanted: tuple[str, ...]
    split_column: str | None
    column_names: tuple[str, ...] | None
    delimiter: str | None
    quote: str | None
    encoding: str | None


class FileRows:
    """Reads one file; each format has a class of its own.

    A file is opened in three steps: the class of its format finds the columns that it has, `find_columns` finds those
    that are wanted, and `check_types` looks at their types. Then `rows` reads them.

    Args:
        file: The file.
        options: How it is read.

    Attributes:
        file: The file.
        options: How it is read.
        names: The columns that the file has.
        types: The types of these columns; empty where all are text.
        wanted: The columns that are read.
        columns: Those of them that the file has.
        folder_columns: The values of the others, which its folders give.
        num_records: How many rows it has, bad ones too; `None` until it is known.
    """

    format = ""
    delimiter: str | None = None

    def __init__(self, file: RowFile, options: FileOptions) -> None:
        self.file = file
        self.options = options
        self.names: tuple[str, ...] = ()
        self.types: dict[str, pa.DataType] = {}
        self.wanted = options.wanted
        self.columns = options.wanted
        self.folder_columns: dict[str, str | None] = {}
        self.num_records: int | None = None

    # The columns

    def find_columns(self, first: FileRows | None) -> None:
        """Finds the wanted columns in the file and its folders.

        Args:
            first: The first file of several; `None` for itself.

        Raises:
            ValueError: A column that is absent, or that the file has twice.
        """
        self.folder_columns = self._of_folders(self.wanted)
        self.columns = tuple(name for name in self.wanted if name not in self.folder_columns)
        twice = sorted(name for name in set(self.columns) if self.names.count(name) > 1)
        if twice:
            raise ValueError(f"{self._place_of_names}: {named_twice(twice)}.")
        for name in self.columns:
            if name not in self.names:
                hint = self._hint_on_absent()
                if first is not None:
                    hint = f" The first file, {first.file}, has it.{hint}{self._hint_on_further()}"
                whose = "column that decides the split," if name == self.options.split_column else "schema's column"
                raise ValueError(
                    f"{self._place_of_names}: the {whose} {name!r} is not in the file. "
                    + unknown_name_message("column", name, [*self.names, *dict(self.file.partitions)])
                    + hint
                )

    def _of_folders(self, wanted: Sequence[str]) -> dict[str, str | None]:
        """The columns that the folders give, where the file itself has none of the name."""
        folders = dict(self.file.partitions)
        missing_values = self.options.schema.missing_values
        given = {name: folders[name] for name in wanted if name in folders and name not in self.names}
        return {name: None if value in missing_values else value for name, value in given.items()}

    @property
    def _place_of_names(self) -> str:
        """Where the names of the columns stand."""
        return str(self.file)

    def _hint_on_absent(self) -> str:
        """What may be wrong where a column is absent."""
        return ""

    def _hint_on_further(self) -> str:
        """What else may be wrong where it is absent in a file after the first."""
        return ""

    def check_types(self) -> None:
        """Refuses columns whose types cannot hold what the schema says."""

    def follow(self, first: FileRows) -> None:
        """Refuses a file that cannot be read with the first one of several; takes over from that what is the same.

        Raises:
            ValueError: It has another format, or other types.
        """
        if self.format != first.format:
            raise ValueError(
                f"{self.file}: is {self.format}, and {first.file} is {first.format}. Give files of one format, or one "
                "after the other."
            )
        # So that they take memory once, however many files there are.
        self.names = first.names if self.names == first.names else self.names
        self.types = first.types if self.types == first.types else self.types

    # The rows

    @property
    def missing(self) -> pa.Array | None:
        """The texts that mean a missing value in the columns that are read; `None` where these are null already."""
        texts = self.options.schema.missing_values
        return pa.array(texts, pa.string()) if texts else None

    @property
    def text_options(self) -> dict[str, Any]:
        """How the text of the file is read, as JSON has it."""
        return {"dialect": None, "columns": None}

    def rows(self, piece: Piece | None = None) -> Iterator[RawRows]:
        """Reads the wanted columns.

        Args:
            piece: Some rows of the file. Default `None`: all.

        Raises:
            ValueError: Damaged data.
            RuntimeError: The file went away meanwhile.
        """
        try:
            if not self.folder_columns:
                yield from self._rows_of_file(piece)
                return
            for rows in self._rows_of_file(piece):
                raw = dict(zip(self.columns, rows.raw, strict=True))
                for name, value in self.folder_columns.items():
                    raw[name] = pa.repeat(pa.scalar(value, pa.string()), len(rows.numbers))
                yield rows._replace(raw=[raw[name] for name in self.wanted])
        except FileNotFoundError as error:
            raise RuntimeError(
                f"{self.file} went away while the rows were read. Start again when nothing is written there any more."
            ) from error

    def cells(self, column: str) -> Iterator[tuple[pa.Array, pa.Array | None]]:
        """Reads one column, with the texts that mean a missing value.

        Raises:
            ValueError: The file has no such column; damaged data.
        """
        reader = copy.copy(self)
        reader.folder_columns = self._of_folders([column])
        if reader.folder_columns:
            reader.wanted = (*self.columns, column)
        elif column in self.names:
            reader.columns = reader.wanted = (column,)
        else:
            raise ValueError(
                f"{self.file}: the column {column!r} that decides the split is not in the file. "
                + unknown_name_message("column", column, [*self.names, *dict(self.file.partitions)])
            )
        for rows in reader.rows():
            yield rows.raw[reader.wanted.index(column)], self.missing

    def _rows_of_file(self, piece: Piece | None) -> Iterator[RawRows]:
        """Reads the columns that the file itself has."""
        raise NotImplementedError

    def pieces(self, part: int) -> Iterator[Piece]:
        """Cuts the rows into pieces that can be read separately.

        Args:
            part: The number of the file among those of its source.
        """
        raise NotImplementedError

    def shards(self, part: int, nbytes: int) -> Iterator[Piece]:
        """Cuts the rows into pieces that hold no text.

        Args:
            part: The number of the file among those of its source.
            nbytes: The size of the file.
        """
        yield Piece(part, 0, nbytes=nbytes)

    def count_records(self) -> int:
        """Counts the rows, bad ones too, in one pass over the file unless they are known."""
        raise NotImplementedError


def named_twice(names: Sequence[str]) -> str:
    """Says that several columns of a file have one name, so none of them can be read."""
    return f"columns named more than once: {list(names)}. Rename all but one of each"
