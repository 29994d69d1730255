"""Ids to embeddings."""

from dynctr_tf.layers.embedding.block_embedding import BlockEmbedding
from dynctr_tf.layers.embedding.field_embedding import FieldEmbedding
from dynctr_tf.layers.embedding.field_projection import FieldProjection
from dynctr_tf.layers.embedding.field_selection import FieldSelection
from dynctr_tf.layers.embedding.key_embedding import KeyEmbedding
from dynctr_tf.layers.embedding.known_key_embedding import KnownKeyEmbedding
from dynctr_tf.layers.embedding.value_pooling import ValuePooling

__all__ = [
    "BlockEmbedding",
    "FieldEmbedding",
    "FieldProjection",
    "FieldSelection",
    "KeyEmbedding",
    "KnownKeyEmbedding",
    "ValuePooling",
]
