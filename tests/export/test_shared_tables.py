"""A SavedModel is compared with its model without a second copy of large tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.durable_files import DamagedFileError
from dynctr_tf.encoding import Encoder
from dynctr_tf.export import TableStorage, export_model, shared_tables
from dynctr_tf.export.raw_requests import raw_tensors
from dynctr_tf.training.stored_tensors import stored_tensors
from tests.export.test_export import SCHEMA, Rows, telling_model


class Gathering(tf.Module):
    """Rows of a table, times a factor."""

    def __init__(self) -> None:
        super().__init__()
        self.table = tf.Variable(tf.reshape(tf.range(300.0), (100, 3)))
        self.factor = tf.Variable(2.0)
        self.words = tf.lookup.experimental.MutableHashTable(tf.string, tf.int32, -1)
        self.words.insert(["one", "two"], [1, 2])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="words")])
    def answer(self, words: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"rows": tf.gather(self.table, self.words.lookup(words)) * self.factor}


def test_large_variables_are_shared_and_all_else_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_tables, "LEAST_BYTES", 1000)
    module = Gathering()
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"answer": module.answer})
    files = sorted(str(path) for path in tmp_path.rglob("*"))
    loaded = shared_tables.load_with_tables_of(tmp_path / "1", module)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == files
    module.factor.assign(0.0)
    module.words.insert(["two"], [50])
    module.table.scatter_nd_update([[2]], [[-1.0, -1.0, -1.0]])
    rows = loaded.signatures["answer"](words=tf.constant(["one", "two"]))["rows"]
    np.testing.assert_array_equal(rows, [[6.0, 8.0, 10.0], [-2.0, -2.0, -2.0]])
    # The table in memory is no longer the one in the files.
    with pytest.raises(DamagedFileError, match="'table/.*' was written, and the files hold other numbers"):
        shared_tables.load_with_tables_of(tmp_path / "1", module)


@pytest.mark.parametrize("tables", [TableStorage(), TableStorage(False, "int8")])
def test_an_export_with_shared_tables_answers_as_one_without(
    tables: TableStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Rows()
    encoder = Encoder.fit(source, progress=False)
    model = telling_model(encoder)
    sample = source.columns.slice(0, 40)
    requests = raw_tensors(sample, SCHEMA)
    answers = []
    for number, least in enumerate((1 << 23, 64)):
        monkeypatch.setattr(shared_tables, "LEAST_BYTES", least)
        path = export_model(model, encoder, tmp_path / str(number), sample, tables=tables)
        assert not list(path.glob("without-tables*"))
        answers.append(tf.saved_model.load(str(path)).signatures["serving_default"](**requests)["logit"].numpy())
        # No weight is in the files twice.
        shapes = [one.shape for one in stored_tensors(path / "variables" / "variables").values() if len(one.shape) == 2]
        assert len(shapes) == len(set(shapes))
    np.testing.assert_array_equal(*answers)
