"""What the speed benchmark takes as the limit of a model: the multiply-adds of its rows."""

import numpy as np

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.models.catalogue import build_model
from pipelines.model_speed import matmul_multiply_adds

FEATURES = EncodedFeatures.from_sizes([5] * 3)
ROWS = {"fields": np.tile(np.array([field.first_id for field in FEATURES.fields], np.int32), (2, 1))}


def test_layers_of_a_perceptron() -> None:
    model = build_model("dnn", FEATURES, embedding_dim=4, hidden_units=(7, 6))
    assert matmul_multiply_adds(model, ROWS) == 12 * 7 + 7 * 6 + 6


def test_what_a_batch_costs_once_is_no_rows() -> None:
    model = build_model(
        "apg-dnn", FEATURES, embedding_dim=4, hidden_units=(7,), rank=2, over_parameterisation=5, generated_bias=False
    )
    # U, the generator of the core, the core, V, and the output; not U = U^l U^r (12 x 5 x 2) and V = V^l V^r.
    assert matmul_multiply_adds(model, ROWS) == 12 * 2 + 12 * 4 + 2 * 2 + 2 * 7 + 7
