"""The card of a version of a served model, and whether a new version would be the same."""

from __future__ import annotations

import hashlib
import json
import shlex
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.code_digest import code_digest
from dynctr_tf.durable_files import DamagedFileError, check_checksums, read_json
from dynctr_tf.encoding import Encoder
from dynctr_tf.encoding.plain_names import plain_names
from dynctr_tf.export.raw_requests import json_instances, tensors_of_instances
from dynctr_tf.export.versions import newest_version
from dynctr_tf.schema import Schema
from dynctr_tf.stack import KERAS_3, row_pieces, storage_dtype, variable_path

CARD = Path("assets.extra") / "about.json"
"""Where a version's card is."""

ENCODER = Path("assets.extra") / "encoder"
"""Where a version's encoder is."""

SCHEMA = Path("assets.extra") / "schema.json"
"""Where a version's schema is."""

NAMES = Path("assets.extra") / "names.json"
"""Where the arguments of a version's signatures are named."""

_ROWS_AT_A_TIME = 1 << 16

# What makes a graph of a model and an encoder.
_CODE = ("encoding", "export", "layers", "models", "schema.py", "stack")


def export_digest(model: keras.Model, encoder: Encoder, options: Mapping[str, Any]) -> str:
    """Sixteen characters that change with anything served: a weight, the model, the encoder, an option, the code.

    Cost:
        It reads the weights once, at some hundred megabytes a second.
    """
    digest = hashlib.sha256()
    made_of = {
        "model": json.loads(model.to_json()),
        "encoder": encoder.fingerprint,
        "options": dict(options),
        "code": code_digest(*_CODE),
        "stack": [tf.__version__, KERAS_3],
    }
    digest.update(json.dumps(made_of, sort_keys=True, default=repr).encode())
    for variable in model.weights:
        # As bytes, whatever the type of number is, some rows at a time.
        shape, name = tuple(variable.shape), variable_path(variable).rsplit("/", 1)[-1]
        digest.update(f"{storage_dtype(variable).name} {shape} {name}".encode())
        for piece in row_pieces(variable, _ROWS_AT_A_TIME):
            digest.update(np.ascontiguousarray(piece).view(np.uint8).data if piece.size else b"")
    return digest.hexdigest()[:16]


def unchanged_version(directory: Path, digest: str) -> Path | None:
    """The newest version of a served model, where it is whole and was made of the same; else `None`."""
    newest = newest_version(directory)
    if newest is None:
        return None
    try:
        if read_json(newest / CARD).get("made_of") != digest:
            return None
        check_checksums(newest)
    except (OSError, DamagedFileError):
        return None
    return newest


def sample_request(loaded: Any, sample: pa.RecordBatch, schema: Schema, name: str) -> dict[str, Any]:
    """A request of one row with the answer that the model gives to it, as TF Serving's REST interface has them.

    Args:
        loaded: The SavedModel, as `tf.saved_model.load` gives it.
        sample: Some rows. Of the rows with the fewest missing numbers, the first one with the fewest missing features
            is taken.
        schema: The schema.
        name: What the served model is called.

    Returns:
        `"json"`, the body of the request; `"curl"`, the command that sends it to a server on this machine; and
        `"answer"`, the body of the answer. Where all rows lack a number, it is NaN in the request, which strict readers
        of JSON refuse.
    """
    numbers = {feature.name for feature in schema.features if feature.kind == "numeric"}
    present = np.zeros(sample.num_rows, np.int64)
    for key, column in zip(sample.schema.names, sample.columns, strict=True):
        present += np.asarray(column.is_valid()) * (sample.num_columns if key in numbers else 1)
    row = sample.slice(int(np.argmax(present)), 1)
    instances = json_instances(row, schema)
    tensors = tensors_of_instances(instances, schema)
    outputs = loaded.signatures["serving_default"](**{own: tensors[key] for key, own in plain_names(tensors).items()})
    body = {"instances": instances}
    return {
        "json": body,
        "curl": curl_line(body, name),
        "answer": {"predictions": [{key: float(value.numpy()[0]) for key, value in sorted(outputs.items())}]},
    }


def curl_line(body: Mapping[str, Any], name: str) -> str:
    """The command that asks TF Serving on this machine for the newest version's answer."""
    text = shlex.quote(json.dumps(body, ensure_ascii=False))
    return f"curl -d {text} {_address(name)}"


def renamed_curl(line: str, name: str) -> str:
    """The result of `curl_line`, for another name of the served model."""
    return f"{line.rpartition(' ')[0]} {_address(name)}"


def _address(name: str) -> str:
    return f"http://localhost:8501/v1/models/{urllib.parse.quote(name, safe='')}:predict"
