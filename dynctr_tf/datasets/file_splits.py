"""The split of each row of several files: by its number, by the order of the rows, by a column, or by whole files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dynctr_tf.datasets.bad_rows import Problem
from dynctr_tf.datasets.column_splits import ColumnSplit, TimeCounts, TimeReader, TimeSplit, UserSplit, given_begins
from dynctr_tf.datasets.file_rows import FileRows
from dynctr_tf.datasets.raw_rows import RawRows
from dynctr_tf.datasets.splits import OrderSplit, RandomSplit, split_rule, whole_splits


class FileSplits:
    """Assigns the rows of files to splits.

    Args:
        split_by: As in `TabularFile`.
        random: The random split; the other ways have its shares and its seed.
        parts: The files.
        name: What messages call the files.

    Raises:
        ValueError: Too few files or folders, or folders of another name, where whole ones are split.
    """

    def __init__(self, split_by: str, random: RandomSplit, parts: Sequence[FileRows], name: str) -> None:
        self._rule = split_rule(split_by)
        self._random = random
        self._parts = parts
        self._name = name
        self._of_parts = self._whole_files(split_by)
        self._of_rows: RandomSplit | OrderSplit | ColumnSplit | None = None

    def _whole_files(self, split_by: str) -> list[int]:
        """The split of each file, where whole files or folders are split; none where rows are."""
        shares = self._random.shares
        if self._rule.way == "file":
            return whole_splits([str(place) for place in range(len(self._parts))], shares, "files")
        if self._rule.way != "partition":
            return []
        first = self._parts[0].file
        names = [name for name, _ in first.partitions]
        column = self._rule.column or (names[0] if names else "")
        if column not in names:
            raise ValueError(
                f"{first}: split_by={split_by!r} needs folders called {column or 'COLUMN'}=...; those of the files "
                f"give the columns {names}."
            )
        values = [dict(part.file.partitions)[column] or "" for part in self._parts]
        return whole_splits(values, shares, f"values of {column!r}")

    @property
    def notes(self) -> tuple[str, ...]:
        """The times at which the splits begin, if times decide and have been read."""
        split = self._of_rows
        if not isinstance(split, TimeSplit):
            return ()
        spelt = map(split.reader.spelt, split.begins)
        begins = [f"{name} from {time}" for name, time in zip(self._random.names[1:], spelt, strict=True)]
        return (f"split by {self._rule.column!r}: {', '.join(begins)}",) if begins else ()

    def prepare(self) -> None:
        """Looks at a column of all rows, or counts them, where that decides; in one more pass, the first time.

        Raises:
            ValueError: Too few rows or times, or a column that cannot split rows.
        """
        if self._of_rows is not None:
            return
        if self._rule.way == "order":
            self._of_rows = self._by_order()
        elif self._rule.way == "user":
            self._of_rows = UserSplit(str(self._rule.column), self._random.shares, self._random.seed)
        elif self._rule.way == "time":
            self._of_rows = self._by_time(str(self._rule.column))
        else:
            self._of_rows = self._random

    def _by_order(self) -> OrderSplit:
        total = sum(part.count_records() for part in self._parts)
        if total < len(self._random.names):
            raise ValueError(
                f"{self._name}: {total} rows cannot be cut into {len(self._random.names)} splits. "
                "Give a file that has more rows."
            )
        return OrderSplit(total, self._random.shares)

    def _by_time(self, column: str) -> TimeSplit:
        reader = TimeReader(column)
        counts = TimeCounts()
        for values, missing in (cells for part in self._parts for cells in part.cells(column)):
            counts.add(reader.read(values, missing)[0])
            if self._rule.begins:
                break  # the first rows show how times are written
        if self._rule.begins:
            return TimeSplit(reader, given_begins(self._rule, reader, self._random.names))
        try:
            return TimeSplit(reader, counts.begins(self._random.shares, column))
        except ValueError as error:
            raise ValueError(f"{self._parts[0].file}: {error}") from error

    def assign(self, number: int, rows: RawRows) -> tuple[np.ndarray, list[Problem]]:
        """Returns for each row the index of its split, int8, and the rows that have no split; `prepare` comes first.

        Args:
            number: Which file it is.
            rows: Rows of it.
        """
        split = self._of_rows
        if split is None:
            raise RuntimeError("Rows are assigned after prepare.")
        if self._of_parts:
            return np.full(len(rows.numbers), self._of_parts[number], np.int8), []
        if isinstance(split, RandomSplit):
            return split.assign(rows.numbers, stream=number), []
        if isinstance(split, OrderSplit):
            before = sum(part.count_records() for part in self._parts[:number])
            return split.assign(before + rows.numbers), []
        part = self._parts[number]
        values = rows.raw[part.wanted.index(str(self._rule.column))]
        # Rows without a user are numbered over all files.
        return split.assign(values, (number << 40) + rows.numbers, part.missing)
