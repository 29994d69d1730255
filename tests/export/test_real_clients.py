"""Models of each kind answer clients that are not Python, and a server's service, with the trainer's numbers."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.encoding import Encoder
from dynctr_tf.export import export_model
from dynctr_tf.export.raw_requests import raw_tensors, serialized_examples
from dynctr_tf.export.warm_up import WARM_UP, predict_request
from dynctr_tf.models import Embedding
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.training import set_seed
from pipelines.benchmarks import saved_model_client
from tests.export.test_export import SCHEMA, Rows, close
from tests.export.test_requests import ITEMS

ROWS = 12
MODELS = {
    "static": ("dnn", {"deep.units": (8,)}),
    "dynamic": ("dynint_dgp", {}),
    "sequence": ("din", {}),
    "scenarios": ("star", {"deep.units": (8,), "auxiliary_units": (4,)}),
}


class Asked:
    """An export, requests for each of its signatures and the trainer's logits for them."""

    def __init__(self, kind: str, folder: Path) -> None:
        source = Rows()
        encoder = Encoder.fit(source, progress=False)
        set_seed(2)
        name, options = MODELS[kind]
        model = build_model(name, encoder.features, embedding=Embedding(4, initial_scale=1.0), **options)
        rows = source.columns.slice(0, ROWS)
        self.path = export_model(model, encoder, folder / "clicks", rows)
        encoded = encoder.encode_batch(RowBatch(rows, np.zeros(ROWS, np.int8)))
        inputs = {key: encoded[key] for key in model.input}
        raw = {key: value.numpy() for key, value in raw_tensors(rows, SCHEMA).items()}
        once = {key: value if key in ITEMS else value[:1] for key, value in raw.items()}
        repeated = {key: value if key in ITEMS else np.repeat(value[:1], ROWS, axis=0) for key, value in raw.items()}
        alike = encoder.layer()({key: tf.constant(value) for key, value in repeated.items()})

        def logits(batch: dict[str, Any]) -> np.ndarray:
            tensors = {key: tf.constant(batch[key]) for key in model.input}
            return np.asarray(model(tensors, training=False), np.float64).reshape(-1)

        self.requests: dict[str, dict[str, np.ndarray]] = {
            "serving_default": raw,
            "examples": {"examples": np.array(serialized_examples(rows, SCHEMA), object)},
            "encoded": inputs,
            "candidates": once,
        }
        self.expected = {key: logits(inputs) for key in self.requests}
        self.expected["candidates"] = logits(alike)
        without = {**repeated, "user": np.full(ROWS, b"", object), "price": np.full(ROWS, np.nan, np.float32)}
        missing = encoder.layer()({key: tf.constant(value) for key, value in without.items()})
        self.partial = {key: value for key, value in once.items() if key not in ("user", "price")}
        self.expected_of_partial = logits(missing)


@pytest.fixture(scope="module", params=sorted(MODELS))
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    return Asked(request.param, tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not saved_model_client.can_build():
        pytest.skip("gcc is not installed, so no client in C can be built")
    return saved_model_client.build(tmp_path_factory.mktemp("client"))


def test_a_client_in_c(asked: Asked, program: Path, tmp_path: Path) -> None:
    for signature, request in asked.requests.items():
        logits, seconds = saved_model_client.ask(program, asked.path, signature, request, tmp_path, repeats=2)
        close(logits, asked.expected[signature])
        assert len(seconds) == 2
    logits, _ = saved_model_client.ask(program, asked.path, "candidates", asked.partial, tmp_path)
    close(logits, asked.expected_of_partial)


def test_the_client_in_c_is_told_what_is_wrong(asked: Asked, program: Path, tmp_path: Path) -> None:
    request = {**asked.requests["serving_default"], "user": np.array([b"u1"], object)}
    with pytest.raises(RuntimeError, match="answering: .*same number of rows"):
        saved_model_client.ask(program, asked.path, "serving_default", request, tmp_path)


def messages() -> dict[str, Any]:
    """The messages of TF Serving that a warm-up file has, of the fields that it has, as their .proto files say."""
    file = descriptor_pb2.FileDescriptorProto(name="warm_up.proto", package="warm_up", syntax="proto3")
    file.dependency.append("tensorflow/core/framework/tensor.proto")
    text, message = 9, 11
    for name, fields in (
        ("ModelSpec", [("name", 1, text, ""), ("signature_name", 3, text, "")]),
        ("InputsEntry", [("key", 1, text, ""), ("value", 2, message, ".tensorflow.TensorProto")]),
        ("PredictRequest",
         [("model_spec", 1, message, ".warm_up.ModelSpec"), ("inputs", 2, message, ".warm_up.InputsEntry")]),
        ("PredictLog", [("request", 1, message, ".warm_up.PredictRequest")]),
        ("PredictionLog", [("predict_log", 6, message, ".warm_up.PredictLog")]),
    ):  # fmt: skip
        made = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            label = 3 if field == "inputs" else 1
            added = made.field.add(name=field, number=number, type=kind, label=label)  # type: ignore[arg-type]
            if of:
                added.type_name = of
    pool = descriptor_pool.Default()
    try:
        pool.FindFileByName("warm_up.proto")
    except KeyError:
        pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"warm_up.{name}"))
        for name in ("PredictionLog", "PredictRequest")
    }


def test_the_warm_up_file_has_requests_that_the_version_answers(asked: Asked, program: Path, tmp_path: Path) -> None:
    log = messages()["PredictionLog"]
    records = [log.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(asked.path / WARM_UP))]
    asked_for = [record.predict_log.request for record in records]
    assert sorted(request.model_spec.signature_name for request in asked_for) == sorted(2 * list(asked.requests))
    assert {request.model_spec.name for request in asked_for} == {"clicks"}
    for request in asked_for:
        signature = request.model_spec.signature_name
        inputs = {entry.key: tf.make_ndarray(entry.value) for entry in request.inputs}
        assert set(inputs) == set(asked.requests[signature])
        logits, _ = saved_model_client.ask(program, asked.path, signature, inputs, tmp_path)
        assert len(logits) in (1, ROWS)
        close(logits, asked.expected[signature][: len(logits)])


class _Service:
    """What TF Serving does with `Predict`: defaults of the signature for inputs that are not given, then a session."""

    def __init__(self, path: Path, predict: Any) -> None:
        self.predict = predict
        with tf.Graph().as_default():
            self.session = tf.compat.v1.Session()
            self.signatures = tf.compat.v1.saved_model.load(self.session, ["serve"], str(path)).signature_def

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
        described = self.signatures[request.model_spec.signature_name or "serving_default"]
        given = {**described.defaults, **request.inputs}
        feed = {described.inputs[name].name: tf.make_ndarray(value) for name, value in given.items()}
        fetched = self.session.run({name: info.name for name, info in described.outputs.items()}, feed)
        answer = self.predict.PredictResponse()
        for name, value in fetched.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return answer


@pytest.fixture(scope="module")
def channel(asked: Asked) -> Iterator[Any]:
    apis = "tensorflow_serving.apis"
    why = "tensorflow-serving-api is not installed: pip install --no-deps tensorflow-serving-api"
    predict = pytest.importorskip(f"{apis}.predict_pb2", reason=why)
    service = pytest.importorskip(f"{apis}.prediction_service_pb2_grpc", reason=why)
    grpc = pytest.importorskip("grpc")
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    kind = type("Service", (_Service, service.PredictionServiceServicer), {})
    service.add_PredictionServiceServicer_to_server(kind(asked.path, predict), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as opened:
            yield predict, service.PredictionServiceStub(opened)
    finally:
        server.stop(None).wait()


def test_a_service_by_grpc(asked: Asked, channel: Any) -> None:
    predict, stub = channel
    for signature, request in asked.requests.items():
        message = predict.PredictRequest()
        message.model_spec.name, message.model_spec.signature_name = "clicks", signature
        for name, value in request.items():
            message.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        close(tf.make_ndarray(stub.Predict(message).outputs["logit"]), asked.expected[signature])
        # What the library writes without TF Serving's classes is the same message.
        own = predict_request("clicks", signature, {name: tf.constant(value) for name, value in request.items()})
        assert predict.PredictRequest.FromString(own) == message
    message = predict.PredictRequest.FromString(
        predict_request("clicks", "candidates", {name: tf.constant(value) for name, value in asked.partial.items()})
    )
    close(tf.make_ndarray(stub.Predict(message).outputs["logit"]), asked.expected_of_partial)


def test_the_warm_up_file_is_read_by_the_classes_of_tf_serving(asked: Asked, channel: Any) -> None:
    from tensorflow_serving.apis import prediction_log_pb2

    records = list(tf.data.TFRecordDataset(str(asked.path / WARM_UP)))
    for record in records:
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        assert log.WhichOneof("log_type") == "predict_log"
        signature = log.predict_log.request.model_spec.signature_name
        answer = tf.make_ndarray(channel[1].Predict(log.predict_log.request).outputs["logit"])
        close(answer, asked.expected[signature][: len(answer)])
    assert len(records) == 8
