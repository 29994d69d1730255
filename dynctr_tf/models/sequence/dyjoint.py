"""DyJoint: DyMLP, KFAtt and both sequence-based operations."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, History, Operation, encoded_inputs, logit
from dynctr_tf.models.parts.dynamic_tower import dynamic_tower, with_field_operation
from dynctr_tf.models.parts.history import Behaviours
from dynctr_tf.models.search_spaces import TOWER
from dynctr_tf.models.sequence.behaviour_network import kalman_attention, self_attention


def dyjoint(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(dim=10),
    history: History = History(homogeneous=True, heterogeneous=True),
    operation: Operation = Operation(num_heads=2),
    deep: Deep = Deep((400, 400, 400)),
    field_dim: int = 4,
    aggregator: str = "summation",
    attention_kind: str = "freq",
    key: str | None = None,
    session_length: int | None = None,
    num_heads: int = 2,
    name: str = "dyjoint",
) -> keras.Model:
    """DyJoint: the ranking network of DyMLP over fields and over the history as KFAtt and DPN's operations read it.

    Use it for data with both many fields and histories; it is the paper's online model.

    `logit = w^T tower([x_0; flatten(FieldOperation(X_0)); v_kfatt; v_query]) + b`; every layer of the tower has x_0 as
    context.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding(dim=10)`.
        history: The behaviours, and the operations on them. Default
            `History(homogeneous=True, heterogeneous=True)`.
        operation: The dynamic layers. Default `Operation(num_heads=2)`.
        deep: The dense layers. Default `Deep((400, 400, 400))`.
        field_dim: Width of each field in the light field-based operation beside the embeddings; 0 for none. Default
            4.
        aggregator: Its aggregator, see `FieldOperation`. Default `"summation"`.
        attention_kind: `"base"` or `"freq"`. Default `"freq"`.
        key: The sequence that holds the keys, such as the category. Default `None`: the last of them.
        session_length: Behaviours see each other inside blocks of this many. Default `None`: the whole history.
        num_heads: Heads of the attentions. Default 2.
        name: The model's name. Default `"dyjoint"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: No sequence that repeats a field, sequences that do not go together, or an unknown option.

    Cost: that of `dymlp` and `kfatt`.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import EncodedSequence, Field
    >>> history = EncodedSequence("items", "user", 5, 1, 9, field="item")
    >>> features = EncodedFeatures((Field("item", "item", 1, 9),), (history,))
    >>> dyjoint(features, embedding=Embedding(4), deep=Deep((8,)), num_heads=1).output_shape
    (None, 1)

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, section on production and
        tables 6 and 7. How the parts are joined is our reading: the appendix that describes it is not available.
        The paper normalises each layer over the batch, `Deep(batch_norm=True)`; `dpn` says why we do not by default.
    """

    def encode(batch: Behaviours) -> Any:
        return self_attention(batch, num_heads, session_length)

    def decode(batch: Behaviours, encoded: Any) -> Any:
        return kalman_attention(batch, encoded, num_heads, attention_kind, key)

    inputs = encoded_inputs(features)
    batch = history.behaviours(inputs, features, embedding)
    parts = with_field_operation(batch.field_map, field_dim, aggregator, operation)
    x0 = parts[0]
    parts += history.interests(batch, encode, decode)
    x = keras.layers.Concatenate(name="concatenate")(parts)
    return keras.Model(inputs, logit(dynamic_tower(x, lambda context: x0, "x0", operation, deep)), name=name)


ENTRIES = (
    ModelEntry(
        "dyjoint",
        dyjoint,
        title="Dynamic Parameterized Network for CTR Prediction",
        paper="arXiv 2111.04983",
        equation="3-8, section on production",
        search_space=MappingProxyType(
            {**TOWER, "history.num_kernels": Choice((2, 4, 8)), "attention_kind": Choice(("base", "freq"))}
        ),
    ),
)
