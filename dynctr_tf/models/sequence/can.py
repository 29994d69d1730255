"""CAN."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import CoActionUnit, FieldSelection, TargetAttention
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, History, encoded_inputs, flat
from dynctr_tf.models.search_spaces import TRAINED


def can(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    sequences: Sequence[str] | None = None,
    co_action_dim: int = 8,
    co_action_units: Sequence[int] = (4, 4),
    num_orders: int = 3,
    independent_orders: bool = False,
    deep: Deep = Deep((200, 80)),
    attention_units: Sequence[int] = (80, 40),
    softmax: bool = False,
    name: str = "can",
) -> keras.Model:
    """CAN: DIN, and a small network from the target item's row of the table, which reads the history.

    Use it where single pairs of target and behaviour matter: products of embeddings describe them only roughly.

    `v = DIN(q, behaviours)`, `c = sum_t CoActionUnit(a_t; P[target])`, `logit = w^T MLP([x_0; v; c]) + b`: a row of the
    one table holds an id's embedding, its inputs a of the co-action, and the weights P of the micro-network that it
    uses as a target.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        sequences: The sequences that are the behaviours, see `History`. Default `None`: all that repeat a field.
        co_action_dim: Width of the inputs of the co-action. Default 8.
        co_action_units: As `CoActionUnit`. Default `(4, 4)`.
        num_orders: As `CoActionUnit`. Default 3.
        independent_orders: As `CoActionUnit`. Default `False`.
        deep: The dense layers. Default `Deep((200, 80))`.
        attention_units: Widths of the activation unit. Default `(80, 40)`.
        softmax: Whether its weights sum to 1. Default `False`.
        name: The model's name. Default `"can"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: No sequence that repeats a field, sequences that do not go together, or a width that a layer
            refuses.

    Cost: with I = `co_action_dim`, a row of the table is `I + CoActionUnit.parameter_count(I)` numbers wider than
    DIN's, 56 at the defaults, for all ids; no other parameters.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import EncodedSequence, Field
    >>> history = EncodedSequence("items", "user", 5, 1, 9, field="item")
    >>> features = EncodedFeatures((Field("item", "item", 1, 9),), (history,))
    >>> can(features, embedding=Embedding(4), deep=Deep((8,)), attention_units=(4,)).output_shape
    (None, 1)

    Reference:
        Bian et al., CAN: Feature Co-Action for Click-Through Rate Prediction, WSDM 2022, arXiv 2011.05625, section 4.
        The paper keeps inputs, weights and embeddings in separate tables; here one row holds all, and is gathered once.
    """
    unit = CoActionUnit(co_action_units, num_orders, independent_orders)
    inner = embedding.dim + co_action_dim
    width = inner + unit.parameter_count(co_action_dim)
    inputs = encoded_inputs(features)
    batch = History(sequences).behaviours(inputs, features, embedding, width)
    targets, values, found = [], [], []
    for index, (_, target, history, ids) in enumerate(batch.parts, start=1):
        row = keras.layers.Reshape((1, width), name=f"target_row_{index}")(target)
        own = FieldSelection(stop=embedding.dim, name=f"target_embedding_{index}")(row)
        targets.append(flat(own, f"query_{index}"))
        values.append(FieldSelection(stop=embedding.dim, name=f"behaviour_embedding_{index}")(history))
        weights = FieldSelection(start=inner, name=f"target_weights_{index}")(row)
        read = FieldSelection(start=embedding.dim, stop=inner, name=f"co_action_inputs_{index}")(history)
        layer = CoActionUnit(co_action_units, num_orders, independent_orders, name=f"co_action_{index}")
        found.append(layer(read, flat(weights, f"weights_{index}"), mask=ids))
    query, behaviours = targets[0], values[0]
    if len(targets) > 1:
        query = keras.layers.Concatenate(name="joined_query")(targets)
        behaviours = keras.layers.Concatenate(name="joined_behaviours")(values)
    attention = TargetAttention(attention_units, softmax=softmax, name="target_attention")
    interest = attention([query, behaviours], mask=batch.mask)
    field_map = FieldSelection(stop=embedding.dim, name="field_embeddings")(batch.field_map)
    x = keras.layers.Concatenate(name="concatenate")([flat(field_map), interest, *found])
    return keras.Model(inputs, deep.logit(x), name=name)


ENTRIES = (
    ModelEntry(
        "can",
        can,
        title="CAN: Feature Co-Action for Click-Through Rate Prediction",
        paper="arXiv 2011.05625",
        equation="section 4",
        search_space=MappingProxyType(
            {
                **TRAINED,
                "deep.units": Choice(((80, 40), (200, 80), (400, 400, 400))),
                "num_orders": Choice((1, 2, 3)),
                "independent_orders": Choice((False, True)),
            }
        ),
    ),
)
