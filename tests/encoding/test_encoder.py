"""The encoder: layout of the ids, both ways of encoding alike, missing and unknown values, saving."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from rows_in_memory import RICH_SCHEMA, RowsInMemory, random_columns, raw_tensors, rich_source, source_of
from tensorflow import keras

from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.durable_files import DamagedFileError, write_json
from dynctr_tf.encoding import Encoder, FeatureEncoder, fill_missing_features
from dynctr_tf.encoding.vocabulary import FittedBins, FittedVocabulary
from dynctr_tf.schema import Feature, Schema, Vocabulary


def fit(source: RowsInMemory) -> Encoder:
    return Encoder.fit(source, progress=False)


def encode(encoder: Encoder, columns: pa.RecordBatch) -> dict[str, np.ndarray]:
    return encoder.encode_batch(RowBatch(columns, np.zeros(columns.num_rows, np.int8)))


def assert_same(left: dict, right: dict) -> None:
    assert sorted(left) == sorted(right)
    for name in left:
        assert left[name].dtype == np.int32, name
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return fit(rich_source(1000))


def test_blocks_fill_the_id_space_without_gap_or_overlap(encoder: Encoder) -> None:
    features = encoder.features
    singles = ["user", "age", "price", "score", "item", "site", "scene", "tier", "first_tag"]
    assert [field.name for field in features.single_valued] == singles
    assert [field.name for field in features.multi_valued] == ["tags", "words"]
    assert [(s.name, s.length, s.field) for s in features.sequences] == [("history", 4, "item"), ("queries", 2, None)]
    blocks = sorted({(entry.first_id, entry.num_ids) for entry in features.entries})
    assert len(blocks) == len(features.entries) - 1, "the history has the block of the item"
    ends = [first + size for first, size in blocks]
    assert [first for first, _ in blocks] == [1, *ends[:-1]] and ends[-1] == features.num_ids
    sizes = {entry.name: entry.num_ids for entry in features.entries}
    assert sizes["site"] == 2 + 11 and sizes["words"] == 2 + 7 and sizes["queries"] == 2 + 5
    assert features.num_scenarios == sizes["scene"] and features.num_groups == sizes["tier"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_batches_and_the_serving_layer_give_the_same_ids(encoder: Encoder, seed: int) -> None:
    columns = random_columns(400, seed + 10)
    expected = encode(encoder, columns)
    assert_same({name: ids.numpy() for name, ids in encoder.layer()(raw_tensors(columns)).items()}, expected)


def test_ids_are_those_that_the_rules_say(encoder: Encoder) -> None:
    """Each id of random rows, worked out one by one in Python."""
    columns = random_columns(200, 77)
    encoded = encode(encoder, columns)
    rows = columns.to_pylist()
    blocks = {entry.name: entry.first_id for entry in encoder.features.entries}
    places = {
        name: {value: place + 2 for place, value in enumerate(fitted.values.to_pylist())}
        for name, fitted in encoder.vocabularies.items()
    }

    def single(name: str, value: str | None) -> int:
        feature = RICH_SCHEMA.feature(name)
        buckets = feature.vocabulary.hash_buckets
        if not value:
            offset = 0
        elif buckets:
            offset = 2 + int(tf.strings.to_hash_bucket_fast(value, buckets))
        else:
            offset = places[feature.shares_vocabulary_with or name].get(value, 1)
        return blocks[name] + offset

    def several(name: str, value: str | list[str] | None) -> list[int]:
        feature = RICH_SCHEMA.feature(name)
        values = [v for v in (value.split(feature.separator) if isinstance(value, str) else value or []) if v]
        kept = values[-feature.max_length :] if feature.kind == "sequence" else values[: feature.max_length]
        ids = [single(name, v) for v in kept]
        if not ids and feature.kind == "multi_valued":
            ids = [blocks[name]]
        return ids + [0] * (feature.max_length - len(ids))

    fields = [field.name for field in encoder.features.single_valued]
    for i, row in enumerate(rows):
        for name in ("user", "item", "site", "scene", "tier"):
            assert encoded["fields"][i, fields.index(name)] == single(name, row[name]), (name, row)
        assert encoded["fields"][i, fields.index("first_tag")] == several("first_tag", row["first_tag"])[0]
        for name in ("tags", "words", "history", "queries"):
            assert encoded[name][i].tolist() == several(name, row[name]), (name, row)
        assert encoded["scenario"][i] == single("scene", row["scene"]) - blocks["scene"]
        assert encoded["group"][i] == single("tier", row["tier"]) - blocks["tier"]


def test_missing_unknown_padding_and_the_newest_of_a_sequence() -> None:
    schema = Schema(
        (
            Feature("item", "categorical"),
            Feature("past", "sequence", max_length=3, shares_vocabulary_with="item"),
            Feature("tags", "multi_valued", max_length=2),
            Feature("scene", "categorical", role="scenario"),
            Feature("age", "numeric"),
        ),
        label="y",
    )
    encoder = fit(
        source_of(
            schema, item=["a", "a", "b"], past=["c"] * 3, tags=["t|u", "t", "t"], scene=["s"] * 3, age=[1.0, 1.0, None]
        )
    )
    # item and past: padding 0, missing 1, unknown 2, then c, a, b; then age, scene, tags in the order of the fields
    rows = source_of(
        schema,
        item=["b", "z", None, ""],
        past=["a|b|c|a", "||b||", None, ""],
        tags=["u|t|u", "z", None, "|"],
        scene=["s", "other", None, ""],
        age=[1.5, 40.0, None, float("nan")],
    )
    encoded = encode(encoder, rows.columns)
    assert encoded["past"].tolist() == [[5, 3, 4], [5, 0, 0], [0, 0, 0], [0, 0, 0]]
    scene, age = (next(f for f in encoder.features.fields if f.name == name).first_id for name in ("scene", "age"))
    assert encoded["fields"].tolist() == [[5, scene + 2, age + 2], [2, scene + 1, age + 1], [1, scene, age]] + [
        [1, scene, age]
    ]
    tags = encoder.features.multi_valued[0].first_id
    assert encoded["tags"].tolist() == [[tags + 3, tags + 2], [tags + 1, 0], [tags, 0], [tags, 0]]
    assert encoded["scenario"].tolist() == [2, 1, 0, 0]
    assert "group" not in encoded


def test_dictionaries_large_strings_and_batches_without_rows(encoder: Encoder) -> None:
    columns = random_columns(50, 5)
    expected = encode(encoder, columns)
    others = {}
    for name, column in zip(columns.schema.names, columns.columns, strict=True):
        if name in ("user", "tags"):
            column = column.dictionary_encode()
        elif name in ("scene", "history"):
            column = column.cast(pa.large_string())
        elif name == "item":
            column = column.dictionary_decode()
        others[name] = column
    assert_same(encode(encoder, pa.RecordBatch.from_pydict(others)), expected)
    for name, ids in encode(encoder, columns.slice(0, 0)).items():
        assert ids.shape == (0, *expected[name].shape[1:]), name


def test_a_slice_of_a_batch_is_encoded_by_itself(encoder: Encoder) -> None:
    columns = random_columns(90, 6)
    whole, part = encode(encoder, columns), encode(encoder, columns.slice(31, 17))
    for name in whole:
        np.testing.assert_array_equal(whole[name][31:48], part[name])


def test_save_and_load(encoder: Encoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "encoder")
    again = Encoder.load(tmp_path / "encoder")
    assert again.features == encoder.features and again.fingerprint == encoder.fingerprint
    assert again.schema == encoder.schema
    columns = random_columns(100, 3)
    assert_same(encode(again, columns), encode(encoder, columns))
    with pytest.raises(ValueError, match="holds an encoder already"):
        encoder.save(tmp_path / "encoder")


def test_load_refuses_what_is_no_encoder(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no encoder"):
        Encoder.load(tmp_path)
    encoder.save(tmp_path / "encoder")
    file = tmp_path / "encoder" / "encoder.json"
    index = json.loads(file.read_text(encoding="utf-8"))
    changed = {
        **index,
        "bins": {**index["bins"], "age": {"bins": [*index["bins"]["age"]["bins"][:-1], 9999], "boundaries": []}},
    }
    file.write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(DamagedFileError, match=r"encoder\.json is damaged or was changed"):
        Encoder.load(tmp_path / "encoder")
    del changed["checksum"]
    write_json(file, changed)
    with pytest.raises(ValueError, match="changed after it was saved"):
        Encoder.load(tmp_path / "encoder")
    write_json(file, {**changed, "format": 99})
    with pytest.raises(ValueError, match="format 99"):
        Encoder.load(tmp_path / "encoder")


def test_the_fingerprint_tells_encoders_apart() -> None:
    schema = Schema((Feature("a", "categorical"), Feature("n", "numeric")), "y")

    def made(values: list[str], bins: tuple[int, ...]) -> Encoder:
        fitted = FittedVocabulary(pa.array(values, pa.large_string()), np.ones(len(values), np.int64))
        return Encoder(schema, {"a": fitted}, {"n": FittedBins(bins)})

    first = made(["ab", "c"], (1, 2))
    assert first.fingerprint == made(["ab", "c"], (1, 2)).fingerprint
    others = [made(["a", "bc"], (1, 2)), made(["c", "ab"], (1, 2)), made(["ab", "c"], (1, 3))]
    assert len({encoder.fingerprint for encoder in (first, *others)}) == 4


def test_fitting_twice_gives_the_same_encoder_however_the_rows_are_cut() -> None:
    prints = {fit(rich_source(600, batch_rows=rows)).fingerprint for rows in (1000, 64)}
    assert len(prints) == 1


def test_vocabularies_must_be_those_of_the_schema() -> None:
    schema = Schema((Feature("a", "categorical"), Feature("n", "numeric")), "y")
    with pytest.raises(ValueError, match=r"needs bins for \['n'\]"):
        Encoder(schema, {}, {})
    with pytest.raises(ValueError, match=r"needs vocabularies for \['a'\]"):
        Encoder(schema, {}, {"n": FittedBins((1,))})


def test_rows_that_lack_a_column_are_refused(encoder: Encoder) -> None:
    columns = random_columns(5, 0)
    kept = {name: columns.column(name) for name in columns.schema.names if name != "age"}
    with pytest.raises(ValueError, match=r"lack the columns \['age'\]"):
        encoder.encode_matrix(pa.RecordBatch.from_pydict(kept))


# The layer


def keras_inputs(schema: Schema) -> dict[str, keras.KerasTensor]:
    return {
        feature.name: keras.Input(
            (None,) if feature.kind in ("multi_valued", "sequence") else (),
            dtype="float32" if feature.kind == "numeric" else "string",
            name=feature.name,
        )
        for feature in schema.features
    }


def test_the_layer_in_a_model_saved_and_loaded(encoder: Encoder, tmp_path: Path) -> None:
    inputs = keras_inputs(RICH_SCHEMA)
    model = keras.Model(inputs, encoder.layer(name="encode")(inputs))
    columns = random_columns(60, 21)
    expected = encode(encoder, columns)
    widths = {name: tensor.shape[1:] for name, tensor in model.output.items()}
    assert {name: tuple(shape) for name, shape in widths.items()} == {n: ids.shape[1:] for n, ids in expected.items()}
    assert all(tensor.dtype in ("int32", tf.int32) for tensor in model.output.values())
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert_same({name: ids.numpy() for name, ids in again(raw_tensors(columns)).items()}, expected)


def test_the_layer_under_a_mixed_policy(encoder: Encoder) -> None:
    bins = {name: {"bins": fitted.bins, "boundaries": fitted.boundaries} for name, fitted in encoder.bins.items()}
    layer = FeatureEncoder(RICH_SCHEMA, encoder.features, bins, dtype="mixed_bfloat16")
    for name, fitted in encoder.vocabularies.items():
        layer.set_vocabulary(name, fitted.values.to_pylist())
    columns = random_columns(60, 22)
    encoded = layer(raw_tensors(columns))
    assert_same({name: ids.numpy() for name, ids in encoded.items()}, encode(encoder, columns))


def test_the_layer_refuses_wrong_inputs(encoder: Encoder) -> None:
    layer, good = encoder.layer(), raw_tensors(random_columns(4, 0))
    with pytest.raises(ValueError, match="lack the features"):
        layer({name: tensor for name, tensor in good.items() if name != "age"})
    with pytest.raises(ValueError, match="Did you mean 'age'"):
        layer({**good, "agee": good["age"]})
    with pytest.raises(ValueError, match="'age' is numeric and takes numbers, got string"):
        layer({**good, "age": good["user"]})
    with pytest.raises(ValueError, match="'user' is categorical and takes strings, got float32"):
        layer({**good, "user": good["age"]})
    with pytest.raises(ValueError, match="'tags' is multi_valued and has the shape"):
        layer({**good, "tags": good["user"]})
    with pytest.raises(ValueError, match=r"'user' is categorical and has the shape \(batch,\)"):
        layer({**good, "user": good["user"][:, None]})
    with pytest.raises(ValueError, match="block of .* values, got a vocabulary of 1"):
        layer.set_vocabulary("item", ["x"])
    with pytest.raises(ValueError, match="feature with a vocabulary of its own"):
        layer.set_vocabulary("history", ["x"])
    with pytest.raises(ValueError, match="Bins are needed for the numeric features"):
        FeatureEncoder(RICH_SCHEMA, encoder.features, {})


def test_absent_features_are_missing_ones(encoder: Encoder) -> None:
    layer = encoder.layer()
    given = {"user": tf.constant(["u1", "u2"]), "tags": tf.ragged.constant([["v1", "v2"], []])}
    encoded = layer(fill_missing_features(given, RICH_SCHEMA))
    nulls = {
        feature.name: pa.nulls(2, pa.float64() if feature.kind == "numeric" else pa.string())
        for feature in RICH_SCHEMA.features
    }
    rows = pa.RecordBatch.from_pydict({**nulls, "user": pa.array(["u1", "u2"]), "tags": pa.array(["v1,v2", None])})
    assert_same({name: ids.numpy() for name, ids in encoded.items()}, encode(encoder, rows))
    with pytest.raises(ValueError, match="Did you mean 'user'"):
        fill_missing_features({"usr": given["user"]}, RICH_SCHEMA)
    with pytest.raises(ValueError, match="at least one feature"):
        fill_missing_features({}, RICH_SCHEMA)


def test_names_that_tensorflow_would_not_take(tmp_path: Path) -> None:
    schema = Schema(
        (Feature("user id/ü", "categorical"), Feature("1 %", "numeric"), Feature("a b", "sequence")), label="a click"
    )
    source = source_of(schema, **{"user id/ü": ["x", "y"], "1 %": [1.0, 2.0], "a b": ["p|q", ""]})
    encoder = fit(source)
    expected = encode(encoder, source.columns)
    encoded = encoder.layer()(raw_tensors(source.columns, schema))
    assert_same({name: ids.numpy() for name, ids in encoded.items()}, expected)
    encoder.save(tmp_path / "encoder")
    assert_same(encode(Encoder.load(tmp_path / "encoder"), source.columns), expected)


def test_hashing_never_changes() -> None:
    """Buckets of saved data and models must mean the same for ever; these are those of TensorFlow 2.15 and 2.21."""
    schema = Schema((Feature("a", "categorical", vocabulary=Vocabulary(hash_buckets=1000)),), "y")
    rows = source_of(schema, a=["apple", "straße", "[UNK]", None])
    assert encode(Encoder(schema, {}, {}), rows.columns)["fields"][:, 0].tolist() == [604, 787, 283, 1]


def test_ids_beyond_int32_are_refused() -> None:
    def encoder(buckets: int) -> Encoder:
        return Encoder(Schema((Feature("a", "categorical", vocabulary=Vocabulary(hash_buckets=buckets)),), "y"), {}, {})

    # The padding id, and missing and unknown of the feature.
    assert encoder(2**31 - 4).features.num_ids == 2**31 - 1
    with pytest.raises(
        ValueError, match=r"2,147,483,648 ids.*'a' has 2,147,483,647.*at most 2,147,483,647 \(2\^31 - 1\)"
    ):
        encoder(2**31 - 3)
