"""Which split a row belongs to: what `split_by` may say, and the splits that a row's number alone decides."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from dynctr_tf.datasets.row_hash import hashed_uniform
from dynctr_tf.nearest import unknown_name_message

SPLITS_BY: tuple[str, ...] = ("random", "order")
"""The ways to split that need no column."""

_OF_A_COLUMN = ("time", "user")
_FORMS = "random, order, time:COLUMN, time:COLUMN@BEGIN,BEGIN or user:COLUMN"

DEFAULT_SHARES: Mapping[str, float] = {"train": 0.7, "validation": 0.1, "test": 0.2}
"""The shares of the DynInt paper."""


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
    """Puts each row into a split at random, from the seed and the row's number alone.

    When to use: by default. The answer for a row does not depend on how the rows were read, in which blocks,
    on what was left out before it, or on how many there are; so appending rows to a file moves none.

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

    def assign(self, rows: np.ndarray) -> np.ndarray:
        """Returns for each row number the index of its split in `names`, int8."""
        _, edges = _checked_shares(self.shares)
        return np.searchsorted(edges, hashed_uniform(self.seed, rows), side="right").astype(np.int8)


@dataclasses.dataclass(frozen=True)
class OrderSplit:
    """Cuts the rows in their order: the first ones train, the last ones test.

    When to use: the rows are in time order and the question is how a model does on what comes later.

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
                f"Row {int(rows.max())} came where {self.num_rows} rows were counted: the data has grown since. "
                "Open it again."
            )
        _, edges = _checked_shares(self.shares)
        return np.searchsorted(np.rint(edges * self.num_rows), rows, side="right").astype(np.int8)


def checked_split_by(split_by: str) -> str:
    """Returns the argument where it is `"random"` or `"order"`.

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
    """What `split_by` says, taken apart.

    Attributes:
        way: `"random"`, `"order"`, `"time"` or `"user"`.
        column: The column that decides; `None` where none does.
        begins: The times at which the splits after the first begin; none where shares decide.
    """

    way: str
    column: str | None = None
    begins: tuple[str, ...] = ()


def split_rule(split_by: str) -> SplitRule:
    """Takes apart how rows are split.

    Args:
        split_by: `"random"` (by seed and row number), `"order"` (first rows train, last ones test), `"time:COLUMN"`
            (earliest times train, latest ones test, by the shares of the rows), `"time:COLUMN@BEGIN,BEGIN"` (the second
            split begins at the first time, and so on) or `"user:COLUMN"` (all rows of a user in one split).

    Raises:
        ValueError: Anything else.

    Example:

    >>> split_rule("time:hour@14102800,14103000")
    SplitRule(way='time', column='hour', begins=('14102800', '14103000'))
    """
    if split_by in SPLITS_BY:
        return SplitRule(split_by)
    way, colon, column = str(split_by).partition(":")
    if way not in _OF_A_COLUMN:
        if colon:
            raise ValueError(f"{unknown_name_message('way to split', way, (*SPLITS_BY, *_OF_A_COLUMN))} ({_FORMS}).")
        raise ValueError(unknown_name_message("way to split", way, (*SPLITS_BY, *_OF_A_COLUMN)))
    begins: tuple[str, ...] = ()
    if way == "time" and "@" in column:
        column, _, given = column.rpartition("@")
        begins = tuple(text.strip() for text in given.split(","))
    if not column or not all(begins) or "\0" in column:
        raise ValueError(f"split_by must be {_FORMS}; got {split_by!r}.")
    return SplitRule(way, column, begins)


def split_edges(shares: Mapping[str, float]) -> np.ndarray:
    """Returns the cumulative shares of splits, the last 1.

    Raises:
        ValueError: As `RandomSplit`.
    """
    return _checked_shares(shares)[1]
