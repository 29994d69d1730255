"""The factorization machine."""

from __future__ import annotations

from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import FactorizationMachine, LogitSum
from dynctr_tf.models.inputs import embedded_fields, encoded_inputs


def fm(
    features: EncodedFeatures,
    *,
    embedding_dim: int = 16,
    pooling: str = "mean",
    initial_scale: float = 0.01,
    row_regularizer_l2: float = 0.0,
    name: str = "fm",
) -> Any:
    """Factorization machine: first-order weights and the inner products of all pairs of fields.

    Use it as the plain second-order model; it is nearly as fast as logistic regression.

    `logit = b + sum_f w[i_f] + sum_(f<g) <e[i_f], e[i_g]>`.

    Args:
        features: The description that the encoder gives.
        embedding_dim: Size of an embedding. Default 16.
        pooling: How the values of multi-valued fields and sequences are pooled. Default `"mean"`.
        initial_scale: The embeddings start uniform within it. Default 0.01.
        row_regularizer_l2: L2 penalty of the rows of the batch. Default 0.0.
        name: The model's name. Default `"fm"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: `num_ids * (embedding_dim + 1) + 1` parameters; `2 * fields * embedding_dim` multiply-adds per row.

    Example:

    >>> fm(EncodedFeatures.from_sizes([10, 20]), embedding_dim=4).count_params()
    156

    Reference:
        Rendle, Factorization Machines, ICDM 2010, equation 1.
    """
    inputs = encoded_inputs(features)
    field_map, weights = embedded_fields(
        inputs,
        features,
        embedding_dim,
        linear=True,
        pooling=pooling,
        initial_scale=initial_scale,
        row_regularizer_l2=row_regularizer_l2,
    )
    pairs = FactorizationMachine(name="factorization_machine")(field_map)
    return keras.Model(inputs, LogitSum(name="logit")([weights, pairs]), name=name)
