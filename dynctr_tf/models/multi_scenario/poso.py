"""POSO."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import FieldSelection, PersonalizedMLP
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.multi_scenario.scenario_inputs import positions_of
from dynctr_tf.models.parts import Embedding, Tower, encoded_inputs, flat, logit
from dynctr_tf.models.search_spaces import NETWORK


def poso(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    deep: Tower = Tower((256, 128, 64)),
    personal: Sequence[str] = ("user",),
    reduction_ratio: float = 4.0,
    name: str = "poso",
) -> keras.Model:
    """A deep network whose hidden layers are gated by few features that personalise it.

    Use it where a few features, such as whether a user is new, should change the whole network, but would have little
    effect among many other features; it starts as `dnn`.

    `x <- 2 sigmoid(W' relu(W z + b) + b') * activation(W_l x + b_l)` for each layer, z the embeddings of the personal
    features; `logit = w^T x + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        deep: The hidden layers. Default `Tower((256, 128, 64))`.
        personal: Roles or names of the fields that personalise. Default `("user",)`.
        reduction_ratio: As `GateUnit`. Default 4.0.
        name: The model's name. Default `"poso"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: A role or field that does not exist.

    Cost: that of `dnn`, and a small gate for each hidden layer.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import Field
    >>> features = EncodedFeatures((Field("user", "user", 1, 9), Field("item", "item", 10, 9)))
    >>> poso(features, embedding=Embedding(4), deep=Tower((8,))).output_shape
    (None, 1)

    Reference:
        Dai et al., POSO: Personalized Cold Start Modules for Large-scale Recommender Systems, arXiv 2108.04690, section
        3.3.
    """
    inputs = encoded_inputs(features)
    field_map = embedding.field_map(inputs, features)
    selected = FieldSelection(positions_of(features, personal, "personal"), name="select_personal")(field_map)
    mlp = PersonalizedMLP(deep.units, reduction_ratio=reduction_ratio, name="mlp", **deep.layer_options())
    return keras.Model(inputs, logit(mlp(flat(field_map), flat(selected, "flatten_personal"))), name=name)


ENTRIES = (
    ModelEntry(
        "poso",
        poso,
        title="POSO: Personalized Cold Start Modules for Large-scale Recommender Systems",
        paper="arXiv 2108.04690",
        equation="section 3.3",
        search_space=MappingProxyType({**NETWORK, "reduction_ratio": Choice((2.0, 4.0, 8.0))}),
    ),
)
