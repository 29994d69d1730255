"""A model that is dropped after training leaves nothing behind, whatever trained it."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers.embedding import FieldEmbedding
from dynctr_tf.layers.interaction import BilinearDense
from dynctr_tf.optimizers import (
    Adam,
    CompositeOptimizer,
    GroupFtrl,
    LazyAdam,
    RowWiseAdagrad,
    SparseAdagrad,
    dynint_optimizer,
    row_wise_optimizer,
)

OPTIMIZERS = {
    "composite of Keras": lambda: CompositeOptimizer([("embedding/.*", LazyAdam()), (".*", keras.optimizers.Adam())]),
    "dynint": lambda: dynint_optimizer(4),
    "row_wise": row_wise_optimizer,
    "row_wise_alone": RowWiseAdagrad,
    "lazy_adam": LazyAdam,
    "group_ftrl": GroupFtrl,
    "sparse_adagrad": SparseAdagrad,
    "adam": Adam,
}


def trained_and_dropped(optimizer, dense_alone=False):
    """The handles of the tables of a model that was trained for a step, by which their memory is held."""
    if dense_alone:
        inputs = keras.Input((3,), dtype="float32")
        hidden = keras.layers.Dense(4, name="embedding")(inputs)
    else:
        inputs = keras.Input((3,), dtype="int32")
        fields = FieldEmbedding(50, 4, seed=1, name="embedding")(inputs)
        hidden = BilinearDense(2, name="products")(fields)
    model = keras.Model(inputs, keras.layers.Dense(1, name="output")(hidden))
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    rows = np.ones((4, 3), np.float32 if dense_alone else np.int32)
    model.fit(rows, np.ones(4, np.float32), batch_size=4, verbose=0)
    variables = [*model.trainable_variables, *model.optimizer.variables]
    return [weakref.ref(stack.raw_variable(variable).handle) for variable in variables]


@pytest.mark.parametrize("dense_alone", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_dropped_model_leaves_nothing(name, dense_alone):
    held = trained_and_dropped(OPTIMIZERS[name](), dense_alone)
    keras.backend.clear_session()
    gc.collect()
    assert len(held) > 4
    assert sum(handle() is not None for handle in held) == 0


def test_products_are_made_again_for_their_gradient_in_a_graph_and_not_eagerly():
    layer = BilinearDense(3)
    fields = tf.random.stateless_normal((5, 4, 6), (1, 2))
    layer(fields)

    def gradients(fields):
        with tf.GradientTape() as tape:
            tape.watch(fields)
            loss = tf.reduce_sum(tf.sin(layer(fields)))
        return tape.gradient(loss, [fields, *(stack.raw_variable(weight) for weight in layer.trainable_weights)])

    for one, other in zip(gradients(fields), tf.function(gradients)(fields), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    function = tf.function(gradients).get_concrete_function(fields)
    products = [operation for operation in function.graph.get_operations() if operation.type == "IdentityN"]
    assert len(products) >= 1
