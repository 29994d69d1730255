"""A deep network on each field alone."""

from __future__ import annotations

from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import Dense
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, encoded_inputs, logit
from dynctr_tf.models.search_spaces import DENSE, EMBEDDING


def field_dnn(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(dim=10),
    deep: Deep = Deep((100, 100)),
    name: str = "field_dnn",
) -> keras.Model:
    """Field-DNN: each field is transformed on its own, by dense layers that all the fields share.

    Use it as the static model beside `dpn_field`, whose layers have generated weights in the same places. Fields meet
    in the output alone, so it finds no interaction of fields.

    `X_l = relu(X_(l-1) W_l + b_l)` for each row of the field map, `logit = w^T flatten(X_L) + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding(dim=10)`.
        deep: The layers of each field. Default `Deep((100, 100))`.
        name: The model's name. Default `"field_dnn"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: No layer.

    Cost: with F fields and widths u_l, `F * sum of u_(l-1) * u_l` multiply-adds per row.

    Example:

    >>> field_dnn(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), deep=Deep((8,))).output_shape
    (None, 1)

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, table 2c, which names its widths
        and nothing else. That the fields share the layers is our reading: 11,901 and 43,801 parameters with
        normalisation and widths of 100 and 200, where the paper prints 11k and 44k.
    """
    if not deep.units:
        raise ValueError("deep.units must be one or more widths, got none.")
    inputs = encoded_inputs(features)
    x = embedding.field_map(inputs, features)
    for index, units in enumerate(deep.units, start=1):
        x = Dense(units, kernel_regularizer=deep.kernel_regularizer(), name=f"dense_{index}")(x)
        x = deep.activated(x, f"{{}}_{index}")
    return keras.Model(inputs, logit(x), name=name)


ENTRIES = (
    ModelEntry(
        "field_dnn",
        field_dnn,
        title="Dynamic Parameterized Network for CTR Prediction",
        paper="arXiv 2111.04983",
        equation="none; table 2c",
        search_space=MappingProxyType({**EMBEDDING, **DENSE, "deep.units": Choice(((100, 100), (200, 200)))}),
    ),
)
