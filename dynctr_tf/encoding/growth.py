"""Vocabularies that grow with the rows of a new day, and a map from the new ids to those of the day before."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from dynctr_tf.encoding.encoded_features import FIRST_VALUE_OFFSET, UNKNOWN_OFFSET, EncodedFeatures
from dynctr_tf.encoding.encoder import Encoder
from dynctr_tf.encoding.read_ahead import read_ahead
from dynctr_tf.encoding.value_tally import SeenValues, ValueTally
from dynctr_tf.encoding.vocabulary import FittedVocabulary, ValueCounter, present_values
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import Vocabulary

if TYPE_CHECKING:
    from dynctr_tf.datasets.row_source import RowSource


@dataclasses.dataclass(frozen=True)
class VocabularyGrowth:
    """How one vocabulary has grown. Made by `grow_encoder`.

    Attributes:
        before: How many values it had.
        added: How many got an id.
        displaced: How many lost their id to more frequent values, because `max_size` allows no more.
        dropped: How many lost their id because they have not been seen for long.
        left_out: How many values are counted and have no id.
        fixed: Whether it stays as it is.
    """

    before: int
    added: int
    displaced: int
    dropped: int
    left_out: int
    fixed: bool


def grow_encoder(
    encoder: Encoder,
    tally: ValueTally | None,
    source: RowSource,
    *,
    fixed: Collection[str] = (),
    drop_after: int | None = None,
    progress: bool = True,
) -> tuple[Encoder, dict[str, VocabularyGrowth]]:
    """Lets the vocabularies of an encoder grow by the rows of a new day, all of them, whatever split they are in.

    Use it before a model goes on with rows that came after those it was trained on. Counts go on from day to day: a
    value gets an id when it has been seen `min_count` times in all. Values that have an id keep their order in the
    vocabulary; new ones follow, the most frequent first. Where `max_size` allows no more, the most frequent of all
    values stay; of equally frequent ones, the old ones stay. Numeric bins stay as they were fitted, and so do hashed
    features and the way in which values are spelt.

    Args:
        encoder: The encoder of the day before.
        tally: The tally of its vocabularies, as `ValueTally.load` gives it. Without it, values that have no id are
            counted from these rows on.
        source: The rows of the new day.
        fixed: Features whose vocabularies stay as they are, such as the scenario of a model that has weights for each
            scenario. New values of them are counted, and get the unknown id. Default none.
        drop_after: Forget values that were not seen on this many days one after another, the new day included: values
            with an id lose it, and others are no longer counted. Default `None`: nothing is forgotten.
        progress: Whether a progress bar is shown. Default `True`.

    Returns:
        The grown encoder, with its tally, and how each vocabulary has grown.

    Raises:
        ValueError: A source of another schema, a fixed feature that does not exist or has no vocabulary, a number of
            days below 1, or a column whose type does not suit its feature.

    Cost:
        Reads the rows once. Memory is that of the distinct values of all days.

    Example:

    >>> from dynctr_tf.datasets import SyntheticCtrRows
    >>> days = [SyntheticCtrRows(num_train=200, num_validation=50, num_test=50, seed=day) for day in (0, 1)]
    >>> encoder = Encoder.fit(days[0], progress=False)
    >>> grown, growth = grow_encoder(encoder, encoder.tally, days[1], progress=False)
    >>> grown.features.num_ids - encoder.features.num_ids == sum(each.added for each in growth.values())
    True
    """
    schema = encoder.schema
    if source.schema != schema:
        raise ValueError("The rows have another schema than the encoder; read them with the encoder's own.")
    if drop_after is not None and drop_after < 1:
        raise ValueError(f"drop_after must be at least 1 day, got {drop_after}.")
    for name in fixed:
        if name not in [feature.name for feature in schema.features]:
            raise ValueError(unknown_name_message("feature", name, [feature.name for feature in schema.features]))
    kept_as_they_are = {schema.feature(name).shares_vocabulary_with or name for name in fixed}
    tally = ValueTally.of_new(encoder) if tally is None else tally
    day = tally.day + 1
    counted = _count(encoder, source, progress)
    vocabularies, left_out, last_seen, growth = {}, {}, {}, {}
    for name, fitted in encoder.vocabularies.items():
        one = _Growing(fitted, tally.last_seen[name], tally.left_out[name], *counted[name], day)
        growth[name] = one.grow(schema.feature(name).vocabulary, name in kept_as_they_are, drop_after)
        vocabularies[name] = FittedVocabulary(one.values, one.counts, fitted.form)
        left_out[name], last_seen[name] = one.left_out, one.days
    forms = {name: form for name, form in encoder.forms.items() if name not in vocabularies}
    grown = Encoder(schema, vocabularies, encoder.bins, forms)
    grown.tally = ValueTally(day, left_out, last_seen)
    return grown, growth


def _count(encoder: Encoder, source: RowSource, progress: bool) -> dict[str, tuple[pa.Array, np.ndarray]]:
    """Counts the values of each vocabulary in all rows; other spellings count as the value."""
    schema = encoder.schema
    counters = {name: ValueCounter(pa.large_string()) for name in encoder.vocabularies}
    with tqdm(
        total=source.num_rows, desc="counting values", unit=" rows", unit_scale=True, disable=not progress
    ) as bar:
        for batch in read_ahead(source.batches()):
            for feature in schema.features:
                counter = counters.get(feature.shares_vocabulary_with or feature.name)
                if counter is not None and feature.kind != "numeric" and batch.columns.num_rows:
                    counter.add(present_values(batch.columns.column(feature.name), feature, schema.missing_values))
            bar.update(batch.columns.num_rows)
    return {name: counter.spelt(encoder.vocabularies[name].form) for name, counter in counters.items()}


class _Growing:
    """One vocabulary with the values of a new day."""

    def __init__(
        self,
        fitted: FittedVocabulary,
        days: np.ndarray,
        left_out: SeenValues,
        values: pa.Array,
        counts: np.ndarray,
        day: int,
    ) -> None:
        self.day = day
        self.values = fitted.values.cast(pa.large_string())
        self.counts, self.days, new = _added(self.values, fitted.counts, days, values, counts, day)
        values, counts = values.filter(pa.array(new)), counts[new]
        rest = left_out.values.cast(pa.large_string())
        rest_counts, rest_days, new = _added(rest, left_out.counts, left_out.days, values, counts, day)
        self.left_out = SeenValues(
            pa.concat_arrays([rest, values.filter(pa.array(new))]),
            np.concatenate([rest_counts, counts[new]]),
            np.concatenate([rest_days, np.full(int(new.sum()), day, np.int32)]),
        )

    def grow(self, rule: Vocabulary, fixed: bool, drop_after: int | None) -> VocabularyGrowth:
        """Drops values that have not been seen for long, then gives ids to values that are frequent enough."""
        before, dropped, displaced = len(self.values), 0, 0
        if drop_after is not None:
            self._leave_out(self.left_out.days > self.day - drop_after)
            if not fixed:
                stays = self.days > self.day - drop_after
                dropped = int((~stays).sum())
                self.values, self.counts, self.days = self.values.filter(pa.array(stays)), *_of(stays, self)
        admitted = np.zeros(len(self.left_out.values), bool)
        if not fixed:
            frequent = np.flatnonzero(self.left_out.counts >= rule.min_count)
            order = pa.table({"value": self.left_out.values.take(pa.array(frequent)), "place": frequent})
            order = order.append_column("count", pa.array(self.left_out.counts[frequent]))
            order = order.sort_by([("count", "descending"), ("value", "ascending")])
            arrivals = order.column("place").to_numpy()
            if rule.max_size is not None:
                displaced, arrivals = self._make_room(arrivals, rule.max_size)
            admitted = np.isin(np.arange(len(self.left_out.values)), arrivals)
            self.values = pa.concat_arrays([self.values, self.left_out.values.take(pa.array(arrivals, pa.int64()))])
            self.counts = np.concatenate([self.counts, self.left_out.counts[arrivals]])
            self.days = np.concatenate([self.days, self.left_out.days[arrivals]])
        added = int(admitted.sum())
        self._leave_out(~admitted)
        return VocabularyGrowth(before, added, displaced, dropped, len(self.left_out.values), fixed)

    def _make_room(self, arrivals: np.ndarray, size: int) -> tuple[int, np.ndarray]:
        """Gives ids of rarer values to new values that are more frequent; returns how many, and which new values."""
        counts = np.concatenate([self.counts, self.left_out.counts[arrivals]])
        # A stable sort: of equally frequent values the first ones stay, which are the old ones.
        best = np.argsort(-counts, kind="stable")[:size]
        arrivals = arrivals[np.sort(best[best >= len(self.counts)]) - len(self.counts)]
        stays = np.zeros(len(self.counts), bool)
        stays[best[best < len(self.counts)]] = True
        gone = ~stays
        self.left_out = SeenValues(
            pa.concat_arrays([self.left_out.values, self.values.filter(pa.array(gone))]),
            np.concatenate([self.left_out.counts, self.counts[gone]]),
            np.concatenate([self.left_out.days, self.days[gone]]),
        )
        self.values, self.counts, self.days = self.values.filter(pa.array(stays)), *_of(stays, self)
        return int(gone.sum()), arrivals

    def _leave_out(self, mask: np.ndarray) -> None:
        rest = self.left_out
        self.left_out = SeenValues(rest.values.filter(pa.array(mask)), rest.counts[mask], rest.days[mask])


def _of(mask: np.ndarray, growing: _Growing) -> tuple[np.ndarray, np.ndarray]:
    return growing.counts[mask], growing.days[mask]


def _added(
    known: pa.Array, counts: np.ndarray, days: np.ndarray, values: pa.Array, more: np.ndarray, day: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Adds counts to known values; returns their counts and days, and which of the given values are not known."""
    places = pc.index_in(values, value_set=known)
    new = places.is_null().to_numpy(zero_copy_only=False)
    found = places.drop_null().to_numpy(zero_copy_only=False)
    counts, days = counts.astype(np.int64), days.astype(np.int32)
    counts[found] += more[~new]
    days[found] = day
    return counts, days, new


@dataclasses.dataclass(frozen=True, eq=False)
class IdMap:
    """The old id of each id of a grown encoder. Made by `id_map`.

    Attributes:
        before: The description of the encoder before.
        after: The description of the grown encoder.
        rows: int32 `(after.num_vocabulary_ids,)`: for each id the one that its value had before; for a new value the
            unknown id of its field. Keys stay as they are.
        is_new: Boolean `(after.num_vocabulary_ids,)`: which ids are of values that had none before.
    """

    before: EncodedFeatures
    after: EncodedFeatures
    rows: np.ndarray
    is_new: np.ndarray

    @property
    def changes_nothing(self) -> bool:
        """Whether every id stands for the same value as before."""
        same = self.before.num_vocabulary_ids == self.after.num_vocabulary_ids
        return same and bool(np.array_equal(self.rows, np.arange(len(self.rows))))


def id_map(before: Encoder, after: Encoder) -> IdMap:
    """Finds for each id of an encoder the id that its value had in another encoder.

    Use it to keep the rows of embedding tables, from day to day or from one fit to another.

    Args:
        before: The encoder that a model was trained with.
        after: The encoder of the model that goes on.

    Raises:
        ValueError: They have other features, or hash a feature into another number of buckets, or bin it differently,
            or other features have keys.

    Cost:
        One look-up for each value.

    Example:

    >>> from dynctr_tf.schema import Feature, Schema
    >>> schema = Schema((Feature("colour", "categorical"),), label="click")
    >>> def of(*colours):
    ...     values = pa.array(colours, pa.large_string())
    ...     return Encoder(schema, {"colour": FittedVocabulary(values, np.ones(len(colours), np.int64))}, {})
    >>> id_map(of("red", "green"), of("green", "blue")).rows.tolist()  # padding, missing, unknown, green, blue
    [0, 1, 2, 4, 2]
    """
    old_names = [entry.name for entry in before.features.entries]
    new_names = [entry.name for entry in after.features.entries]
    if old_names != new_names:
        raise ValueError(f"The encoders have other features: {old_names} before, {new_names} after.")
    if before.features.key_names != after.features.key_names:
        raise ValueError(
            f"The encoders have keys of other features: {before.features.key_names} before, "
            f"{after.features.key_names} after."
        )
    rows = np.zeros(after.features.num_vocabulary_ids, np.int32)
    is_new = np.zeros(after.features.num_vocabulary_ids, bool)
    pairs = zip(before.features.entries, after.features.entries, strict=True)
    for old, new in ((old, new) for old, new in pairs if getattr(new, "field", None) is None and not new.is_key):
        feature = after.schema.feature(new.name)
        owner = feature.shares_vocabulary_with or feature.name
        places = _places_before(before, after, owner)
        block = slice(new.first_id, new.first_id + new.num_ids)
        own = np.concatenate([np.arange(FIRST_VALUE_OFFSET), places + FIRST_VALUE_OFFSET])
        is_new[block] = own == FIRST_VALUE_OFFSET - 1
        is_new[new.first_id : new.first_id + FIRST_VALUE_OFFSET] = False
        rows[block] = old.first_id + np.where(is_new[block], UNKNOWN_OFFSET, own)
    return IdMap(before.features, after.features, rows, is_new)


def _places_before(before: Encoder, after: Encoder, owner: str) -> np.ndarray:
    """For each value of a feature's block its place in the old block; -1 for a new value."""
    if owner in after.vocabularies:
        if before.vocabularies[owner].form != after.vocabularies[owner].form:
            raise ValueError(
                f"The values of {owner!r} are spelt in two ways: {before.vocabularies[owner].form!r} before, "
                f"{after.vocabularies[owner].form!r} after."
            )
        known = before.vocabularies[owner].values.cast(pa.large_string())
        places = pc.index_in(after.vocabularies[owner].values.cast(pa.large_string()), value_set=known)
        return places.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    if owner in after.bins:
        old, new = before.bins[owner], after.bins[owner]
        if old.boundaries != new.boundaries or before.schema.feature(owner) != after.schema.feature(owner):
            raise ValueError(
                f"The numbers of {owner!r} are binned by other boundaries than before; keep the bins as they were."
            )
        places = {number: place for place, number in enumerate(old.bins)}
        return np.array([places.get(number, -1) for number in new.bins], np.int64)
    buckets = [encoder.schema.feature(owner).vocabulary.hash_buckets or 0 for encoder in (before, after)]
    if buckets[0] != buckets[1]:
        raise ValueError(f"Feature {owner!r} is hashed into {buckets[1]} buckets, before into {buckets[0]}.")
    return np.arange(buckets[1])
