"""The encoder of served graphs gives the ids of the layer, whatever the schema and the request."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.encoding import Encoder, vocabulary_lookup
from dynctr_tf.encoding import serving_encoder as module
from dynctr_tf.encoding.feature_encoder import FeatureEncoder, describe_encoding, fill_missing_features
from dynctr_tf.encoding.numeric_binning import NumericBinning
from dynctr_tf.encoding.serving_encoder import ServingEncoder, number_steps
from dynctr_tf.schema import Feature, Schema, Vocabulary

TEXTS = st.sampled_from(
    ["", " ", "a", " a", "a ", "b", "é", "NULL", "1", "1.0", "12", "12.0", "true", "True", "x" * 40]
)
NUMBERS = st.sampled_from([0.0, -0.0, 1.0, 2.0, 3.0, 7.5, -1.0, -2.5, 1e30, float("nan"), float("inf"), -float("inf")])
FEATURES = {
    "text": {"kind": "categorical"},
    "rare": {"kind": "categorical", "vocabulary": Vocabulary(min_count=2)},
    "hashed": {"kind": "categorical", "vocabulary": Vocabulary(hash_buckets=5)},
    "other hashed": {"kind": "categorical", "vocabulary": Vocabulary(hash_buckets=7)},
    "scene": {"kind": "categorical", "role": "scenario"},
    "set": {"kind": "multi_valued", "max_length": 2},
    "one": {"kind": "multi_valued", "max_length": 1},
    "hashed set": {"kind": "multi_valued", "max_length": 3, "vocabulary": Vocabulary(hash_buckets=5)},
    "history": {"kind": "sequence", "max_length": 3},
    "same": {"kind": "sequence", "max_length": 2, "shares_vocabulary_with": "text"},
    "number": {"kind": "numeric"},
    "plus one": {"kind": "numeric", "binning": "log_squared_plus_one"},
    "quantile": {"kind": "numeric", "binning": "quantile", "num_bins": 3},
}


class Rows:
    """Rows in memory, all of them for training."""

    split_names = ("train", "validation", "test")
    skipped: dict[str, int] = {}

    def __init__(self, schema: Schema, columns: dict[str, list[Any]]) -> None:
        self.schema = schema
        self.num_rows = len(columns["y"])
        lists = pa.list_(pa.string())
        types = {"numeric": pa.float64(), "categorical": pa.string(), "multi_valued": lists, "sequence": lists}
        arrays = {f.name: pa.array(columns[f.name], types[f.kind]) for f in schema.features}
        self.columns = pa.RecordBatch.from_pydict({**arrays, "y": pa.array(columns["y"], pa.float32())})

    def batches(self) -> Any:
        yield RowBatch(self.columns, np.zeros(self.num_rows, np.int8))


def cells(feature: Feature) -> st.SearchStrategy[Any]:
    if feature.kind == "numeric":
        return NUMBERS
    return TEXTS if feature.kind == "categorical" else st.lists(TEXTS, max_size=5)


def request(features: tuple[Feature, ...], rows: list[list[Any]]) -> dict[str, tf.Tensor]:
    tensors = {}
    for place, feature in enumerate(features):
        values = [row[place] for row in rows]
        if feature.kind == "numeric":
            tensors[feature.name] = tf.constant(values, tf.float32)
        elif feature.kind == "categorical":
            tensors[feature.name] = tf.constant(values, tf.string)
        else:
            tensors[feature.name] = tf.ragged.constant(values, ragged_rank=1, dtype=tf.string).to_tensor("")
    return tensors


@st.composite
def cases(draw: st.DrawFn) -> tuple[Schema, dict[str, list[Any]], list[list[Any]], set[str]]:
    names = draw(st.lists(st.sampled_from(sorted(FEATURES)), min_size=1, max_size=6, unique=True))
    if "same" in names and "text" not in names:
        names.append("text")
    if all(FEATURES[name]["kind"] == "sequence" for name in names):
        names.append("scene")
    features = tuple(Feature(name, **FEATURES[name]) for name in names)
    schema = Schema(features, label="y", missing_values=("", "NULL"))
    row = st.tuples(*(cells(feature) for feature in features)).map(list)
    fitted = draw(st.lists(row, min_size=1, max_size=8))
    columns: dict[str, list[Any]] = {f.name: [row[i] for row in fitted] for i, f in enumerate(features)}
    columns["y"] = [i % 2 for i in range(len(fitted))]
    asked = draw(st.lists(row, min_size=1, max_size=5))
    left_out = set(draw(st.lists(st.sampled_from(names), max_size=len(names) - 1, unique=True)))
    return schema, columns, asked, left_out


def same(found: dict[str, tf.Tensor], expected: dict[str, tf.Tensor]) -> None:
    assert sorted(found) == sorted(expected)
    for key, value in expected.items():
        assert found[key].dtype == tf.int32
        np.testing.assert_array_equal(found[key].numpy(), value.numpy(), key)


def empty(feature: Feature) -> tf.Tensor:
    kind = tf.float32 if feature.kind == "numeric" else tf.string
    return tf.zeros([0] if feature.kind in ("numeric", "categorical") else [0, 0], kind)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(cases())
def test_the_ids_are_those_of_the_layer(case: tuple[Schema, dict[str, list[Any]], list[list[Any]], set[str]]) -> None:
    schema, columns, asked, left_out = case
    encoder = Encoder.fit(Rows(schema, columns), progress=False)
    layer = encoder.layer()
    served = ServingEncoder(layer)
    full = request(schema.features, asked)
    same(served(full), layer(full))
    same(served(full, complete=True), layer(full))
    partial = {name: value for name, value in full.items() if name not in left_out}
    absent = {feature.name: empty(feature) for feature in schema.features if feature.name in left_out}
    expected = layer(fill_missing_features(partial, schema))
    same(served({**partial, **absent}), expected)
    # One row on one side, the rest on the other.
    names = sorted(full)
    once, many = names[: len(names) // 2], names[len(names) // 2 :]
    if once:
        one = served.columns({name: full[name][:1] for name in once}, num_rows=1)
        rest = served.columns({name: full[name] for name in many})
        repeated = {
            name: tf.repeat(full[name][:1], len(asked), axis=0) if name in once else full[name] for name in full
        }
        same(served.batch(one.repeated(rest.count), rest), layer(repeated))


@pytest.mark.parametrize(
    "layer",
    [
        NumericBinning("log_squared", (-(2**53), -3, -1, 0, 1, 2, 3, 4, 7, 9, 100, 2000, 5000, 2**53)),
        NumericBinning("log_squared_plus_one", (0, 1, 2, 3, 4, 7, 9, 100, 177, 2**53)),
        NumericBinning("log_of_square", (-(2**53), -60, -5, -2, -1, 0, 1, 2, 4, 9, 13, 177, 2**53)),
        NumericBinning("quantile", (0, 1, 2, 4), (-1.5, 0.0, 0.3, 1e5)),
        NumericBinning("quantile", (2,), (-1.5, 0.0, 0.3, 1e5)),
        NumericBinning("log_squared", ()),
    ],
    ids=lambda layer: f"{layer.binning}-{len(layer.bins)}",
)
def test_every_number_has_its_bin(layer: NumericBinning) -> None:
    edges, ids = number_steps(layer)
    assert len(ids) == len(edges) + 1 and (np.diff(edges) > 0).all()
    draw = np.random.default_rng(0)
    bits = draw.integers(0, 2**32, 200_000, dtype=np.uint32).view(np.float32)
    beside = [edges, np.nextafter(edges, np.float32(1)), np.nextafter(edges, np.float32(-1))]
    special = np.array([0.0, -0.0, 2.0, np.inf, -np.inf], np.float32)
    numbers = np.concatenate([bits[~np.isnan(bits)], draw.normal(0, 5, 20_000).astype(np.float32), *beside, special])
    found = ids[np.searchsorted(edges, numbers, side="right")]
    np.testing.assert_array_equal(found, layer(numbers).numpy())


def test_bytes_that_are_no_text() -> None:
    names = [name for name in FEATURES if FEATURES[name]["kind"] != "numeric"]
    schema = Schema(tuple(Feature(name, **FEATURES[name]) for name in names), label="y", missing_values=("", "NULL"))
    known = ["12", "7", "-3"]
    columns: dict[str, list[Any]] = {
        feature.name: known if feature.kind == "categorical" else [[value, "7"] for value in known]
        for feature in schema.features
    }
    layer = Encoder.fit(Rows(schema, {**columns, "y": [0, 1, 0]}), progress=False).layer()
    bytes_ = [b"\xff\xfe", b"12\x00", b"\x00", b"\xff12.0", b"\xc3", b"12.0", b"7", b""]
    lists = [[bytes_[row], bytes_[row - 3], bytes_[row - 5], b""] for row in range(len(bytes_))]
    asked = {f.name: tf.constant(bytes_ if f.kind == "categorical" else lists) for f in schema.features}
    same(ServingEncoder(layer)(asked), layer(asked))


def one_field(values: list[str]) -> FeatureEncoder:
    schema = Schema((Feature("colour", "categorical"),), label="y")
    layer = FeatureEncoder(schema, describe_encoding(schema, {"colour": len(values)}), {})
    layer.set_vocabulary("colour", values)
    return layer


def test_an_unknown_text_with_the_key_of_a_known_one_stays_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    # With 2,000 keys in place of 2^63 most unknown texts meet a known one's.
    monkeypatch.setattr(module, "_KEYS", 2_000)
    monkeypatch.setattr(module, "_MOST_SALTS", 10_000)
    layer = one_field([f"v{i}" for i in range(60)])
    asked = tf.constant([f"v{i}" for i in range(5_000)])
    same(ServingEncoder(layer)({"colour": asked}), layer({"colour": asked}))


def test_salts_are_tried_until_no_two_texts_have_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = one_field([f"v{i}" for i in range(30)])
    monkeypatch.setattr(module, "_KEYS", 20)
    with pytest.raises(ValueError, match="None of 100 salts gives 31 texts different keys"):
        ServingEncoder(layer)


def test_texts_that_are_respelt_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary_lookup, "_MOST_RESPELT", 1)
    features = (
        Feature("whole", "categorical"),
        Feature("history", "sequence", max_length=3, shares_vocabulary_with="whole"),
        Feature("text", "categorical"),
    )
    schema = Schema(features, label="y", missing_values=("", "-1"))
    source = Rows(
        schema, {"whole": ["1", "2.0", "3"], "history": [["1"], ["2"], []], "text": ["1.0", "a", "1"], "y": [0, 1, 0]}
    )
    layer = Encoder.fit(source, progress=False).layer()
    assert layer.look_up_layers[0]._respelt and layer.look_up_layers[1]._respelt
    rows = [["1.0", ["2.0", " 3"], "1.0"], ["2", ["9"], "1"], ["", ["1.0", "1", "2", "3.0"], "b"]]
    rows.append(["-1.0", ["3", "-1", "-1.0", "1"], "-1"])  # another spelling of a missing value
    asked = request(features, rows)
    same(ServingEncoder(layer)(asked), layer(asked))


def test_other_numbers_of_rows_are_refused() -> None:
    schema = Schema((Feature("a", "categorical"), Feature("b", "numeric")), label="y")
    source = Rows(schema, {"a": ["x", "y"], "b": [1.0, 2.0], "y": [0, 1]})
    served = ServingEncoder(Encoder.fit(source, progress=False).layer())
    with pytest.raises(tf.errors.InvalidArgumentError, match="same number of rows"):
        served({"a": tf.constant(["x"]), "b": tf.constant([1.0, 2.0])})
    with pytest.raises(tf.errors.InvalidArgumentError, match="Rows expected"):
        served.columns({"a": tf.constant(["x", "y"])}, num_rows=1)
