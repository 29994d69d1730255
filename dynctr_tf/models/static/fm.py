"""The factorization machine."""

from __future__ import annotations

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import FactorizationMachine, LogitSum
from dynctr_tf.models.entry import FIRST_ORDER_ALONE, ModelEntry
from dynctr_tf.models.parts import Embedding, encoded_inputs
from dynctr_tf.models.search_spaces import EMBEDDING


def fm(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    name: str = "fm",
) -> keras.Model:
    """Factorization machine: first-order weights and the inner products of all pairs of fields.

    Use it as the plain second-order model; it is nearly as fast as logistic regression. One row of the table holds the
    weight and the factors of an id, so a threshold of rows, as G-FTRL has, removes both together: train it with `l21=0`
    for the paper's FTRL.

    `logit = b + sum_f w[i_f] + sum_(f<g) <e[i_f], e[i_g]>`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        name: The model's name. Default `"fm"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Cost: `features.num_ids * (embedding.dim + 1) + 1` parameters; `2 * fields * embedding.dim` multiply-adds per row.

    Example:

    >>> fm(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4)).count_params()
    156

    Reference:
        Rendle, Factorization Machines, ICDM 2010, equation 1.
    """
    inputs = encoded_inputs(features)
    field_map, weights = embedding.with_linear(inputs, features)
    pairs = FactorizationMachine(name="factorization_machine")(field_map)
    return keras.Model(inputs, LogitSum(name="logit")([weights, pairs]), name=name)


ENTRIES = (
    ModelEntry(
        "fm",
        fm,
        title="Factorization Machines",
        paper="ICDM 2010",
        equation="1",
        optimizer_options=FIRST_ORDER_ALONE,
        search_space=EMBEDDING,
    ),
)
