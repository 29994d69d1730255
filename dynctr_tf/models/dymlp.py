"""DyMLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import FieldOperation
from dynctr_tf.models.dynamic_tower import dynamic_tower, field_contexts
from dynctr_tf.models.parts import Embedding, encoded_inputs


def dymlp(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(dim=10),
    hidden_units: Sequence[int] = (400, 400, 400),
    field_units: int = 4,
    aggregator: str = "summation",
    contexts: str | None | Sequence[str | None] = "x0",
    operation: str = "mixture_of_kernels",
    num_kernels: int = 4,
    gate: str = "softmax",
    num_heads: int = 2,
    heads: str = "block_diagonal",
    static_kernel: bool = False,
    bias: str = "dynamic",
    rank: int = 32,
    stop_gradient: bool = False,
    activation: str = "relu",
    batch_norm: bool = True,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "dymlp",
) -> Any:
    """DyMLP: the ranking network of `dpn`, beside one light field-based operation.

    Use it in place of the multi-layer perceptron of a ranking model in production: heads keep it as cheap.

    `logit = w^T tower([x_0; flatten(FieldOperation(X_0))]) + b`, the tower as in `dpn`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding(dim=10)`.
        hidden_units: Widths of the dense layers. Default `(400, 400, 400)`.
        field_units: Width of each field in the light field-based operation beside the embeddings; 0 for none. Default
            4.
        aggregator: Its aggregator, see `FieldOperation`. Default `"summation"`.
        contexts: The context of each layer, or one for all: `"x0"`, the flattened embeddings; `"z0"`, separate
            context embeddings of the same ids; `"x:<role or field>"` and `"z:<role or field>"`, those of some fields;
            `"previous"`, the layer's own inputs; `"y1"`, the output of layer 1; `None`, a static layer. Default
            `"x0"`.
        operation: `"mixture_of_kernels"`, `"hyper_dense"` or `"decomposed"`. Default `"mixture_of_kernels"`.
        num_kernels: Number l of kernels of an operation. Default 4.
        gate: Activation of their weights. Default `"softmax"`.
        num_heads: Number of heads of an operation, a divisor of all widths. Default 2.
        heads: `"block_diagonal"` or `"shared"`. Default `"block_diagonal"`.
        static_kernel: Whether an operation has a static kernel beside the mixed ones. Default `False`.
        bias: `"dynamic"`, `"static"` or `"none"`. Default `"dynamic"`.
        rank: Rank of the decomposed kernel. Default 32.
        stop_gradient: Whether contexts are cut off from the gradient. Default `False`.
        activation: Activation of the dense layers. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `True`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of their kernels. Default 0.0.
        name: The model's name. Default `"dymlp"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown option, or widths that the heads do not divide.

    Cost: `num_kernels / num_heads` times the dense layers of `dnn`, and a field-based operation.

    Example:

    >>> features = EncodedFeatures.from_sizes([10, 20])
    >>> dymlp(features, embedding=Embedding(4), hidden_units=(8, 8)).output_shape
    (None, 1)

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, section on production and
        table 6. How the field-based part is joined is our reading: its appendix is lost.
    """
    inputs = encoded_inputs(features)
    field_map, lookup = field_contexts(inputs, features, embedding, contexts)
    x0 = keras.layers.Flatten(name="flatten")(field_map)
    parts = [x0]
    if field_units:
        across_fields = FieldOperation(field_units, aggregator, num_kernels, gate=gate, name="field_operation")
        parts.append(keras.layers.Flatten(name="flatten_field_operation")(across_fields(field_map)))
    x = dynamic_tower(
        keras.layers.Concatenate(name="concatenate")(parts) if len(parts) > 1 else x0,
        lookup,
        contexts,
        hidden_units,
        operation=operation,
        num_kernels=num_kernels,
        gate=gate,
        num_heads=num_heads,
        heads=heads,
        static_kernel=static_kernel,
        bias=bias,
        rank=rank,
        stop_gradient=stop_gradient,
        activation=activation,
        batch_norm=batch_norm,
        dropout=dropout,
        kernel_regularizer_l2=kernel_regularizer_l2,
    )
    return keras.Model(inputs, keras.layers.Dense(1, dtype="float32", name="logit")(x), name=name)
