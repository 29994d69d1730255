"""The exported model: alone in a process it answers as the trainer, whatever the rows; what differs is not exported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.datasets.row_source import RowBatch, first_rows
from dynctr_tf.encoding import Encoder
from dynctr_tf.encoding.vocabulary import FittedVocabulary
from dynctr_tf.export import ParityError, export_model, next_version, saved_model, serving_line
from dynctr_tf.export.raw_requests import raw_tensors, serialized_examples
from dynctr_tf.models import Deep, Embedding
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.schema import Feature, Schema, Vocabulary
from dynctr_tf.training import set_seed

ROWS = 60
SCHEMA = Schema(
    features=(
        Feature("user", "categorical", role="user", vocabulary=Vocabulary(min_count=2)),
        Feature("age", "numeric", role="user", binning="quantile", num_bins=8),
        Feature("price", "numeric", role="item"),
        Feature("tags", "multi_valued", role="item", max_length=3, separator=","),
        Feature("item", "categorical", role="item"),
        Feature("history", "sequence", role="user", max_length=4, shares_vocabulary_with="item"),
        Feature("site", "categorical", vocabulary=Vocabulary(hash_buckets=11)),
        Feature("scene", "categorical", role="scenario"),
    ),
    label="click",
)
# Run where neither this library nor Keras can be imported.
LOAD = """
import sys
for name in ("dynctr_tf", "keras", "tf_keras"):
    sys.modules[name] = None
import numpy as np
import tensorflow as tf
served = tf.saved_model.load(sys.argv[1])
raw = np.load(sys.argv[2], allow_pickle=True)
requests = {"serving_default": {}, "examples": {}, "encoded": {}}
for key in raw.files:
    signature, name = key.split(":", 1)
    requests[signature][name] = tf.constant(raw[key].tolist() if raw[key].dtype == object else raw[key])
answers = {}
for signature, request in requests.items():
    for name, value in served.signatures[signature](**request).items():
        answers[f"{signature}:{name}"] = value.numpy()
np.savez(sys.argv[3], **answers)
assert sys.modules["dynctr_tf"] is None and sys.modules["keras"] is None
"""


class Rows:
    """A source of rows in memory, all of them for training."""

    schema = SCHEMA
    split_names = ("train", "validation", "test")
    num_rows = 400
    skipped: dict[str, int] = {}

    def __init__(self, seed: int = 0) -> None:
        random = np.random.default_rng(seed)

        def strings(prefix: str, values: int, missing: float = 0.1) -> list[str | None]:
            drawn = random.integers(0, values, 400)
            return [None if random.random() < missing else f"{prefix}{value}" for value in drawn]

        def lists(prefix: str, separator: str) -> list[str | None]:
            drawn = [random.integers(0, 30, random.integers(0, 7)) for _ in range(400)]
            return [separator.join(f"{prefix}{value}" for value in values) or None for values in drawn]

        def numbers() -> list[float | None]:
            return [None if random.random() < 0.1 else float(value) for value in random.lognormal(1.0, 2.0, 400)]

        self.columns = pa.RecordBatch.from_pydict(
            {
                "click": pa.array(random.integers(0, 2, 400), pa.float32()),
                "user": pa.array(strings("u", 150), pa.string()),
                "age": pa.array(numbers(), pa.float64()),
                "price": pa.array(numbers(), pa.float64()),
                "tags": pa.array(lists("t", ","), pa.string()),
                "item": pa.array(strings("v", 30), pa.string()),
                "history": pa.array(lists("v", "|"), pa.string()),
                "site": pa.array(strings("söme-", 40), pa.string()),
                "scene": pa.array(strings("scene", 3), pa.string()),
            }
        )

    def batches(self) -> Any:
        yield RowBatch(self.columns, np.zeros(400, np.int8))


class Exported:
    """A model with weights that tell its ids apart, its encoder, the rows it was compared on, and where it is."""

    def __init__(self, directory: Path) -> None:
        self.source = Rows()
        self.encoder = Encoder.fit(self.source, progress=False)
        self.model = telling_model(self.encoder)
        self.sample = self.source.columns.slice(0, ROWS)
        self.path = export_model(self.model, self.encoder, directory / "clicks", self.sample)
        self.served = tf.saved_model.load(str(self.path))

    def expected(self, columns: pa.RecordBatch) -> np.ndarray:
        encoded = self.encoder.encode_batch(RowBatch(columns, np.zeros(columns.num_rows, np.int8)))
        inputs = {name: tf.constant(encoded[name]) for name in self.model.input}
        return np.asarray(self.model(inputs, training=False), np.float64).reshape(-1)

    def ask(self, signature: str = "serving_default", **request: Any) -> np.ndarray:
        return self.served.signatures[signature](**request)["logit"].numpy().astype(np.float64)

    def requests(self) -> dict[str, dict[str, Any]]:
        encoded = self.encoder.encode_batch(RowBatch(self.sample, np.zeros(ROWS, np.int8)))
        return {
            "serving_default": {name: tensor.numpy() for name, tensor in raw_tensors(self.sample, SCHEMA).items()},
            "examples": {"examples": np.array(serialized_examples(self.sample, SCHEMA), object)},
            "encoded": {name: encoded[name] for name in self.model.input},
        }


def telling_model(encoder: Encoder) -> keras.Model:
    """A model whose embeddings are large enough to see every id in the logit."""
    set_seed(1)
    return build_model("dnn", encoder.features, embedding=Embedding(4, initial_scale=1.0), deep=Deep((16,)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(tmp_path_factory.mktemp("saved_models"))


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_process_without_the_library_answers_as_the_trainer(exported: Exported, tmp_path: Path) -> None:
    flat = {f"{key}:{name}": value for key, request in exported.requests().items() for name, value in request.items()}
    np.savez(tmp_path / "requests.npz", **flat)
    command = [sys.executable, "-c", LOAD, str(exported.path), "requests.npz", "answers.npz"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    answers = np.load(tmp_path / "answers.npz")
    expected = exported.expected(exported.sample)
    assert np.ptp(expected) > 0.5
    for signature in ("serving_default", "examples", "encoded"):
        assert answers[f"{signature}:logit"].shape == answers[f"{signature}:ctr"].shape == (ROWS,)
        close(answers[f"{signature}:logit"], expected)
        close(answers[f"{signature}:ctr"], 1.0 / (1.0 + np.exp(-expected)))


def test_the_signatures_and_what_is_said_of_the_version(exported: Exported) -> None:
    assert sorted(exported.served.signatures) == ["candidates", "encoded", "examples", "serving_default"]
    for signature in exported.served.signatures.values():
        assert sorted(signature.structured_outputs) == ["ctr", "logit"]
        assert all(spec.dtype == tf.float32 for spec in signature.structured_outputs.values())
    inputs = exported.served.signatures["serving_default"].structured_input_signature[1]
    assert sorted(inputs) == sorted(feature.name for feature in SCHEMA.features)
    extra = exported.path / "assets.extra"
    assert Schema.from_json((extra / "schema.json").read_text(encoding="utf-8")) == SCHEMA
    assert json.loads((extra / "about.json").read_text(encoding="utf-8"))["model"] == "dnn"


def test_saved_model_cli_runs_each_signature(exported: Exported, tmp_path: Path) -> None:
    expected = exported.expected(exported.sample)
    tool = Path(sys.executable).parent / "saved_model_cli"
    for signature, request in exported.requests().items():
        files = []
        for name, value in request.items():
            # The tool reads no pickled objects; fixed-width bytes become strings.
            file = tmp_path / f"{signature}-{name}.npy"
            np.save(file, value.astype(np.bytes_) if value.dtype == object else value)
            files.append(f"{name}={file}")
        out = tmp_path / signature
        command = [str(tool), "run", "--dir", str(exported.path), "--tag_set", "serve", "--signature_def", signature]
        command += ["--inputs", ";".join(files), "--outdir", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        close(np.load(out / "logit.npy"), expected)
        close(np.load(out / "ctr.npy"), 1.0 / (1.0 + np.exp(-expected)))


def changed(columns: pa.RecordBatch, **values: Any) -> pa.RecordBatch:
    """The rows with one value of each of these features in all of them."""
    arrays = {name: columns.column(place) for place, name in enumerate(columns.schema.names)}
    for name, value in values.items():
        arrays[name] = pa.array([value] * columns.num_rows, arrays[name].type)
    return pa.RecordBatch.from_pydict(arrays)


@pytest.mark.parametrize(
    "values",
    [
        {"user": "never seen"},
        {"scene": "a new scenario"},
        {"item": "v999", "history": "v999|v1|v998", "tags": "t999"},
        {"site": "new.example"},
        {"price": 1e30, "age": -1e30},
        {"user": None, "age": None, "price": None, "tags": None, "item": None, "history": None, "site": None},
        {"scene": None},
    ],
    ids=lambda values: "-".join(values),
)
def test_unknown_and_missing_values_are_answered(values: dict[str, Any], exported: Exported) -> None:
    rows = changed(exported.sample.slice(0, 9), **values)
    expected = exported.expected(rows)
    assert np.isfinite(expected).all()
    close(exported.ask(**raw_tensors(rows, SCHEMA)), expected)
    close(exported.ask("examples", examples=tf.constant(serialized_examples(rows, SCHEMA))), expected)


def test_missing_is_empty_text_nan_or_absent(exported: Exported) -> None:
    nothing = {
        name: tf.fill([1] * len(spec.shape), float("nan") if spec.dtype == tf.float32 else "")
        for name, spec in exported.served.signatures["serving_default"].structured_input_signature[1].items()
    }
    expected = exported.expected(changed(exported.sample.slice(0, 1), **{f.name: None for f in SCHEMA.features}))
    close(exported.ask(**nothing), expected)
    close(exported.ask("examples", examples=tf.constant([tf.train.Example().SerializeToString()])), expected)
    without_values = dict(nothing, tags=tf.zeros((1, 0), tf.string), history=tf.fill((1, 7), ""))
    close(exported.ask(**without_values), expected)


def test_wrong_requests_are_refused_with_a_message(exported: Exported) -> None:
    good = raw_tensors(exported.sample.slice(0, 3), SCHEMA)
    assert exported.ask(**good).shape == (3,)
    for name, value, message in (
        ("age", tf.constant(["1", "2", "3"]), "expected to be a float tensor but is a string tensor"),
        ("age", tf.constant([1, 2, 3]), "expected to be a float tensor but is a int32 tensor"),
        ("user", tf.constant([1.0, 2.0, 3.0]), "expected to be a string tensor but is a float tensor"),
        ("user", tf.constant([["a"], ["b"], ["c"]]), r"one value in each.* \[3\].*user.*\[3 1\]"),
        ("tags", tf.constant(["t1", "t2", "t3"]), r"tags.* \[3\] is not compatible with expected shape \[\?,\?\]"),
    ):
        with pytest.raises((TypeError, ValueError, tf.errors.InvalidArgumentError), match=message):
            exported.ask(**{**good, name: value})
    without = {name: value for name, value in good.items() if name != "item"}
    with pytest.raises((TypeError, ValueError), match="item"):
        exported.ask(**without)
    with pytest.raises((TypeError, ValueError), match="colour"):
        exported.ask(**good, colour=tf.constant(["red"] * 3))
    with pytest.raises(tf.errors.InvalidArgumentError, match="(?i)pars"):
        exported.ask("examples", examples=tf.constant(["not a message"]))
    wrong_type = tf.train.Example()
    wrong_type.features.feature["age"].bytes_list.value.append(b"7")
    with pytest.raises(tf.errors.InvalidArgumentError, match="age.*[Dd]ata type"):
        exported.ask("examples", examples=tf.constant([wrong_type.SerializeToString()]))
    with pytest.raises(tf.errors.InvalidArgumentError):
        exported.ask(**{**good, "user": tf.constant(["a"])})  # another number of rows


def test_scenarios_that_there_are_not_are_refused(exported: Exported) -> None:
    encoded = exported.requests()["encoded"]
    count = exported.encoder.features.num_scenarios
    request = {name: tf.constant(values) for name, values in encoded.items()}
    for wrong in (-1, count, 2**31 - 1):
        scenario = np.where(np.arange(ROWS) == 7, wrong, encoded["scenario"]).astype(np.int32)
        with pytest.raises(tf.errors.InvalidArgumentError, match=rf"scenario must lie in 0 ... {count - 1}"):
            exported.ask("encoded", **{**request, "scenario": tf.constant(scenario)})
    for known in (0, 1, count - 1):
        assert np.isfinite(exported.ask("encoded", **{**request, "scenario": tf.fill([ROWS], known)})).all()


def test_versions_count_up_and_are_never_overwritten(exported: Exported, tmp_path: Path) -> None:
    folder = tmp_path / "clicks"
    assert next_version(folder) == 1
    for name in ("3", "12", "not-a-version", ".partial-x"):
        (folder / name).mkdir(parents=True)
    assert next_version(folder) == 13
    path = export_model(exported.model, exported.encoder, folder, exported.sample)
    assert path == folder / "13" and (path / "saved_model.pb").exists()
    with pytest.raises(FileExistsError, match="12 exists; versions are never overwritten"):
        export_model(exported.model, exported.encoder, folder, exported.sample, version=12)
    with pytest.raises(ValueError, match="sample of raw rows is empty"):
        export_model(exported.model, exported.encoder, folder, exported.sample.slice(0, 0))
    line = serving_line(path)
    assert f"--model_base_path={folder.resolve()}" in line and "--model_name=clicks" in line


def test_an_export_that_differs_leaves_nothing(exported: Exported, tmp_path: Path) -> None:
    encoder = Encoder.fit(exported.source, progress=False)
    with pytest.MonkeyPatch.context() as patch:
        # The layer inside the export gets the vocabulary in another order than the rows were encoded with.
        fitted = encoder.vocabularies["item"]
        turned = FittedVocabulary(fitted.values.take(pa.array(range(len(fitted.values))[::-1])), fitted.counts)
        layer = type(encoder).layer

        def other_layer(self: Encoder, name: str | None = None) -> Any:
            other = Encoder(self.schema, {**self.vocabularies, "item": turned}, self.bins)
            return layer(other, name)

        encoder.encode_batch(RowBatch(exported.sample, np.zeros(ROWS, np.int8)))  # looks up by the right order
        patch.setattr(Encoder, "layer", other_layer)
        with pytest.raises(
            ParityError, match=r"'serving_default' differs from the trained model by .*worst in row \d+"
        ):
            export_model(exported.model, encoder, tmp_path / "clicks", exported.sample)
    assert list((tmp_path / "clicks").iterdir()) == []
    assert export_model(exported.model, encoder, tmp_path / "clicks", exported.sample).name == "1"


def test_a_model_that_answers_nan_is_not_exported(exported: Exported, tmp_path: Path) -> None:
    model = telling_model(exported.encoder)
    model.trainable_variables[-1].assign([np.nan])
    with pytest.raises(ParityError):
        export_model(model, exported.encoder, tmp_path / "clicks", exported.sample)
    assert list((tmp_path / "clicks").iterdir()) == []


def test_a_model_in_bfloat16(exported: Exported, tmp_path: Path) -> None:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        set_seed(1)
        options = {"embedding.dim": 4, "embedding.initial_scale": 1.0, "deep.units": (64, 32)}
        model = build_model("dnn", exported.encoder.features, **options)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    draw = np.random.default_rng(0)
    for weight in model.weights[1:]:  # also the biases, with which TensorFlow fuses products and rounds elsewhere
        weight.assign(draw.normal(0.0, 0.2, weight.shape))
    path = export_model(model, exported.encoder, tmp_path / "clicks", exported.sample)
    answer = tf.saved_model.load(str(path)).signatures["serving_default"](**raw_tensors(exported.sample, SCHEMA))
    assert answer["logit"].dtype == answer["ctr"].dtype == tf.float32
    # One row of sixty that is encoded otherwise is noticed all the same.
    wrong = exported.sample.slice(0, ROWS)
    index = wrong.schema.get_field_index("site")
    sites = wrong.column(index).to_pylist()
    assert sites[7] != "söme-1"
    turned = wrong.set_column(index, "site", pa.array([*sites[:7], "söme-1", *sites[8:]]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved_model, "raw_tensors", lambda sample, schema: raw_tensors(turned, schema))
        with pytest.raises(ParityError, match=r"'serving_default' differs from signature 'encoded' .*worst in row 7 "):
            export_model(model, exported.encoder, tmp_path / "other", exported.sample)


def test_the_synthetic_rows_and_dynint(small_source: Any, small_data: Any, tmp_path: Path) -> None:
    set_seed(0)
    model = build_model("dynint_dgp", small_data.features, embedding=Embedding(8, initial_scale=0.5), num_subspaces=4)
    rows = first_rows(small_source, "test", 50)
    path = export_model(model, small_data.encoder(), tmp_path / "clicks", rows)
    served = tf.saved_model.load(str(path)).signatures["serving_default"](**raw_tensors(rows, small_data.schema))
    inputs, _ = next(iter(small_data.batches("test", 50)))
    expected = model({name: inputs[name] for name in model.input}, training=False)
    close(served["logit"].numpy(), np.asarray(expected).reshape(-1))
