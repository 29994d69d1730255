"""AutoInt."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import FieldAttention, LogitSum
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs, flat, unbiased_logit
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING


def autoint(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    num_layers: int = 2,
    num_heads: int = 2,
    head_dim: int = 8,
    scaled: bool = False,
    deep: Deep = Deep((400, 400, 400)),
    name: str = "autoint",
) -> keras.Model:
    """AutoInt+: self-attention among fields beside a multi-layer perceptron.

    Use it where you want to see the interactions of single fields; without dense layers it is AutoInt.

    `logit = w^T [E_L] + h^T MLP([e_1; ...; e_F]) + b`, E_L the output of the last interacting layer.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        num_layers: Number L of interacting layers. Default 2.
        num_heads: Number of heads. Default 2.
        head_dim: Size of a head. Default 8.
        scaled: Whether scores are divided by `sqrt(head_dim)`. Default `False`.
        deep: The dense layers; with no units it is AutoInt. Default `Deep((400, 400, 400))`.
        name: The model's name. Default `"autoint"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: Fewer than one interacting layer.

    Cost: that of `FieldAttention` for each layer beside the MLP's.

    Example:

    >>> autoint(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Song et al., AutoInt, CIKM 2019, arXiv 1810.11921, equations 5 to 9; section 5.5 for AutoInt+.
    """
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, got {num_layers}; without interacting layers use dnn.")
    inputs = encoded_inputs(features)
    field_map = x = embedding.field_map(inputs, features)
    for layer in range(num_layers):
        x = FieldAttention(
            num_heads,
            head_dim,
            scaled=scaled,
            kernel_regularizer=deep.kernel_regularizer(),
            name=f"attention_{layer + 1}",
        )(x)
    attended = unbiased_logit(flat(x, "flatten_attention"), "attended")
    return keras.Model(inputs, LogitSum(name="logit")([attended, *deep.parts_of_logit(field_map)]), name=name)


ENTRIES = (
    ModelEntry(
        "autoint",
        autoint,
        title="AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural Networks",
        paper="arXiv 1810.11921",
        equation="5-9",
        fixed=MappingProxyType({"deep.units": ()}),
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                "num_layers": Choice((1, 2, 3)),
                "num_heads": Choice((1, 2, 4)),
                "head_dim": Choice((8, 16, 32)),
            }
        ),
    ),
    ModelEntry(
        "autoint_plus",
        autoint,
        title="AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural Networks",
        paper="arXiv 1810.11921",
        equation="5-9 and section 5.5",
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                **DENSE,
                "num_layers": Choice((1, 2, 3)),
                "num_heads": Choice((1, 2, 4)),
                "head_dim": Choice((8, 16, 32)),
            }
        ),
    ),
)
