"""What a version of a served model notes of itself, and whether a new one would be the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.code_digest import code_digest
from dynctr_tf.durable_files import DamagedFileError, check_checksums, read_json
from dynctr_tf.encoding import Encoder
from dynctr_tf.stack import KERAS_3, variable_path

CARD = Path("assets.extra") / "about.json"
"""Where a version's card is."""

# What makes a graph of a model and an encoder.
_CODE = ("encoding", "export", "layers", "models", "schema.py", "stack")


def export_digest(model: keras.Model, encoder: Encoder, options: Mapping[str, Any]) -> str:
    """Sixteen characters that change when what is served would: a weight, the model, the encoder, an option, the code.

    Cost:
        Reads the weights once, at some hundred megabytes a second.
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
        # As many bytes in every type of number, one variable at a time.
        value = np.ascontiguousarray(tf.convert_to_tensor(variable).numpy())
        digest.update(f"{value.dtype} {value.shape} {variable_path(variable).rsplit('/', 1)[-1]}".encode())
        digest.update(value.view(np.uint8).data if value.size else b"")
    return digest.hexdigest()[:16]


def unchanged_version(directory: Path, digest: str) -> Path | None:
    """The newest version of a served model, where it is whole and was made of the same; else `None`."""
    numbers = [int(path.name) for path in directory.iterdir() if path.name.isdigit()] if directory.is_dir() else []
    if not numbers:
        return None
    newest = directory / str(max(numbers))
    try:
        if read_json(newest / CARD).get("made_of") != digest:
            return None
        check_checksums(newest)
    except (OSError, DamagedFileError):
        return None
    return newest
