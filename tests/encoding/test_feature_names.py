"""A feature may be called anything, also like an entry of the encoded batch or like a label."""

from __future__ import annotations

import keyword
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from rows_in_memory import source_of

from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.encoding import Encoder, feature_key, write_encoded_dataset
from dynctr_tf.encoding.encoded_dataset import EncodedDataset
from dynctr_tf.encoding.plain_names import plain_names
from dynctr_tf.schema import Feature, Schema

SCHEMA = Schema(
    features=(
        Feature("page", "categorical", role="scenario"),
        Feature("label", "categorical"),
        Feature("true_probability", "numeric"),
        Feature("split", "categorical", role="group"),
        Feature("fields", "multi_valued", max_length=2),
        Feature("group", "sequence", max_length=3, shares_vocabulary_with="label"),
        Feature("scenario", "multi_valued", max_length=2),
        Feature("feature:group", "multi_valued", max_length=2),
        Feature("weight", "categorical"),
    ),
    label="clicked",
    weight="cost",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> EncodedDataset:
    source = source_of(
        SCHEMA,
        clicked=[1.0, 0.0, 1.0, 0.0],
        cost=[0.5, 2.0, 1.0, 1.0],
        page=["home", "search", "home", "search"],
        label=["a", "b", "a", "b"],
        true_probability=[1.0, 7.0, 1.0, 7.0],
        split=["x", "y", "x", "y"],
        fields=["p|q", "p", "q", "p|q"],
        group=["a|b", "b", "a", ""],
        scenario=["s|t", "s", "t", "s|t"],
        **{"feature:group": ["k", "k|l", "l", "k"]},
        weight=["w", "v", "w", "v"],
    )
    encoder = Encoder.fit(source, progress=False)
    return write_encoded_dataset(source, encoder, tmp_path_factory.mktemp("data") / "encoded", progress=False)


def test_features_and_entries_of_the_batch_are_kept_apart(data: EncodedDataset) -> None:
    inputs, labels, weights = next(iter(data.batches("train", 4, columns=("label", "feature:label"))))
    wide = {"feature:fields": 2, "feature:group": 3, "feature:scenario": 2, "feature:feature:group": 2}
    assert set(inputs) == {"fields", "scenario", "group", *wide, "label", "feature:label"}
    assert {key: inputs[key].shape[1] for key in wide} == wide
    assert labels.numpy().tolist() == inputs["label"].numpy().tolist() == [1.0, 0.0, 1.0, 0.0]
    assert weights.numpy().tolist() == [0.5, 2.0, 1.0, 1.0]
    assert inputs["scenario"].numpy().tolist() in ([2, 3, 2, 3], [3, 2, 3, 2])
    assert inputs["group"].shape == (4,)
    singles = [field.name for field in data.features.single_valued]
    place = singles.index("label")
    np.testing.assert_array_equal(inputs["fields"][:, place], inputs["feature:label"])
    # The sequence repeats the ids of the field; its padding is 0.
    assert inputs["feature:group"][0, 0] == inputs["fields"][0, place]
    assert inputs["feature:group"][3].numpy().tolist() == [0, 0, 0]


def test_a_column_means_the_label_and_a_feature_is_asked_for_as_such(data: EncodedDataset) -> None:
    assert data.column("train", "label").tolist() == [1.0, 0.0, 1.0, 0.0]
    assert data.column("train", "weight").tolist() == [0.5, 2.0, 1.0, 1.0]
    for name in ("label", "weight", "true_probability"):
        ids = data.column("train", feature=name)
        assert ids.dtype == np.int32 and len(set(ids[[0, 2]])) == len(set(ids[[1, 3]])) == 1 and ids[0] != ids[1]
    assert data.column("train", "scenario").shape == (4,) and data.column("train", feature="scenario").shape == (4, 2)
    assert data.column("train", feature="feature:group").shape == (4, 2)
    assert data.column("train", "feature:group").shape == data.column("train", feature="group").shape == (4, 3)
    np.testing.assert_array_equal(data.column("train", "page"), data.column("train", feature="page"))
    with pytest.raises(ValueError, match="'labl'.*'label'"):
        data.column("train", feature="labl")
    with pytest.raises(ValueError, match="either a name or a feature"):
        data.column("train")
    with pytest.raises(ValueError, match="either a name or a feature"):
        data.column("train", "label", feature="label")
    with pytest.raises(ValueError, match="'fields'"):
        data.column("train", "fields")


def test_the_layer_gives_the_same_batch(data: EncodedDataset) -> None:
    raw = {
        "page": ["home"],
        "label": ["b"],
        "true_probability": [7.0],
        "split": ["x"],
        "fields": [["q", "p"]],
        "group": [["b", "a"]],
        "scenario": [["t", ""]],
        "feature:group": [["l", "k"]],
        "weight": ["v"],
    }
    rows = source_of(
        SCHEMA,
        clicked=[0.0],
        cost=[1.0],
        **{name: ["|".join(v[0]).strip("|")] if isinstance(v[0], list) else v for name, v in raw.items()},
    )
    expected = data.encoder().encode_batch(RowBatch(rows.columns, np.zeros(1, np.int8)))
    found = data.encoder().layer()({name: tf.constant(value) for name, value in raw.items()})
    assert set(found) == set(expected)
    for key, entry in found.items():
        np.testing.assert_array_equal(entry, expected[key])


def test_keys_of_features_differ() -> None:
    names = ["group", "feature:group", "feature:feature:group", "label", "Group", "user", "feature:user", "feature:"]
    keys = [feature_key(name) for name in names]
    assert keys[4:] == names[4:]
    assert len(set(keys)) == len(names) and not {"group", "label"} & set(keys)


def test_plain_names_differ_in_more_than_case() -> None:
    names = ["User", "user", "USER", "a-b", "a_b", "a b", "class", "self", "类目", "_x", "", ":0", "^x", "x" * 300]
    names += ["x" * 299, "user_2", *keyword.kwlist]
    plain = plain_names(dict.fromkeys(names))
    assert list(plain) == list(dict.fromkeys(names))
    assert plain["User"] == "User" and plain["a_b"] == "a_b"
    assert len({name.lower() for name in plain.values()}) == len(plain)
    for name in plain.values():
        assert name.isidentifier() and name.isascii() and name[0].isalpha() and len(name) < 80
        assert not keyword.iskeyword(name) and name != "self"


def test_a_finished_data_set_opens_again(data: EncodedDataset, tmp_path: Path) -> None:
    again = EncodedDataset.open(data.directory)
    np.testing.assert_array_equal(again.column("train", feature="group"), data.column("train", feature="group"))
