"""The higher-order factorization machine."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import AnovaKernel, FactorizationMachine, LogitSum, SplitEmbedding
from dynctr_tf.models.entry import FIRST_ORDER_ALONE, Choice, ModelEntry
from dynctr_tf.models.parts import Embedding, encoded_inputs
from dynctr_tf.models.search_spaces import EMBEDDING


def hofm(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    order: int = 3,
    shared_embedding: bool = False,
    name: str = "hofm",
) -> keras.Model:
    """HOFM: a factorization machine with the products of all sets of up to `order` fields.

    Use it as the plain model of explicit interactions beyond pairs.

    `logit = b + sum_f w[i_f] + sum_(m=2)^order A_m(e^(m))`, A_m the ANOVA kernel of order m; each order has
    embeddings of its own, side by side in one table.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        order: Greatest number of fields in a product. Default 3.
        shared_embedding: Whether all orders use the same embeddings. Default `False`.
        name: The model's name. Default `"hofm"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An order below 2, or fewer fields than the order.

    Cost: about `order ** 2 * fields * embedding.dim` multiply-adds per row.

    Example:

    >>> hofm(EncodedFeatures.from_sizes([10, 20, 30]), embedding=Embedding(4)).output_shape
    (None, 1)

    Reference:
        Blondel et al., Higher-Order Factorization Machines, NIPS 2016, arXiv 1607.07195, equation 5;
        `shared_embedding` is its section 5.
    """
    if order < 2:
        raise ValueError(f"order must be at least 2, got {order}; without products use lr.")
    inputs = encoded_inputs(features)
    num_maps = 1 if shared_embedding else order - 1
    field_map, weights = embedding.with_linear(inputs, features, width=embedding.dim * num_maps)
    maps = SplitEmbedding(num_maps, name="split")(field_map) if num_maps > 1 else [field_map] * (order - 1)
    parts = [weights, FactorizationMachine(name="order_2")(maps[0])]
    parts += [AnovaKernel(m, name=f"order_{m}")(maps[m - 2]) for m in range(3, order + 1)]
    return keras.Model(inputs, LogitSum(name="logit")(parts), name=name)


ENTRIES = (
    ModelEntry(
        "hofm",
        hofm,
        title="Higher-Order Factorization Machines",
        paper="arXiv 1607.07195",
        equation="5",
        optimizer_options=FIRST_ORDER_ALONE,
        search_space=MappingProxyType({**EMBEDDING, "order": Choice((3, 4))}),
    ),
)
