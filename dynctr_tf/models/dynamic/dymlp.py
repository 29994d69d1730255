"""DyMLP."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.models.entry import Choice, ModelEntry
from dynctr_tf.models.parts import Deep, Embedding, Operation, encoded_inputs, logit
from dynctr_tf.models.parts.dynamic_tower import dynamic_tower, field_contexts, with_field_operation
from dynctr_tf.models.search_spaces import TOWER


def dymlp(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(dim=10),
    operation: Operation = Operation(num_heads=2),
    deep: Deep = Deep((400, 400, 400)),
    field_dim: int = 4,
    aggregator: str = "summation",
    contexts: str | None | Sequence[str | None] = "x0",
    name: str = "dymlp",
) -> keras.Model:
    """DyMLP: the ranking network of `dpn`, beside one light field-based operation.

    Use it in place of the multi-layer perceptron of a ranking model in production: with heads it costs hardly more.

    `logit = w^T tower([x_0; flatten(FieldOperation(X_0))]) + b`, the tower as in `dpn`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding(dim=10)`.
        operation: The dynamic layers. Default `Operation(num_heads=2)`.
        deep: The dense layers. Default `Deep((400, 400, 400))`.
        field_dim: Width of each field in the light field-based operation beside the embeddings; 0 for none. Default
            4.
        aggregator: Its aggregator, see `FieldOperation`. Default `"summation"`.
        contexts: The context of each layer, or one for all: `"x0"`, the flattened embeddings; `"z0"`, separate
            context embeddings of the same ids; `"x:<role or field>"` and `"z:<role or field>"`, those of some fields;
            `"previous"`, the layer's own inputs; `"y1"`, the output of layer 1; `None`, a static layer. Default
            `"x0"`.
        name: The model's name. Default `"dymlp"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown option, or widths that the heads do not divide.

    Cost: `operation.num_kernels / operation.num_heads` times the dense layers of `dnn`, and a field-based operation.

    Example:

    >>> features = EncodedFeatures.from_sizes([10, 20])
    >>> dymlp(features, embedding=Embedding(4), deep=Deep((8, 8))).output_shape
    (None, 1)

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, section on production and
        table 6. How the field-based part is joined is our reading: the appendix that describes it is not available.
        The paper normalises each layer over the batch, `Deep(batch_norm=True)`; `dpn` says why we do not by default.
    """
    inputs = encoded_inputs(features)
    field_map, lookup = field_contexts(inputs, features, embedding, contexts)
    parts = with_field_operation(field_map, field_dim, aggregator, operation)
    x = keras.layers.Concatenate(name="concatenate")(parts) if len(parts) > 1 else parts[0]
    return keras.Model(inputs, logit(dynamic_tower(x, lookup, contexts, operation, deep)), name=name)


ENTRIES = (
    ModelEntry(
        "dymlp",
        dymlp,
        title="Dynamic Parameterized Network for CTR Prediction",
        paper="arXiv 2111.04983",
        equation="3-5, section on production",
        search_space=MappingProxyType({**TOWER, "field_dim": Choice((0, 2, 4))}),
    ),
)
