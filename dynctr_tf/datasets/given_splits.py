"""Rows whose validation or test split has its own files, with a check that the splits share no users or times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dynctr_tf.datasets.bad_rows import Problem
from dynctr_tf.datasets.column_splits import TimeReader, UserSplit, text_hashes
from dynctr_tf.datasets.joined_sources import JoinedSources
from dynctr_tf.datasets.row_files import RowFile, RowPaths, list_row_files
from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.datasets.splits import DEFAULT_SHARES, SplitRule, split_rule
from dynctr_tf.datasets.tabular_file import TabularFile
from dynctr_tf.schema import Schema


class GivenSplits(JoinedSources):
    """Rows of several files: one for training, and one or two for validation and test.

    When to use: the test rows are given, such as the last day's file. A split that is not given is cut out of the
    training file as `split_by` says, by the remaining shares. Where `split_by` names a column of times or users, the
    files must not overlap in it: a training row later than the first test row, or a user in two files, is an error, and
    so are times of one file that cannot be compared with those of another.

    Args:
        path: The file of the training rows, or several, as in `TabularFile`.
        schema: What the columns mean, in all files.
        validation_path: The file or files of the validation rows. Default `None`: cut out of `path`.
        test_path: The file or files of the test rows. Default `None`: cut out of `path`.
        splits: Split name to share; those of given files do not count. Default: 70 % train, 10 % validation, 20 %
            test.
        split_by: As in `TabularFile`. Default `"random"`.
        **options: The other arguments of `TabularFile`, of all files.

    Raises:
        ValueError: As `TabularFile`; no file given, or one given twice; on reading, rows of a later split that come
            before those of an earlier one, or users in two splits.

    Cost: as `TabularFile` for each file; where a column is checked, one more pass over it.

    Example:

    >>> import pathlib, tempfile
    >>> from dynctr_tf.schema import Feature
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name, user in (("monday.csv", "anna"), ("tuesday.csv", "bert")):
    ...     _ = (folder / name).write_text(f"user,click\\n{user},1\\n{user},0\\n")
    >>> schema = Schema((Feature("user", "categorical"),), label="click")
    >>> rows = GivenSplits(folder / "monday.csv", schema, test_path=folder / "tuesday.csv", splits={"train": 1.0})
    >>> [batch.splits.tolist() for batch in rows.batches()]
    [[0, 0], [1, 1]]
    """

    def __init__(
        self,
        path: RowPaths,
        schema: Schema,
        *,
        validation_path: RowPaths | None = None,
        test_path: RowPaths | None = None,
        splits: Mapping[str, float] = DEFAULT_SHARES,
        split_by: str = "random",
        **options: Any,
    ) -> None:
        given = {"validation": validation_path, "test": test_path}
        paths = {name: file for name, file in given.items() if file is not None}
        if not paths:
            raise ValueError("Give validation_path, test_path or both; a file that is split itself is a TabularFile.")
        files = [str(file.local.resolve() if file.local else file) for file in self._all_files((path, *paths.values()))]
        twice = [file for file, times in Counter(files).items() if times > 1]
        if twice:
            raise ValueError(f"One file is given for two splits: {', '.join(twice[:5])}.")
        self._rule = split_rule(split_by)
        left = {name: share for name, share in splits.items() if name not in paths}
        own = {name: share / sum(left.values()) for name, share in left.items()}
        if self._rule.begins and len(own) == 1:
            raise ValueError(
                f"split_by={split_by!r} says when splits begin, and all of them are files; leave the times out."
            )
        # Rows of a file that is one split are not split further.
        alone = {"splits": {"train": 1.0}, "split_by": "random", **options}
        cut = {"splits": own, "split_by": split_by, **options} if len(own) > 1 else alone
        self._by_split = {"train": TabularFile(path, schema, **cut)}
        self._by_split.update({name: TabularFile(file, schema, **alone) for name, file in paths.items()})
        names = tuple(dict.fromkeys([*(name for name in splits if name in {*own, *paths}), *paths]))
        super().__init__(tuple(self._by_split.values()), names, [{}, *({"train": name} for name in paths)])
        self._checked = self._rule.way not in ("time", "user")

    @staticmethod
    def _all_files(paths: Sequence[RowPaths]) -> list[RowFile]:
        return [file for given in paths for file in list_row_files(given)]

    @property
    def split_notes(self) -> tuple[str, ...]:
        """The times at which the splits begin that are cut out of the training file."""
        return self._by_split["train"].split_notes

    def batches(self) -> Iterator[RowBatch]:
        """Reads all rows once, those of the training file first.

        Raises:
            ValueError: As `TabularFile`, or splits that overlap.
        """
        if not self._checked:
            check_splits_apart(self._cells(), self._rule)
            self._checked = True
        yield from super().batches()

    def _cells(self) -> Iterator[tuple[str, Any, Any]]:
        """The column that decides the split, batch by batch, with the split of each row."""
        for name, source in reversed(self._by_split.items()):
            for values, missing in source.cells(str(self._rule.column)):
                yield name, values, missing


def check_splits_apart(cells: Iterator[tuple[str, Any, Any]], rule: SplitRule) -> None:
    """Refuses splits that overlap in time or share users; rows without a time or user are ignored.

    Args:
        cells: For each batch of a file its split, the values of the column, and the texts that mean a missing one; the
            rows of the last split come first.
        rule: By what the splits must not overlap.

    Raises:
        ValueError: The splits overlap; the message says by how many rows or users. Or a split has no time to compare.
    """
    if rule.way == "time":
        _check_times(cells, str(rule.column))
    elif rule.way == "user":
        _check_users(cells, str(rule.column))


def _check_times(cells: Iterator[tuple[str, Any, Any]], column: str) -> None:
    reader = TimeReader(column)
    begins: dict[str, float] = {}
    rows: Counter[str] = Counter()
    leaked: Counter[tuple[str, str]] = Counter()
    unread: dict[str, Problem] = {}
    for split, values, missing in cells:
        times, problems = reader.read(values, missing)
        known = times[~np.isnan(times)]
        rows[split] += known.size
        if problems:
            unread.setdefault(split, problems[0])
        for later, begin in begins.items():
            if later != split:
                leaked[split, later] += np.count_nonzero(known > begin)
        begins[split] = min(begins.get(split, np.inf), float(known.min(initial=np.inf)))
    for split, problem in unread.items():
        if not rows[split]:
            raise ValueError(
                f"No {split} row has a time {column!r} that can be compared with those of the other splits: the first "
                f"has {problem.given!r}, expected {problem.expected}. Write the times of all files in one way, or give "
                "another data.split_by, which does not ask for it."
            )
    for (earlier, later), number in reversed(leaked.items()):
        if number:
            raise ValueError(
                f"{number:,} of {rows[earlier]:,} {earlier} rows have a time {column!r} after the first {later} row, "
                f"which is of {reader.spelt(begins[later])}: the model would be judged on the past. Give files that "
                "are apart in time, or another data.split_by, which does not ask for it."
            )


def _check_users(cells: Iterator[tuple[str, Any, Any]], column: str) -> None:
    split = UserSplit(column, {"train": 1.0})
    found: dict[str, list[np.ndarray]] = {}
    for name, values, missing in cells:
        parts = found.setdefault(name, [])
        parts.append(text_hashes(split.users(values, missing)[0].drop_null().unique()))
        # Sorted only when the number has doubled, not at each batch.
        if sum(map(len, parts[1:])) >= len(parts[0]):
            parts[:] = [np.unique(np.concatenate(parts))]
    seen = {name: np.unique(np.concatenate(parts)) for name, parts in reversed(found.items())}
    names = list(seen)
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            both = np.intersect1d(seen[first], seen[second], assume_unique=True).size
            if both:
                raise ValueError(
                    f"{both:,} of the {seen[second].size:,} users {column!r} of the {second} rows are among the "
                    f"{first} rows too, so the {second} rows say nothing about new users. Give files that share no "
                    "user, or another data.split_by, which does not ask for it."
                )
