"""xDeepInt."""

from __future__ import annotations

from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import PolynomialInteraction
from dynctr_tf.models.entry import ModelEntry
from dynctr_tf.models.parts import Embedding, kernel_regularizer
from dynctr_tf.models.parts.polynomial_network import polynomial_network
from dynctr_tf.models.search_spaces import POLYNOMIAL


def xdeepint(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(),
    num_layers: int = 4,
    num_subspaces: int | None = None,
    residual: bool = True,
    activation: str = "linear",
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "xdeepint",
) -> keras.Model:
    """xDeepInt: a polynomial interaction network over sub-spaces, without a deep part.

    Use it as the static model that DynInt extends; train it with G-FTRL on the table and FTRL on the rest.

    `X_l = X_(l-1) * (W_l X_0) + X_(l-1)` for l = 1 ... L on stacked sub-spaces; the logit weighs the fields
    of X_L and sums.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding()`.
        num_layers: Number L of layers; interactions reach degree L + 1, and 0 leaves a linear model over the
            embeddings, as in table 3 of DynInt. Default 4.
        num_subspaces: Number h of pieces of each embedding, a divisor of `embedding.dim`: 1 crosses vectors,
            `embedding.dim` crosses bits. Cost grows with h. Default `None`: its greatest common divisor with 16.
        residual: Whether layers are residual; if not, the outputs of all layers are joined before the output.
            Default `True`.
        activation: Of `W_l X_0`. Default `"linear"`.
        dropout: Share of the entries of X_0 dropped in training before W_l. Default 0.0.
        kernel_regularizer_l2: L2 penalty of the matrices W_l. Default 0.0.
        name: The model's name. Default `"xdeepint"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: A negative number of layers, or h does not divide `embedding.dim`.

    Cost: `L * (h * F) ** 2` parameters beside the table; `L * h * F ** 2 * D` multiply-adds per row.

    Example:

    >>> xdeepint(EncodedFeatures.from_sizes([10, 20]), embedding=Embedding(4), num_subspaces=2).output_shape
    (None, 1)

    Reference:
        Yan and Li, xDeepInt, arXiv 2301.01089. Depth and sub-spaces are those of the author's script.
    """

    def make_layer(number: int, stacked_fields: int) -> Any:
        return PolynomialInteraction(
            residual=residual,
            activation=activation,
            dropout=dropout,
            fields_last=True,
            kernel_regularizer=kernel_regularizer(kernel_regularizer_l2),
            name=f"pin_{number}",
        )

    return polynomial_network(
        features,
        make_layer,
        embedding=embedding,
        num_layers=num_layers,
        num_subspaces=num_subspaces,
        residual=residual,
        conditioned=False,
        name=name,
    )


ENTRIES = (
    ModelEntry(
        "xdeepint",
        xdeepint,
        title="xDeepInt: a hybrid architecture for modeling the vector-wise and bit-wise feature interactions",
        paper="arXiv 2301.01089",
        equation="2 and 3 of DynInt, arXiv 2301.08139",
        search_space=POLYNOMIAL,
    ),
)
