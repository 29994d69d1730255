"""The network that models of behaviours share: an encoder and a decoder of the history, then dense layers."""

from __future__ import annotations

from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import KalmanFilteringAttention, SelfAttentionEncoder
from dynctr_tf.models.parts import Deep, Embedding, History, encoded_inputs, flat
from dynctr_tf.models.parts.history import Behaviours, Decoder, Encoder

SELF_ATTENTION_EMBEDDING = Embedding(initial_scale=0.2)
"""The embeddings of models whose behaviours attend to each other.

Measured on Amazon Beauty, 89,452 rows, the default job, two seeds: `transformer` has a test AUC of .696 and .696 with a
start within .01, of .725 and .733 within .2, `transformer_heter` .741 and .736, and .729 and .740; `kfatt` .734 and
.735 (one seed). On 100,000 ratings of MovieLens-1M `transformer` has .755 with either. Our reading: the encoder's norm
brings a small start to unit size, and the first epochs learn against that noise.
"""


def behaviour_network(
    features: EncodedFeatures,
    encode: Encoder | None,
    decode: Decoder | None,
    *,
    embedding: Embedding,
    history: History,
    deep: Deep,
    name: str,
    operation_alone: bool = False,
) -> keras.Model:
    """Builds a model of behaviours: `logit = w^T MLP([x_0; interests]) + b`.

    Use it for models of this family; they differ in encoder and decoder alone.

    Args:
        features: The description that the encoder gives.
        encode: As `History.interests`.
        decode: As `History.interests`.
        embedding: The embeddings.
        history: The behaviours.
        deep: The dense layers.
        name: The model's name.
        operation_alone: As `History.interests`. Default `False`.

    Raises:
        ValueError: As `History.behaviours`.
    """
    inputs = encoded_inputs(features)
    batch = history.behaviours(inputs, features, embedding)
    vectors = [flat(batch.field_map), *history.interests(batch, encode, decode, operation_alone=operation_alone)]
    return keras.Model(inputs, deep.logit(keras.layers.Concatenate(name="concatenate")(vectors)), name=name)


def self_attention(batch: Behaviours, num_heads: int, session_length: int | None) -> Any:
    """Encodes behaviours by self-attention between them, the layer `"encoder"`.

    Args:
        batch: The embedded batch.
        num_heads: Number of heads.
        session_length: Behaviours see each other inside blocks of this many; `None` for the whole history.
    """
    layer = SelfAttentionEncoder(num_heads, session_length=session_length, name="encoder")
    return layer(batch.behaviours, mask=batch.mask)


def kalman_attention(batch: Behaviours, encoded: Any, num_heads: int, kind: str, key: str | None) -> Any:
    """Decodes behaviours by KFAtt of the query to them, the layer `"decoder"`.

    Args:
        batch: The embedded batch.
        encoded: The encoded behaviours.
        num_heads: Number of heads.
        kind: `"base"` or `"freq"`.
        key: The sequence that holds the keys; `None` for the last of them.
    """
    query, keys, key_ids = batch.keyed(key)
    layer = KalmanFilteringAttention(num_heads=num_heads, kind=kind, name="decoder")
    ids = {"key_ids": key_ids} if kind == "freq" else {}
    return layer([query, encoded, keys], mask=batch.mask, **ids)
