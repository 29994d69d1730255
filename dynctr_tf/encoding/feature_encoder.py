"""Raw features to the encoded batch, as one Keras layer, for encoding and for serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import FIRST_VALUE_OFFSET, MISSING_OFFSET, PADDING_ID, EncodedFeatures
from dynctr_tf.encoding.id_layout import describe_encoding as describe_encoding
from dynctr_tf.encoding.id_layout import is_wide
from dynctr_tf.encoding.numeric_binning import NumericBinning
from dynctr_tf.encoding.value_keys import FIRST_KEY, NUM_KEYS, key_shift, missing_key
from dynctr_tf.encoding.value_text import TextForm, canonical_strings, without_missing
from dynctr_tf.encoding.vocabulary_lookup import VocabularyLookup
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import Feature, Schema


@stack.serializable
class FeatureEncoder(keras.layers.Layer):
    """Turns a dict of raw features into the encoded batch that models take.

    Use it in front of a trained model when it is exported; `Encoder.layer()` makes it. The training data was
    encoded by the same look-ups, so that both see the same ids.

    ```
    id = first_id of the feature's block + 0 (missing), 1 (unknown) or 2, 3, ... (a value)
    ```

    The ids of features of keys are hashes, see `dynctr_tf.encoding.value_keys`.

    The missing values are the empty string, the schema's other `missing_values`, and NaN. Other spellings of
    a value, such as `12.0` for 12 in a column of whole numbers, get its id. Of a multi-valued feature the first
    `max_length` values are kept, and one that has no value has the missing one; of a sequence the last `max_length`
    values are kept, and one that has no value is all padding. White space around their values is stripped, and
    missing values among them are dropped.

    Args:
        schema: The schema, or the JSON text of one.
        features: The description of the encoded batch, or the JSON text of one.
        bins: For each numeric feature `{"bins": [...], "boundaries": [...]}` as `NumericBinning` takes them;
            the vocabularies are state, set by `set_vocabulary` and saved with the model.
        forms: How the values of a feature are spelt, one of `dynctr_tf.encoding.value_text.TEXT_FORMS`, for those
            where it is not `"exact"`. Default `None`: all are.
        name: The layer's name, string. Default `None`: chosen by Keras.
        dtype: Keras gives it when it loads the layer; it has no effect. Default `None`.

    Call arguments:
        inputs: A dict with one entry for each feature of the schema: strings `(batch,)` for a categorical
            feature, numbers `(batch,)` for a numeric one, strings `(batch, values)` padded with `""` for
            a multi-valued or sequence one. `fill_missing_features` makes one of what a request brings.

    Output shape:
        The encoded batch, a dict of int32: `"fields"` `(batch, single-valued fields)`; `(batch, max_values)`
        for each multi-valued field and `(batch, length)` for each sequence, under the key that `feature_key` gives;
        `"scenario"` and `"group"` `(batch,)` where the schema has such roles.

    Raises:
        ValueError: An entry that is absent or unknown, of another rank or dtype, or a numeric feature of
            the schema without bins.

    Cost:
        No trained parameter; one hash look-up for each string, a logarithm and a binary search for each number.

    Example:

    >>> schema = Schema((Feature("colour", "categorical"),), label="click")
    >>> layer = FeatureEncoder(schema, describe_encoding(schema, {"colour": 2}), bins={})
    >>> layer.set_vocabulary("colour", ["red", "green"])
    >>> layer({"colour": tf.constant(["green", "", "blue"])})["fields"].numpy().tolist()
    [[4], [1], [2]]
    """

    def __init__(
        self,
        schema: Schema | str,
        features: EncodedFeatures | str,
        bins: Mapping[str, Mapping[str, Sequence[float]]],
        forms: Mapping[str, TextForm] | None = None,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype, autocast=False, **kwargs)
        self.schema = Schema.from_json(schema) if isinstance(schema, str) else schema
        self.features = EncodedFeatures.from_json(features) if isinstance(features, str) else features
        numeric = [feature.name for feature in self.schema.features if feature.kind == "numeric"]
        if sorted(bins) != sorted(numeric):
            raise ValueError(f"Bins are needed for the numeric features {numeric}, got {sorted(bins)}.")
        self.forms: dict[str, TextForm] = dict(forms or {})
        self._missing = tuple(text for text in self.schema.missing_values if text)
        self._blocks = {entry.name: (entry.first_id, entry.num_ids) for entry in self.features.entries}
        # A list, because a feature's name need not be one that Keras accepts; `_places` finds the place.
        self.look_up_layers: list[keras.layers.Layer] = []
        self._places: dict[str, int] = {}
        for position, feature in enumerate(self.schema.features):
            if feature.kind == "numeric":
                own = bins[feature.name]
                layer: keras.layers.Layer = NumericBinning(
                    feature.binning,
                    [int(value) for value in own["bins"]],
                    own.get("boundaries", ()),
                    name=f"binning_{position}",
                    dtype=self.dtype,
                )
            elif feature.shares_vocabulary_with is None and not feature.vocabulary.is_hashed:
                layer = VocabularyLookup(
                    self._form(feature), self._missing, name=f"lookup_{position}", dtype=self.dtype
                )
            else:
                continue
            self._places[feature.name] = len(self.look_up_layers)
            self.look_up_layers.append(layer)

    def _form(self, feature: Feature) -> TextForm:
        return self.forms.get(feature.name, "exact")

    def build(self, input_shape: Any) -> None:
        """Makes no weights."""
        self.built = True

    def set_vocabulary(self, name: str, values: Sequence[str] | Sequence[bytes]) -> None:
        """Gives a feature its vocabulary, in the order of the ids.

        Raises:
            ValueError: A feature without a vocabulary of its own, another number of values than its block
                has ids, an empty value, or a value given twice.
        """
        having = [feature for feature in self._places if self.schema.feature(feature).kind != "numeric"]
        if name not in having:
            raise ValueError(unknown_name_message("feature with a vocabulary of its own", name, having))
        size = self._blocks[name][1] - FIRST_VALUE_OFFSET
        if len(values) != size:
            raise ValueError(f"Feature {name!r} has a block of {size} values, got a vocabulary of {len(values)}.")
        self.look_up_layers[self._places[name]].set_vocabulary(values)

    def look_up(self, name: str, values: Any) -> tf.Tensor:
        """Returns the ids of single values of a feature, int32 of the shape of `values`.

        Raises:
            ValueError: Values of a wrong dtype.
        """
        feature = self.schema.feature(name)
        owner = self.schema.feature(feature.shares_vocabulary_with or name)
        values = tf.convert_to_tensor(values)
        if feature.kind == "numeric":
            if not (values.dtype.is_floating or values.dtype.is_integer):
                raise ValueError(f"Feature {name!r} is numeric and takes numbers, got {values.dtype.name}.")
        elif values.dtype != tf.string:
            raise ValueError(f"Feature {name!r} is {feature.kind} and takes strings, got {values.dtype.name}.")
        buckets = owner.vocabulary.hash_buckets
        if owner.vocabulary.keys:
            values = canonical_strings(without_missing(values, self._missing), self._form(owner))
            hashed = tf.strings.to_hash_bucket_fast(values, NUM_KEYS)
            return tf.cast(FIRST_KEY + (hashed + key_shift(owner.name)) % NUM_KEYS, tf.int32)
        if buckets is not None:
            values = canonical_strings(without_missing(values, self._missing), self._form(owner))
            bucket = tf.cast(tf.strings.to_hash_bucket_fast(values, buckets), tf.int32)
            ids = tf.where(values == "", MISSING_OFFSET, bucket + FIRST_VALUE_OFFSET)
        else:
            ids = self.look_up_layers[self._places[owner.name]](values)
        return ids + self._blocks[name][0]

    def _entry(self, feature: Feature, values: tf.Tensor) -> tf.Tensor:
        """Looks up and cuts the values of a multi-valued or sequence feature: (batch, max_length)."""
        values = without_missing(tf.strings.strip(values), self._missing)
        present = tf.ragged.boolean_mask(values, values != "")
        length = feature.max_length
        kept = present[:, -length:] if feature.kind == "sequence" else present[:, :length]
        ids = kept.with_values(self.look_up(feature.name, kept.values))
        entry = ids.to_tensor(PADDING_ID, shape=(None, length))
        if feature.kind == "multi_valued":
            owner = self.schema.feature(feature.shares_vocabulary_with or feature.name)
            own = self._blocks[feature.name][0] + MISSING_OFFSET
            missing = missing_key(owner.name) if owner.vocabulary.keys else own
            first = tf.where(entry[:, :1] == PADDING_ID, missing, entry[:, :1])
            entry = tf.concat([first, entry[:, 1:]], axis=1)
        return tf.ensure_shape(entry, (values.shape[0], length))

    def _checked(self, inputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        names = [feature.name for feature in self.schema.features]
        for name in inputs:
            if name not in names:
                raise ValueError(unknown_name_message("feature", name, names))
        absent = [name for name in names if name not in inputs]
        if absent:
            raise ValueError(
                f"The inputs lack the features {absent}; `fill_missing_features` adds them as missing values."
            )
        tensors = {}
        for feature in self.schema.features:
            values = tf.convert_to_tensor(inputs[feature.name])
            rank = 2 if feature.kind in ("multi_valued", "sequence") else 1
            if values.shape.rank not in (None, rank):
                form = "(batch,)" if rank == 1 else '(batch, values) padded with ""'
                raise ValueError(
                    f"Feature {feature.name!r} is {feature.kind} and has the shape {form}, got {values.shape}."
                )
            tensors[feature.name] = values
        return tensors

    def call(self, inputs: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        tensors = self._checked(inputs)
        ids = {}
        for feature in self.schema.features:
            values = tensors[feature.name]
            if feature.kind in ("multi_valued", "sequence"):
                entry = self._entry(feature, values)
                ids[feature.name] = entry if is_wide(feature) or feature.kind == "sequence" else entry[:, 0]
            else:
                ids[feature.name] = self.look_up(feature.name, values)
        encoded = {}
        if self.features.single_valued:
            encoded["fields"] = tf.stack([ids[field.name] for field in self.features.single_valued], axis=1)
        for entry in self.features.own_entries:
            encoded[entry.key] = ids[entry.name]
        for feature in self.schema.features:
            if feature.role in ("scenario", "group"):
                encoded[feature.role] = ids[feature.name] - self._blocks[feature.name][0]
        return encoded

    def get_config(self) -> dict[str, Any]:
        bins = {
            name: self.look_up_layers[place].get_config()
            for name, place in self._places.items()
            if self.schema.feature(name).kind == "numeric"
        }
        return {
            **super().get_config(),
            "schema": self.schema.to_json(),
            "features": self.features.to_json(),
            "bins": {name: {key: own[key] for key in ("bins", "boundaries")} for name, own in bins.items()},
            "forms": self.forms,
        }


def fill_missing_features(inputs: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Completes the features of a request: adds absent ones as missing values, and pads ragged ones.

    Args:
        inputs: Some of the features of the schema, as `FeatureEncoder` takes them; multi-valued and sequence
            features may be `tf.RaggedTensor`.
        schema: The schema.

    Returns:
        All the features of the schema.

    Raises:
        ValueError: An unknown name, or no feature at all, so that the number of rows is not known.

    Example:

    >>> schema = Schema((Feature("city", "categorical"), Feature("age", "numeric")), label="click")
    >>> sorted(fill_missing_features({"city": tf.constant(["Oslo"])}, schema))
    ['age', 'city']
    """
    names = [feature.name for feature in schema.features]
    for name in inputs:
        if name not in names:
            raise ValueError(unknown_name_message("feature", name, names))
    if not inputs:
        raise ValueError(f"Give at least one feature, because the number of rows is taken from it; known are {names}.")
    given = {
        name: values.to_tensor("") if isinstance(values, tf.RaggedTensor) else tf.convert_to_tensor(values)
        for name, values in inputs.items()
    }
    rows = tf.shape(next(iter(given.values())))[0]
    filled = {}
    for feature in schema.features:
        if feature.name in given:
            filled[feature.name] = given[feature.name]
        elif feature.kind == "numeric":
            filled[feature.name] = tf.fill([rows], float("nan"))
        elif feature.kind == "categorical":
            filled[feature.name] = tf.fill([rows], "")
        else:
            filled[feature.name] = tf.fill([rows, 1], "")
    return filled
