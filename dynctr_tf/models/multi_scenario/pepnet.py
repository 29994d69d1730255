"""PEPNet: EPNet and PPNet."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import GateUnit, PersonalizedMLP, StopGradient
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.multi_scenario.scenario_inputs import positions_of, scenario_batch
from dynctr_tf.models.parts import Embedding, Tower, logit
from dynctr_tf.models.search_spaces import NETWORK


def pepnet(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    deep: Tower = Tower((256, 128, 64)),
    domain: Sequence[str] | None = None,
    personal: Sequence[str] = ("user", "item"),
    embedding_gate: bool = True,
    parameter_gates: bool = True,
    reduction_ratio: float = 4.0,
    name: str = "pepnet",
) -> keras.Model:
    """PEPNet: embeddings gated by the scenario, hidden layers gated by user and item.

    Use it to personalise a plain deep network at a small price; all gates start at 1, where it is `dnn`.

    `x = EPNet(E)`: `delta(domain; sg(E)) * E`; then `x <- delta_l(prior; sg(E)) * activation(W_l x + b_l)` for each
    layer (PPNet), `delta = 2 sigmoid(W' relu(W z + b) + b')`, E the flattened embeddings, sg a stopped gradient.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        deep: The hidden layers. Default `Tower((256, 128, 64))`.
        domain: Names of the fields that are the domain features. Default `None`: the scenario-specific ones.
        personal: Roles or names of the fields that personalise hidden layers. Default `("user", "item")`.
        embedding_gate: Whether there is EPNet. Default `True`.
        parameter_gates: Whether there is PPNet. Default `True`.
        reduction_ratio: As `GateUnit`. Default 4.0.
        name: The model's name. Default `"pepnet"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: The data has no scenarios, or a field that does not exist.

    Cost: with N embedded numbers, `2 * N ** 2 / reduction_ratio` multiply-adds of the embedding gate and about half as
    many for each hidden layer's, beside those of `dnn`. A missing and an unknown scenario have embeddings too.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import Field
    >>> fields = (Field("page", "scenario", 1, 5), Field("user", "user", 6, 9), Field("item", "item", 15, 9))
    >>> features = EncodedFeatures(fields, num_scenarios=5)
    >>> pepnet(features, embedding=Embedding(4), deep=Tower((8,))).output_shape
    (None, 1)

    Reference:
        Chang et al., PEPNet: Parameter and Embedding Personalized Network for Infusing with Personalized Prior
        Information, KDD 2023, equations 1 to 6, with one task.
    """
    batch = scenario_batch(features, embedding, "pepnet")
    x = batch.flat
    if embedding_gate:
        specific, _ = features.scenario_partition(domain)
        if not specific:
            raise ValueError(f"EPNet needs at least one domain feature, got domain={domain!r}.")
        gate = GateUnit(include_inputs=True, reduction_ratio=reduction_ratio, name="epnet")
        x = gate(x, batch.vector(specific, "domain"))
    if parameter_gates:
        known = batch.vector(positions_of(features, personal, "prior"), "prior")
        condition = keras.layers.Concatenate(name="condition")([known, StopGradient(name="stop_gradient")(batch.flat)])
        mlp = PersonalizedMLP(deep.units, reduction_ratio=reduction_ratio, name="mlp", **deep.layer_options())
        x = mlp(x, condition)
    else:
        x = deep.mlp(x, deep.units, "mlp")
    return keras.Model(batch.inputs, logit(x), name=name)


ENTRIES = (
    ModelEntry(
        "pepnet",
        pepnet,
        title="PEPNet: Parameter and Embedding Personalized Network for Infusing with Personalized Prior Information",
        paper="KDD 2023",
        equation="1-6",
        search_space=MappingProxyType({**NETWORK, "reduction_ratio": Choice((2.0, 4.0, 8.0))}),
    ),
)
