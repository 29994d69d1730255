"""LHUC."""

from __future__ import annotations

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import HiddenUnitContributions
from dynctr_tf.models.entry import ModelEntry
from dynctr_tf.models.multi_scenario.scenario_inputs import scenario_batch
from dynctr_tf.models.parts import Deep, Embedding, logit
from dynctr_tf.models.search_spaces import NETWORK


def lhuc(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    deep: Deep = Deep((256, 128, 64)),
    name: str = "lhuc",
) -> keras.Model:
    """A plain deep network whose hidden units each scenario scales.

    Use it as the cheapest way to make a network depend on the scenario; it starts as `dnn`.

    `x <- 2 sigmoid(r_sl) * activation(W_l x + b_l)` for each layer, r_sl free, s the row's scenario; `logit = w^T x +
    b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        deep: The hidden layers. Default `Deep((256, 128, 64))`.
        name: The model's name. Default `"lhuc"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: The data has no scenarios.

    Cost: that of `dnn`, and one parameter per scenario and hidden unit. A missing and an unknown scenario have
        amplitudes too, which stay at 1 if no row trains them.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import Field
    >>> fields = (Field("page", "scenario", 1, 5), Field("user", "user", 6, 9), Field("item", "item", 15, 9))
    >>> features = EncodedFeatures(fields, num_scenarios=5)
    >>> lhuc(features, embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Swietojanski et al., Learning Hidden Unit Contributions for Unsupervised Acoustic Model Adaptation, arXiv
        1601.02828, equations 2 and 3, with scenarios in the place of speakers, trained with the network.
    """
    batch = scenario_batch(features, embedding, "lhuc")
    x = batch.flat
    for index, units in enumerate(deep.units, start=1):
        x = deep.mlp(x, (units,), f"mlp_{index}")
        x = HiddenUnitContributions(features.num_scenarios, name=f"contributions_{index}")(x, batch.scenario)
    return keras.Model(batch.inputs, logit(x), name=name)


ENTRIES = (
    ModelEntry(
        "lhuc",
        lhuc,
        title="Learning Hidden Unit Contributions for Unsupervised Acoustic Model Adaptation",
        paper="arXiv 1601.02828",
        equation="2 and 3",
        search_space=NETWORK,
    ),
)
