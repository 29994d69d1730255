"""The fitted encoder: vocabularies, bins and the ids that they give, fitted, saved and applied to batches."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dynctr_tf.durable_files import make_folder, read_json, write_json
from dynctr_tf.encoding.arrow_file import array_of, read_arrow, write_arrow
from dynctr_tf.encoding.encoded_features import (
    FIRST_VALUE_OFFSET,
    MISSING_OFFSET,
    PADDING_ID,
    UNKNOWN_OFFSET,
    EncodedFeatures,
    feature_key,
)
from dynctr_tf.encoding.id_layout import describe_encoding
from dynctr_tf.encoding.number_bins import bins_of_numbers
from dynctr_tf.encoding.raw_columns import KeptValues, is_missing, kept_values, numbers, strings
from dynctr_tf.encoding.value_index import ValueIndex
from dynctr_tf.encoding.value_keys import FIRST_KEY, NUM_KEYS, key_shift, missing_key
from dynctr_tf.encoding.value_tally import ValueTally
from dynctr_tf.encoding.value_text import TextForm, canonical, looked_up_text
from dynctr_tf.encoding.vocabulary import FittedBins, FittedFeatures, FittedVocabulary, fit_features
from dynctr_tf.schema import Feature, Schema

if TYPE_CHECKING:
    from dynctr_tf.datasets.row_source import RowBatch, RowSource
    from dynctr_tf.encoding.feature_encoder import FeatureEncoder

_FORMAT = 2
_FILE = "encoder.json"
_AT_ONCE = 1 << 20
_SHARED_VALUES = 1 << 20  # an index of so many values is made once and mapped by all processes


class Encoder:
    """Turns raw rows into ids, and gives the Keras layer that does the same inside an exported model.

    Use `Encoder.fit` on the rows that a model is trained on, `write_encoded_dataset` to encode them once to disk,
    and `layer()` when the trained model is exported.

    Args:
        schema: The schema of the rows.
        vocabularies: The fitted vocabulary of each feature that has one of its own. `fit` makes them.
        bins: The fitted bins of each numeric feature. `fit` makes them.
        hashed_forms: How the values of hashed features are spelt, for those where it is not `"exact"`; those of
            the others are with their vocabularies. Default `None`: all are exact.

    Attributes:
        tally: What the vocabularies remember from day to day, where the encoder was just fitted or has grown; `save`
            writes it, and `ValueTally.load` reads it from an encoder's folder. It changes no id.

    Raises:
        ValueError: Vocabularies or bins of a feature are absent, or belong to no feature.

    Cost:
        `fit` reads the rows once. `encode_batch` looks up the distinct strings of a batch only, and encodes
        some 300 000 rows of 13 numbers and 26 strings per second on one core.

    Example:

    >>> from dynctr_tf.schema import Feature, Schema
    >>> schema = Schema((Feature("colour", "categorical"), Feature("price", "numeric")), label="click")
    >>> red = FittedVocabulary(pa.array(["red"], pa.large_string()), np.array([7]))
    >>> encoder = Encoder(schema, {"colour": red}, {"price": FittedBins((0, 1, 2))})
    >>> encoder.features.num_ids
    9
    """

    def __init__(
        self,
        schema: Schema,
        vocabularies: Mapping[str, FittedVocabulary],
        bins: Mapping[str, FittedBins],
        hashed_forms: Mapping[str, TextForm] | None = None,
    ) -> None:
        self.schema = schema
        self.vocabularies = dict(vocabularies)
        self.bins = dict(bins)
        self.tally: ValueTally | None = None
        forms = {name: fitted.form for name, fitted in self.vocabularies.items()}
        self.forms: dict[str, TextForm] = {
            name: form for name, form in {**forms, **(hashed_forms or {})}.items() if form != "exact"
        }
        own = [f for f in schema.features if f.shares_vocabulary_with is None]
        for what, given, needed in (
            ("bins", self.bins, [f.name for f in own if f.kind == "numeric"]),
            (
                "vocabularies",
                self.vocabularies,
                [f.name for f in own if f.kind != "numeric" and not f.vocabulary.is_hashed],
            ),
        ):
            if sorted(given) != sorted(needed):
                raise ValueError(f"The schema needs {what} for {sorted(needed)}, got them for {sorted(given)}.")
        sizes = {f.name: f.vocabulary.hash_buckets or 0 for f in own}
        sizes.update({name: len(fitted.values) for name, fitted in self.vocabularies.items()})
        sizes.update({name: len(fitted.bins) for name, fitted in self.bins.items()})
        self.features: EncodedFeatures = describe_encoding(schema, sizes)

    @classmethod
    def fit(cls, source: RowSource, *, progress: bool = True) -> Encoder:
        """Fits vocabularies and bins in one pass over the training rows of a source.

        Args:
            source: The rows.
            progress: Whether a progress bar with rows/s is shown. Default `True`.

        Raises:
            ValueError: As `dynctr_tf.encoding.fit_vocabularies`.
        """
        return cls.of_fitted(source.schema, fit_features(source, progress=progress))

    @classmethod
    def of_fitted(cls, schema: Schema, fitted: FittedFeatures) -> Encoder:
        """Makes the encoder of what was fitted, with its tally.

        Args:
            schema: The schema.
            fitted: What `dynctr_tf.encoding.vocabulary.fit_features` returned.
        """
        encoder = cls(schema, fitted.vocabularies, fitted.bins, fitted.hashed_forms)
        encoder.tally = ValueTally.of_new(encoder, fitted.left_out)
        return encoder

    def layer(self, name: str | None = None) -> FeatureEncoder:
        """Returns a new Keras layer that encodes raw features as this encoder does.

        Args:
            name: The layer's name. Default `None`: chosen by Keras.
        """
        bins = {name: dataclasses.asdict(fitted) for name, fitted in self.bins.items()}
        from dynctr_tf.encoding.feature_encoder import FeatureEncoder

        layer = FeatureEncoder(self.schema, self.features, bins, self.forms, name=name)
        for feature, fitted in self.vocabularies.items():
            layer.set_vocabulary(feature, fitted.values.cast(pa.large_binary()).to_pylist())
        return layer

    @functools.cached_property
    def _indices(self) -> dict[str, ValueIndex]:
        """Where the values of each vocabulary are found."""
        return {name: ValueIndex(fitted.values.cast(pa.large_string())) for name, fitted in self.vocabularies.items()}

    def write_large_indices(self, folder: Path) -> dict[str, str]:
        """Writes the indices of large vocabularies, which the processes of `map_indices` share.

        Args:
            folder: Where their folders are made.

        Returns:
            The folder of each index, by the vocabulary's name.
        """
        places = {}
        for number, (name, fitted) in enumerate(self.vocabularies.items()):
            if len(fitted.values) >= _SHARED_VALUES:
                places[name] = str(make_folder(folder / f"index-{number}"))
                ValueIndex.write(fitted.values.cast(pa.large_string()), Path(places[name]))
        return places

    def map_indices(self, indices: Mapping[str, ValueIndex]) -> None:
        """Takes the indices of large vocabularies that another process has made; the others are made here."""
        self.__dict__["_indices"] = {
            name: indices[name] if name in indices else ValueIndex(fitted.values.cast(pa.large_string()))
            for name, fitted in self.vocabularies.items()
        }

    def _ids_of_texts(self, feature: Feature, texts: pa.Array) -> np.ndarray:
        """The ids of single values of a feature that is not numeric; none of them is null."""
        owner = self.schema.feature(feature.shares_vocabulary_with or feature.name)
        form = self.forms.get(owner.name, "exact")
        missing = is_missing(texts, self.schema.missing_values).to_numpy(zero_copy_only=False)
        if owner.vocabulary.keys:
            texts = pc.if_else(pa.array(missing), pa.scalar("", texts.type), canonical(texts, form))
            return FIRST_KEY + (_hash_buckets(texts, NUM_KEYS) + key_shift(owner.name)) % NUM_KEYS
        buckets = owner.vocabulary.hash_buckets
        if buckets is not None:
            offsets = _hash_buckets(canonical(texts, form), buckets) + FIRST_VALUE_OFFSET
        else:
            # What is not found has the place -1, and so the unknown value's offset.
            offsets = self._indices[owner.name].find(looked_up_text(texts, form)) + FIRST_VALUE_OFFSET
        offsets[missing] = MISSING_OFFSET
        ids: np.ndarray = offsets + self._first_ids[feature.name]
        return ids

    def _ids_of_numbers(self, feature: Feature, values: np.ndarray) -> np.ndarray:
        """The ids of the values of a numeric feature, NaN for a missing one."""
        fitted = self.bins[feature.name]
        if fitted.bins:
            bins = np.asarray(fitted.bins, np.int64)
            found = bins_of_numbers(values, feature.binning, fitted.boundaries)
            places = np.minimum(np.searchsorted(bins, found), len(bins) - 1)
            offsets = np.where(bins[places] == found, places + FIRST_VALUE_OFFSET, UNKNOWN_OFFSET)
        else:
            offsets = np.full(len(values), UNKNOWN_OFFSET, np.int64)
        offsets[np.isnan(values)] = MISSING_OFFSET
        return offsets + self._first_ids[feature.name]

    def _missing_id(self, feature: Feature) -> int:
        owner = self.schema.feature(feature.shares_vocabulary_with or feature.name)
        return missing_key(owner.name) if owner.vocabulary.keys else self._first_ids[feature.name] + MISSING_OFFSET

    @functools.cached_property
    def _first_ids(self) -> dict[str, int]:
        return {entry.name: entry.first_id for entry in self.features.entries}

    @property
    def id_columns(self) -> tuple[tuple[str, int], ...]:
        """The columns of the matrix that `encode_matrix` gives: each feature and how many columns it has."""
        return (
            *((field.name, field.max_values) for field in self.features.fields),
            *((sequence.name, sequence.length) for sequence in self.features.sequences),
        )

    def encode_matrix(self, columns: pa.RecordBatch) -> np.ndarray:
        """Encodes rows to one int32 matrix whose columns `id_columns` names.

        Raises:
            ValueError: A feature whose column is absent or of a type that does not suit it.
        """
        absent = [f.name for f in self.schema.features if f.name not in columns.schema.names]
        if absent:
            raise ValueError(f"The rows lack the columns {absent}; they have {columns.schema.names}.")
        ids: dict[str, np.ndarray] = {}
        kept: dict[str, KeptValues] = {}
        for feature in self.schema.features:
            name, column = feature.name, columns.column(feature.name)
            if feature.kind == "numeric":
                ids[name] = self._ids_of_numbers(feature, numbers(column, name))
                continue
            if feature.kind == "categorical":
                column = strings(column, name)
            else:
                kept[name] = kept_values(column, feature, self.schema.missing_values)
                column = kept[name].values
            distinct, places = _distinct(column)
            ids[name] = self._ids_of_texts(feature, distinct)[places]

        matrix = np.empty((columns.num_rows, sum(width for _, width in self.id_columns)), np.int32)
        start = 0
        for name, width in self.id_columns:
            if name in kept:
                feature = self.schema.feature(name)
                entry = matrix[:, start : start + width]
                entry[:, 0] = self._missing_id(feature) if feature.kind == "multi_valued" else PADDING_ID
                entry[:, 1:] = PADDING_ID
                entry[kept[name].rows, kept[name].positions] = ids[name]
            else:
                matrix[:, start] = ids[name]
            start += width
        return matrix

    def encode_batch(self, batch: RowBatch) -> dict[str, np.ndarray]:
        """Encodes rows to the dict that models take; the same ids as `layer()` gives for the same rows.

        Raises:
            ValueError: As `encode_matrix`.
        """
        matrix = self.encode_matrix(batch.columns)
        encoded: dict[str, np.ndarray] = {}
        num_single = len(self.features.single_valued)
        if num_single:
            encoded["fields"] = matrix[:, :num_single]
        start = 0
        for name, width in self.id_columns:
            if start >= num_single:
                encoded[feature_key(name)] = matrix[:, start : start + width]
            start += width
        for place, field in enumerate(self.features.single_valued):
            if field.role in ("scenario", "group"):
                encoded[field.role] = matrix[:, place] - field.first_id
        return encoded

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides which ids a row gets."""
        digest = hashlib.sha256()
        digest.update(json.dumps(self._description(), sort_keys=True).encode())
        for name in sorted(self.vocabularies):
            values = self.vocabularies[name].values.cast(pa.large_binary())
            for begin in range(0, len(values), _AT_ONCE):
                some = values.slice(begin, _AT_ONCE)
                digest.update(pc.binary_length(some).to_numpy(zero_copy_only=False).astype("<i8").tobytes())
            if len(values):
                _, places, data = values.buffers()
                ends = np.frombuffer(places, np.int64)
                begin, end = int(ends[values.offset]), int(ends[values.offset + len(values)])
                digest.update(memoryview(data)[begin:end] if end > begin else b"")
        return digest.hexdigest()

    def _description(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "schema": json.loads(self.schema.to_json()),
            "features": json.loads(self.features.to_json()),
            "bins": {name: dataclasses.asdict(fitted) for name, fitted in sorted(self.bins.items())},
            "forms": dict(sorted(self.forms.items())),
            "vocabularies": {name: f"vocabulary_{i}.arrow" for i, name in enumerate(sorted(self.vocabularies))},
        }

    def save(self, directory: str | Path, *, with_tally: bool = True) -> None:
        """Writes the encoder: `encoder.json`, one Arrow file of values and counts per vocabulary, and the tally.

        Args:
            directory: A folder without an encoder; made where it is not there.
            with_tally: Whether the tally is written, with which vocabularies can grow. Default `True`.

        Raises:
            ValueError: A directory that holds an encoder already.
        """
        directory = Path(directory)
        if (directory / _FILE).exists():
            raise ValueError(f"{directory} holds an encoder already; give another directory or delete it.")
        make_folder(directory)
        description = self._description()
        contents = {}
        for name, file in description["vocabularies"].items():
            fitted = self.vocabularies[name]
            table = pa.table({"value": fitted.values, "count": pa.array(fitted.counts, pa.int64())})
            contents[file] = write_arrow(directory / file, table)
        if self.tally is not None and with_tally:
            self.tally.save(directory)
        # The file that makes the folder an encoder comes last.
        write_json(directory / _FILE, {**description, "fingerprint": self.fingerprint, "contents": contents}, indent=1)

    @classmethod
    def load(cls, directory: str | Path) -> Encoder:
        """Reads what `save` wrote.

        Raises:
            ValueError: A directory that holds no encoder, or one of another format.
            DamagedFileError: A file of it is absent, damaged or was changed.
        """
        path = Path(directory) / _FILE
        if not path.is_file():
            raise ValueError(f"{directory} holds no encoder: it has no {_FILE}. `Encoder.save` writes one.")
        advice = "Fit the encoder again; if it belongs to an encoded data set, prepare that again."
        mapping = read_json(path, advice)
        if mapping.get("format") != _FORMAT:
            raise ValueError(
                f"{path} has the format {mapping.get('format')!r}, this version reads {_FORMAT}; fit it again."
            )
        vocabularies = {}
        for name, file in mapping["vocabularies"].items():
            table = read_arrow(path.parent / file, mapping["contents"][file], advice)
            form = mapping["forms"].get(name, "exact")
            vocabularies[name] = FittedVocabulary(array_of(table, "value"), array_of(table, "count").to_numpy(), form)
        bins = {name: FittedBins(tuple(own["bins"]), tuple(own["boundaries"])) for name, own in mapping["bins"].items()}
        hashed_forms = {name: form for name, form in mapping["forms"].items() if name not in vocabularies}
        encoder = cls(Schema.from_json(json.dumps(mapping["schema"])), vocabularies, bins, hashed_forms)
        if encoder.fingerprint != mapping["fingerprint"]:
            raise ValueError(f"The encoder in {directory} was changed after it was saved.")
        return encoder


def _distinct(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Returns the distinct strings of a column, after them the empty one, and the place of each row's."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    distinct = encoded.dictionary
    distinct = distinct.cast(pa.string()) if pa.types.is_null(distinct.type) else distinct
    distinct = pa.concat_arrays([distinct.fill_null(""), pa.array([""], distinct.type)])
    places = encoded.indices.cast(pa.int64())
    if places.null_count:
        places = places.fill_null(len(distinct) - 1)
    return distinct, places.to_numpy(zero_copy_only=False)


def _hash_buckets(texts: pa.Array, buckets: int) -> np.ndarray:
    """The buckets of hashed texts, as the graph has them; the hash is TensorFlow's, which is imported for it."""
    import tensorflow as tf

    values = texts.cast(pa.large_binary()).to_numpy(zero_copy_only=False)
    with tf.device("/CPU:0"):
        hashed = tf.strings.to_hash_bucket_fast(tf.constant(values, tf.string), buckets)
    return np.array(hashed.numpy(), np.int64)
