"""Any column trains, is exported and served by its own name; an export goes to any folder, with ordinary rights."""

from __future__ import annotations

import csv
import fcntl
import json
import logging
import os
import random
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.datasets import TabularFile
from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.encoding import Encoder, write_encoded_dataset
from dynctr_tf.export import check_export_directory, export_model, publish, saved_model, versions
from dynctr_tf.export.raw_requests import example_features, raw_tensors, serialized_examples
from dynctr_tf.models import Embedding, build_model
from dynctr_tf.optimizers import LazyAdam
from dynctr_tf.schema import Feature, Schema
from dynctr_tf.training import set_seed, train

NAMES = [
    "user id", "类目", "price(usd)", "_x", "x:y", "class", "self", "User", "user", "a-b", "a_b", "C1.x/y", "1st",
    "\"it's\"", "🙂", "x" * 300, " lead", ":0", "^x", "embedding", "fields", "logit", "scenario", "label",
    "two\nlines", "\\", "A-B", "user_2",
]  # fmt: skip
KINDS = ("categorical", "numeric", "multi_valued", "sequence")


def schema_of(turn: int) -> Schema:
    """All names, half of them with one value a row in the first turn, the others in the second."""
    features = []
    for place, name in enumerate(NAMES):
        kind = KINDS[(place + 2 * turn) % 4]
        options: dict[str, Any] = {"max_length": 2} if kind in KINDS[2:] else {}
        features.append(Feature(name, kind, role="scenario" if place == turn * 2 else "context", **options))
    return Schema(tuple(features), label="clicked?")


class Rows:
    """Random rows of a schema."""

    split_names = ("train", "validation", "test")
    num_rows = 90
    skipped: dict[str, int] = {}

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        draw = random.Random(0)
        columns: dict[str, Any] = {"clicked?": pa.array([float(draw.random() < 0.5) for _ in range(90)], pa.float32())}
        for feature in schema.features:
            if feature.kind == "numeric":
                columns[feature.name] = pa.array([draw.lognormvariate(1, 1) for _ in range(90)])
            else:
                count = 1 if feature.kind == "categorical" else 2
                values = ["|".join(f"v{draw.randrange(4)}" for _ in range(count)) for _ in range(90)]
                columns[feature.name] = pa.array(values, pa.string())
        self.columns = pa.RecordBatch.from_pydict(columns)

    def batches(self) -> Any:
        yield RowBatch(self.columns, np.arange(90, dtype=np.int8) % 3)


@pytest.fixture(scope="module", params=range(2))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A trained model whose weights tell the columns apart, its export and the logits of its rows."""
    folder = tmp_path_factory.mktemp("names")
    source = Rows(schema_of(request.param))
    encoder = Encoder.fit(source, progress=False)
    data = write_encoded_dataset(source, encoder, folder / "data", progress=False)
    set_seed(0)
    name, options = [
        ("star", {"deep.units": (4,), "auxiliary_units": (4,)}),  # copied with tables of its scenarios
        ("deepfm", {"deep.units": (8,)}),
    ][request.param]
    model = build_model(name, data.features, embedding=Embedding(2, initial_scale=1.0), **options)
    if not request.param:
        train(model, data, LazyAdam(0.01), directory=folder / "run", batch_size=30, epochs=1)
    path = export_model(model, encoder, folder / "served", source.columns)
    encoded = encoder.encode_batch(RowBatch(source.columns, np.zeros(90, np.int8)))
    inputs = {key: tf.constant(encoded[key]) for key in model.input}
    return source, path, inputs, np.asarray(model(inputs, training=False)).reshape(-1)


def close(found: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(np.asarray(found).reshape(-1), expected, rtol=1e-5, atol=1e-5)


def test_the_signature_has_the_names_of_the_columns_and_each_is_its_own(exported: Any) -> None:
    """As TF Serving does: the inputs of the signature by their names, in a session."""
    source, path, inputs, expected = exported
    raw = raw_tensors(source.columns, source.schema)
    requests = {
        "serving_default": raw,
        "encoded": inputs,
        "examples": {"examples": tf.constant(serialized_examples(source.columns, source.schema))},
    }
    values = {
        signature: {name: value.numpy() for name, value in request.items()} for signature, request in requests.items()
    }
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        assert set(loaded.signature_def["serving_default"].inputs) == set(NAMES)
        for signature, request in values.items():
            described = loaded.signature_def[signature]
            assert set(described.inputs) == set(request)
            feed = {described.inputs[name].name: value for name, value in request.items()}
            close(session.run(described.outputs["logit"].name, feed), expected)


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_lists_in_brackets_are_asked_for_value_by_value(form: str, tmp_path: Path) -> None:
    lists = [["a|b", "c"], [], None, ["it's", "a|b", "d"]]
    path = tmp_path / f"rows.{form}"
    if form == "csv":
        cells = ["" if entry is None else repr(entry) for entry in lists]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([["tags", "y"], *([cell, i % 2] for i, cell in enumerate(cells))])
    elif form == "json":
        # One of them as text, as a column of a table is written.
        cells = [json.dumps(lists[0]), *lists[1:]]
        path.write_text("".join(json.dumps({"tags": cell, "y": i % 2}) + "\n" for i, cell in enumerate(cells)))
    else:
        pq.write_table(pa.table({"tags": lists, "y": [0, 1, 0, 1]}), path)
    schema = Schema((Feature("tags", "multi_valued", list_format="brackets", max_length=3),), label="y")
    source = TabularFile(path, schema, splits={"train": 1 - 1e-9, "test": 1e-9})
    (batch,) = source.batches()
    expected = [[text.encode() for text in entry or []] for entry in lists]
    raw = raw_tensors(batch.columns, schema)
    assert [[text for text in row if text] for row in raw["tags"].numpy().tolist()] == expected
    examples = tf.constant(serialized_examples(batch.columns, schema))
    assert tf.io.parse_example(examples, example_features(schema))["tags"].to_list() == expected
    encoder = Encoder.fit(source, progress=False)
    np.testing.assert_array_equal(encoder.layer()(raw)["tags"], encoder.encode_batch(batch)["tags"])


def test_text_that_no_source_has_read_is_not_cut() -> None:
    schema = Schema((Feature("tags", "multi_valued", list_format="brackets"),), label="y")
    columns = pa.RecordBatch.from_pydict({"tags": ["['a|b', 'c']"]})
    for made in (raw_tensors, serialized_examples):
        with pytest.raises(ValueError, match="A source reads the lists of 'tags'"):
            made(columns, schema)


def test_python_asks_by_the_names_of_the_columns(exported: Any) -> None:
    source, path, inputs, expected = exported
    served = tf.saved_model.load(str(path))
    raw = raw_tensors(source.columns, source.schema)
    close(served.serving_default(raw)["logit"], expected)
    close(served.encoded(inputs)["logit"], expected)
    names = json.loads((path / "assets.extra" / "names.json").read_text(encoding="utf-8"))
    assert list(names["serving_default"]) == NAMES and set(names["encoded"]) == set(inputs)
    assert names["serving_default"]["user_2"] == "user_2" and names["serving_default"]["user id"] == "user_id"
    arguments = {names["serving_default"][name]: value for name, value in raw.items()}
    close(served.signatures["serving_default"](**arguments)["logit"], expected)


def test_names_that_python_tells_apart_are_arguments_as_they_are(tmp_path: Path) -> None:
    names = ["user id", "类目", "class", "User", "user", "1st", "a-b", "🙂"]
    schema = Schema(tuple(Feature(name, "categorical") for name in names), label="clicked?")
    source = Rows(schema)
    encoder = Encoder.fit(source, progress=False)
    model = build_model("lr", encoder.features)
    model.weights[0].assign(tf.random.normal(model.weights[0].shape))
    path = export_model(model, encoder, tmp_path / "served", source.columns)
    served = tf.saved_model.load(str(path))
    raw = raw_tensors(source.columns, schema)
    close(served.signatures["serving_default"](**raw)["logit"], served.serving_default(raw)["logit"].numpy())


def small() -> tuple[keras.Model, Encoder, pa.RecordBatch]:
    source = Rows(Schema((Feature("colour", "categorical"),), label="clicked?"))
    encoder = Encoder.fit(source, progress=False)
    return build_model("lr", encoder.features), encoder, source.columns


@pytest.mark.parametrize("name", ["v[1]", "v\\1", "v*?", "ü {1}"])
def test_an_export_goes_to_any_folder(name: str, tmp_path: Path) -> None:
    model, encoder, rows = small()
    path = export_model(model, encoder, tmp_path / name / "clicks", rows)
    assert path == tmp_path / name / "clicks" / "1"
    assert sorted(file.name for file in path.parent.iterdir()) == ["1"]
    served = tf.saved_model.load(str(path.rename(tmp_path / "plain")))
    assert served.serving_default({"colour": tf.constant(["v1"])})["ctr"].shape == (1,)


@pytest.mark.parametrize("mask", [0o002, 0o022, 0o077])
def test_an_export_is_readable_by_the_account_of_a_server(mask: int, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    before = os.umask(mask)
    try:
        model, encoder, rows = small()
        path = export_model(model, encoder, private / "served" / "clicks", rows)
        copy = publish(path, private / "published" / "clicks")
        assert copy is not None
    finally:
        os.umask(before)
    assert (path / "assets.extra" / "names.json").exists()
    for version in (path, copy):
        for place in (version, *version.rglob("*"), version.parent, version.parent.parent):
            expected = ((0o777 if place.is_dir() else 0o666) & ~mask) | (0o555 if place.is_dir() else 0o444)
            assert stat.S_IMODE(place.stat().st_mode) == expected, place
    assert stat.S_IMODE(private.stat().st_mode) == 0o700  # what was there keeps its rights


@pytest.mark.skipif(os.geteuid() != 0, reason="a test of another account needs to be root to change to it")
def test_another_account_loads_an_export_that_was_made_with_a_private_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        model, encoder, rows = small()
        path = export_model(model, encoder, tmp_path / "served" / "clicks", rows)
    finally:
        os.umask(before)
    for place in (tmp_path, *tmp_path.parents):
        if stat.S_IMODE(place.stat().st_mode) & 0o005 != 0o005 and "pytest" in str(place):
            place.chmod(0o755)
    os.seteuid(65534)  # nobody
    try:
        served = tf.saved_model.load(str(path))
        assert served.serving_default({"colour": tf.constant(["v1"])})["ctr"].shape == (1,)
    finally:
        os.seteuid(0)


def test_what_a_dead_export_left_is_removed_and_what_a_live_one_writes_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "clicks"
    for name in (".partial-dead1", "1.unfinished-dead2", "2.unfinished-live"):
        (folder / name / "variables").mkdir(parents=True)
    descriptor = os.open(folder / "2.unfinished-live", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        model, encoder, rows = small()
        assert export_model(model, encoder, folder, rows).name == "1"
        assert sorted(path.name for path in folder.iterdir()) == ["1", "2.unfinished-live"]
    finally:
        os.close(descriptor)


def test_a_version_that_another_process_exports_meanwhile_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, encoder, rows = small()
    compare, taken = saved_model._compare, []

    def other_first(*arguments: Any) -> Any:
        if not taken:
            taken.append(tmp_path / "clicks" / "1")
            (taken[0] / "of another").mkdir(parents=True)
        return compare(*arguments)

    monkeypatch.setattr(saved_model, "_compare", other_first)
    assert export_model(model, encoder, tmp_path / "clicks", rows).name == "2"
    assert (taken[0] / "of another").exists()
    taken.clear()
    monkeypatch.setattr(versions, "next_version", lambda folder: 5)
    (tmp_path / "clicks" / "7").mkdir()
    with pytest.raises(FileExistsError, match="7 exists; versions are never overwritten"):
        export_model(model, encoder, tmp_path / "clicks", rows, version=7)


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere" / "else")
    for bad in ("file/clicks", "file", "broken/clicks", "x" * 300, "nul\0"):
        with pytest.raises(ValueError, match="could not be exported to .*Give --export.directory a folder"):
            check_export_directory(tmp_path / bad)
    check_export_directory(tmp_path / "new" / "clicks")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "file"]
    (tmp_path / "clicks" / "1").mkdir(parents=True)
    check_export_directory(tmp_path / "clicks")
    assert [path.name for path in (tmp_path / "clicks").iterdir()] == ["1"]
    with caplog.at_level(logging.WARNING):
        check_export_directory(tmp_path / "clicks")
        assert not caplog.records
        check_export_directory(tmp_path / "v[1]")
    assert "copy it elsewhere to serve it" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="a test of another account needs to be root to change to it")
def test_an_account_that_may_not_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    os.seteuid(65534)  # nobody
    try:
        with pytest.raises(ValueError, match="Permission denied. Give --export.directory"):
            check_export_directory(tmp_path / "new")
    finally:
        os.seteuid(0)
