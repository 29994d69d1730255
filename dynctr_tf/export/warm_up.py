"""Requests that a server answers to itself before it serves a version, so that no user's request is the first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

WARM_UP = Path("assets.extra") / "tf_serving_warmup_requests"
"""Where TF Serving looks for them; it silently ignores a file elsewhere or in another format."""


def write_warm_up(path: str | Path, name: str, requests: Mapping[str, list[Mapping[str, tf.Tensor]]]) -> None:
    """Writes the requests that TF Serving sends to a version when it has loaded it.

    A record is a `PredictionLog` of a `PredictRequest`, in the wire format of protocol buffers. TensorFlow does not
    include these messages; they are defined in `tensorflow_serving/apis/prediction_log.proto`, `predict.proto` and
    `model.proto`.

    Args:
        path: The folder of the version.
        name: What the served model is called.
        requests: For each signature the requests, inputs by name; at most 1,000 in all.
    """
    file = Path(path) / WARM_UP
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for signature, several in requests.items():
            for inputs in several:
                request = predict_request(name, signature, inputs)
                writer.write(_field(6, _field(1, request)))  # PredictionLog.predict_log, PredictLog.request


def rename_warm_up(path: str | Path, name: str) -> None:
    """Writes the name of another served model into the requests of a copied version.

    Args:
        path: The folder of the version; if it has no such requests, nothing happens.
        name: What the served model is called.
    """
    file = Path(path) / WARM_UP
    if not file.exists():
        return
    records = [_renamed(record.numpy(), name) for record in tf.data.TFRecordDataset(str(file))]
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            writer.write(record)


def _renamed(record: bytes, name: str) -> bytes:
    """A record of `write_warm_up` with another name of the served model."""
    request = _first_field(_first_field(record)[0])[0]
    model, inputs = _first_field(request)
    _, signature = _first_field(model)
    return _field(6, _field(1, _field(1, _field(1, name.encode()) + signature) + inputs))


def predict_request(name: str, signature: str, inputs: Mapping[str, tf.Tensor]) -> bytes:
    """A `PredictRequest` as bytes, which gRPC sends and a server reads.

    Args:
        name: What the served model is called.
        signature: The signature's name.
        inputs: The inputs by name.

    Example:

    >>> predict_request("clicks", "examples", {})
    b'\\n\\x12\\n\\x06clicks\\x1a\\x08examples'
    """
    model = _field(1, name.encode()) + _field(3, signature.encode())  # ModelSpec.name, ModelSpec.signature_name
    parts = [_field(1, model)]
    for key, tensor in inputs.items():
        value = tf.make_tensor_proto(tensor.numpy(), tensor.dtype, tensor.shape).SerializeToString()
        parts.append(_field(2, _field(1, key.encode()) + _field(2, value)))  # an entry of the map of inputs
    return b"".join(parts)


def _field(number: int, content: bytes) -> bytes:
    """A field of a message whose content has a length: a text, bytes or another message."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _first_field(message: bytes) -> tuple[bytes, bytes]:
    """The content of the first field of a message that `_field` made, and what comes after it."""
    length, place, shift = 0, 1, 0  # the numbers of all fields take one byte
    while True:
        byte = message[place]
        length |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return message[place : place + length], message[place + length :]


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)
