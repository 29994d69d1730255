"""What concerns the user alone is computed once for all items, and every model answers as for the user repeated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.encoding import Encoder
from dynctr_tf.export.constant_weights import constant_function, with_constant_weights
from dynctr_tf.export.one_user import answer_for_one_user, two_sides
from dynctr_tf.export.rows_alike import repeat_row, with_rows_alike
from dynctr_tf.export.smaller_tables import TableStorage
from dynctr_tf.layers import AdaptiveDense, FieldEmbedding, FieldSelection
from dynctr_tf.models import Embedding
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.training import set_seed
from tests.export.test_export import Rows
from tests.export.test_requests import ITEMS

MODELS: dict[str, dict[str, Any]] = {
    "lr": {}, "deepfm": {}, "dcn_v2": {}, "dynint_dgp": {}, "dynint_dwp": {}, "dpn": {}, "dpn_field": {}, "sdpn": {},
    "din": {}, "dien": {}, "star": {}, "pepnet": {}, "m2m": {}, "poso": {}, "lhuc": {}, "optmsm": {}, "apg_deepfm": {},
    "can": {}, "masknet_serial": {}, "gatenet": {},
    "deepfm, tables of their own": {"embedding": Embedding(8, initial_scale=1.0, sizes=("user=3", "item=12"))},
    "dien, tables of their own": {
        "embedding": Embedding(8, initial_scale=1.0, sizes=("tags=4", "age=2"), frozen=("item", "user")),
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def encoded() -> tuple[Encoder, dict[str, np.ndarray]]:
    source = Rows()
    encoder = Encoder.fit(source, progress=False)
    return encoder, encoder.encode_batch(RowBatch(source.columns.slice(0, 30), np.zeros(30, np.int8)))


def sides_of(model: Any, encoder: Encoder) -> tuple[dict[str, tf.TensorSpec], Any]:
    signature = {
        key: tf.TensorSpec((None, *tensor.shape[1:]), tf.int32, name=key) for key, tensor in model.input.items()
    }
    sides = two_sides(encoder.features, signature, ITEMS)
    assert sides is not None
    return signature, sides


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_answers_as_for_the_user_repeated(name: str, encoded: tuple[Encoder, dict[str, np.ndarray]]) -> None:
    encoder, rows = encoded
    set_seed(4)
    options = {} if name == "lr" else {"embedding": Embedding(8, initial_scale=1.0)}
    model = build_model(name.partition(",")[0], encoder.features, **{**options, **MODELS[name]})
    signature, sides = sides_of(model, encoder)
    once, each, repeated = sides.of_rows(rows)
    expected = with_constant_weights(lambda batch: model(batch, training=False), signature)(repeated)

    def answer(once: dict[str, tf.Tensor], each: dict[str, tf.Tensor]) -> tf.Tensor:
        return answer_for_one_user(model, once, each, sides.order)

    for storage in (TableStorage(False), TableStorage(True)):
        traced, _ = constant_function(answer, [sides.once, sides.each], storage, one_row_first=True)
        found = traced(once, each)
        scale = np.maximum(1.0, np.abs(expected.numpy()))
        np.testing.assert_allclose(found.numpy() / scale, expected.numpy() / scale, rtol=0, atol=1e-6)
    none = traced(once, {key: value[:0] for key, value in each.items()})
    assert none.shape[0] == 0


def products_of_one_row(function: Any) -> int:
    """How many products of matrices a function computes for one row, that without knowing better it repeats."""
    products = [op for op in function.graph.get_operations() if op.type in ("MatMul", "BatchMatMulV2", "Einsum")]
    return sum(op.name.endswith("/of_one_row") for op in products)


def test_weights_that_the_user_generates_are_generated_once(encoded: tuple[Encoder, dict[str, np.ndarray]]) -> None:
    encoder, rows = encoded
    fields = keras.Input((len(encoder.features.single_valued),), dtype="int32", name="fields")
    field_map = FieldEmbedding(encoder.features.num_ids, 4)(fields)
    user = FieldSelection(encoder.features.positions("user"))(field_map)
    x, condition = keras.layers.Flatten()(field_map), keras.layers.Flatten()(user)
    model = keras.Model({"fields": fields}, keras.layers.Dense(1)(AdaptiveDense(8, 2)(x, condition)))
    _, sides = sides_of(model, encoder)
    once, each, repeated = sides.of_rows(rows)

    def answer(once: dict[str, tf.Tensor], each: dict[str, tf.Tensor]) -> tf.Tensor:
        return answer_for_one_user(model, once, each, sides.order)

    shared, _ = constant_function(answer, [sides.once, sides.each], TableStorage(False), one_row_first=True)
    apart, _ = constant_function(answer, [sides.once, sides.each], TableStorage(False))
    assert products_of_one_row(shared) == 1 and not products_of_one_row(apart)
    np.testing.assert_allclose(shared(once, each).numpy(), model(repeated).numpy(), rtol=1e-6, atol=1e-6)


def rewritten(function: Any, row: np.ndarray, many: np.ndarray) -> tuple[Any, Any, list[tf.Operation]]:
    """The answers of a function of repeated rows and others before and after, and the operations of one row."""

    def repeated(one: tf.Tensor, others: tf.Tensor) -> Any:
        return function(repeat_row(one, tf.shape(others)[0]), others)

    signature = [tf.TensorSpec((1, *row.shape[1:]), row.dtype), tf.TensorSpec((None, *many.shape[1:]), many.dtype)]
    traced = tf.function(repeated).get_concrete_function(*signature)
    definition, names = with_rows_alike(traced.graph, traced.outputs, [traced.inputs[1].op.name])
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        outputs = tf.graph_util.import_graph_def(definition, return_elements=names, name="")
        feed = {f"{tensor.op.name}:0": value for tensor, value in zip(traced.inputs, (row, many), strict=True)}
        found = session.run(outputs[0], feed)
        once = [op for op in graph.get_operations() if op.name.endswith("/of_one_row")]
    return traced(row, many).numpy(), found, once


def row_and_many(seed: int = 0, sizes: tuple[int, ...] = (4, 6)) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=(1, *sizes)).astype(np.float32), draw.normal(size=(5, *sizes)).astype(np.float32)


KERNEL = np.random.default_rng(9).normal(size=(6, 3)).astype(np.float32)
FUNCTIONS: dict[str, tuple[Any, int]] = {
    # A function of repeated rows x and of others y, each (5, 4, 6), and how many operations are of one row at least.
    "elementwise": (lambda x, y: tf.nn.relu(tf.sigmoid(x) * 2.0 + 1.0) * y, 3),
    "product with a kernel": (lambda x, y: tf.tensordot(x, KERNEL, 1) + tf.tensordot(y, KERNEL, 1), 3),
    "reductions": (lambda x, y: tf.reduce_mean(tf.reduce_sum(x, 2), 1) + tf.reduce_max(y, [1, 2]), 2),
    "over the rows": (lambda x, y: tf.reduce_sum(x, 0) + y, 0),
    "softmax": (lambda x, y: tf.nn.softmax(x) * y, 1),
    "reshape by -1": (lambda x, y: tf.reshape(x * 2.0, [-1, 24]) + tf.reshape(y, [-1, 24]), 2),
    "reshape by sizes": (lambda x, y: tf.reshape(x, [tf.shape(x)[0], 24]) + tf.reshape(y, [-1, 24]), 1),
    "reshape that mixes rows": (lambda x, y: tf.reshape(x, [4, -1])[:, :6] + y[:4, 0], 0),
    "reshape to more rows": (lambda x, y: tf.reshape(tf.reshape(x, [-1, 6]) @ KERNEL, [-1, 4, 3]) + y[:, :, :3], 3),
    "transposed": (lambda x, y: tf.matmul(tf.transpose(x, [0, 2, 1]), y), 1),
    "rows last": (lambda x, y: tf.transpose(x, [1, 2, 0]) + tf.transpose(y, [1, 2, 0]), 0),
    "slices": (lambda x, y: x[:, 1:3, ..., :2] + x[..., 1:3, 2:4] + y[:, :2, :2], 2),
    "one of the rows": (lambda x, y: x[0] + y, 0),
    "rows backwards": (lambda x, y: x[::-1] + y, 0),
    "einsum": (lambda x, y: tf.einsum("bij,jk->bik", x, KERNEL) + tf.einsum("bij,bkj->bik", x, y)[..., :3], 1),
    "einsum over rows": (lambda x, y: tf.einsum("bij,jk->ik", x, KERNEL) + y[..., :3], 0),
    "gathered columns": (lambda x, y: tf.gather(x, [2, 0], axis=1) + y[:, :2], 1),
    "gathered rows": (lambda x, y: tf.gather(x, [2, 0, 1, 3, 4], axis=0) + y, 0),
    "concatenated": (lambda x, y: tf.concat([x, x * 2.0], 2) + tf.concat([y, y], 2), 2),
    "with a constant of rows": (lambda x, y: x[:, :, :5] + np.ones((5, 1, 5), np.float32) + y[:, :, :5], 1),
    "rows in a lower rank": (lambda x, y: tf.reduce_sum(x, [1, 2]) + tf.transpose(y), 1),
    "cumulated over rows": (lambda x, y: tf.cumsum(x, 0) + y, 0),
    "filled by sizes": (lambda x, y: tf.fill(tf.shape(x), 2.0) * y + x, 0),
    "rows counted": (lambda x, y: y / tf.cast(tf.shape(x)[0], tf.float32), 0),
    "squeezed": (lambda x, y: tf.squeeze(tf.reduce_sum(x, 1, keepdims=True), [1]) + y[:, 0], 2),
    "stacked": (lambda x, y: tf.reduce_sum(tf.stack([x, x], 1), 1) + y, 2),
    "repeated anew": (lambda x, y: tf.tile(x, [1, 2, 1]) + tf.tile(y, [1, 2, 1]), 1),
    "sorted": (lambda x, y: tf.sort(x, axis=1) + y, 1),
    "split": (lambda x, y: tf.split(x, 2, axis=2)[1] * tf.split(y, 2, axis=2)[0], 1),
    "alone": (lambda x, y: tf.tanh(x), 1),
    "branches": (lambda x, y: tf.cond(tf.reduce_sum(y) > 0, lambda: x + y, lambda: x - y), 0),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_follows_from_rows_alike(name: str) -> None:
    function, least = FUNCTIONS[name]
    expected, found, once = rewritten(function, *row_and_many())
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    kinds = [op.type for op in once if op.type != "Shape"]
    assert len(kinds) >= least, kinds
    if not least:
        assert not {"Sum", "Cumsum", "GatherV2", "ReverseV2", "Transpose"} & set(kinds), kinds


def test_a_model_of_ones_own(encoded: tuple[Encoder, dict[str, np.ndarray]]) -> None:
    encoder, rows = encoded
    fields = keras.Input((len(encoder.features.single_valued),), dtype="int32", name="fields")
    embedded = keras.layers.Embedding(encoder.features.num_ids, 4)(fields)
    model = keras.Model({"fields": fields}, keras.layers.Dense(1)(keras.layers.Flatten()(embedded)))
    _, sides = sides_of(model, encoder)
    once, each, repeated = sides.of_rows(rows)
    found = answer_for_one_user(model, once, each, sides.order)
    np.testing.assert_allclose(found.numpy(), model(repeated).numpy(), rtol=1e-6, atol=1e-6)
