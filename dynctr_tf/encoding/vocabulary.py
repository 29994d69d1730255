"""Fits vocabularies and bins in one pass over the training rows, with large counts on the disk."""

from __future__ import annotations

import dataclasses
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from dynctr_tf.datasets.row_hash import hashed_bits
from dynctr_tf.encoding.arrow_file import array_of
from dynctr_tf.encoding.number_bins import bins_of_numbers
from dynctr_tf.encoding.raw_columns import is_missing, kept_values, numbers, strings
from dynctr_tf.encoding.read_ahead import read_ahead
from dynctr_tf.encoding.spilled_counts import Mapper, SpilledTable, sorted_values, sum_buckets, write_counts
from dynctr_tf.encoding.value_tally import SeenValues
from dynctr_tf.encoding.value_text import TextForm, canonical, fitted_form, looked_up_text
from dynctr_tf.schema import Feature, Schema, Vocabulary

if TYPE_CHECKING:
    from dynctr_tf.datasets.row_source import RowBatch, RowSource

MEMORY = 32 << 20
"""How many bytes the counts of values take in a process before they go to the disk; adding them up takes several times
as much for a moment."""

_MERGE_ROWS = 1 << 18
# Where more than this share of them remains, counts are merged less often; they mostly go to the disk before.
_WORTH_MERGING = 0.8
_LESS_OFTEN = 4
_MOST_ROWS = 3 << 18  # adding up takes some 140 bytes for each
# So many distinct values are sorted in memory.
_IN_MEMORY = 1 << 18
_SAMPLE_SIZE = 1 << 18
# The form of a column of which some values have one form and some the other.
_FORMS_OF_BOTH: dict[frozenset[TextForm], TextForm] = {
    frozenset({"bit", "whole"}): "whole",
    frozenset({"bit", "truth"}): "bit",
}


@dataclasses.dataclass(frozen=True, eq=False)
class FittedVocabulary:
    """The values of one feature that have an id of their own.

    Args:
        values: Distinct strings, in the order of their ids: the most frequent first, equally frequent ones in the
            order of their bytes. Those that came later, see `grow_encoder`, follow in the order in which they came.
        counts: int64, how often each was seen in the training rows.
        form: How they are spelt, one of `dynctr_tf.encoding.value_text.TEXT_FORMS`; other spellings get the same ids.
            Default `"exact"`.
    """

    values: pa.Array
    counts: np.ndarray
    form: TextForm = "exact"


@dataclasses.dataclass(frozen=True)
class FittedBins:
    """The bins of one numeric feature that have an id of their own.

    Args:
        bins: Distinct whole numbers, ascending.
        boundaries: The boundaries of quantile bins, ascending. Default none.
    """

    bins: tuple[int, ...]
    boundaries: tuple[float, ...] = ()


class ValueCounter:
    """Counts how often each value was seen, in memory that grows with the distinct values alone.

    Args:
        value_type: The pyarrow type of the values.
    """

    def __init__(self, value_type: pa.DataType) -> None:
        self._type = value_type
        self._merged = self._table(pa.array([], value_type), pa.array([], pa.int64()))
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._shrinks = True

    def _table(self, values: pa.Array, counts: pa.Array) -> pa.Table:
        return pa.table({"value": values.cast(self._type), "count": counts.cast(pa.int64())})

    def add(self, values: pa.Array) -> None:
        """Counts some values; nulls are left out."""
        counted = pc.value_counts(values.drop_null())
        self._pending.append(self._table(counted.field("values"), counted.field("counts")))
        self._pending_rows += len(counted)
        # Merging only when as many are pending as are merged keeps the whole work linear.
        least = max(_MERGE_ROWS, self._merged.num_rows)
        if self._pending_rows > (least if self._shrinks else _LESS_OFTEN * least):
            self._merge()

    def add_counts(self, values: pa.Array, counts: pa.Array) -> None:
        """Adds counts of values that were made elsewhere."""
        self._pending.append(self._table(values, counts))
        self._pending_rows += len(values)

    @property
    def num_rows(self) -> int:
        """How many counts are kept, of which several may be of one value."""
        return self._merged.num_rows + self._pending_rows

    @property
    def nbytes(self) -> int:
        """How large the counts are in memory."""
        return int(self._merged.nbytes + sum(table.nbytes for table in self._pending))

    def take_out(self) -> pa.Table:
        """Returns the counts so far, in which a value may be more than once, and begins anew."""
        table = pa.concat_tables([self._merged, *self._pending])
        if table.num_rows < _MERGE_ROWS:
            self._merge()
            table = self._merged
        self._merged = self._table(pa.array([], self._type), pa.array([], pa.int64()))
        self._pending, self._pending_rows, self._shrinks = [], 0, True
        return table

    def respell(self) -> TextForm:
        """Gives each value one spelling, chosen by the spellings of all, and returns the form."""
        self._merge()
        values = array_of(self._merged, "value")
        form = fitted_form(values) if len(values) else "exact"
        if form != "exact":
            respelt = canonical(values, form)
            self._pending = [self._table(respelt, self._merged.column("count"))]
            self._merged = self._table(pa.array([], self._type), pa.array([], pa.int64()))
            self._merge()
        return form

    def spelt(self, form: TextForm) -> tuple[pa.Array, np.ndarray]:
        """Returns all values and their counts, spelt as in a vocabulary of the given form."""
        self._merge()
        self._pending = [
            self._table(looked_up_text(array_of(self._merged, "value"), form), self._merged.column("count"))
        ]
        self._merged = self._table(pa.array([], self._type), pa.array([], pa.int64()))
        self._merge()
        return self._columns_of(self._merged)

    def _merge(self) -> None:
        rows = self.num_rows
        grouped = pa.concat_tables([self._merged, *self._pending]).group_by("value").aggregate([("count", "sum")])
        self._merged = self._table(
            grouped.column("value").combine_chunks(), grouped.column("count_sum").combine_chunks()
        )
        self._pending, self._pending_rows = [], 0
        self._shrinks = self._merged.num_rows <= _WORTH_MERGING * rows

    def kept(self, rule: Vocabulary) -> tuple[pa.Array, np.ndarray]:
        """Returns the values that the rule keeps and their counts, the most frequent first, then by value."""
        self._merge()
        table = self._frequent(rule)
        return self._columns_of(table if rule.max_size is None else table.slice(0, rule.max_size))

    def left_out(self, rule: Vocabulary) -> tuple[pa.Array, np.ndarray]:
        """Returns the values that the rule does not keep and their counts."""
        self._merge()
        table = self._merged.filter(pc.less(self._merged.column("count"), rule.min_count))
        if rule.max_size is not None:
            table = pa.concat_tables([self._frequent(rule).slice(rule.max_size), table])
        return self._columns_of(table)

    def _frequent(self, rule: Vocabulary) -> pa.Table:
        table = self._merged.filter(pc.greater_equal(self._merged.column("count"), rule.min_count))
        return table.sort_by([("count", "descending"), ("value", "ascending")])

    def _columns_of(self, table: pa.Table) -> tuple[pa.Array, np.ndarray]:
        return array_of(table, "value"), array_of(table, "count").to_numpy()


class UniformSample:
    """Keeps a uniform sample, without replacement, of all numbers that it is given; all of them while they fit.

    Every number has a random key, and those with the smallest keys stay. A key depends on the seed and on the number of
    its row, so that the sample is the same in whatever order the rows are read, and samples of parts can be put
    together.

    Args:
        size: How many numbers are kept. Default 262144.
        seed: The seed of the keys. Default 0.
    """

    def __init__(self, size: int = _SAMPLE_SIZE, seed: int = 0) -> None:
        self._size = size
        self._seed = seed
        self._values = np.empty(0, np.float32)
        self._keys = np.empty(0, np.uint64)
        self._limit = np.uint64(2**64 - 1)

    def add(self, values: np.ndarray, rows: np.ndarray) -> None:
        """Takes some numbers, with the numbers of their rows."""
        self.add_sample(values, hashed_bits(self._seed, rows))

    def add_sample(self, values: np.ndarray, keys: np.ndarray) -> None:
        """Takes some numbers with their keys, as `sample` gives them."""
        if len(self._keys) >= self._size:
            low = keys < self._limit
            values, keys = values[low], keys[low]
        values = np.concatenate([self._values, values])
        keys = np.concatenate([self._keys, keys])
        if len(values) > self._size:
            smallest = np.argpartition(keys, self._size - 1)[: self._size]
            values, keys = values[smallest], keys[smallest]
        self._values, self._keys = values, keys
        if len(keys) >= self._size:
            self._limit = keys.max()

    def clear(self) -> None:
        """Forgets all numbers."""
        self._values, self._keys = np.empty(0, np.float32), np.empty(0, np.uint64)

    @property
    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers that are kept, and their keys."""
        return self._values, self._keys

    def boundaries(self, num_bins: int) -> tuple[float, ...]:
        """Returns the distinct numbers of the sample at ranks 1/num_bins, 2/num_bins, ..."""
        if not len(self._values):
            return ()
        ranks = np.arange(1, num_bins) / num_bins
        cuts = np.unique(np.quantile(self._values, ranks, method="higher"))
        # A boundary at the smallest number would leave the bin below it empty.
        return tuple(float(cut) for cut in cuts[cuts > self._values.min()])


def present_values(column: pa.Array, feature: Feature, missing_values: tuple[str, ...]) -> pa.Array:
    """Returns the values of a feature that are not missing."""
    if feature.kind != "categorical":
        return kept_values(column, feature, missing_values).values
    values = strings(column, feature.name)
    values = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    return values.filter(pc.fill_null(pc.invert(is_missing(values, missing_values)), False))


class _StringFit:
    def __init__(self, rule: Vocabulary, missing_values: tuple[str, ...]) -> None:
        self.rule = rule
        self._missing_values = missing_values
        self.counter = ValueCounter(pa.large_string())

    def add(self, column: pa.Array, feature: Feature, rows: np.ndarray) -> None:
        self.counter.add(present_values(column, feature, self._missing_values))

    def finish(self) -> tuple[FittedVocabulary, SeenValues]:
        form = self.counter.respell()
        fitted = FittedVocabulary(*self.counter.kept(self.rule), form)
        values, counts = self.counter.left_out(self.rule)
        return fitted, SeenValues(values, counts, np.zeros(len(counts), np.int32))

    def finish_spilled(
        self, tables: Sequence[SpilledTable], start: Path, mapper: Mapper
    ) -> tuple[FittedVocabulary, SeenValues]:
        """Ends a count of which parts, or all, are on the disk."""
        files, total, forms = sum_buckets(tables, start.parent, start.name, mapper)
        if total > _IN_MEMORY:
            found = sorted_values(files, total, forms, self.rule, start, mapper)
            fitted = FittedVocabulary(found.values, found.counts, cast(TextForm, found.form))
            return fitted, SeenValues(found.rest, found.rest_counts, np.zeros(len(found.rest_counts), np.int32))
        for file in files:
            with pa.OSFile(file) as stream, pa.ipc.open_file(stream) as reader:
                table = reader.read_all()
            self.counter.add_counts(array_of(table, "value"), array_of(table, "count"))
            Path(file).unlink()
        return self.finish()


class _HashedFit:
    """Finds how the values of a hashed feature are spelt, without keeping them."""

    def __init__(self, missing_values: tuple[str, ...]) -> None:
        self._missing_values = missing_values
        self.forms: set[TextForm] = set()

    def add(self, column: pa.Array, feature: Feature, rows: np.ndarray) -> None:
        if "exact" in self.forms:
            return
        values = pc.unique(present_values(column, feature, self._missing_values))
        if len(values):
            form = fitted_form(values)
            # That no number occurs with .0 and without cannot be seen without keeping them.
            self.forms.add("exact" if form == "decimal" else form)

    def finish(self) -> TextForm:
        if len(self.forms) <= 1:
            return next(iter(self.forms), "exact")
        return _FORMS_OF_BOTH.get(frozenset(self.forms), "exact")


class _BinFit:
    def __init__(self, rule: Vocabulary) -> None:
        self._rule = rule
        self.counter = ValueCounter(pa.int64())

    def add(self, column: pa.Array, feature: Feature, rows: np.ndarray) -> None:
        values = numbers(column, feature.name)
        self.counter.add(pa.array(bins_of_numbers(values[~np.isnan(values)], feature.binning)))

    def finish(self) -> FittedBins:
        bins, _ = self.counter.kept(self._rule)
        return FittedBins(tuple(sorted(bins.to_pylist())))


class _QuantileFit:
    def __init__(self, feature: Feature) -> None:
        self._num_bins = feature.num_bins
        self.sample = UniformSample(seed=zlib.crc32(feature.name.encode()))

    def add(self, column: pa.Array, feature: Feature, rows: np.ndarray) -> None:
        values = numbers(column, feature.name)
        present = ~np.isnan(values)
        self.sample.add(values[present], rows[present])

    def finish(self) -> FittedBins:
        boundaries = self.sample.boundaries(self._num_bins)
        return FittedBins(tuple(range(len(boundaries) + 1)), boundaries)


_Fit = _StringFit | _HashedFit | _BinFit | _QuantileFit


def _fits(schema: Schema) -> dict[str, _Fit]:
    fits: dict[str, _Fit] = {}
    for feature in schema.features:
        rule = feature.vocabulary
        if feature.kind == "numeric":
            if rule.is_hashed:
                raise ValueError(
                    f"Feature {feature.name!r} is numeric, and its bins are not hashed; take hash_buckets out of "
                    "its vocabulary, or make it categorical."
                )
            fits[feature.name] = _QuantileFit(feature) if feature.binning == "quantile" else _BinFit(rule)
        elif feature.shares_vocabulary_with is None:
            missing = schema.missing_values
            fits[feature.name] = _HashedFit(missing) if rule.is_hashed else _StringFit(rule, missing)
    return fits


class CountedState(NamedTuple):
    """What rows have been counted beside the values that are on the disk; parts can be added up.

    Attributes:
        rows: How many training rows.
        bins: For each numeric feature of logarithmic bins the bins and their counts.
        samples: For each numeric feature of quantile bins the numbers and keys of its sample.
        forms: For each hashed feature the ways in which its values are spelt.
    """

    rows: int
    bins: dict[str, tuple[list[int], list[int]]]
    samples: dict[str, tuple[np.ndarray, np.ndarray]]
    forms: dict[str, list[TextForm]]


class FeatureCounts:
    """Counts what the vocabularies and bins of a data set are fitted from, batch by batch, in parts that add up.

    When to use: `fit_features` and the processes that fit together; each counts rows of its own.

    Args:
        schema: What the columns mean.

    Raises:
        ValueError: A numeric feature that is hashed.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._fits = _fits(schema)
        self.rows = 0
        self._seen = 0

    def add(self, batch: RowBatch) -> None:
        """Counts the training rows of a batch."""
        rows = batch.rows
        if rows is None:
            rows = np.arange(self._seen, self._seen + len(batch.splits), dtype=np.uint64)
        self._seen += len(batch.splits)
        train = batch.splits == 0
        columns = batch.columns
        if not train.all():
            columns, rows = columns.filter(pa.array(train)), rows[train]
        self.rows += columns.num_rows
        if not columns.num_rows:
            return
        for feature in self._schema.features:
            fit = self._fits.get(feature.shares_vocabulary_with or feature.name)
            if fit is not None:
                fit.add(columns.column(feature.name), feature, rows)

    def are_large(self, memory: int) -> bool:
        """Whether the counts of texts are to go to the disk.

        Args:
            memory: How many bytes they may take; so many of one feature that adding them up would take much more are
                large, too.
        """
        counters = [fit.counter for fit in self._fits.values() if isinstance(fit, _StringFit)]
        return sum(counter.nbytes for counter in counters) > memory or any(
            counter.num_rows > _MOST_ROWS for counter in counters
        )

    def spill(self, path: Path) -> list[SpilledTable]:
        """Writes the counts of texts so far into a file, and begins anew with them."""
        tables = {name: fit.counter.take_out() for name, fit in self._fits.items() if isinstance(fit, _StringFit)}
        return write_counts(path, tables)

    def take_state(self) -> CountedState:
        """Returns all but the counts of texts, and begins anew."""
        bins, samples, forms = {}, {}, {}
        for name, fit in self._fits.items():
            if isinstance(fit, _BinFit):
                table = fit.counter.take_out()
                bins[name] = (table.column("value").to_pylist(), table.column("count").to_pylist())
            elif isinstance(fit, _QuantileFit):
                samples[name] = fit.sample.sample
                fit.sample.clear()
            elif isinstance(fit, _HashedFit):
                forms[name] = sorted(fit.forms)
                fit.forms = set()
        state = CountedState(self.rows, bins, samples, forms)
        self.rows = 0
        return state

    def add_state(self, state: CountedState) -> None:
        """Adds what `take_state` returned elsewhere."""
        self.rows += state.rows
        for name, fit in self._fits.items():
            if isinstance(fit, _BinFit):
                values, counts = state.bins[name]
                fit.counter.add_counts(pa.array(values, pa.int64()), pa.array(counts, pa.int64()))
            elif isinstance(fit, _QuantileFit):
                fit.sample.add_sample(*state.samples[name])
            elif isinstance(fit, _HashedFit):
                fit.forms.update(state.forms[name])

    def finish(
        self, spilled: Sequence[SpilledTable] = (), folder: Path | None = None, mapper: Mapper = map
    ) -> FittedFeatures:
        """Makes vocabularies and bins of all that was counted.

        Args:
            spilled: What `spill` returned, here and elsewhere. Default none: all counts are in memory.
            folder: Where large vocabularies are written; they are mapped from there. Default `None`: not needed.
            mapper: `map`, or that of several processes. Default `map`.

        Raises:
            ValueError: No training row.
        """
        if not self.rows:
            raise ValueError("The source has no training row, so no vocabulary can be fitted; check its splits.")
        if spilled and folder is not None:
            spilled = [*spilled, *self.spill(folder / "counts-last.arrow")]
        vocabularies, bins, hashed, left_out = {}, {}, {}, {}
        for number, (name, fit) in enumerate(self._fits.items()):
            if isinstance(fit, _StringFit):
                own = [table for table in spilled if table.feature == name]
                if own and folder is not None:
                    found = fit.finish_spilled(own, folder / f"values-{number}", mapper)
                else:
                    found = fit.finish()
                vocabularies[name], left_out[name] = found
            elif isinstance(fit, _HashedFit):
                hashed[name] = fit.finish()
            else:
                bins[name] = fit.finish()
        return FittedFeatures(vocabularies, bins, hashed, left_out)


def fit_vocabularies(
    source: RowSource, *, progress: bool = True
) -> tuple[dict[str, FittedVocabulary], dict[str, FittedBins]]:
    """Fits the vocabularies and bins of a data set in one pass over its training rows.

    Use `Encoder.fit`, which calls this, unless the counts themselves are wanted.

    Strings are counted exactly, per feature; two spellings of one value count as one: see
    `dynctr_tf.encoding.value_text.TEXT_FORMS`; a feature that shares a vocabulary is counted into the shared one.
    Of a multi-valued or sequence feature only the values within `max_length` count, because only they are encoded. The
    bins of logarithmic binnings are counted likewise, and `min_count` and `max_size` hold for them too. Quantile
    boundaries are exact up to 262 144 numbers; beyond, they are those of a uniform sample of that size, whose ranks
    have a standard error of 0.1 % of the rows; all quantile bins are kept. Hashed features need nothing.

    Args:
        source: The rows.
        progress: Whether a progress bar with rows/s is shown. Default `True`.

    Returns:
        The vocabularies and the bins by feature; a hashed or sharing feature is in neither.

    Raises:
        ValueError: No training row, a first split that is not `"train"`, a numeric feature that is hashed, or
            a column whose type does not suit its feature.

    Cost:
        Memory is bounded: counts that become large go to the disk, see `MEMORY`. 150 000 rows of 13 numbers and 26
        strings per second on one core.

    Example:

    >>> from dynctr_tf.datasets import SyntheticCtrRows
    >>> source = SyntheticCtrRows(num_train=300, num_validation=100, num_test=100)
    >>> vocabularies, bins = fit_vocabularies(source, progress=False)
    >>> int(vocabularies["scenario_id"].counts.sum()) <= 300
    True
    """
    fitted = fit_features(source, progress=progress)
    return fitted.vocabularies, fitted.bins


class FittedFeatures(NamedTuple):
    """What `fit_features` returns.

    Attributes:
        vocabularies: The vocabulary of each feature that has one of its own.
        bins: The bins of each numeric feature.
        hashed_forms: How the values of each hashed feature are spelt.
        left_out: The values that got no id, by the feature whose vocabulary they would be in.
    """

    vocabularies: dict[str, FittedVocabulary]
    bins: dict[str, FittedBins]
    hashed_forms: dict[str, TextForm]
    left_out: dict[str, SeenValues]


def fit_features(source: RowSource, *, progress: bool = True) -> FittedFeatures:
    """Fits as `fit_vocabularies` does, and finds how the values of hashed features are spelt.

    Counts of values that become large go to a temporary folder, see `MEMORY`.

    Args:
        source: The rows.
        progress: Whether a progress bar with rows/s is shown. Default `True`.

    Raises:
        ValueError: As `fit_vocabularies`.
    """
    check_first_split(source)
    counts = FeatureCounts(source.schema)
    spilled: list[SpilledTable] = []
    with (
        tempfile.TemporaryDirectory(prefix="counts-") as place,
        tqdm(
            total=source.num_rows, desc="fitting vocabularies", unit=" rows", unit_scale=True, disable=not progress
        ) as bar,
    ):
        for number, batch in enumerate(read_ahead(source.batches())):
            counts.add(batch)
            if counts.are_large(MEMORY):
                spilled += counts.spill(Path(place) / f"counts-{number}.arrow")
            bar.update(batch.columns.num_rows)
        # What is mapped from the folder stays readable when its names are gone.
        return counts.finish(spilled, Path(place))


def check_first_split(source: RowSource) -> None:
    """Refuses a source whose first split is not the one that vocabularies are fitted on.

    Raises:
        ValueError: It is not `"train"`.
    """
    if not source.split_names or source.split_names[0] != "train":
        raise ValueError(f"The first split of a source must be 'train', got {source.split_names}.")
