"""Raw features to the encoded batch for a served graph: the ids of `FeatureEncoder` in a tenth of its operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from dynctr_tf.encoding.encoded_features import FIRST_VALUE_OFFSET, MISSING_OFFSET, PADDING_ID, UNKNOWN_OFFSET
from dynctr_tf.encoding.feature_encoder import FeatureEncoder
from dynctr_tf.encoding.numeric_binning import NumericBinning, numeric_bins
from dynctr_tf.encoding.value_keys import FIRST_KEY, NUM_KEYS, key_shift, missing_key
from dynctr_tf.encoding.value_text import TextForm, canonical_strings, without_missing
from dynctr_tf.schema import Feature

_KEYS = 2**63 - 1  # Keys lie in 0 ... 2^63 - 2.
_MOST_SALTS = 100
_INFINITY_CODE = 0x7F800000  # The bits of a float32 of infinite value.


class ServingEncoder(tf.Module):
    """Encodes raw features as `FeatureEncoder` does, all features at once; `export_model` puts it into SavedModels.

    Use it where requests are small and latency counts. `FeatureEncoder` has a table and a dozen operations for each
    feature; this has one table for all texts and one search for all numbers:

    ```
    key(field, text)  = siphash(text, salt) xor c(field)          one look-up: key -> place
    id(field, text)   = ids[place] where texts[place] = text, else the field's unknown id
    id(field, number) = ids of the field at |{edge in edges(field): edge <= number}|
    ```

    The ids are exactly those of the layer. Salts are tried until all known texts of all fields have different keys. An
    unknown text may still have the key of a known one, with a probability of about (number of texts) / 2^63; so the
    text at the found place is compared with the given one. The edges are the float32 numbers at which the layer's rule
    changes its bin; bisection finds them.

    To leave a feature out of a request, give it no row: it is then missing in every row.

    Args:
        layer: The layer, with its vocabularies.

    Raises:
        ValueError: No salt gives all texts different keys, as happens where a text is given twice.

    Cost:
        The memory of the layer: each known text once. A request of a schema without lists and hashed features takes
        some forty operations, however many features there are.

    Example:

    >>> from dynctr_tf.encoding.feature_encoder import describe_encoding
    >>> from dynctr_tf.schema import Schema
    >>> schema = Schema((Feature("colour", "categorical"), Feature("price", "numeric")), label="click")
    >>> bins = {"price": {"bins": [0, 1]}}
    >>> layer = FeatureEncoder(schema, describe_encoding(schema, {"colour": 1, "price": 2}), bins)
    >>> layer.set_vocabulary("colour", ["red"])
    >>> nothing = tf.zeros([0], tf.float32)
    >>> ServingEncoder(layer)({"colour": tf.constant(["red", "blue"]), "price": nothing})["fields"].numpy().tolist()
    [[3, 4], [2, 4]]
    """

    def __init__(self, layer: FeatureEncoder) -> None:
        super().__init__(name="serving_encoder")
        self._schema, self._features = layer.schema, layer.features
        self._missing = tuple(text for text in layer.schema.missing_values if text)
        self._blocks = {entry.name: entry.first_id for entry in layer.features.entries}
        self._forms: dict[str, TextForm] = dict(layer.forms)
        own = {name: layer.look_up_layers[place] for name, place in layer._places.items()}
        numeric = {name: look_up for name, look_up in own.items() if isinstance(look_up, NumericBinning)}
        self._steps = {name: number_steps(look_up) for name, look_up in numeric.items()}
        owners = [name for name in own if name not in numeric]
        self._respelt = {name for name in owners if own[name]._respelt and name in self._forms}
        texts, ids, owner = [np.array([b""], object)], [np.zeros(1, np.int32)], [np.zeros(1, np.int64)]
        for number, name in enumerate(owners):
            keys, offsets = (tensor.numpy() for tensor in own[name]._table.export())
            texts.append(keys)
            ids.append((offsets + self._blocks[name]).astype(np.int32))
            owner.append(np.full(len(keys), number, np.int64))
        self._owners = owners
        # Place 0 is for unknown texts. An unknown text is never empty, because each field knows the empty text.
        all_texts = np.concatenate(texts)
        with tf.init_scope(), tf.device("/CPU:0"):
            strings = tf.constant(all_texts, tf.string)
            self._salt, self._constants, keys = _salted(strings, np.concatenate(owner), len(owners))
            self._texts = tf.Variable(strings, trainable=False, name="texts")
            self._ids = tf.Variable(np.concatenate(ids), trainable=False, name="ids")
            self._table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.int64, 0)
            self._table.insert(tf.constant(keys[1:]), tf.range(1, len(keys), dtype=tf.int64))

    def __call__(
        self, inputs: Mapping[str, tf.Tensor], *, num_rows: int | None = None, complete: bool = False
    ) -> dict[str, tf.Tensor]:
        """Encodes a request.

        Args:
            inputs: The features, as `FeatureEncoder` takes them; one that is left out has no row.
            num_rows: The number of rows. Default `None`: that of the features that have rows.
            complete: Whether no feature is left out, which saves operations. Default `False`.

        Returns:
            The encoded batch.

        Raises:
            tf.errors.InvalidArgumentError: Features of different numbers of rows.
        """
        return self.batch(self.columns(inputs, num_rows=num_rows, complete=complete))

    def batch(self, *columns: Columns) -> dict[str, tf.Tensor]:
        """Joins the ids of features into an encoded batch, or into a part of one.

        Args:
            *columns: The ids of features of the schema, all with the same number of rows.
        """
        encoded = {}
        matrices = [matrix for own in columns for matrix in own.matrices]
        lists = {name: ids for own in columns for name, ids in own.lists.items()}
        given = {name for names, _ in matrices for name in names}
        single = [field.name for field in self._features.single_valued if field.name in given]
        if single:
            encoded["fields"] = _stacked(matrices, single)
        for entry in self._features.own_entries:
            if entry.name in lists:
                encoded[entry.key] = lists[entry.name]
        for field in self._features.fields:
            if field.role in ("scenario", "group") and field.name in given:
                place = single.index(field.name)
                encoded[field.role] = encoded["fields"][:, place] - self._blocks[field.name]
        return encoded

    def columns(
        self, inputs: Mapping[str, tf.Tensor], *, num_rows: int | None = None, complete: bool = False
    ) -> Columns:
        """Looks up the ids of some features.

        Args:
            inputs: Some of the features, as `FeatureEncoder` takes them; one that is left out has no row.
            num_rows: The number of rows. Default `None`: that of the features that have rows.
            complete: Whether no feature is left out, which saves operations. Default `False`.

        Raises:
            tf.errors.InvalidArgumentError: Features of different numbers of rows.
        """
        features = [feature for feature in self._schema.features if feature.name in inputs]
        single = [feature for feature in features if feature.kind == "categorical"]
        single.sort(key=lambda feature: self._hashing(feature) or (0, "", 0))  # hashed ones of a kind beside each other
        numeric = [feature for feature in features if feature.kind == "numeric"]
        lists = [feature for feature in features if feature.kind not in ("categorical", "numeric")]
        texts = [inputs[feature.name] for feature in single]
        for place, feature in enumerate(single):
            if feature.name in self._respelt:
                texts[place] = canonical_strings(texts[place], self._forms[feature.name])
        numbers = [inputs[feature.name] for feature in numeric]
        others = [inputs[feature.name] for feature in lists]
        text_matrix: Any  # None where there are no texts; the same for numbers
        number_matrix: Any
        if complete:
            count = tf.shape((texts or numbers or others)[0])[0]
            text_matrix = tf.stack(texts) if texts else None  # (texts, batch)
            number_matrix = tf.stack(numbers) if numbers else None  # (numbers, batch)
        else:
            names = [feature.name for feature in (*single, *numeric, *lists)]
            sizes, given = _rows_given(texts, numbers, others)
            count = tf.reduce_max(given) if num_rows is None else tf.constant(num_rows, tf.int32)
            text_matrix, number_matrix, count = _aligned(names, sizes, given, count, texts, numbers)
        matrices = []
        start = 0
        while start < len(single):
            kind, end = self._hashing(single[start]), start
            while end < len(single) and self._hashing(single[end]) == kind:
                end += 1
            part = text_matrix if end - start == len(single) else text_matrix[start:end]
            matrices.append((_names(single[start:end]), self._text_ids(single[start:end], part)))
            start = end
        if numeric:
            matrices.append((_names(numeric), self._number_ids(numeric, number_matrix)))
        found = {}
        for feature, values in zip(lists, others, strict=True):
            entry = self._entry(feature, values)
            if not complete:
                # A list that is left out has one row, the empty list, which stands for all rows.
                rows = tf.shape(entry)[0]
                entry = tf.concat([entry, tf.constant([self._empty_entry(feature)])], 0)
                entry = tf.gather(entry, tf.range(count) * tf.minimum(rows, 1))
            if feature.kind == "multi_valued" and feature.max_length == 1:
                matrices.append(([feature.name], tf.reshape(entry, [1, -1])))
            else:
                found[feature.name] = tf.ensure_shape(entry, (None, feature.max_length))
        return Columns(count, matrices, found)

    def _owner(self, feature: Feature) -> Feature:
        return self._schema.feature(feature.shares_vocabulary_with or feature.name)

    def _hashing(self, feature: Feature) -> tuple[int, str, bool] | None:
        """Number of buckets and spelling of the values, for hashed features, and whether the buckets are keys."""
        owner = self._owner(feature)
        rule = owner.vocabulary
        if not rule.is_hashed:
            return None
        return rule.hash_buckets or NUM_KEYS, self._forms.get(owner.name, "exact"), rule.keys

    def _missing_id(self, feature: Feature) -> int:
        owner = self._owner(feature)
        return missing_key(owner.name) if owner.vocabulary.keys else self._blocks[feature.name] + MISSING_OFFSET

    def _text_ids(self, features: Sequence[Feature], texts: tf.Tensor) -> tf.Tensor:
        """Ids of texts: a row for each feature, `(features, batch)`, or texts of any shape for one feature."""

        def of_each(values: Sequence[int], dtype: tf.DType) -> tf.Tensor:
            return tf.constant(values[0] if len(features) == 1 else np.array(values)[:, None], dtype)

        first = [self._blocks[feature.name] for feature in features]
        kind = self._hashing(features[0])
        if kind is not None:
            texts = canonical_strings(without_missing(texts, self._missing), kind[1])  # type: ignore[arg-type]
            hashed = tf.strings.to_hash_bucket_fast(texts, kind[0])
            if kind[2]:
                shifts = of_each([key_shift(self._owner(feature).name) for feature in features], tf.int64)
                return tf.cast(FIRST_KEY + (hashed + shifts) % NUM_KEYS, tf.int32)
            buckets = tf.cast(hashed, tf.int32)
            values = buckets + of_each([one + FIRST_VALUE_OFFSET for one in first], tf.int32)
            return tf.where(texts == "", of_each([one + MISSING_OFFSET for one in first], tf.int32), values)
        numbers = [self._owners.index(self._owner(feature).name) for feature in features]
        keys = tf.strings.to_hash_bucket_strong(texts, _KEYS, self._salt)
        keys = tf.bitwise.bitwise_xor(keys, of_each([int(self._constants[number]) for number in numbers], tf.int64))
        places = tf.ensure_shape(self._table.lookup(keys), keys.shape)  # the table's operation forgets the shape
        known = tf.gather(self._texts, places) == texts
        return tf.where(known, tf.gather(self._ids, places), of_each([one + UNKNOWN_OFFSET for one in first], tf.int32))

    def _number_ids(self, features: Sequence[Feature], numbers: tf.Tensor) -> tf.Tensor:
        """Ids of numbers, `(features, batch)`."""
        steps = [self._steps[feature.name] for feature in features]
        widest = max(len(edges) for edges, _ in steps)
        edges = np.full((len(steps), widest), np.inf, np.float32)
        ids = np.empty((len(steps), widest + 1), np.int32)
        for row, (own_edges, own_ids) in enumerate(steps):
            edges[row, : len(own_edges)] = own_edges
            ids[row] = own_ids[-1]
            ids[row, : len(own_ids)] = own_ids
            ids[row] += self._blocks[features[row].name]
        missing = np.array([[self._blocks[feature.name] + MISSING_OFFSET] for feature in features], np.int32)
        places = tf.raw_ops.UpperBound(sorted_inputs=edges, values=numbers, out_type=tf.int32)
        places += np.arange(len(steps), dtype=np.int32)[:, None] * (widest + 1)
        return tf.where(tf.math.is_nan(numbers), missing, tf.gather(ids.reshape(-1), places))

    def _empty_entry(self, feature: Feature) -> list[int]:
        first = PADDING_ID if feature.kind == "sequence" else self._missing_id(feature)
        return [first, *[PADDING_ID] * (feature.max_length - 1)]

    def _entry(self, feature: Feature, texts: tf.Tensor) -> tf.Tensor:
        """Ids of a list, `(batch, max_length)`: the first ones of a set, the last ones of a sequence."""
        length, owner = feature.max_length, self._owner(feature).name
        texts = tf.strings.strip(texts)
        if owner in self._respelt or self._schema.feature(owner).vocabulary.keys:
            # As in the layer: whether a value is missing depends on its spelling in the request.
            texts = without_missing(texts, self._missing)
            present = texts != ""
            ids = self._text_ids(
                [feature], canonical_strings(texts, self._forms.get(owner, "exact"))
            )  # (batch, values)
        else:
            ids = self._text_ids([feature], texts)
            present = ids != self._missing_id(feature)
        counted = tf.cast(present, tf.int32)
        places = tf.cumsum(counted, axis=1) - 1
        if feature.kind == "sequence":
            places -= tf.maximum(tf.reduce_sum(counted, axis=1, keepdims=True) - length, 0)
            kept = tf.logical_and(present, places >= 0)
        else:
            kept = tf.logical_and(present, places < length)
        rows = tf.shape(ids)[0]
        # Values beyond the length are written after the last row, which is cut off.
        target = tf.where(kept, places + tf.range(rows)[:, None] * length, rows * length)
        flat = tf.scatter_nd(tf.reshape(target, [-1, 1]), tf.reshape(ids, [-1]), [rows * length + 1])
        entry = tf.reshape(flat[:-1], [-1, length])
        if feature.kind == "multi_valued":
            first = np.arange(length)[None, :] == 0
            empty = tf.logical_and(entry == PADDING_ID, first)
            entry = tf.where(empty, self._missing_id(feature), entry)
        return entry


class Columns(NamedTuple):
    """The ids of some features of a request.

    Attributes:
        count: The number of rows, int32.
        matrices: The names of single-valued features and their ids, `(features, batch)`.
        lists: The ids of each list, `(batch, length)`.
    """

    count: tf.Tensor
    matrices: list[tuple[list[str], tf.Tensor]]
    lists: dict[str, tf.Tensor]

    def repeated(self, count: tf.Tensor) -> Columns:
        """These columns of one row, repeated to the given number of rows."""
        matrices = [(names, tf.broadcast_to(ids, [len(names), count])) for names, ids in self.matrices]
        lists = {name: tf.broadcast_to(ids, [count, ids.shape[1]]) for name, ids in self.lists.items()}
        return Columns(count, matrices, lists)


def _names(features: Sequence[Feature]) -> list[str]:
    return [feature.name for feature in features]


def _stacked(columns: Sequence[tuple[list[str], tf.Tensor]], single: Sequence[str]) -> tf.Tensor:
    """The ids of single-valued features in an order, `(batch, features)`."""
    names = [name for own, _ in columns for name in own]
    matrix = tf.concat([ids for _, ids in columns], 0) if len(columns) > 1 else columns[0][1]
    order = [names.index(name) for name in single]
    if order != list(range(len(order))):
        matrix = tf.gather(matrix, order)
    return tf.ensure_shape(tf.transpose(matrix), (None, len(single)))


def _rows_given(*groups: list[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor]:
    """The number of rows of each feature, int32 `(1,)` each, and all of them, `(features,)`; a group has one type.

    A client may send another rank than the signature says. The feature then has more than one entry here, or none.
    """
    sizes = [shape[:1] if shape.shape != (1,) else shape for group in groups if group for shape in tf.shape_n(group)]
    given = tf.concat(sizes, 0) if len(sizes) > 1 else sizes[0]
    # This operation hides the static shape. With it TensorFlow would leave out the check of the ranks.
    return sizes, tf.raw_ops.PlaceholderWithDefault(input=given, shape=tf.TensorShape([None]))


def _aligned(
    names: Sequence[str],
    sizes: Sequence[tf.Tensor],
    given: tf.Tensor,
    count: tf.Tensor,
    texts: list[tf.Tensor],
    numbers: list[tf.Tensor],
) -> tuple[tf.Tensor | None, tf.Tensor | None, tf.Tensor]:
    """Texts and numbers as matrices `(features, batch)`, missing where a feature has no rows; the checked count.

    All features are checked at once, because a check of each takes as many operations as there are features.
    """
    absent = given == 0
    one_each = tf.equal(tf.size(given), len(names))
    check = tf.debugging.Assert(
        tf.logical_and(one_each, tf.reduce_all(tf.logical_or(absent, given == count))),
        ["All features must have the same number of rows, or none where they are left out, and one value in each row. "
         "Rows expected:", count, "Features:", list(names), "Their shapes:", *sizes],
        summarize=1000,
    )  # fmt: skip
    matrices: list[tf.Tensor | None] = []
    start = 0
    # Nothing is joined before the check: its message is clearer than that of the operation that joins.
    with tf.control_dependencies([] if check is None else [check]):
        count = tf.identity(count)
        for columns, missing in ((texts, ""), (numbers, float("nan"))):
            if not columns:
                matrices.append(None)
                continue
            # Each column is a row of a ragged tensor, with `count` values or none.
            own = given if len(columns) == len(names) else given[start : start + len(columns)]
            matrix = tf.raw_ops.RaggedTensorToTensor(
                shape=tf.stack([len(columns), count]),
                values=tf.concat(columns, 0) if len(columns) > 1 else columns[0],
                default_value=tf.constant(missing),
                row_partition_tensors=[tf.cumsum(tf.concat([[0], own], 0))],
                row_partition_types=["ROW_SPLITS"],
            )
            matrices.append(tf.ensure_shape(matrix, (len(columns), None)))
            start += len(columns)
    return matrices[0], matrices[1], count


def _salted(texts: tf.Tensor, owner: np.ndarray, num_owners: int) -> tuple[list[int], np.ndarray, np.ndarray]:
    """A salt and a constant for each owner that give all texts different keys; place 0 is not a text."""
    for attempt in range(_MOST_SALTS):
        draw = np.random.default_rng(attempt)
        salt = [int(part) for part in draw.integers(0, 2**63 - 1, 2)]
        constants = draw.integers(0, 2**63 - 1, max(num_owners, 1))
        keys = tf.strings.to_hash_bucket_strong(texts, _KEYS, salt).numpy() ^ constants[owner]
        if len(np.unique(keys[1:])) == len(keys) - 1:
            return salt, constants, keys
    raise ValueError(f"None of {_MOST_SALTS} salts gives {len(owner) - 1} texts different keys; is a text given twice?")


def number_steps(layer: NumericBinning) -> tuple[np.ndarray, np.ndarray]:
    """The ids of a binning as a function of steps.

    Args:
        layer: The binning.

    Returns:
        Edges, float32 ascending, and one int32 id more than edges: for every float32 `v` but NaN the layer's id is
        `ids[|{edge <= v}|]`.

    Cost: some 64 calls of the rule for twice the number of bins.

    Example:

    >>> edges, ids = number_steps(NumericBinning("log_squared", bins=(1, 3)))
    >>> edges.tolist(), ids.tolist()
    ([1.0, 2.0, 2.000000238418579, 2.7182819843292236], [1, 2, 1, 3, 1])
    """
    bins = np.array(layer.bins, np.int64)
    if not len(bins):
        return np.zeros(0, np.float32), np.array([UNKNOWN_OFFSET], np.int32)
    ids = np.arange(len(bins), dtype=np.int32) + FIRST_VALUE_OFFSET
    # On each side of 0 the rules are monotonic: (first code of a bin, first code after it, id) in the order of numbers.
    runs = []
    for first, last in ((-_INFINITY_CODE, -1), (0, _INFINITY_CODE)):
        ends = _bins_of(np.array([first, last]), layer)
        falling = ends[0] > ends[1]
        sign = -1 if falling else 1
        starts = _first_code(sign * bins, first, last, layer, sign)
        stops = _first_code(sign * bins + 1, first, last, layer, sign)
        runs += [run for run in zip(starts.tolist(), stops.tolist(), ids.tolist(), strict=True) if run[0] < run[1]]
    runs.sort()
    edges: list[int] = []
    values = [UNKNOWN_OFFSET]
    for start, stop, value in runs:
        if edges and edges[-1] == start:
            edges.pop()
            values.pop()
        if values[-1] != value:
            edges.append(start)
            values.append(value)
        edges.append(stop)
        values.append(UNKNOWN_OFFSET)
    if edges and edges[-1] > _INFINITY_CODE:
        edges.pop()
        values.pop()
    return _floats_of(np.array(edges, np.int64)), np.array(values, np.int32)


def _first_code(least: np.ndarray, first: int, last: int, layer: NumericBinning, sign: int) -> np.ndarray:
    """The first code of `first ... last` whose bin, times the sign, reaches a number; `last + 1` where none does."""
    low = np.full(len(least), first, np.int64)
    high = np.full(len(least), last + 1, np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        reached = sign * _bins_of(np.minimum(middle, last), layer) >= least
        open_ones = low < high
        high = np.where(open_ones & reached, middle, high)
        low = np.where(open_ones & ~reached, middle + 1, low)
    return low


def _bins_of(codes: np.ndarray, layer: NumericBinning) -> np.ndarray:
    with tf.init_scope(), tf.device("/CPU:0"):
        return np.asarray(numeric_bins(_floats_of(codes), layer.binning, layer.boundaries).numpy())


def _floats_of(codes: np.ndarray) -> np.ndarray:
    """The float32 numbers in ascending order have the codes ... -1, 0, 1, ...; both zeros have 0."""
    floats: np.ndarray = np.abs(codes).astype(np.int32).view(np.float32)
    return np.where(codes < 0, -floats, floats)
