"""DCN-V2."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import CrossLayer
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs, flat, logit
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING
from dynctr_tf.nearest import unknown_name_message

_STRUCTURES = ("parallel", "stacked")


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
    if structure not in _STRUCTURES:
        raise ValueError(unknown_name_message("structure", str(structure), _STRUCTURES))
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, got {num_layers}; without cross layers use dnn.")
    inputs = encoded_inputs(features)
    x = x0 = flat(embedding.field_map(inputs, features))
    for layer in range(num_layers):
        x = CrossLayer(rank=rank, kernel_regularizer=deep.kernel_regularizer(), name=f"cross_{layer + 1}")([x, x0])
    if structure == "stacked":
        x = deep(x)
    elif deep.units:
        x = keras.layers.Concatenate(name="concatenate")([x, deep(x0)])
    return keras.Model(inputs, logit(x), name=name)


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
