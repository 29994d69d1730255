"""Shared bottom."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import SeparateTowers
from dynctr_tf.models.entry import ModelEntry
from dynctr_tf.models.multi_scenario.scenario_inputs import scenario_batch
from dynctr_tf.models.parts import Deep, Embedding
from dynctr_tf.models.search_spaces import TOWERS, TRAINED, WIDTHS


def shared_bottom(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    deep: Deep = Deep((256, 128)),
    tower_units: Sequence[int] = (64,),
    unknown: str = "mean",
    name: str = "shared_bottom",
) -> keras.Model:
    """A bottom that all scenarios share, and a tower for each.

    Use it as the first model of several scenarios: its gain over one shared network is the gain of separate last
    layers.

    `logit = tower_s(MLP([e_1; ...; e_F]))`, s the row's scenario.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        deep: The shared layers. Default `Deep((256, 128))`.
        tower_units: Widths of the hidden layers of a tower, possibly none. Default `(64,)`.
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
    >>> shared_bottom(features, embedding=Embedding(4), deep=Deep((8,)), tower_units=(4,)).output_shape
    (None, 1)

    Reference:
        Caruana, Multitask Learning, Machine Learning 28, 1997, with scenarios in the place of tasks.
    """
    batch = scenario_batch(features, embedding, "shared_bottom")
    x = deep.mlp(batch.flat, deep.units, "bottom")
    options = deep.layer_options()
    towers = SeparateTowers(features.num_scenarios, tower_units, unknown=unknown, name="towers", **options)
    return keras.Model(batch.inputs, towers(x, batch.scenario), name=name)


ENTRIES = (
    ModelEntry(
        "shared_bottom",
        shared_bottom,
        title="Multitask Learning",
        paper="Machine Learning 28, 1997",
        equation="none",
        search_space=MappingProxyType({**TRAINED, "deep.units": WIDTHS, "tower_units": TOWERS}),
    ),
)
