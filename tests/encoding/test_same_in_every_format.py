"""Random schemas and rows: CSV, gzip, Parquet, JSON lines and the served request give the same ids."""

from __future__ import annotations

import collections
import csv
import gzip
import io
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynctr_tf.datasets import TabularFile
from dynctr_tf.encoding import Encoder
from dynctr_tf.encoding.value_text import canonical, canonical_strings, fitted_form, other_spellings
from dynctr_tf.encoding.vocabulary import _HashedFit, fit_features
from dynctr_tf.encoding.vocabulary_lookup import VocabularyLookup
from dynctr_tf.schema import Feature, Schema, Vocabulary

ALL_TRAIN = {"train": 1.0 - 1e-9, "test": 1e-9}
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), min_size=1, max_size=4)
WHOLE = st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1)
# Whole numbers that a column of floats holds as they are.
FLOATED = st.integers(-20, 20) | st.integers(-(2**53), 2**53) | st.just(10**17)
WORDS = st.text("abcé'\"\\,[]{} ", min_size=1, max_size=4).map(str.strip).filter(bool)
CELLS = {
    "text": TEXTS,
    "whole": WHOLE,
    "floated": FLOATED,
    "truth": st.booleans(),
    "number": st.floats(-1e6, 1e6, width=32),
    "words": st.lists(WORDS, max_size=4),
    "numbers": st.lists(st.integers(0, 9), max_size=4),
}


def feature_of(name: str, kind: str, hashed: bool, sequence: bool) -> Feature:
    if kind == "number":
        return Feature(name, "numeric")
    vocabulary = Vocabulary(hash_buckets=7) if hashed else Vocabulary()
    if kind in ("words", "numbers"):
        several = "sequence" if sequence else "multi_valued"
        return Feature(name, several, vocabulary=vocabulary, max_length=3, list_format="brackets")
    return Feature(name, "categorical", vocabulary=vocabulary)


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, str], Schema, list[dict[str, Any]]]:
    kinds = {
        f"c{i}": kind for i, kind in enumerate(draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=4)))
    }
    # A model needs a field, so the first feature is no sequence.
    features = tuple(
        feature_of(name, kind, draw(st.booleans()), name != "c0" and draw(st.booleans()))
        for name, kind in kinds.items()
    )
    schema = Schema(features, label="y", missing_values=("", "NULL"))
    row = st.fixed_dictionaries({name: st.none() | CELLS[kind] for name, kind in kinds.items()})
    rows = draw(st.lists(row, min_size=1, max_size=12))
    return kinds, schema, [{**row, "y": i % 2} for i, row in enumerate(rows)]


def csv_cell(value: Any, kind: str, style: int) -> str:
    """A cell as one of several writers of CSV files writes it."""
    if value is None:
        return ("", "NULL")[style]
    if kind == "truth":
        return (str(value), str(value).lower())[style]
    if kind == "floated":
        return (repr(float(value)), str(value))[style]
    if kind in ("words", "numbers"):
        return (repr(value), json.dumps(value))[style]
    return repr(value) if isinstance(value, float) else str(value)


def written_csv(kinds: dict[str, str], rows: list[dict[str, Any]], style: int) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", *kinds, "y"])
    for i, row in enumerate(rows):
        writer.writerow([i, *(csv_cell(row[name], kind, style) for name, kind in kinds.items()), row["y"]])
    return text.getvalue().encode()


def parquet_table(kinds: dict[str, str], rows: list[dict[str, Any]]) -> pa.Table:
    types = {
        "text": pa.large_string(),
        "whole": pa.int64(),
        "floated": pa.float64(),
        "truth": pa.bool_(),
        "number": pa.float32(),
        "words": pa.large_list(pa.large_string()),
        "numbers": pa.list_(pa.int32()),
    }
    columns = {}
    for name, kind in kinds.items():
        values = [row[name] for row in rows]
        if kind == "floated":
            values = [value if value is None else float(value) for value in values]
        columns[name] = pa.array(values, types[kind])
    return pa.table({**columns, "y": [row["y"] for row in rows]})


def request(kinds: dict[str, str], rows: list[dict[str, Any]], style: int) -> dict[str, tf.Tensor]:
    """What a client sends: text in one of its spellings."""
    tensors = {}
    for name, kind in kinds.items():
        values = [row[name] for row in rows]
        if kind == "number":
            tensors[name] = tf.constant([math.nan if value is None else value for value in values], tf.float32)
        elif kind in ("words", "numbers"):
            lists = [[str(value) for value in entry or []] for entry in values]
            width = max(1, *(len(entry) for entry in lists))
            tensors[name] = tf.constant(
                [[f" {value}" for value in entry] + [""] * (width - len(entry)) for entry in lists]
            )
        else:
            # 1e+17 is a spelling that files have and that a request has to write out.
            texts = [csv_cell(value, kind, style) for value in values]
            texts = [
                str(value) if "e+" in text and kind == "floated" else text
                for value, text in zip(values, texts, strict=True)
            ]
            tensors[name] = tf.constant(texts)
    return tensors


def matrix(encoder: Encoder, source: TabularFile) -> np.ndarray:
    return np.concatenate([encoder.encode_matrix(batch.columns) for batch in source.batches()])


def served(encoder: Encoder, tensors: dict[str, tf.Tensor]) -> np.ndarray:
    encoded = encoder.layer()(tensors)
    single = [field.name for field in encoder.features.single_valued]
    parts = []
    for name, _ in encoder.id_columns:
        parts.append(encoded["fields"][:, single.index(name)][:, None] if name in single else encoded[name])
    return np.concatenate([np.asarray(part) for part in parts], axis=1)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(tables(), st.integers(0, 5))
def test_every_format_gives_the_same_ids(
    drawn: tuple[dict[str, str], Schema, list[dict[str, Any]]], fitted_on: int
) -> None:
    kinds, schema, rows = drawn
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for style in (0, 1):
            (folder / f"{style}.csv").write_bytes(written_csv(kinds, rows, style))
            (folder / f"{style}.gz").write_bytes(gzip.compress(written_csv(kinds, rows, style)))
        (folder / "rows.json").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        pq.write_table(parquet_table(kinds, rows), folder / "rows.parquet")
        sources = [TabularFile(file, schema, splits=ALL_TRAIN) for file in sorted(folder.iterdir())]
        fits = [fit_features(source, progress=False) for source in sources]
        for fitted in fits[1:]:
            assert fitted.bins == fits[0].bins
            for name, vocabulary in fitted.vocabularies.items():
                assert vocabulary.values.equals(fits[0].vocabularies[name].values)
                assert vocabulary.counts.tolist() == fits[0].vocabularies[name].counts.tolist()
        # What is fitted on one format encodes all of them.
        fitted = fits[fitted_on % len(fits)]
        encoder = Encoder(schema, fitted.vocabularies, fitted.bins, fitted.hashed_forms)
        expected = matrix(encoder, sources[0])
        for source in sources[1:]:
            np.testing.assert_array_equal(matrix(encoder, source), expected, str(source.path.name))
        for style in (0, 1):
            np.testing.assert_array_equal(served(encoder, request(kinds, rows, style)), expected)
        # Ids, order and counts by a plain reading in Python.
        for name, fitted in fits[0].vocabularies.items():
            counted: collections.Counter[str] = collections.Counter()
            for row in rows:
                several = kinds[name] in ("words", "numbers")
                cut = slice(-3, None) if schema.feature(name).kind == "sequence" else slice(3)
                values = (row[name] or [])[cut] if several else [row[name]]
                values = [
                    str(value) if kinds[name] != "truth" else str(value).lower()
                    for value in values
                    if value is not None
                ]
                counted.update(value for value in values if value != "NULL")
            order = sorted(counted, key=lambda value: (-counted[value], value.encode()))
            assert fitted.values.to_pylist() == order
            assert fitted.counts.tolist() == [counted[value] for value in order]


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["12.0", "7", "-3"], "whole"),
        (["12", "12.0"], "whole"),
        (["1", "0", "1.0"], "bit"),
        (["1", "true"], "bit"),
        (["True", "false"], "truth"),
        (["1.5", "2.0"], "decimal"),
        (["1.5", "1e-05", "3.0"], "decimal"),
        (["1.5", "2.0", "2"], "exact"),  # versions
        (["1.0", "1.1", "1.10"], "exact"),
        (["012", "12"], "exact"),
        (["1e5", "100000"], "exact"),
        (["+1", "1"], "exact"),
        (["12.00", "12"], "exact"),
        (["12.0", "twelve"], "exact"),
        (["12 ", "12"], "exact"),
        ([], "exact"),
    ],
)
def test_how_a_column_is_spelt(texts: list[str], form: str) -> None:
    values = pa.array(texts, pa.large_string())
    assert fitted_form(values) == form
    if form == "exact":
        assert canonical(values, form) is values
    single = canonical(values, form)
    # The table of other spellings, the graph and the column agree.
    others = {other: text for text in single.to_pylist() for other in other_spellings(text.encode(), form)}
    for text, one in zip(texts, single.to_pylist(), strict=True):
        assert text == one or others[text.encode()] == one
    assert [
        text.decode() for text in canonical_strings(tf.constant(texts, tf.string), form).numpy()
    ] == single.to_pylist()


def test_other_spellings_are_saved_with_the_layer_and_cost_no_ids() -> None:
    layer = VocabularyLookup("whole", ("NULL",))
    layer.set_vocabulary(["12", "-7"])
    probe = tf.constant(["12.0", "12", "-7.0", "NULL", "", "12.00", "7.0"])
    expected = [2, 2, 3, 0, 0, 1, 1]
    assert layer(probe).numpy().tolist() == expected
    assert layer.get_vocabulary() == [b"12", b"-7"]
    store: dict[str, np.ndarray] = {}
    layer.save_own_variables(store)
    again = VocabularyLookup.from_config(layer.get_config())
    again.load_own_variables(store)
    assert again(probe).numpy().tolist() == expected
    with pytest.raises(ValueError, match="'12.0', which stands for another one"):
        layer.set_vocabulary(["12", "12.0"])
    with pytest.raises(ValueError, match="'NULL', which stands for another one or for a missing one"):
        layer.set_vocabulary(["NULL"])


def test_a_large_table_respells_in_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dynctr_tf.encoding.vocabulary_lookup._MOST_RESPELT", 1)
    layer = VocabularyLookup("whole")
    layer.set_vocabulary(["12", "-7"])
    assert layer(tf.constant(["12.0", "-7", "13"])).numpy().tolist() == [2, 3, 1]
    assert layer.get_vocabulary() == [b"12", b"-7"]


@pytest.mark.parametrize(
    ("batches", "form"),
    [
        ((["1", "0"], ["true"]), "bit"),
        ((["True"], ["0.0"]), "bit"),
        ((["1"], ["12.0"]), "whole"),
        ((["true"], ["12"]), "exact"),
        ((["true"], ["False"]), "truth"),
    ],
)
def test_hashed_values_are_spelt_as_all_batches_say(batches: tuple[list[str], list[str]], form: str) -> None:
    feature = Feature("a", "categorical", vocabulary=Vocabulary(hash_buckets=7))
    for order in (batches, batches[::-1]):
        fit = _HashedFit(("",))
        for values in order:
            fit.add(pa.array(values), feature, np.arange(len(values)))
        assert fit.finish() == form
    # As a vocabulary that keeps the values.
    assert fitted_form(pa.array(sum(batches, []))) == form


def test_hashed_values_are_respelt_and_saved(tmp_path: Path) -> None:
    hashed = Vocabulary(hash_buckets=1000)
    schema = Schema(
        (Feature("n", "categorical", vocabulary=hashed), Feature("b", "categorical", vocabulary=hashed)), "y"
    )
    (tmp_path / "rows.csv").write_text("n,b,y\n12.0,True,1\n7,,0\n12,false,1\n")
    source = TabularFile(tmp_path / "rows.csv", schema, splits=ALL_TRAIN)
    encoder = Encoder.fit(source, progress=False)
    assert encoder.forms == {"n": "whole", "b": "truth"}
    encoder.save(tmp_path / "encoder")
    loaded = Encoder.load(tmp_path / "encoder")
    assert loaded.forms == encoder.forms and loaded.fingerprint == encoder.fingerprint
    ids = matrix(loaded, source)
    assert ids[0, 0] == ids[2, 0] != ids[1, 0] and ids[0, 1] != ids[2, 1]
    tensors = {"n": tf.constant(["12", "7.0", "12.0"]), "b": tf.constant(["true", "", "FALSE"])}
    np.testing.assert_array_equal(served(loaded, tensors), ids)
    layer = type(loaded.layer()).from_config(loaded.layer().get_config())
    assert layer.forms == encoder.forms
