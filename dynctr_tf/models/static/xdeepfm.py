"""xDeepFM."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import CompressedInteraction, LogitSum
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs, unbiased_logit
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING


def xdeepfm(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    cin_units: Sequence[int] = (16, 16, 16),
    cin_activation: str = "linear",
    split_half: bool = False,
    deep: Deep = Deep((400, 400, 400)),
    name: str = "xdeepfm",
) -> keras.Model:
    """xDeepFM: first-order weights, the compressed interaction network and a multi-layer perceptron.

    Use it as the model of explicit vector-wise interactions of bounded degree; without dense layers it is CIN.

    `logit = b + sum_f w[i_f] + v^T CIN(E) + h^T MLP([e_1; ...; e_F])`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        cin_units: Numbers of feature maps of the CIN. Default `(16, 16, 16)`.
        cin_activation: Activation of the CIN. Default `"linear"`.
        split_half: As `CompressedInteraction`. Default `False`.
        deep: The dense layers; with no units it is the CIN alone. Default `Deep((400, 400, 400))`.
        name: The model's name. Default `"xdeepfm"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: `sum_k H_(k-1) * H_k * fields * embedding.dim` multiply-adds per row beside those of the MLP.

    Example:

    >>> xdeepfm(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Lian et al., xDeepFM, KDD 2018, arXiv 1803.05170, equations 6, 7 and 15.
    """
    inputs = encoded_inputs(features)
    field_map, weights = embedding.with_linear(inputs, features)
    cin = CompressedInteraction(
        cin_units,
        activation=cin_activation,
        split_half=split_half,
        kernel_regularizer=deep.kernel_regularizer(),
        name="cin",
    )(field_map)
    parts = [weights, unbiased_logit(cin, "compressed"), *deep.parts_of_logit(field_map)]
    return keras.Model(inputs, LogitSum(name="logit")(parts), name=name)


ENTRIES = (
    ModelEntry(
        "xdeepfm",
        xdeepfm,
        title="xDeepFM: Combining Explicit and Implicit Feature Interactions for Recommender Systems",
        paper="arXiv 1803.05170",
        equation="6, 7 and 15",
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                **DENSE,
                "cin_units": Choice(((16,) * 2, (16,) * 3, (100,) * 2, (200,) * 3)),
            }
        ),
    ),
    ModelEntry(
        "cin",
        xdeepfm,
        title="xDeepFM: Combining Explicit and Implicit Feature Interactions for Recommender Systems",
        paper="arXiv 1803.05170",
        equation="6-8",
        fixed=MappingProxyType({"deep.units": ()}),
        search_space=MappingProxyType(
            {
                **EMBEDDING,
                "cin_units": Choice(((16,) * 2, (16,) * 3, (100,) * 2, (200,) * 3)),
            }
        ),
    ),
)
