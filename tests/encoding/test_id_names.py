"""The names of ids: values, bins by their range, and what has no id of its own."""

import numpy as np
import pyarrow as pa
import pytest

from dynctr_tf.encoding import Encoder
from dynctr_tf.encoding.id_names import IdNames
from dynctr_tf.encoding.numeric_binning import numeric_bins
from dynctr_tf.encoding.vocabulary import FittedBins, FittedVocabulary
from dynctr_tf.schema import Feature, Schema, Vocabulary

SCHEMA = Schema(
    (
        Feature("colour", "categorical"),
        Feature("site", "categorical", vocabulary=Vocabulary(hash_buckets=3)),
        Feature("price", "numeric"),
        Feature("age", "numeric", binning="quantile"),
        Feature("count", "numeric", binning="log_squared_plus_one"),
        Feature("seen", "sequence", shares_vocabulary_with="colour"),
    ),
    label="click",
)
BINS = {
    "price": FittedBins((-1, 0, 2, 3, 5, 9)),
    "age": FittedBins((0, 1, 2), (10.0, 20.0)),
    "count": FittedBins((0, 1, 6)),
}
ENCODER = Encoder(SCHEMA, {"colour": FittedVocabulary(pa.array(["red", "blue"], pa.large_string()), np.ones(2))}, BINS)


def test_names_of_values_buckets_and_sequences():
    names = IdNames(ENCODER)
    assert names.of("colour") == ["(missing)", "(unknown)", "red", "blue"] and names.of("seen") is names.of("colour")
    assert names.of("site")[2:] == ["(bucket 0)", "(bucket 1)", "(bucket 2)"]
    first = ENCODER.features.fields[0].first_id
    assert names.shown("colour", np.array([first, first + 3])) == ["(missing)", "blue"]
    assert names.shown("seen", np.array([[first + 2, first + 1, 0], [0, 0, 0]])) == ["red, (unknown)", ""]
    assert names.of("age")[2:] == ["below 10", "10 to 20", "20 and more"]


@pytest.mark.parametrize("feature", ["price", "count"])
def test_a_bin_holds_the_numbers_of_its_range(feature):
    binning = SCHEMA.feature(feature).binning
    for number, name in zip(BINS[feature].bins, IdNames(ENCODER).of(feature)[2:], strict=True):
        if " to " not in name:
            assert numeric_bins([number + 0.5 if number < 2 else 2.0], binning).numpy()[0] == number
            continue
        low, high = map(float, name.split(" to "))
        inside = np.linspace(low + 0.02 * (high - low), high - 0.02 * (high - low), 9)
        assert set(numeric_bins(inside, binning).numpy().tolist()) == {number}, name
