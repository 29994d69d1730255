"""Logistic regression."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import LogitSum
from dynctr_tf.models.entry import ModelEntry
from dynctr_tf.models.parts import Embedding, encoded_inputs


def lr(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(dim=1, initial_scale=0.0),
    name: str = "lr",
) -> keras.Model:
    """Logistic regression: one weight per id, and a bias.

    Use it as the baseline that every other model should beat, and where people must be able to read a model.

    `logit = b + sum_f w[i_f]`.

    Args:
        features: The description that the encoder gives.
        embedding: The weights: embeddings of size 1. Default `Embedding(dim=1, initial_scale=0.0)`.
        name: The model's name. Default `"lr"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: Embeddings of another size.

    Cost: `features.num_ids + 1` parameters; one addition per field.

    Example:

    >>> lr(EncodedFeatures.from_sizes([10, 20])).count_params()
    32

    Reference:
        The linear model that the papers call LR, with `initial_scale=0` as is usual for it.
    """
    if embedding.dim != 1:
        raise ValueError(f"embedding.dim of lr must be 1, one weight for each id, got {embedding.dim}.")
    inputs = encoded_inputs(features)
    return keras.Model(inputs, LogitSum(name="logit")(embedding.field_map(inputs, features)), name=name)


ENTRIES = (
    ModelEntry(
        "lr",
        lr,
        title="Logistic regression",
        paper="none; the linear baseline of the papers",
        equation="none",
        fixed=MappingProxyType({"embedding.dim": 1, "embedding.initial_scale": 0.0}),
    ),
)
