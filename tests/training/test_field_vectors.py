"""Embeddings by the values of a field: into a model, and out again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.datasets import ValueVectors
from dynctr_tf.encoding import Encoder, id_map
from dynctr_tf.encoding.vocabulary import FittedBins, FittedVocabulary
from dynctr_tf.layers import BlockEmbedding
from dynctr_tf.models import Embedding, deepfm, dnn
from dynctr_tf.optimizers.registry import make_optimizer
from dynctr_tf.schema import Feature, Schema, Vocabulary
from dynctr_tf.training import carry_over, field_vectors, fields_with_vectors, load_field_vectors

SCHEMA = Schema(
    (
        Feature("user", "categorical", role="user"),
        Feature("item", "categorical", role="item"),
        Feature("age", "numeric"),
        Feature("site", "categorical", vocabulary=Vocabulary(hash_buckets=5)),
        Feature("history", "sequence", role="user", max_length=3, shares_vocabulary_with="item"),
    ),
    label="click",
)


def fitted(*values: str, form: str = "exact") -> FittedVocabulary:
    return FittedVocabulary(pa.array(values, pa.large_string()), np.ones(len(values), np.int64), form)  # type: ignore[arg-type]


ENCODER = Encoder(
    SCHEMA, {"user": fitted("anna", "bert"), "item": fitted("12", "7", "3", form="whole")}, {"age": FittedBins((1, 2))}
)
VECTORS = ValueVectors(pa.array(["7", "12.0", "99"]), np.array([[7.0, 7.5], [1.0, 2.0], [9.0, 9.0]]))


@pytest.mark.parametrize("embedding", [Embedding(2), Embedding(4, sizes="item=2"), Embedding(2, frozen="item")])
def test_values_get_their_vectors_and_give_them_back(embedding: Embedding) -> None:
    model = deepfm(ENCODER.features, embedding=embedding)
    start = field_vectors(model, ENCODER, "item").vectors
    others = field_vectors(model, ENCODER, "user").vectors
    loaded = load_field_vectors(model, ENCODER, "item", VECTORS)
    assert loaded == (3, 2, 1)
    found = field_vectors(model, ENCODER, "item")
    assert found.keys.to_pylist() == ["12", "7", "3"]
    assert found.vectors[:2].tolist() == [[1.0, 2.0], [7.0, 7.5]]
    frozen = embedding.frozen == "item"
    assert np.array_equal(found.vectors[2], [0.0, 0.0] if frozen else start[2])
    assert np.array_equal(field_vectors(model, ENCODER, "user").vectors, others)
    if frozen:
        table = next(layer for layer in model.layers if isinstance(layer, BlockEmbedding) and not layer.trainable).table
        assert stack.raw_variable(table).numpy()[:3].tolist() == [[0.0, 0.0]] * 3  # padding, missing, unknown
    assert fields_with_vectors(ENCODER) == ["user", "item"]


def test_what_does_not_fit_is_refused() -> None:
    model = dnn(ENCODER.features, embedding=Embedding(4))
    with pytest.raises(ValueError, match=r'have 2 numbers, its embeddings 4.*Embedding\(sizes="item=2"\)'):
        load_field_vectors(model, ENCODER, "item", VECTORS)
    small = dnn(ENCODER.features, embedding=Embedding(2))
    twice = ValueVectors(pa.array(["12", "7", "12.0"]), np.ones((3, 2)))
    with pytest.raises(
        ValueError, match=r"1 values of 'item' have more than one.*\['12', '12.0'\] are spellings of '12'"
    ):
        load_field_vectors(small, ENCODER, "item", twice)
    with pytest.raises(ValueError, match=r"None of the 2 values of 'user', such as \['anna'"):
        load_field_vectors(small, ENCODER, "user", VECTORS)
    for field, words in (
        ("history", "has the ids of 'item'"),
        ("age", "numeric, and has bins"),
        ("site", "values are hashed"),
        ("itm", "'itm'.*item"),
    ):
        with pytest.raises(ValueError, match=words):
            field_vectors(small, ENCODER, field)


@pytest.mark.parametrize("embedding", [Embedding(2), Embedding(4, sizes="item=2"), Embedding(2, frozen="item")])
@pytest.mark.parametrize("optimizer", ["row_wise_adagrad", "group_ftrl"])
def test_after_growth_new_values_alone_get_their_vectors(embedding: Embedding, optimizer: str) -> None:
    grown = Encoder(
        SCHEMA,
        {"user": fitted("anna", "bert"), "item": fitted("12", "7", "3", "99", "8", form="whole")},
        {"age": FittedBins((1, 2))},
    )
    before, after = (deepfm(encoder.features, embedding=embedding) for encoder in (ENCODER, grown))
    optimizers = [make_optimizer(optimizer, batch_size=2) for _ in range(2)]
    for model, one in zip((before, after), optimizers, strict=True):
        one.build(model.trainable_variables)
    load_field_vectors(before, ENCODER, "item", VECTORS)
    ids = id_map(ENCODER, grown)
    carry_over(before, after, ids, *optimizers)
    start = field_vectors(after, grown, "item").vectors
    assert load_field_vectors(after, grown, "item", VECTORS, new=ids, optimizer=optimizers[1]) == (2, 1, 0)
    expected = start.copy()
    expected[3] = [9.0, 9.0]
    assert np.array_equal(field_vectors(after, grown, "item").vectors, expected)
    assert np.array_equal(start[:2], VECTORS.vectors[[1, 0]])
    # A step whose gradient is 0 leaves them where they are; FTRL would make them of its state.
    entry = grown.features.fields[1]
    ids_of_new = np.full((2, len(grown.features.single_valued)), entry.first_id + 5, np.int32)
    variables = after.trainable_variables
    batch = {"fields": tf.constant(ids_of_new), "history": tf.constant(ids_of_new[:, :3])}
    with tf.GradientTape() as tape:
        loss = 0.0 * tf.reduce_sum(after(batch, training=True))
    gradients = tape.gradient(loss, [stack.raw_variable(variable) for variable in variables])
    optimizers[1].apply_gradients(list(zip(gradients, variables, strict=True)))
    np.testing.assert_allclose(field_vectors(after, grown, "item").vectors[3], [9.0, 9.0], rtol=1e-5)
    # Vectors of none of the new values are no mistake: most days have none.
    none = ValueVectors(pa.array(["7"]), np.ones((1, 2)))
    assert load_field_vectors(after, grown, "item", none, new=ids) == (2, 0, 0)
