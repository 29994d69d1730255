"""A version is published whole, and only where it is not worse; an earlier one is served again under a new number."""

from __future__ import annotations

import json
import math
import shlex
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import tensorflow as tf
from tensorflow import keras
from test_export import Rows

from dynctr_tf.datasets.row_source import first_rows
from dynctr_tf.durable_files import DamagedFileError, check_checksums, read_json
from dynctr_tf.encoding import EncodedDataset, Encoder, write_encoded_dataset
from dynctr_tf.export import (
    ServedModel,
    export_model,
    newest_version,
    next_version,
    publication_test,
    publish,
    roll_back,
    version_folder,
)
from dynctr_tf.export.raw_requests import tensors_of_instances
from dynctr_tf.export.warm_up import WARM_UP, rename_warm_up, write_warm_up
from dynctr_tf.models import Deep, Embedding
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.schema import Schema
from dynctr_tf.training import predict_logits, set_seed

CARD = Path("assets.extra") / "about.json"


class Candidates(NamedTuple):
    """Two exports of different weights, beside their trainer's answers."""

    first: Path
    second: Path
    sample: pa.RecordBatch


def model_of(encoder: Encoder, seed: int) -> keras.Model:
    set_seed(seed)
    return build_model("dnn", encoder.features, embedding=Embedding(4, initial_scale=1.0), deep=Deep((8,)))


@pytest.fixture(scope="module")
def exported(small_source: Any, small_data: EncodedDataset, tmp_path_factory: pytest.TempPathFactory) -> Candidates:
    place, sample = tmp_path_factory.mktemp("runs"), first_rows(small_source, "test", 50)
    paths = [
        export_model(
            model_of(small_data.encoder(), seed), small_data.encoder(), place / f"run{seed}" / "export", sample
        )
        for seed in (1, 2)
    ]
    return Candidates(paths[0], paths[1], sample)


@pytest.fixture(scope="module")
def rich_data(tmp_path_factory: pytest.TempPathFactory) -> EncodedDataset:
    """400 rows of every kind of feature."""
    encoder = Encoder.fit(Rows(), progress=False)
    return write_encoded_dataset(Rows(), encoder, tmp_path_factory.mktemp("rich") / "encoded", progress=False)


@pytest.mark.parametrize("name", ["dnn", "dynint_dgp", "din", "star", "of one's own"])
def test_the_loaded_version_answers_as_the_trainer(name: str, rich_data: EncodedDataset, tmp_path: Path) -> None:
    """Static, dynamic, sequence and multi-scenario models, and one that the library does not know."""
    set_seed(3)
    model = own_model(rich_data) if name == "of one's own" else build_model(name, rich_data.features)
    rows = Rows().columns
    served = ServedModel(export_model(model, rich_data.encoder(), tmp_path / "clicks", rows.slice(0, 20)))
    trained = predict_logits(model, rich_data, "train", 128)
    assert np.ptp(trained) > 0.0
    np.testing.assert_allclose(served.logits(rows), trained, atol=1e-6)
    assert served.name == "clicks/1" and served.logits(rows.slice(0, 0)).shape == (0,)
    served.check(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(served, "logits", lambda columns: trained[: columns.num_rows] + 0.01)
        with pytest.raises(RuntimeError, match="Export it again"):
            served.check(rows)


def own_model(data: EncodedDataset) -> keras.Model:
    """A model of Keras' layers alone, which takes some of the entries of the encoded batch."""
    fields = keras.Input((len(data.features.single_valued),), dtype="int32", name="fields")
    tags = keras.Input((3,), dtype="int32", name="tags")
    table = keras.layers.Embedding(data.features.num_ids, 4, embeddings_initializer="normal")
    parts = [keras.layers.Flatten()(table(fields)), keras.layers.GlobalAveragePooling1D()(table(tags))]
    hidden = keras.layers.Dense(8, "relu")(keras.layers.Concatenate()(parts))
    return keras.Model({"fields": fields, "tags": tags}, keras.layers.Dense(1)(hidden), name="of_ones_own")


def test_the_card_has_a_request_that_is_answered_as_it_says(exported: Candidates) -> None:
    card = read_json(exported.first / CARD)
    assert card["name"] == "export" and card["version"] == 1
    served = tf.saved_model.load(str(exported.first))
    schema = Schema.from_json(json.dumps(card["schema"]))
    assert schema == ServedModel(exported.first).schema
    program, option, body, address = shlex.split(card["sample_request"]["curl"])
    assert (program, option) == ("curl", "-d") and address == "http://localhost:8501/v1/models/export:predict"
    assert json.loads(body) == card["sample_request"]["json"]
    (instance,) = json.loads(body)["instances"]
    # As TF Serving makes tensors of them: a batch of one, of the types of the signature.
    types = {feature.name: tf.float32 if feature.kind == "numeric" else tf.string for feature in schema.features}
    answer = served.serving_default({name: tf.constant([value], types[name]) for name, value in instance.items()})
    (expected,) = card["sample_request"]["answer"]["predictions"]
    assert sorted(expected) == ["ctr", "logit"]
    for key, value in expected.items():
        np.testing.assert_allclose(answer[key].numpy(), [value], rtol=1e-6)
    assert 0.0 < expected["ctr"] < 1.0


def test_a_request_says_that_a_number_is_missing(rich_data: EncodedDataset, tmp_path: Path) -> None:
    rows = Rows().columns
    rows = rows.filter(pc.is_null(rows.column("price"))).slice(0, 20)
    first = export_model(model_of(rich_data.encoder(), 1), rich_data.encoder(), tmp_path / "export", rows)
    for path in (first, publish(first, tmp_path / "clicks")):
        assert path is not None
        card = read_json(path / CARD)
        body = shlex.split(card["sample_request"]["curl"])[2]
        (instance,) = json.loads(body)["instances"]
        assert '"price": NaN' in body and instance["age"] > 0.0
        sent = card["sample_request"]["json"]["instances"]
        assert sent == [{**instance, "price": "NaN"}]  # a card is JSON for every reader
        (answer,) = card["sample_request"]["answer"]["predictions"]
        tensors = tensors_of_instances([instance], rich_data.schema)
        loaded = tf.saved_model.load(str(path))
        found = loaded.serving_default(tensors)
        np.testing.assert_allclose(answer["logit"], found["logit"].numpy(), rtol=1e-6)
        assert np.abs(ServedModel(path).logits(rows) - answer["logit"]).min() < 1e-6


def test_a_version_is_published_under_the_next_number(exported: Candidates, tmp_path: Path) -> None:
    served = tmp_path / "clicks"
    assert newest_version(served) is None
    assert publish(exported.first, served) == served / "1"
    assert publish(exported.first.parent, served, about={"note": "again"}) == served / "1"  # made of the same
    assert publish(exported.second, served, about={"note": "better"}) == served / "2"
    card = read_json(served / "2" / CARD)
    assert (card["name"], card["version"], card["note"]) == ("clicks", 2, "better")
    assert card["published_from"] == str(exported.second) and "/models/clicks:predict" in card["sample_request"]["curl"]
    check_checksums(served / "2")
    requests = [record.numpy() for record in tf.data.TFRecordDataset(str(served / "2" / WARM_UP))]
    assert requests and all(b"\x06clicks\x1a" in request and b"export" not in request for request in requests)
    np.testing.assert_array_equal(
        ServedModel(served).logits(exported.sample), ServedModel(exported.second).logits(exported.sample)
    )
    with pytest.raises(ValueError, match="is in the served folder already"):
        publish(served / "1", served)


def test_warm_up_requests_are_those_of_another_name(tmp_path: Path) -> None:
    requests = {"encoded": [{"a": tf.constant(["x" * size])} for size in (1, 130, 20_000)], "examples": [{}]}
    names = ("clicks", "a name of two bytes of length " * 5, "c")
    for name in names:
        (tmp_path / name).mkdir()
        write_warm_up(tmp_path / name, name, requests)
    for name in names:
        rename_warm_up(tmp_path / "clicks", name)
        assert (tmp_path / "clicks" / WARM_UP).read_bytes() == (tmp_path / name / WARM_UP).read_bytes()
    rename_warm_up(tmp_path, "clicks")
    assert not (tmp_path / WARM_UP).exists()


def test_a_version_that_is_worse_is_not_published(exported: Candidates, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(-1.0, 1.0, 4000)
    labels = (random.random(4000) < 1.0 / (1.0 + np.exp(-logits))).astype(float)
    noisy = logits + random.normal(0.0, 1.0, 4000)
    served = tmp_path / "clicks"
    publish(exported.first, served)

    worse = publication_test(labels, noisy, logits, replicates=200)
    assert not worse.passed and worse.reason.startswith("refused: candidate is worse than served by log loss and AUC")
    assert publish(exported.second, served, test=worse) is None
    assert [path.name for path in served.iterdir()] == ["1"]

    better = publication_test(labels, logits, noisy, replicates=200, margin=0.0)
    assert better.passed and "log loss -" in better.reason and better.reason in better.to_text()
    assert publish(exported.second, served, test=better) == served / "2"
    noted = read_json(served / "2" / CARD)["test_of_publication"]
    assert noted["rows"] == 4000 and noted["tests"]["log_loss"]["difference"] < 0.0 and noted["p_values"]["auc"] < 0.05

    # Worse by calibration alone, and by order alone.
    shifted = publication_test(labels, logits + 0.5, logits, replicates=200)
    assert "worse than served by log loss (" in shifted.reason
    # A version as good as the other is not refused; that it is no worse than by a margin has to be shown.
    alike = logits + random.normal(0.0, 0.02, 4000)
    assert publication_test(labels, alike, logits, replicates=200).passed
    assert publication_test(labels, alike, logits, replicates=200, margin=0.01).passed
    # Log loss that is shown to be worse, and by less than the margin, is what the margin allows.
    assert publication_test(labels, logits + 0.2, logits, replicates=200, margin=0.05).passed
    assert not publication_test(labels, noisy, logits, replicates=200, margin=1.0).passed  # by its order
    strict = publication_test(labels, alike, logits, replicates=200, margin=0.0)
    assert not strict.passed and "is not shown to be at most 0 worse in log loss" in strict.reason


def test_weights_count_in_the_test(exported: Candidates) -> None:
    random = np.random.default_rng(1)
    logits = random.normal(0.0, 1.0, 2000)
    labels = (random.random(2000) < 1.0 / (1.0 + np.exp(-logits))).astype(float)
    first_half = np.arange(2000) < 1000
    candidate = np.where(first_half, logits, -logits)
    assert not publication_test(labels, candidate, logits, replicates=100).passed
    assert publication_test(labels, candidate, logits, weights=first_half.astype(float), replicates=100).passed


def test_what_cannot_be_tested_is_said() -> None:
    labels = [1.0] * 5 + [0.0] * 50
    with pytest.raises(ValueError, match="needs at least 10 clicks and 10 other rows, got 5 clicks in 55 rows"):
        publication_test(labels, labels, [0.5] * 55, replicates=50)
    for margin in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="margin must be a number of at least 0"):
            publication_test(labels, labels, [0.5] * 55, margin=margin)
    with pytest.raises(ValueError, match="Both versions are called 'clicks'"):
        publication_test(labels, labels, [0.5] * 55, names=("clicks", "clicks"))


def test_an_earlier_version_is_served_again(exported: Candidates, tmp_path: Path) -> None:
    served = tmp_path / "clicks"
    for path in (exported.first, exported.second):
        publish(path, served)
    back = roll_back(served, 1)
    assert back == served / "3" == newest_version(served) and read_json(back / CARD)["rollback_of"] == 1
    assert read_json(back / CARD)["version"] == 3
    assert roll_back(served, 1) == back == roll_back(served, 3)  # it is served already
    np.testing.assert_array_equal(
        ServedModel(served).logits(exported.sample), ServedModel(exported.first).logits(exported.sample)
    )
    assert roll_back(served, 2) == served / "4"
    with pytest.raises(ValueError, match="has no version 9 to go back to; there are 1, 2, 3, 4"):
        roll_back(served, 9)
    with pytest.raises(ValueError, match="there is none"):
        roll_back(tmp_path / "other", 1)


def test_what_is_damaged_is_not_published(exported: Candidates, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "1"
    shutil.copytree(exported.first, broken)
    (broken / "variables" / "variables.index").write_bytes(b"")
    with pytest.raises(DamagedFileError, match="variables.index is damaged"):
        publish(broken, tmp_path / "clicks")
    with pytest.raises(DamagedFileError, match="variables.index is damaged"):
        ServedModel(broken)
    assert not (tmp_path / "clicks").exists()
    # One that stopped on the way left no version.
    (tmp_path / "clicks" / "1.unfinished-dead").mkdir(parents=True)
    assert publish(exported.first, tmp_path / "clicks") == tmp_path / "clicks" / "1"
    assert [path.name for path in (tmp_path / "clicks").iterdir()] == ["1"]


def test_exports_are_found_and_what_is_none_is_said(exported: Candidates, tmp_path: Path) -> None:
    model = exported.first.parent
    assert version_folder(model) == version_folder(exported.first) == exported.first
    assert next_version(model) == 2
    shutil.copytree(exported.first, tmp_path / "clicks" / "12")
    (tmp_path / "clicks" / "9").mkdir()
    (tmp_path / "clicks" / "²").mkdir()
    assert version_folder(tmp_path / "clicks") == tmp_path / "clicks" / "12"
    with pytest.raises(ValueError, match=r"there is no such folder. Did you mean '.*clicks'\?"):
        version_folder(tmp_path / "click")
    with pytest.raises(ValueError, match="holds those of several models: clicks; name one"):
        version_folder(tmp_path)
    with pytest.raises(ValueError, match="it has no saved_model.pb and no folder of a version"):
        version_folder(tmp_path / "clicks" / "9")
    (tmp_path / "clicks" / "13").mkdir()
    with pytest.raises(ValueError, match=r"version 13 has no saved_model.pb"):
        version_folder(tmp_path / "clicks")
    shutil.rmtree(tmp_path / "clicks" / "12" / "assets.extra" / "encoder")
    with pytest.raises(ValueError, match="holds no encoder .*Export the model again"):
        ServedModel(tmp_path / "clicks" / "12")
