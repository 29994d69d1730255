"""DCN-V2."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import CrossLayer
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs, flat, logit
from dynctr_tf.models.parts.cross_layers import cross_layers
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING


def dcn_v2(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    num_layers: int = 3,
    rank: int | None = None,
    structure: str = "parallel",
    deep: Deep = Deep((400, 400, 400)),
    name: str = "dcn_v2",
) -> keras.Model:
    """DCN-V2: cross layers on the flattened embeddings, beside or before a multi-layer perceptron.

    Use it as the strongest widely used static model of explicit interactions.

    `x_l = x_0 * (W_l x_(l-1) + b_l) + x_(l-1)`; `logit = w^T [x_L; MLP(x_0)] + b` in parallel,
    `w^T MLP(x_L) + b` stacked.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        num_layers: Number L of cross layers. Default 3.
        rank: Rank of their matrices. Default `None`: full.
        structure: `"parallel"` or `"stacked"`. Default `"parallel"`.
        deep: The dense layers; with no units it is cross layers alone. Default `Deep((400, 400, 400))`.
        name: The model's name. Default `"dcn_v2"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown structure, or fewer than one cross layer.

    Cost: with n = fields * embedding.dim, `num_layers * n ** 2` multiply-adds per row beside the MLP's.

    Example:

    >>> dcn_v2(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Wang et al., DCN V2, arXiv 2008.13535, equations 1 and 2; section 3.4 for the two structures.
    """
    inputs = encoded_inputs(features)
    x0 = flat(embedding.field_map(inputs, features))
    make_layer = partial(CrossLayer, rank=rank, kernel_regularizer=deep.kernel_regularizer())
    return keras.Model(inputs, logit(cross_layers(x0, make_layer, num_layers, structure, deep)), name=name)


ENTRIES = (
    ModelEntry(
        "dcn_v2",
        dcn_v2,
        title="DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank Systems",
        paper="arXiv 2008.13535",
        equation="1, 2 and section 3.4",
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                **DENSE,
                "num_layers": Choice((1, 2, 3, 4)),
                "structure": Choice(("parallel", "stacked")),
            }
        ),
    ),
)
