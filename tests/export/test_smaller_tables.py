"""Tables without rows that are zero, and in fewer bits: the same answers, or nearly, in fewer bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from dynctr_tf.durable_files import read_json
from dynctr_tf.encoding import Encoder
from dynctr_tf.export import TableStorage, export_model
from dynctr_tf.export.export_card import CARD
from dynctr_tf.export.raw_requests import raw_tensors
from dynctr_tf.export.smaller_tables import SmallerTable, in_fewer_bits
from dynctr_tf.models import Embedding
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.training import set_seed
from tests.export.test_export import SCHEMA, Exported, Rows, close


def table_of(model: Any) -> Any:
    return max(model.weights, key=lambda weight: weight.shape[0])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A model of which four rows of five are zero."""
    made = object.__new__(Exported)
    made.source = Rows()
    made.encoder = Encoder.fit(made.source, progress=False)
    set_seed(3)
    options = {"deep.units": (8,)}
    made.model = build_model("deepfm", made.encoder.features, embedding=Embedding(16, initial_scale=1.0), **options)
    table = table_of(made.model)
    values = tf.convert_to_tensor(table).numpy()
    values[np.arange(len(values)) % 5 > 0] = 0.0
    table.assign(values)
    made.sample = made.source.columns.slice(0, 60)
    return made


def export(trained: Exported, folder: Path, **options: Any) -> tuple[Path, dict[str, int], np.ndarray]:
    path = export_model(trained.model, trained.encoder, folder / "clicks", trained.sample, **options)
    answer = tf.saved_model.load(str(path)).signatures["serving_default"](**raw_tensors(trained.sample, SCHEMA))
    return path, read_json(path / CARD)["bytes"], answer["logit"].numpy().astype(np.float64)


def variables(path: Path) -> int:
    return (path / "variables" / "variables.data-00000-of-00001").stat().st_size


def test_rows_that_are_zero_are_held_once(trained: Exported, tmp_path: Path) -> None:
    whole, sizes, _ = export(trained, tmp_path / "whole", tables=TableStorage(without_zero_rows=False))
    assert sizes["tables"] == sizes["trained_tables"] == 0
    path, sizes, logits = export(trained, tmp_path / "smaller")
    close(logits, trained.expected(trained.sample))
    rows, width = table_of(trained.model).shape
    live = (rows + 4) // 5 - 1  # row 0 is padding, which is zero
    assert sizes["trained_tables"] == 4 * rows * width
    assert sizes["tables"] == 4 * rows + 4 * width * (live + 1)
    assert variables(whole) - variables(path) > 0.95 * (sizes["trained_tables"] - sizes["tables"])


def test_a_table_is_saved_once(trained: Exported, tmp_path: Path) -> None:
    path, _, _ = export(trained, tmp_path, tables=TableStorage(without_zero_rows=False))
    saved = [tuple(shape) for _, shape in tf.train.list_variables(str(path / "variables" / "variables"))]
    assert saved.count(tuple(table_of(trained.model).shape)) == 1
    assert len(tf.saved_model.load(str(path)).variables) > 0


@pytest.mark.parametrize(("numbers", "most"), [("bfloat16", 0.05), ("int8", 0.05)])
def test_fewer_bits(numbers: Any, most: float, trained: Exported, tmp_path: Path) -> None:
    path, sizes, logits = export(trained, tmp_path, tables=TableStorage(False, numbers))
    rows, width = table_of(trained.model).shape
    held = {"bfloat16": 2 * rows * width, "int8": rows * width + 4 * rows}[numbers]
    assert sizes["tables"] == held < sizes["trained_tables"]
    expected = trained.expected(trained.sample)
    off = np.abs(logits - expected).max()
    assert 0 < off < most * np.ptp(expected)
    # It is what the model with the rounded table answers.
    values, scales = in_fewer_bits(tf.convert_to_tensor(table_of(trained.model)).numpy(), numbers)
    rounded = tf.cast(values, tf.float32) * (1.0 if scales is None else scales)
    before = tf.convert_to_tensor(table_of(trained.model)).numpy()
    try:
        table_of(trained.model).assign(rounded)
        close(logits, trained.expected(trained.sample))
    finally:
        table_of(trained.model).assign(before)
    both = export(trained, tmp_path / "both", tables=TableStorage(True, numbers))
    close(both[2], logits)
    assert both[1]["tables"] < sizes["tables"]


def test_a_table_that_would_not_be_smaller_stays(tmp_path: Path) -> None:
    dense = tf.Variable(np.ones((10, 4), np.float32))
    assert SmallerTable.of(dense, TableStorage()) is None
    narrow = tf.Variable(np.ones((10, 1), np.float32))
    assert SmallerTable.of(narrow, TableStorage(numbers="int8")) is None
    assert SmallerTable.of(tf.Variable(np.zeros((4, 3, 2), np.float32)), TableStorage()) is None
    assert SmallerTable.of(tf.Variable(np.zeros((4, 3), np.int32)), TableStorage()) is None


def test_an_int8_row_is_off_by_half_a_step_of_its_own_at_most() -> None:
    rows = np.random.default_rng(0).normal(0, np.geomspace(1e-6, 1e3, 200)[:, None], (200, 9)).astype(np.float32)
    values, scales = in_fewer_bits(rows, "int8")
    assert scales is not None and values.dtype == np.int8
    assert (np.abs(values * scales - rows) <= 0.5001 * scales).all()


def test_what_cannot_be_is_refused(trained: Exported, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="int16.*Did you mean"):
        TableStorage(numbers="int16")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="leave constant_weights at True"):
        export(trained, tmp_path, tables=TableStorage(numbers="int8"), constant_weights=False)
