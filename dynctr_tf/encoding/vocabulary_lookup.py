"""Strings to ids of a vocabulary, as a Keras layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import FIRST_VALUE_OFFSET, MISSING_OFFSET, UNKNOWN_OFFSET
from dynctr_tf.encoding.value_text import TEXT_FORMS, TextForm, canonical_strings, other_spellings
from dynctr_tf.nearest import unknown_name_message

_MOST_RESPELT = 1 << 20


@stack.serializable
class VocabularyLookup(keras.layers.Layer):
    """Turns strings into ids: 0 the empty string, which is a missing value, 1 an unknown one, 2, 3, ... the rest.

    Use it in place of `keras.layers.StringLookup` where any string may come. That layer reserves `"[UNK]"`, saves its
    vocabulary as lines of text, so that a value with a line break is loaded as two, and puts the values of an exported
    model into the graph, which may not exceed 2 GB. Here the values are state like weights: they are set once, saved
    with the model (`.keras`, weights files and SavedModel), and are not part of the configuration.

    ```
    id(v) = 0 for v = "";  2 + place of v in the vocabulary;  1 where it is not there
    ```

    Other spellings of the values, such as `12.0` for 12 in a column of whole numbers, and the texts that mean
    a missing value are entries of the table too, so they cost nothing; beyond a million values, where they would
    double a large table, the strings are respelt first.

    Args:
        form: How the values are spelt, one of `dynctr_tf.encoding.value_text.TEXT_FORMS`. Default `"exact"`: every
            text stands for itself.
        missing_values: Texts that mean a missing value, beside the empty one. Default `()`.
        name: The layer's name, string. Default `None`: chosen by Keras.
        dtype: Keras gives it when it loads the layer; it has no effect. Default `None`.

    Call arguments:
        values: Strings.

    Input shape:
        Any.

    Output shape:
        As the input, int32.

    Cost:
        No trained parameter; one hash look-up for each string, 0.4 microseconds at a million values.

    Example:

    >>> layer = VocabularyLookup()
    >>> layer.set_vocabulary(["red", "green"])
    >>> layer(tf.constant(["green", "", "blue"])).numpy().tolist()
    [3, 0, 1]
    """

    def __init__(
        self,
        form: TextForm = "exact",
        missing_values: Sequence[str] = (),
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, dtype=dtype, autocast=False, **kwargs)
        if form not in TEXT_FORMS:
            raise ValueError(unknown_name_message("form of values", str(form), TEXT_FORMS))
        self.form = form
        self.missing_values = tuple(missing_values)
        self._respelt = False
        with tf.init_scope():
            self._table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, UNKNOWN_OFFSET)
            self._table.insert(*self._missing())

    def _missing(self) -> tuple[list[bytes], list[int]]:
        texts = [b"", *(text.encode() for text in self.missing_values if text)]
        return texts, [MISSING_OFFSET] * len(texts)

    def build(self, input_shape: Any) -> None:
        """Makes no weights: the table exists from the start, empty."""
        self.built = True

    def set_vocabulary(self, values: Sequence[str] | Sequence[bytes] | np.ndarray) -> None:
        """Sets the values, in the order of their ids, in place of those that the layer had.

        Raises:
            ValueError: An empty value or one of `missing_values`, which stand for a missing value; or a value given
                twice, also in two spellings.
        """
        keys = np.empty(len(values) + 1, object)
        keys[0] = b""
        keys[1:] = [value.encode() if isinstance(value, str) else bytes(value) for value in values]
        ids = np.arange(UNKNOWN_OFFSET, FIRST_VALUE_OFFSET + len(values), dtype=np.int64)
        ids[0] = MISSING_OFFSET
        if len(set(keys)) < len(keys):
            seen: set[bytes] = set()
            twice = next(key for key in keys if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            problem = f"{twice.decode(errors='replace')!r} twice" if twice else "an empty value"
            raise ValueError(f"A vocabulary has distinct values, none of them empty; this one has {problem}.")
        texts, missing_ids = self._missing()
        self._respelt = len(values) > _MOST_RESPELT
        others: list[bytes] = []
        other_ids: list[int] = []
        if self.form != "exact" or len(texts) > 1:
            known = set(keys[1:])
            if not self._respelt:
                for value, place in zip(keys[1:], ids[1:].tolist(), strict=True):
                    for other in other_spellings(value, self.form):
                        others.append(other)
                        other_ids.append(place)
            twice = next((text for text in (*texts, *others) if text in known), None)
            if twice is not None:
                problem = f"{twice.decode(errors='replace')!r}, which stands for another one or for a missing one"
                raise ValueError(f"A vocabulary has distinct values, each in one spelling; this one has {problem}.")
        with tf.init_scope(), tf.device("/CPU:0"):
            self._table.remove(self._table.export()[0])
            self._table.insert(tf.constant(keys, tf.string), tf.constant(ids))
            more = [*texts[1:], *others]
            if more:
                self._table.insert(tf.constant(more, tf.string), tf.constant(missing_ids[1:] + other_ids, tf.int64))

    def get_vocabulary(self) -> list[bytes]:
        """Returns the values in the order of their ids, in UTF-8."""
        keys, ids = (tensor.numpy() for tensor in self._table.export())
        keys, ids = keys[ids != MISSING_OFFSET], ids[ids != MISSING_OFFSET]
        values = [bytes(value) for value in keys[np.argsort(ids, kind="stable")]]
        if len(values) and len(values) > int(ids.max()) - UNKNOWN_OFFSET:
            others = {other for value in values for other in other_spellings(value, self.form)}
            values = [value for value in values if value not in others]
        return values

    def call(self, values: Any) -> tf.Tensor:
        strings = tf.convert_to_tensor(values)
        if strings.dtype != tf.string:
            raise ValueError(f"{self.name} looks up strings, got {strings.dtype.name}.")
        if self._respelt:
            strings = canonical_strings(strings, self.form)
        ids = tf.cast(self._table.lookup(strings), tf.int32)
        # The table's operation forgets the shape.
        return tf.ensure_shape(ids, strings.shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "form": self.form, "missing_values": list(self.missing_values)}

    def save_own_variables(self, store: Any) -> None:
        """Writes the values as one array of bytes and one of lengths."""
        values = self.get_vocabulary()
        store["lengths"] = np.array([len(value) for value in values], np.int64)
        store["bytes"] = np.frombuffer(b"".join(values), np.uint8)

    def load_own_variables(self, store: Any) -> None:
        """Reads what `save_own_variables` wrote."""
        data = np.asarray(store["bytes"]).tobytes()
        ends = np.cumsum(np.asarray(store["lengths"]))
        starts = np.concatenate([[0], ends[:-1]]) if len(ends) else ends
        self.set_vocabulary([data[start:end] for start, end in zip(starts, ends, strict=True)])
