"""The product-based neural network."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import InnerProduct, OuterProduct
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs, flat
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING
from dynctr_tf.nearest import unknown_name_message

_PRODUCTS = ("inner", "outer", "both")


def pnn(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    product: str = "inner",
    outer_kind: str = "superposition",
    deep: Deep = Deep((400, 400, 400)),
    name: str = "pnn",
) -> keras.Model:
    """PNN: a multi-layer perceptron on the embeddings and the products of all pairs of fields.

    Use it as the deep model that gets the products of all pairs: inner (IPNN), outer (OPNN) or both.

    `logit = w^T MLP([e_1; ...; e_F; products]) + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        product: `"inner"`, `"outer"` or `"both"`. Default `"inner"`.
        outer_kind: `"superposition"` or `"kernel"`, as `OuterProduct`. Default `"superposition"`.
        deep: The dense layers; with no units it is a weighted sum of all products. Default `Deep((400, 400, 400))`.
        name: The model's name. Default `"pnn"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown kind of product.

    Cost: `fields ** 2 * embedding.dim` multiply-adds per row for inner products, beside the MLP.

    Example:

    >>> pnn(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Qu et al., Product-based Neural Networks, ICDM 2016, arXiv 1611.00144, sections III-A to III-C; kernels: TOIS
        2018, arXiv 1807.00311.
    """
    if product not in _PRODUCTS:
        raise ValueError(unknown_name_message("product", str(product), _PRODUCTS))
    inputs = encoded_inputs(features)
    field_map = embedding.field_map(inputs, features)
    parts = [flat(field_map)]
    if product in ("inner", "both"):
        parts.append(InnerProduct(name="inner_product")(field_map))
    if product in ("outer", "both"):
        regularizer = deep.kernel_regularizer()
        parts.append(OuterProduct(outer_kind, kernel_regularizer=regularizer, name="outer_product")(field_map))
    return keras.Model(inputs, deep.logit(keras.layers.Concatenate(name="concatenate")(parts)), name=name)


_TITLE = "Product-based Neural Networks for User Response Prediction"
ENTRIES = (
    ModelEntry(
        "pnn",
        pnn,
        title=_TITLE,
        paper="arXiv 1611.00144",
        equation="sections III-A to III-C",
        search_space=MappingProxyType({**EMBEDDING, **DENSE, "product": Choice(("inner", "outer", "both"))}),
    ),
    ModelEntry(
        "pnn_both",
        pnn,
        title=_TITLE,
        paper="arXiv 1611.00144",
        equation="sections III-A to III-C, with both products",
        fixed=MappingProxyType({"product": "both"}),
        search_space=MappingProxyType({**EMBEDDING, **DENSE}),
    ),
)
