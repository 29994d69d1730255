"""Logistic regression."""

from __future__ import annotations

from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import LogitSum
from dynctr_tf.models.inputs import embedded_fields, encoded_inputs


def lr(
    features: EncodedFeatures,
    *,
    pooling: str = "mean",
    row_regularizer_l2: float = 0.0,
    name: str = "lr",
) -> Any:
    """Logistic regression: one weight per id, and a bias.

    Use it as the floor that every other model has to leave, and where a model must be read by people.

    `logit = b + sum_f w[i_f]`.

    Args:
        features: The description that the encoder gives.
        pooling: How the values of multi-valued fields and sequences are pooled. Default `"mean"`.
        row_regularizer_l2: L2 penalty of the rows of the batch. Default 0.0.
        name: The model's name. Default `"lr"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: `num_ids + 1` parameters; one addition per field.

    Example:

    >>> lr(EncodedFeatures.from_sizes([10, 20])).count_params()
    32

    Reference:
        The linear model that the papers call LR, with `initial_scale=0` as is usual for it.
    """
    inputs = encoded_inputs(features)
    weights = embedded_fields(
        inputs, features, 1, pooling=pooling, initial_scale=0.0, row_regularizer_l2=row_regularizer_l2
    )
    return keras.Model(inputs, LogitSum(name="logit")(weights), name=name)
