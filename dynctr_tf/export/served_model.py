"""An exported model that answers rows in this process, as a server would, at the speed of the training's encoding."""

from __future__ import annotations

import contextlib
import functools
import json
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.durable_files import check_checksums, file_checksum, plain_path, read_json
from dynctr_tf.encoding import Encoder
from dynctr_tf.encoding.plain_names import plain_names
from dynctr_tf.export.export_card import CARD, ENCODER, NAMES
from dynctr_tf.export.raw_requests import raw_tensors
from dynctr_tf.export.versions_at_uris import versions_here
from dynctr_tf.schema import Schema

ROWS_PER_ANSWER = 8192
"""How many rows are answered at a time; a model of dynamic layers needs some kilobytes for each row."""

_COMPARED_ROWS = 64
_TOLERANCE = 1e-4
_ADVICE = "Export the model again, or copy the version again from where it is whole."


class ServedModel:
    """A version of an exported model, loaded to score rows.

    Use it to score many rows with nothing but the folder that a server gets: it needs neither the run that trained the
    model nor the code that built it. The version's encoder encodes hundreds of thousands of rows in a second, and the
    signature `encoded` answers them.

    Several threads may call `encode` and `answer` at once.

    Args:
        export: A version's folder, such as `saved_models/clicks/3`, or the one above it for the newest version; or the
            URI of one of these, which is copied to the folder for temporary files, for as long as the object lives.

    Raises:
        ValueError: There is no export, its URI cannot be reached, or it has no encoder, as those of earlier releases.
        DamagedFileError: A file of the version is not what was written.
        OSError: A file cannot be read.

    Example:

    >>> from dynctr_tf.datasets import SyntheticCtrRows
    >>> from dynctr_tf.datasets.row_source import first_rows
    >>> from dynctr_tf.export import export_model
    >>> from dynctr_tf.models.catalogue import build_model
    >>> import tempfile
    >>> source = SyntheticCtrRows(num_train=300, num_validation=100, num_test=100)
    >>> encoder = Encoder.fit(source, progress=False)
    >>> rows = first_rows(source, "test", 50)
    >>> path = export_model(build_model("lr", encoder.features), encoder, f"{tempfile.mkdtemp()}/clicks", rows)
    >>> ServedModel(path).logits(rows).shape
    (50,)
    """

    def __init__(self, export: str | Path) -> None:
        with contextlib.ExitStack() as held:
            (self.path,) = held.enter_context(versions_here(export))
            weakref.finalize(self, held.pop_all().close)
        if not (self.path / ENCODER).is_dir():
            raise ValueError(
                f"The export {self.path} holds no encoder ({ENCODER}), so its rows cannot be encoded: an earlier "
                "release of dynctr_tf, or another library, wrote it. Export the model again."
            )
        check_checksums(self.path, _ADVICE)
        self.card = read_json(self.path / CARD, _ADVICE)
        self.encoder = Encoder.load(self.path / ENCODER)
        with plain_path(self.path) as path:
            self._loaded = tf.saved_model.load(str(path))
        self._encoded = self._loaded.signatures["encoded"]

    @property
    def schema(self) -> Schema:
        """What the columns of the rows mean."""
        return self.encoder.schema

    @property
    def name(self) -> str:
        """The served model and its version, such as `"clicks/3"`."""
        return f"{self.path.resolve().parent.name}/{self.path.resolve().name}"

    @functools.cached_property
    def fingerprint(self) -> str:
        """Changes when a file of the version does."""
        return file_checksum(self.path / "checksums.json")

    def encode(self, columns: pa.RecordBatch) -> dict[str, np.ndarray]:
        """Turns rows into the entries that the model takes.

        Args:
            columns: The columns of the schema's features, as in `RowBatch.columns`; others are left alone.

        Raises:
            ValueError: A feature whose column is absent or of a type that does not suit it.
        """
        batch = RowBatch(columns, np.zeros(columns.num_rows, np.int8))
        encoded = self.encoder.encode_batch(batch)
        return {name: encoded[name] for name in self.arguments}

    @functools.cached_property
    def arguments(self) -> dict[str, str]:
        """The names of the entries that the model takes, and of the signature's arguments for them."""
        names = json.loads((self.path / NAMES).read_text(encoding="utf-8"))
        return {str(name): str(argument) for name, argument in names["encoded"].items()}

    def answer(self, encoded: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the logits of encoded rows, float32 `(rows,)`."""
        rows = len(next(iter(encoded.values())))
        parts = [
            self._encoded(
                **{
                    argument: tf.constant(encoded[name][start : start + ROWS_PER_ANSWER])
                    for name, argument in self.arguments.items()
                }
            )["logit"].numpy()
            for start in range(0, rows, ROWS_PER_ANSWER)
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def logits(self, columns: pa.RecordBatch) -> np.ndarray:
        """Encodes rows and returns their logits, float32 `(rows,)`."""
        return self.answer(self.encode(columns))

    def check(self, columns: pa.RecordBatch) -> None:
        """Compares the answers to some rows with those that a server gives to the raw features.

        A job calls it with its first rows, to notice code that encodes differently from the exported graph.

        Raises:
            RuntimeError: They differ.
        """
        rows = columns.slice(0, _COMPARED_ROWS)
        raw: dict[str, Any] = raw_tensors(rows, self.schema)
        request = {own: raw[name] for name, own in plain_names(raw).items()}
        served = self._loaded.signatures["serving_default"](**request)["logit"].numpy()
        found = self.logits(rows)
        off = float(np.max(np.abs(found - served) / np.maximum(1.0, np.abs(served)), initial=0.0))
        if not off <= _TOLERANCE:
            row = int(np.argmax(np.abs(found - served)))
            raise RuntimeError(
                f"The export {self.path} answers row {row + 1} with the logit {served[row]:.6f} where its own graph "
                f"encodes the row, and with {found[row]:.6f} where this release of dynctr_tf does. Export it again."
            )
