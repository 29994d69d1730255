"""Shared bottom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import SeparateTowers
from dynctr_tf.models.deep_part import deep_part, kernel_regularizer
from dynctr_tf.models.parts import Embedding
from dynctr_tf.models.scenario_inputs import scenario_batch


def shared_bottom(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    bottom_units: Sequence[int] = (256, 128),
    tower_units: Sequence[int] = (64,),
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    unknown: str = "mean",
    name: str = "shared_bottom",
) -> Any:
    """A bottom that all scenarios share, and a tower for each.

    Use it as the first model of several scenarios: what it gains over one shared network is what separate last layers
    can give.

    `logit = tower_s(MLP([e_1; ...; e_F]))`, s the row's scenario.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        bottom_units: Widths of the shared layers. Default `(256, 128)`.
        tower_units: Widths of the hidden layers of a tower, possibly none. Default `(64,)`.
        activation: Activation of the dense layers. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `False`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of their kernels. Default 0.0.
        unknown: What rows of a missing or unknown scenario get: `"mean"`, the mean of all scenarios' parameters;
            `"error"`, an error while running. Default `"mean"`.
        name: The model's name. Default `"shared_bottom"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: The data has no scenarios, or a width or choice is refused by a layer.

    Cost: that of the bottom, and of `SeparateTowers`.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import Field
    >>> fields = (Field("page", "scenario", 1, 5), Field("user", "user", 6, 9), Field("item", "item", 15, 9))
    >>> features = EncodedFeatures(fields, num_scenarios=5)
    >>> shared_bottom(features, embedding=Embedding(4), bottom_units=(8,), tower_units=(4,)).output_shape
    (None, 1)

    Reference:
        Caruana, Multitask Learning, Machine Learning 28, 1997, with scenarios in the place of tasks.
    """
    batch = scenario_batch(features, embedding, "shared_bottom")
    regularizer = kernel_regularizer(kernel_regularizer_l2)
    tower = {
        "activation": activation,
        "dropout": dropout,
        "kernel_regularizer": regularizer,
    }
    x = deep_part(batch.flat, bottom_units, activation, batch_norm, dropout, kernel_regularizer_l2, name="bottom")
    towers = SeparateTowers(features.num_scenarios, tower_units, unknown=unknown, name="towers", **tower)
    return keras.Model(batch.inputs, towers(x, batch.scenario), name=name)
