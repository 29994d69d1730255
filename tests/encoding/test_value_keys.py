"""Keys of values without a vocabulary: the same for files and for requests, whatever else there is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from rows_in_memory import RowsInMemory

from dynctr_tf.datasets import TabularFile
from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.encoding import EncodedDataset, EncodedFeatures, Encoder, grow_encoder, id_map
from dynctr_tf.encoding.encoder import _hash_buckets
from dynctr_tf.encoding.id_layout import describe_encoding
from dynctr_tf.encoding.id_names import IdNames
from dynctr_tf.encoding.preparation import prepare_encoded_dataset
from dynctr_tf.encoding.serving_encoder import ServingEncoder
from dynctr_tf.encoding.value_keys import FIRST_KEY, NUM_KEYS, key_shift, missing_key, share_with_another
from dynctr_tf.schema import Feature, Schema, Vocabulary

KEYS = Vocabulary(keys=True)
SCHEMA = Schema(
    (
        Feature("user", "categorical", vocabulary=KEYS),
        Feature("colour", "categorical"),
        Feature("item", "categorical", vocabulary=KEYS),
        Feature("price", "numeric"),
        Feature("tags", "multi_valued", vocabulary=KEYS, max_length=3),
        Feature("one", "multi_valued", vocabulary=KEYS, max_length=1),
        Feature("history", "sequence", max_length=3, shares_vocabulary_with="item"),
    ),
    label="click",
    missing_values=("", "NULL"),
)
ROWS: dict[str, list[Any]] = {
    "click": [0.0, 1.0, 0.0, 1.0],
    "user": ["anna", "bert", None, "NULL"],
    "colour": ["red", "green", "red", "red"],
    "item": ["12", "7.0", "7", "30"],
    "price": [1.0, 2.0, None, 4.0],
    "tags": ["a|b|c|d", "", None, "b|NULL|e"],
    "one": ["x|y", "", None, "y"],
    "history": ["7|12|12.0|30", None, "", "7"],
}


def batch(rows: dict[str, list[Any]]) -> RowBatch:
    columns = {
        name: pa.array(values, pa.float32() if name == "click" else pa.float64() if name == "price" else pa.string())
        for name, values in rows.items()
    }
    return RowBatch(pa.RecordBatch.from_pydict(columns), np.zeros(len(rows["click"]), np.int8))


def encoder(schema: Schema = SCHEMA, rows: dict[str, list[Any]] = ROWS) -> Encoder:
    return Encoder.fit(RowsInMemory(schema, batch(rows).columns), progress=False)


def key(feature: str, text: str) -> int:
    return FIRST_KEY + (int(tf.strings.to_hash_bucket_fast(text, NUM_KEYS)) + key_shift(feature)) % NUM_KEYS


def raw(rows: dict[str, list[Any]]) -> dict[str, tf.Tensor]:
    tensors = {}
    for feature in SCHEMA.features:
        values = rows[feature.name]
        if feature.kind == "numeric":
            tensors[feature.name] = tf.constant([np.nan if value is None else value for value in values], tf.float32)
        elif feature.kind == "categorical":
            tensors[feature.name] = tf.constant([value or "" for value in values])
        else:
            lists = [value.split("|") if value else [""] for value in values]
            tensors[feature.name] = tf.ragged.constant(lists).to_tensor("")
    return tensors


def test_keys_are_what_the_page_says_in_files_and_in_requests() -> None:
    fitted = encoder()
    encoded = fitted.encode_batch(batch(ROWS))
    assert fitted.features.key_names == ("user", "item", "one", "tags", "history")
    assert set(fitted.vocabularies) == {"colour"}, "nothing is fitted for keys"
    users = [key("user", "anna"), key("user", "bert"), key("user", ""), key("user", "")]
    assert encoded["fields"][:, 0].tolist() == users and key("user", "") == missing_key("user")
    assert encoded["fields"][:, 2].tolist() == [key("item", text) for text in ("12", "7", "7", "30")], "one spelling"
    assert encoded["tags"].tolist() == [
        [key("tags", "a"), key("tags", "b"), key("tags", "c")],
        [key("tags", ""), 0, 0],
        [key("tags", ""), 0, 0],
        [key("tags", "b"), key("tags", "e"), 0],
    ]
    seven, twelve, thirty = (key("item", text) for text in ("7", "12", "30"))
    assert encoded["history"].tolist() == [[twelve, twelve, thirty], [0, 0, 0], [0, 0, 0], [seven, 0, 0]]
    assert all(values.max() < 2**31 - 1 for values in encoded.values())
    layer = fitted.layer()
    requests = ServingEncoder(layer)
    for answer in (layer(raw(ROWS)), requests(raw(ROWS)), requests(raw(ROWS), complete=True)):
        for name, values in encoded.items():
            np.testing.assert_array_equal(answer[name].numpy(), values, err_msg=name)
    # Left out of a request, a feature is missing in each row.
    some = {name: values for name, values in raw(ROWS).items() if name not in ("user", "tags")}
    empty = {"user": tf.zeros([0], tf.string), "tags": tf.zeros([0, 0], tf.string)}
    answer = requests({**some, **empty})
    assert answer["fields"][:, 0].numpy().tolist() == [missing_key("user")] * 4
    assert answer["tags"].numpy().tolist() == [[missing_key("tags"), 0, 0]] * 4


def test_keys_stay_when_vocabularies_grow_and_ids_below_them_move() -> None:
    before = encoder()
    more = {**ROWS, "colour": ["blue", "white", "black", "red"], "user": ["zoe", "anna", "bert", "carl"]}
    after, growth = grow_encoder(before, before.tally, RowsInMemory(SCHEMA, batch(more).columns), progress=False)
    assert growth["colour"].added == 3
    old, new = (one.encode_batch(batch(ROWS)) for one in (before, after))
    for name in ("tags", "history"):
        np.testing.assert_array_equal(old[name], new[name])
    np.testing.assert_array_equal(old["fields"][:, [0, 2]], new["fields"][:, [0, 2]])
    assert (old["fields"][:, 3] != new["fields"][:, 3]).all(), "the bins of prices come after the colours"
    ids = id_map(before, after)
    assert len(ids.rows) == after.features.num_vocabulary_ids < 30, "no number for each of 2 billion keys"
    assert ids.rows[new["fields"][:, 3]].tolist() == old["fields"][:, 3].tolist()
    assert not ids.changes_nothing and id_map(before, before).changes_nothing
    other = dataclasses.replace(SCHEMA, features=(Feature("user", "categorical"), *SCHEMA.features[1:]))
    with pytest.raises(ValueError, match=r"keys of other features: \('user', 'item', 'one', 'tags', 'history'\)"):
        id_map(before, encoder(other))


def test_an_encoder_with_keys_is_saved_and_names_its_ids(tmp_path: Any) -> None:
    fitted = encoder()
    fitted.save(tmp_path / "encoder")
    loaded = Encoder.load(tmp_path / "encoder")
    assert loaded.fingerprint == fitted.fingerprint and loaded.features == fitted.features
    assert EncodedFeatures.from_json(fitted.features.to_json()) == fitted.features
    assert "is_key" not in json.loads(fitted.features.to_json())["fields"][1], "fingerprints of others stay"
    names = IdNames(loaded)
    encoded = loaded.encode_batch(batch(ROWS))
    numbers, called = names.numbered("user", encoded["fields"][:, 0])
    shown = [called[number] for number in numbers.tolist()]
    assert shown == [f"(key {key('user', 'anna')})", f"(key {key('user', 'bert')})", "(missing)", "(missing)"]
    assert names.shown("history", encoded["history"])[1:] == ["", "", f"(key {key('item', '7')})"]
    assert names.numbered("colour", encoded["fields"][:, 1])[0].tolist() == [2, 3, 2, 2]
    with pytest.raises(ValueError, match="'user' have keys, which have no names in an order"):
        names.of("user")


def test_processes_give_the_keys_that_one_gives(tmp_path: Path) -> None:
    lines = [f"{row % 2},u{row % 90},red,{row % 40}.0,{row},a|b{row},x,{row % 7}" for row in range(3000)]
    (tmp_path / "rows.csv").write_text("\n".join([",".join(ROWS), *lines]) + "\n", encoding="utf-8")
    made = []
    for processes in (1, 2):
        source = TabularFile(tmp_path / "rows.csv", SCHEMA)
        prepare_encoded_dataset(source, tmp_path / f"by_{processes}", processes=processes, progress=False)
        made.append(EncodedDataset.open(tmp_path / f"by_{processes}"))
    assert made[0].fingerprint == made[1].fingerprint
    assert key("item", "7") in made[1].column("train", "item"), "spelt 7.0 in all rows"


def test_as_many_values_share_a_key_as_is_said() -> None:
    texts = pa.array([f"value {number}" for number in range(400_000)])
    keys = np.concatenate([(_hash_buckets(texts, NUM_KEYS) + key_shift(name)) % NUM_KEYS for name in ("a", "b")])
    sharing = len(keys) - len(np.unique(keys))
    expected = len(keys) * share_with_another(len(keys)) / 2  # two values share one key
    assert expected == pytest.approx(159, abs=1) and abs(sharing - expected) < 5 * np.sqrt(expected)
    assert share_with_another(1) == 0.0 and share_with_another(100_000_000) == pytest.approx(0.0484, abs=1e-3)


def test_the_limit_of_ids_is_said() -> None:
    schema = Schema((Feature("user", "categorical", vocabulary=KEYS), Feature("item", "categorical")), label="click")
    fits = describe_encoding(schema, {"user": 0, "item": FIRST_KEY - 3})
    assert fits.num_vocabulary_ids == FIRST_KEY and fits.num_ids == 2**31 - 1
    with pytest.raises(ValueError, match=r"lie below 134,217,728 where .*'user' .*let them have keys"):
        describe_encoding(schema, {"user": 0, "item": FIRST_KEY - 2})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Feature("age", "numeric", vocabulary=KEYS), "'age' cannot be keys: it is numeric"),
        (lambda: Feature("page", "categorical", role="scenario", vocabulary=KEYS), "it is the scenario"),
        (
            lambda: Feature("seen", "sequence", shares_vocabulary_with="item", vocabulary=KEYS),
            "it shares the vocabulary of 'item'",
        ),
        (lambda: Vocabulary(keys=True, min_count=2), "either hash_buckets, or keys, or min_count"),
        (lambda: Vocabulary(keys=True, hash_buckets=10), "not several of them"),
        (lambda: Vocabulary(keys="yes"), "vocabulary.keys must be true or false"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_have_keys_is_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
