"""Deep Crossing."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import ResidualUnit
from dynctr_tf.models.entry import ModelEntry
from dynctr_tf.models.parts import Embedding, Tower, encoded_inputs, flat, logit
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING


def deep_crossing(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    deep: Tower = Tower((400, 400, 400)),
    name: str = "deep_crossing",
) -> keras.Model:
    """Deep Crossing: residual units on the flattened embeddings.

    Use it as the deep network whose input reaches every layer.

    `x_l = relu(x_(l-1) + W_2 relu(W_1 x_(l-1) + b_1) + b_2)`; `logit = w^T x_L + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        deep: The middles of the residual units. Default `Tower((400, 400, 400))`.
        name: The model's name. Default `"deep_crossing"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: No residual unit.

    Cost: `2 * fields * embedding.dim * sum(deep.units)` multiply-adds per row.

    Example:

    >>> deep_crossing(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), deep=Tower((8,))).output_shape
    (None, 1)

    Reference:
        Shan et al., Deep Crossing, KDD 2016, sections 4.1 to 4.3.
    """
    if not deep.units:
        raise ValueError("deep.units must have one width or more, got none; without residual units use lr.")
    inputs = encoded_inputs(features)
    x = flat(embedding.field_map(inputs, features))
    for index, units in enumerate(deep.units, start=1):
        x = ResidualUnit(units, name=f"residual_{index}", **deep.layer_options())(x)
    return keras.Model(inputs, logit(x), name=name)


ENTRIES = (
    ModelEntry(
        "deep_crossing",
        deep_crossing,
        title="Deep Crossing: Web-Scale Modeling without Manually Crafted Combinatorial Features",
        paper="KDD 2016",
        equation="section 4",
        search_space=MappingProxyType({**EMBEDDING, **DENSE}),
    ),
)
