"""Measures what parameters per instance cost, as whole matrices and in the low-rank order of products.

`python -m pipelines.benchmark memory` runs this in a process of its own: one DynInt layer, forward and backward.
The naive form builds the `(batch, F, F)` matrices of the equations; the layers never do.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf.layers import DynamicGeneratedParameters, DynamicWeightedParameters
from pipelines.benchmarks import workload
from pipelines.benchmarks.step_costs import time_and_memory, training_step


def naive_matrices(layer: Any, condition: tf.Tensor) -> tf.Tensor:
    """The matrices `(batch, F, F)` of a DGP layer (equation 5) or a DWP layer (equation 6) that is built.

    `W_i = U diag(sigma_i) V^T`, or `G_i * W` with `G_i = sum_p u_ip v_ip^T`; `W X_0` mixes the fields of X_0.
    """
    generated = layer.generate(condition)
    if isinstance(layer, DynamicGeneratedParameters):
        u, v = tf.convert_to_tensor(layer.u), tf.convert_to_tensor(layer.v)
        return tf.matmul(u * generated, v, transpose_b=True)  # (F, K) * (batch, 1, K), then by (K, F)
    vectors = generated[:, :, :, 0]  # (batch, 2, K, F)
    weights = tf.matmul(vectors[:, 0], vectors[:, 1], transpose_a=True)
    return weights * tf.transpose(tf.convert_to_tensor(layer.kernel))


def naive_form(layer: Any, x0: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
    """The first layer of a network, X_0 * (W_i X_0) + X_0, through whole matrices."""
    return x0 * tf.matmul(naive_matrices(layer, condition), x0) + x0


def instance_bytes(mode: str, form: str, batch: int, fields: int, rank: int) -> int:
    """Bytes of float32 parameters per instance that one layer holds, as in the papers' section on memory."""
    if form == "naive":
        return 4 * batch * fields * fields
    return 4 * batch * (rank if mode == "dgp" else 2 * rank * fields)


def measure(mode: str, form: str, num_fields: int, num_subspaces: int, batch: int, steps: int) -> dict[str, float]:
    """Measures the time and the memory of one layer.

    Args:
        mode: `"dgp"` or `"dwp"`.
        form: `"naive"` or `"low_rank"`.
        num_fields: Fields F; the layer works on `F' = num_subspaces * F` stacked ones, at rank F' / 10.
        num_subspaces: Pieces h of each embedding of 16.
        batch: Rows.
        steps: Timed steps.
    """
    keras.utils.set_random_seed(0)
    fields, dim = num_fields * num_subspaces, workload.EMBEDDING_DIM // num_subspaces
    rank = max(1, fields // 10)
    layer = DynamicGeneratedParameters(rank) if mode == "dgp" else DynamicWeightedParameters(rank)
    x0 = tf.random.normal((batch, fields, dim))
    condition = tf.reshape(x0, (batch, fields * dim))
    layer([x0[:2], x0[:2]], condition[:2])

    step = training_step(
        layer, lambda: layer([x0, x0], condition) if form == "low_rank" else naive_form(layer, x0, condition)
    )
    return {
        "fields": fields,
        "rank": rank,
        "batch": batch,
        "instance_mib": instance_bytes(mode, form, batch, fields, rank) / 2**20,
        **time_and_memory(step, steps),
    }
