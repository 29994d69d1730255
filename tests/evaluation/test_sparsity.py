"""The report of what is zero."""

from __future__ import annotations

import numpy as np
import pytest
from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.evaluation import sparsity
from dynctr_tf.evaluation.sparsity import removed_message, sparsity_report
from dynctr_tf.layers.embedding import FieldEmbedding
from dynctr_tf.optimizers import GroupFtrl

SIZES = (3, 5)


def model_with(table):
    ids = keras.Input((2,), dtype="int32")
    embedding = FieldEmbedding(table.shape[0], table.shape[1], name="embedding")
    hidden = keras.layers.Flatten()(embedding(ids))
    model = keras.Model(ids, keras.layers.Dense(1, name="output")(hidden))
    embedding.set_weights([table])
    return model


def table_with_zero_rows(*rows):
    table = np.ones((1 + sum(SIZES), 2), np.float32)
    table[[0, *rows]] = 0
    return table


@pytest.mark.parametrize("rows_at_a_time", [sparsity.ROWS_AT_A_TIME, 2])
def test_rows_and_weights_are_counted(monkeypatch, rows_at_a_time):
    monkeypatch.setattr(sparsity, "ROWS_AT_A_TIME", rows_at_a_time)
    table = table_with_zero_rows(2, 4, 5)
    table[6, 0] = 0  # half a row
    report = sparsity_report(model_with(table), EncodedFeatures.from_sizes(SIZES))
    assert [(field.name, field.total, field.zero) for field in report.fields] == [("f0", 3, 1), ("f1", 5, 2)]
    assert (report.all_fields.total, report.all_fields.zero) == (8, 3)
    found = {share.name: (share.total, share.zero) for share in report.variables}
    assert found["embedding/table"] == (18, 9)
    assert found["output/bias"] == (1, 1)
    assert report.all_variables.total == 18 + 4 + 1
    assert "f1" in report.to_text() and "40.0 %" in report.to_text() and "embedding/table" in report.to_text()


def test_matrices_without_a_weight_are_named():
    model = model_with(table_with_zero_rows(2))
    assert sparsity_report(model).removed == () and removed_message(()) == ""
    kernel = model.get_layer("output")
    kernel.set_weights([np.zeros((4, 1)), np.zeros(1)])
    for features in (None, EncodedFeatures.from_sizes(SIZES)):
        assert sparsity_report(model, features).removed == ("output/kernel",)  # and not the bias
    assert removed_message(("output/kernel",)).startswith("No weight is left of output/kernel: what it gives is the")


def test_without_a_description_only_variables_are_reported():
    report = sparsity_report(model_with(table_with_zero_rows()))
    assert report.fields == ()
    assert report.to_text().startswith("variable")


def test_group_ftrl_leaves_the_zero_rows_that_the_report_finds():
    model = model_with(np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32))
    model.compile(
        GroupFtrl(0.1, untouched_rows="zero"), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False
    )
    model.fit(np.array([[1, 4], [1, 5]], np.int32), np.array([0.0, 1.0]), epochs=2, verbose=0)
    report = sparsity_report(model, EncodedFeatures.from_sizes(SIZES))
    assert [field.zero for field in report.fields] == [2, 3]


def test_a_table_that_is_not_there_is_an_error():
    model = model_with(table_with_zero_rows())
    with pytest.raises(ValueError, match="Expected one trainable variable with 21 rows"):
        sparsity_report(model, EncodedFeatures.from_sizes([20]))
    with pytest.raises(ValueError, match="must have shape"):
        sparsity_report(model, EncodedFeatures.from_sizes([20]), table=model.trainable_variables[0])


def test_a_kernel_of_as_many_rows_as_ids_is_no_table() -> None:
    ids = keras.Input((3,), dtype="int32")
    hidden = keras.layers.Flatten()(FieldEmbedding(9, 3, name="embedding")(ids))
    model = keras.Model(ids, keras.layers.Dense(1, name="output")(hidden))
    assert model.layers[-1].kernel.shape[0] == 9
    assert [field.total for field in sparsity_report(model, EncodedFeatures.from_sizes(SIZES)).fields] == [3, 5]
