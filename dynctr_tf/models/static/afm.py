"""The attentional factorization machine."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import AttentionalPooling, LogitSum
from dynctr_tf.models.entry import FIRST_ORDER_ALONE, Choice, ModelEntry
from dynctr_tf.models.parts import Embedding, encoded_inputs, kernel_regularizer, unbiased_logit
from dynctr_tf.models.search_spaces import EMBEDDING


def afm(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    attention_dim: int = 8,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "afm",
) -> keras.Model:
    """AFM: a factorization machine whose pairs of fields are weighed by an attention network.

    Use it as a factorization machine that learns which pairs are useful.

    `logit = b + sum_f w[i_f] + p^T sum_(f<g) a_fg (e_f * e_g)`, a from a softmax over all pairs.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        attention_dim: Width of the attention network. Default 8.
        dropout: Share of the entries of the pooled vector dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of the attention network's kernel. Default 0.0.
        name: The model's name. Default `"afm"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: about `(attention_dim + 2) * embedding.dim` multiply-adds per row and pair of fields.

    Example:

    >>> afm(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4)).output_shape
    (None, 1)

    Reference:
        Xiao et al., Attentional Factorization Machines, IJCAI 2017, arXiv 1708.04617, equation 6.
    """
    inputs = encoded_inputs(features)
    field_map, weights = embedding.with_linear(inputs, features)
    pooled = AttentionalPooling(
        attention_dim,
        dropout=dropout,
        kernel_regularizer=kernel_regularizer(kernel_regularizer_l2),
        name="attentional_pooling",
    )(field_map)
    return keras.Model(inputs, LogitSum(name="logit")([weights, unbiased_logit(pooled, "pairs")]), name=name)


ENTRIES = (
    ModelEntry(
        "afm",
        afm,
        title="Attentional Factorization Machines: Learning the Weight of Feature Interactions via Attention Networks",
        paper="arXiv 1708.04617",
        equation="2 and 4-6",
        optimizer_options=FIRST_ORDER_ALONE,
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                "attention_dim": Choice((4, 8, 16)),
                "dropout": Choice((0.0, 0.2, 0.4)),
            }
        ),
    ),
)
