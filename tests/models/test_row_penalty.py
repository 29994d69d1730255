"""The penalty of embeddings acts on the rows of the batch: the other rows of the table do not move at all."""

from __future__ import annotations

import numpy as np
import pytest
from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.models import Deep, Embedding, build_model
from dynctr_tf.optimizers import LazyAdam, SparseAdagrad


@pytest.mark.parametrize("make_optimizer", [lambda: LazyAdam(0.01), lambda: SparseAdagrad(0.1)])
def test_penalty_moves_the_rows_of_the_batch_alone(make_optimizer: object) -> None:
    features = EncodedFeatures.from_sizes([20, 20])
    ids = np.array([[1, 21], [3, 25], [1, 25]], np.int32)
    labels = np.array([0.0, 1.0, 1.0], np.float32)
    tables = []
    for penalty in (0.0, 0.5):
        keras.utils.set_random_seed(0)
        model = build_model("deepfm", features, embedding=Embedding(4, row_regularizer_l2=penalty), deep=Deep((4,)))
        before = model.get_weights()[0]
        model.compile(make_optimizer(), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)  # type: ignore[operator]
        model.fit({"fields": ids}, labels, batch_size=3, epochs=2, verbose=0)
        after = model.get_weights()[0]
        touched = sorted(set(ids.ravel()))
        others = [row for row in range(features.num_ids) if row not in touched]
        np.testing.assert_array_equal(after[others], before[others])
        assert (np.abs(after[touched] - before[touched]).max(axis=1) > 0).all()
        tables.append(after)
    assert np.abs(tables[0] - tables[1]).max() > 1e-4, "the penalty does nothing"
