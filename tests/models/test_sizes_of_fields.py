"""Fields with embeddings of their own size, and fields that do not train."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from small_models import FEATURES, SMALL
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.evaluation import sparsity_report
from dynctr_tf.layers import BlockEmbedding, FieldEmbedding, FieldProjection
from dynctr_tf.models import Embedding, dnn, lr
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.models.parts.encoded_inputs import encoded_inputs
from dynctr_tf.optimizers.registry import make_optimizer

SIZES = ("user=2", "item=6")
ROWS = 16


def batch(seed: int = 0) -> dict[str, tf.Tensor]:
    random = np.random.default_rng(seed)
    found = {}
    single = [field.first_id + random.integers(0, field.num_ids, ROWS) for field in FEATURES.single_valued]
    found["fields"] = np.stack(single, axis=1)
    for entry in FEATURES.own_entries:
        width = getattr(entry, "max_values", 1) if hasattr(entry, "max_values") else entry.length
        found[entry.key] = entry.first_id + random.integers(0, entry.num_ids, (ROWS, width))
        found[entry.key][::2, -1] = 0
    found["scenario"] = random.integers(0, 5, ROWS)
    found["group"] = random.integers(0, 3, ROWS)
    return {key: tf.constant(value.astype(np.int32)) for key, value in found.items()}


def test_each_row_comes_from_its_fields_table_projected_in_the_place_of_its_column() -> None:
    inputs = encoded_inputs(FEATURES)
    model = keras.Model(inputs, Embedding(4, sizes=SIZES, initial_scale=1.0, pooling="sum").field_map(inputs, FEATURES))
    layers = {layer.name: layer for layer in model.layers}
    rest, user, item = (layers[f"embedding_{number}"] for number in range(3))
    assert [layer.output_dim for layer in (rest, user, item)] == [4, 2, 6]
    assert [layer.num_rows for layer in (rest, user, item)] == [5 + 24 + 9 + 1, 20 + 1, 10 + 1]
    tables = {layer.name: stack.raw_variable(layer.table).numpy() for layer in (rest, user, item)}
    kernels = [stack.raw_variable(layers[f"projection_{number}"].kernel).numpy() for number in (1, 2)]

    def row(number: int) -> np.ndarray:
        """By hand: the embedding of an id of the whole id space."""
        if number == 0:
            return np.zeros(4)
        if 1 <= number < 21:
            return tables["embedding_1"][number] @ kernels[0]
        if 26 <= number < 36:
            return tables["embedding_2"][number - 25] @ kernels[1]
        return tables["embedding_0"][number - 20 if number < 26 else number - 30]

    given = batch()
    found = model(given, training=False).numpy()
    for index in range(ROWS):
        singles = [row(number) for number in given["fields"].numpy()[index]]
        pooled = [
            np.sum([row(number) for number in given[entry.key].numpy()[index]], axis=0)
            for entry in FEATURES.own_entries
        ]
        np.testing.assert_allclose(found[index], np.stack([*singles, *pooled]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["deepfm", "dynint_dgp", "dpn", "din", "can", "afn", "optmsm", "apg_dnn"])
def test_models_train_with_sizes_and_frozen_fields(name: str) -> None:
    options = {**SMALL[name], "embedding.sizes": SIZES, "embedding.frozen": ("tags",)}
    model = build_model(name, FEATURES, **options)
    optimizer = make_optimizer("row_wise_adagrad", batch_size=ROWS)
    labels = tf.constant(np.random.default_rng(1).integers(0, 2, ROWS).astype(np.float32))
    before = {weight.path if stack.KERAS_3 else weight.name: np.array(weight) for weight in model.weights}
    frozen = [layer for layer in model.layers if isinstance(layer, BlockEmbedding) and not layer.trainable]
    assert [layer.blocks for layer in frozen] == [[(60, 9)]]
    table = stack.raw_variable(frozen[0].table).numpy()
    with tf.GradientTape() as tape:
        logits = tf.reshape(model(batch(), training=True), [-1])
        loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [stack.raw_variable(variable) for variable in variables])
    optimizer.apply_gradients(list(zip(gradients, variables, strict=True)))
    assert np.array_equal(stack.raw_variable(frozen[0].table).numpy(), table)
    after = {weight.path if stack.KERAS_3 else weight.name: np.array(weight) for weight in model.weights}
    moved = [key for key in after if not np.array_equal(before[key], after[key])]
    assert any("embedding_1" in key for key in moved) and any("embedding_0" in key for key in moved)
    # Projections are dense weights.
    rows = {row.path: row.optimizer for row in optimizer.assignment()}
    assert {rows[path] for path in rows if "projection_" in path} == {"LazyAdam"}
    assert {rows[path] for path in rows if path.endswith("table")} == {"RowWiseAdagrad"}


def test_a_frozen_field_keeps_its_first_order_weights_training() -> None:
    model = build_model("deepfm", FEATURES, **SMALL["deepfm"], **{"embedding.frozen": "item"})
    names = [layer.name for layer in model.layers if isinstance(layer, FieldEmbedding)]
    assert names == ["embedding_0", "embedding_1", "embedding_1_first_order"]
    trained = [stack.variable_path(weight) for weight in model.trainable_weights]
    assert any("first_order" in path for path in trained)
    assert not any(path.endswith("embedding_1/table") for path in trained)


def test_models_save_and_load_with_their_tables(tmp_path: Any) -> None:
    model = dnn(FEATURES, embedding=Embedding(4, sizes=SIZES, frozen=("tags",)))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(loaded(batch(), training=False), model(batch(), training=False))
    assert [layer.name for layer in loaded.layers if not layer.trainable] == ["embedding_3"]


def test_zero_rows_are_counted_in_the_table_of_their_field() -> None:
    model = dnn(FEATURES, embedding=Embedding(4, sizes=SIZES, initial_scale=1.0))
    layer = next(layer for layer in model.layers if layer.name == "embedding_1")
    values = stack.raw_variable(layer.table).numpy()
    values[1:6] = 0
    layer.set_weights([values])
    found = {field.name: (field.zero, field.total) for field in sparsity_report(model, FEATURES).fields}
    assert found["user"] == (5, 20) and found["item"] == (0, 10) and found["tags"] == (0, 9)


def test_fields_without_a_table_have_no_zero_rows_to_count() -> None:
    fields = keras.Input((len(FEATURES.single_valued),), dtype="int32", name="fields")
    first = FEATURES.single_valued[0]
    rows = BlockEmbedding([(first.first_id, first.num_ids)], 2, columns=[0])(fields)
    model = keras.Model({"fields": fields}, keras.layers.Dense(1)(keras.layers.Flatten()(rows)))
    with pytest.raises(ValueError, match=r"No BlockEmbedding of the model has the rows of \['scenario_id', 'item'"):
        sparsity_report(model, FEATURES)


def test_what_is_no_size_is_refused() -> None:
    for sizes in ("user", "user=0", "=4", "user=2.5", ("user=2", "user=3")):
        with pytest.raises(ValueError, match="size"):
            Embedding(sizes=sizes)
    with pytest.raises(ValueError, match=r"field with ids of its own.*'usr'.*user"):
        dnn(FEATURES, embedding=Embedding(4, sizes="usr=2"))
    with pytest.raises(ValueError, match="field with ids of its own"):  # it has those of the item
        dnn(FEATURES, embedding=Embedding(4, frozen="last items/30d"))
    same = dnn(FEATURES, embedding=Embedding(4, sizes="user=4"))  # as without it: in the one table of all
    assert [layer.name for layer in same.layers if isinstance(layer, FieldEmbedding)] == ["embedding"]
    with pytest.raises(ValueError, match=r"leave .*embedding\.sizes"):
        build_model("per_scenario", FEATURES, **SMALL["per_scenario"], **{"embedding.sizes": "user=2"})
    assert lr(FEATURES, embedding=Embedding(1, sizes="user=3")).output_shape == (None, 1)
    with pytest.raises(ValueError, match="ascending order and apart"):
        BlockEmbedding([(1, 4), (4, 2)], 3)
    with pytest.raises(ValueError, match="columns=.7.*2 ids"):
        BlockEmbedding([(1, 4)], 3, columns=[7])(tf.constant([[1, 2]]))
    with pytest.raises(ValueError, match="at least 1"):
        FieldProjection(0)


def test_ids_of_other_blocks_are_zero_and_reach_no_row() -> None:
    layer = BlockEmbedding([(2, 2), (8, 1)], 3, initial_scale=1.0)
    ids = tf.constant([[0, 1, 2, 3, 4, 8, 9]])
    with tf.GradientTape() as tape:
        rows = layer(ids, training=True)
        loss = tf.reduce_sum(rows)
    assert (np.abs(rows.numpy()[0]).sum(axis=1) > 0).tolist() == [False, False, True, True, False, True, False]
    gradient = tape.gradient(loss, stack.raw_variable(layer.table))
    dense = tf.convert_to_tensor(gradient).numpy()
    assert dense[0].tolist() == [0, 0, 0] and (dense[1:] == 1).all()
    assert layer.rows_of(8, 1) == slice(3, 4) and layer.rows_of(8, 2) is None
