"""DCN-V2 with a mixture of low-rank experts."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import CrossMixtureLayer
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs, flat, logit
from dynctr_tf.models.parts.cross_layers import cross_layers
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING


def dcn_v2_mix(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    num_layers: int = 3,
    rank: int = 32,
    num_experts: int = 4,
    gate_activation: str = "softmax",
    structure: str = "parallel",
    deep: Deep = Deep((400, 400, 400)),
    name: str = "dcn_v2_mix",
) -> keras.Model:
    """DCN-Mix (CrossMix): DCN-V2 whose cross layers are gated mixtures of low-rank experts.

    Use it where the full matrices of `dcn_v2` are too expensive.

    `x_l = sum_k G_k(x_(l-1)) * (x_0 * (U_k g(C_k g(V_k^T x_(l-1))) + b)) + x_(l-1)`, then as `dcn_v2`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        num_layers: Number of cross layers. Default 3.
        rank: Width of an expert. Default 32.
        num_experts: Number of experts in a layer. Default 4.
        gate_activation: `"softmax"` or `"sigmoid"`. Default `"softmax"`.
        structure: `"parallel"` or `"stacked"`. Default `"parallel"`.
        deep: The dense layers; with no units it is cross layers alone. Default `Deep((400, 400, 400))`.
        name: The model's name. Default `"dcn_v2_mix"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown structure or gate, or fewer than one cross layer.

    Cost: with n = fields * embedding.dim, `2 * num_layers * num_experts * rank * n` multiply-adds per row beside
    those of the MLP.

    Example:

    >>> dcn_v2_mix(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Wang et al., DCN V2, arXiv 2008.13535, equations 3 and 4.
    """
    inputs = encoded_inputs(features)
    x0 = flat(embedding.field_map(inputs, features))
    make_layer = partial(
        CrossMixtureLayer,
        rank,
        num_experts,
        gate_activation=gate_activation,
        kernel_regularizer=deep.kernel_regularizer(),
    )
    return keras.Model(inputs, logit(cross_layers(x0, make_layer, num_layers, structure, deep)), name=name)


ENTRIES = (
    ModelEntry(
        "dcn_v2_mix",
        dcn_v2_mix,
        title="DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank Systems",
        paper="arXiv 2008.13535",
        equation="3 and 4",
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                **DENSE,
                "num_layers": Choice((1, 2, 3, 4)),
                "rank": Choice((16, 32, 64)),
                "num_experts": Choice((2, 4)),
            }
        ),
    ),
    ModelEntry(
        "crossmix",
        dcn_v2_mix,
        title="DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank Systems",
        paper="arXiv 2008.13535",
        equation="3 and 4",
        fixed=MappingProxyType({"deep.units": ()}),
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                "num_layers": Choice((1, 2, 3, 4)),
                "rank": Choice((16, 32, 64)),
                "num_experts": Choice((2, 4)),
            }
        ),
    ),
)
