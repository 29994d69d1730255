"""The string table: ids, odd strings, large vocabularies, saving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.encoding import VocabularyLookup

ODD = ["[UNK]", "a\nb", "a\r\nb", " ", "straße", "0", "x" * 1000, "\x00", "\x00y", "日本"]


def test_missing_unknown_and_known() -> None:
    layer = VocabularyLookup()
    layer.set_vocabulary(["b", "a"])
    ids = layer(tf.constant([["b", "a"], ["", "c"]]))
    assert ids.dtype == tf.int32
    assert ids.numpy().tolist() == [[2, 3], [0, 1]]
    assert layer.get_vocabulary() == [b"b", b"a"]


def test_without_a_vocabulary_everything_is_unknown_or_missing() -> None:
    assert VocabularyLookup()(tf.constant(["", "a"])).numpy().tolist() == [0, 1]


def test_a_new_vocabulary_takes_the_place_of_the_old_one() -> None:
    layer = VocabularyLookup()
    layer.set_vocabulary(["old", "both"])
    layer.set_vocabulary(["both", "new", "last"])
    assert layer(tf.constant(["old", "both", "new", "last", ""])).numpy().tolist() == [1, 2, 3, 4, 0]


@pytest.mark.parametrize(("values", "problem"), [(["a", "b", "a"], "'a' twice"), (["a", ""], "an empty value")])
def test_values_are_distinct_and_not_empty(values: list[str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        VocabularyLookup().set_vocabulary(values)


def test_only_strings_are_looked_up() -> None:
    with pytest.raises(ValueError, match="looks up strings, got int32"):
        VocabularyLookup()(tf.constant([1, 2]))


@pytest.mark.parametrize("values", [ODD, []])
def test_a_saved_model_keeps_every_string(tmp_path: Path, values: list[str]) -> None:
    layer = VocabularyLookup(name="table")
    layer.set_vocabulary(values)
    inputs = keras.Input((), dtype="string")
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    asked = tf.constant([*values, "", "never"])
    expected = [*range(2, 2 + len(values)), 0, 1]
    assert again(asked).numpy().tolist() == expected
    assert again.get_layer("table").get_vocabulary() == [value.encode() for value in values]

    fresh = VocabularyLookup(name="table")
    other = keras.Model(inputs, fresh(inputs))
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    assert other(asked).numpy().tolist() == expected


def test_two_layers_do_not_share_a_table() -> None:
    first, second = VocabularyLookup(), VocabularyLookup()
    first.set_vocabulary(["a"])
    second.set_vocabulary(["b"])
    assert first(tf.constant(["a", "b"])).numpy().tolist() == [2, 1]


def test_a_million_values() -> None:
    values = [f"{number * 7919:x}" for number in range(1_000_000)]
    layer = VocabularyLookup()
    layer.set_vocabulary(values)
    chosen = np.random.default_rng(0).integers(0, len(values), 10_000)
    np.testing.assert_array_equal(layer(tf.constant([values[i] for i in chosen])), chosen + 2)
