"""The split of a row: the values of `split_by`, and the splits by a row's number alone."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dynctr_tf.datasets.row_hash import hashed_uniform
from dynctr_tf.nearest import unknown_name_message

SPLITS_BY: tuple[str, ...] = ("random", "order")
"""The ways to split that need no column."""

_OF_A_COLUMN = ("time", "user", "partition")
# A time begins with a digit, which the name in time:@timestamp does not.
_BEGINS = re.compile(r"(.*)@([-+.\s\d][^@]*|)", re.DOTALL)
_FORMS = "random, order, time:COLUMN, time:COLUMN@BEGIN,BEGIN, user:COLUMN, file or partition:COLUMN"

DEFAULT_SHARES: Mapping[str, float] = {"train": 0.7, "validation": 0.1, "test": 0.2}
"""The shares of the DynInt paper."""

PAPER_SHARES: Mapping[str, float] = {"train": 0.7, "validation": 0.2, "test": 0.1}
"""The shares of the NFM, AFM, AFN and DPN papers."""


def _checked_shares(shares: Mapping[str, float]) -> tuple[tuple[str, ...], np.ndarray]:
    names, values = tuple(shares), list(shares.values())
    if not names or names[0] != "train":
        raise ValueError(f"The first split must be 'train', got {list(names)}.")
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0 for value in values):
        raise ValueError(f"Every split's share must be a number above 0, got {dict(shares)}.")
    if not math.isclose(sum(values), 1.0, abs_tol=1e-9):
        raise ValueError(f"The shares of the splits must sum to 1, got {dict(shares)}, which sum to {sum(values)}.")
    edges = np.cumsum(values)
    edges[-1] = 1.0
    return names, edges


@dataclasses.dataclass(frozen=True)
class RandomSplit:
    """Assigns each row to a split at random, from the seed and the row's number alone.

    When to use: by default. The split of a row does not depend on how the rows were read, in which blocks, on rows that
    were left out before it, or on how many there are. So appending rows to a file changes the split of no other row.

    Args:
        shares: Split name to expected share, `"train"` first, summing to 1.
            Default: 70 % train, 10 % validation, 20 % test.
        seed: At least 0. Default 0.

    Raises:
        ValueError: Shares that are not positive or do not sum to 1, `"train"` not first, a negative seed.

    Cost: about 10 ns per row.

    Example:

    >>> RandomSplit(seed=1).assign(np.arange(10)).tolist() == RandomSplit(seed=1).assign(np.arange(10)).tolist()
    True

    Reference: the 70/10/20 random split of the DynInt paper's experiments. Its seed is not published.
    """

    shares: Mapping[str, float] = dataclasses.field(default_factory=lambda: dict(DEFAULT_SHARES))
    seed: int = 0

    def __post_init__(self) -> None:
        _checked_shares(self.shares)
        hashed_uniform(self.seed, np.zeros(1, np.int64))

    @property
    def names(self) -> tuple[str, ...]:
        """The splits, `"train"` first."""
        return tuple(self.shares)

    def assign(self, rows: np.ndarray, stream: int = 0) -> np.ndarray:
        """Returns for each row number the index of its split in `names`, int8.

        Args:
            rows: The numbers.
            stream: Gives rows with one number different draws, such as those of several files. Default 0.
        """
        _, edges = _checked_shares(self.shares)
        return np.searchsorted(edges, hashed_uniform(self.seed, rows, stream), side="right").astype(np.int8)


@dataclasses.dataclass(frozen=True)
class OrderSplit:
    """Cuts the rows in their order: the first ones train, the last ones test.

    When to use: the rows are in time order, and the model should be judged on later rows.

    Args:
        num_rows: How many rows there are.
        shares: Split name to share, `"train"` first, summing to 1.
            Default: 70 % train, 10 % validation, 20 % test.

    Raises:
        ValueError: Shares as in `RandomSplit`, or fewer rows than splits.

    Example:

    >>> OrderSplit(10).assign(np.arange(10)).tolist()
    [0, 0, 0, 0, 0, 0, 0, 1, 2, 2]
    """

    num_rows: int
    shares: Mapping[str, float] = dataclasses.field(default_factory=lambda: dict(DEFAULT_SHARES))

    def __post_init__(self) -> None:
        _checked_shares(self.shares)
        if self.num_rows < len(self.shares):
            raise ValueError(f"{self.num_rows} rows cannot be cut into {len(self.shares)} splits.")

    @property
    def names(self) -> tuple[str, ...]:
        """The splits, `"train"` first."""
        return tuple(self.shares)

    def assign(self, rows: np.ndarray) -> np.ndarray:
        """Returns for each row number the index of its split in `names`, int8.

        Raises:
            ValueError: A row number of `num_rows` or more.
        """
        rows = np.asarray(rows)
        if rows.size and int(rows.max()) >= self.num_rows:
            raise ValueError(
                f"Row {int(rows.max())} came, but {self.num_rows} rows were counted: the data has grown since. "
                "Open it again."
            )
        _, edges = _checked_shares(self.shares)
        return np.searchsorted(np.rint(edges * self.num_rows), rows, side="right").astype(np.int8)


def checked_split_by(split_by: str) -> str:
    """Returns the argument if it is `"random"` or `"order"`.

    Raises:
        ValueError: It is neither; the message names the nearest.
    """
    if split_by not in SPLITS_BY:
        if split_by.partition(":")[0] in _OF_A_COLUMN:
            raise ValueError(
                f"This data set is split by random or order, which is that of time; got {split_by!r}. A file of your "
                "own (tabular_file) may be split by any column."
            )
        raise ValueError(unknown_name_message("way to split", str(split_by), SPLITS_BY))
    return split_by


class SplitRule(NamedTuple):
    """The parsed value of `split_by`.

    Attributes:
        way: `"random"`, `"order"`, `"file"`, `"partition"`, `"time"` or `"user"`.
        column: The column that decides; `None` where no column does.
        begins: The times at which the splits after the first begin; empty where shares decide.
    """

    way: str
    column: str | None = None
    begins: tuple[str, ...] = ()


def split_rule(split_by: str) -> SplitRule:
    """Parses how rows are split.

    Args:
        split_by: `"random"` (by seed and row number), `"order"` (first rows train, last ones test), `"time:COLUMN"`
            (earliest times train, latest ones test, by the shares of the rows), `"time:COLUMN@BEGIN,BEGIN"` (the second
            split begins at the first time, and so on), `"user:COLUMN"` (all rows of a user in one split), `"file"` (the
            first files train), or `"partition:COLUMN"` (the same with all files of a folder `COLUMN=...` together;
            `"partition"` takes the first such folder).

    Raises:
        ValueError: Anything else.

    Example:

    >>> split_rule("time:hour@14102800,14103000")
    SplitRule(way='time', column='hour', begins=('14102800', '14103000'))
    """
    if split_by in (*SPLITS_BY, "file", "partition"):
        return SplitRule(split_by)
    way, colon, column = str(split_by).partition(":")
    if way not in _OF_A_COLUMN:
        if colon:
            raise ValueError(
                f"{unknown_name_message('way to split', way, (*SPLITS_BY, 'file', *_OF_A_COLUMN))} ({_FORMS})."
            )
        raise ValueError(unknown_name_message("way to split", way, (*SPLITS_BY, "file", *_OF_A_COLUMN)))
    begins: tuple[str, ...] = ()
    given = _BEGINS.fullmatch(column) if way == "time" else None
    if given is not None:
        column = given[1]
        begins = tuple(text.strip() for text in given[2].split(","))
    if not column or not all(begins) or "\0" in column:
        raise ValueError(f"split_by must be {_FORMS}; got {split_by!r}.")
    return SplitRule(way, column, begins)


def split_edges(shares: Mapping[str, float]) -> np.ndarray:
    """Returns the cumulative shares of splits, the last 1.

    Raises:
        ValueError: As `RandomSplit`.
    """
    return _checked_shares(shares)[1]


def whole_splits(values: Sequence[str], shares: Mapping[str, float], what: str) -> list[int]:
    """Assigns whole groups of rows, such as files or days, to splits: the first ones train, the last ones test.

    Args:
        values: For each file the value that it is grouped by; numbers in them are compared as numbers.
        shares: Split name to share of the values; each split has at least one value.
        what: What the values are, for the message.

    Returns:
        For each file the index of its split.

    Raises:
        ValueError: Fewer distinct values than splits.

    Example:

    >>> whole_splits(["10", "9", "8", "9"], {"train": 0.5, "validation": 0.25, "test": 0.25}, "days")
    [2, 1, 0, 1]
    """
    ordered = sorted(
        set(values),
        key=lambda value: [
            (part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", value)
        ],
    )
    if len(ordered) < len(shares):
        raise ValueError(
            f"{len(ordered)} {what} cannot be cut into {len(shares)} splits ({', '.join(shares)}). Give more, or "
            "another split_by."
        )
    begins: list[int] = []
    for place, edge in enumerate(split_edges(shares)[:-1]):
        least = begins[-1] + 1 if begins else 1
        begins.append(min(max(round(edge * len(ordered)), least), len(ordered) - (len(shares) - 1 - place)))
    splits = {value: sum(place >= begin for begin in begins) for place, value in enumerate(ordered)}
    return [splits[value] for value in values]
