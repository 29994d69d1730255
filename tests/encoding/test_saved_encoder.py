"""The encoder inside a SavedModel, loaded where neither Keras layers nor this library are known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from rows_in_memory import RICH_SCHEMA, random_columns, raw_tensors, rich_source
from tensorflow import keras

from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.encoding import Encoder, VocabularyLookup
from dynctr_tf.stack import track_for_export

# Both the loader of TensorFlow 2 and that of TensorFlow 1, which is what TensorFlow Serving does.
LOAD = """
import sys
import numpy as np
import tensorflow as tf

directory, asked = sys.argv[1:]
raw = dict(np.load(asked, allow_pickle=False))
raw = {name: np.char.encode(values, "utf-8").astype(object) if values.dtype.kind == "U" else values
       for name, values in raw.items()}
served = tf.saved_model.load(directory).signatures["encode"](**{n: tf.constant(v) for n, v in raw.items()})
np.savez(directory + "/version_2.npz", **{name: ids.numpy() for name, ids in served.items()})
with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    signature = tf.compat.v1.saved_model.load(session, ["serve"], directory).signature_def["encode"]
    feeds = {signature.inputs[name].name: values for name, values in raw.items()}
    fetches = {name: tensor.name for name, tensor in signature.outputs.items()}
    np.savez(directory + "/version_1.npz", **session.run(fetches, feeds))
assert not [name for name in sys.modules if name.startswith("dynctr_tf")]
"""


@pytest.mark.parametrize("values", [300])
def test_the_encoder_in_a_saved_model(tmp_path: Path, values: int) -> None:
    encoder = Encoder.fit(rich_source(values), progress=False)
    layer = encoder.layer()
    columns = random_columns(50, 9)
    raw = raw_tensors(columns)
    expected = encoder.encode_batch(RowBatch(columns, np.zeros(50, np.int8)))
    signature = {
        name: tf.TensorSpec([None] * len(tensor.shape), tensor.dtype, name=name) for name, tensor in raw.items()
    }
    inputs = {
        feature.name: keras.Input(
            signature[feature.name].shape[1:], dtype=signature[feature.name].dtype.name, name=feature.name
        )
        for feature in RICH_SCHEMA.features
    }
    model = keras.Model(inputs, layer(inputs))
    archive = keras.export.ExportArchive()
    track_for_export(archive, model)
    archive.add_endpoint("encode", lambda features: model(features), input_signature=[signature])
    archive.write_out(str(tmp_path / "model"))

    # NumPy cuts off what ends in zero characters, which no value here does.
    np.savez(
        tmp_path / "raw.npz",
        **{
            name: np.char.decode(tensor.numpy().astype(np.bytes_), "utf-8")
            if tensor.dtype == tf.string
            else tensor.numpy()
            for name, tensor in raw.items()
        },
    )
    command = [sys.executable, "-c", LOAD, str(tmp_path / "model"), str(tmp_path / "raw.npz")]
    process = subprocess.run(command, capture_output=True, cwd=tmp_path, check=False)
    assert process.returncode == 0, process.stderr.decode()[-3000:]
    for version in ("version_1", "version_2"):
        served = np.load(tmp_path / "model" / f"{version}.npz")
        assert sorted(served) == sorted(expected)
        for name, ids in expected.items():
            np.testing.assert_array_equal(served[name], ids, err_msg=f"{version} {name}")


def test_large_vocabularies_are_no_part_of_the_graph(tmp_path: Path) -> None:
    layer = VocabularyLookup()
    layer.set_vocabulary([f"{number:x}" for number in range(200_000)])
    inputs = keras.Input((), dtype="string", name="value")
    model = keras.Model({"value": inputs}, {"id": layer(inputs)})
    archive = keras.export.ExportArchive()
    track_for_export(archive, model)
    signature = [{"value": tf.TensorSpec([None], tf.string, name="value")}]
    archive.add_endpoint("encode", lambda features: model(features), input_signature=signature)
    archive.write_out(str(tmp_path / "model"))
    assert (tmp_path / "model" / "saved_model.pb").stat().st_size < 200_000
    served = tf.saved_model.load(str(tmp_path / "model")).signatures["encode"](tf.constant(["0", "ff", "", "-1"]))
    assert served["id"].numpy().tolist() == [2, 2 + 255, 0, 1]
