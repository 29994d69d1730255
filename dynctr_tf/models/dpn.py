"""DPN, feature-based."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.models.dynamic_tower import dynamic_tower, field_contexts
from dynctr_tf.models.parts import Embedding, encoded_inputs


def dpn(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(dim=10),
    hidden_units: Sequence[int] = (400, 400, 400),
    contexts: str | None | Sequence[str | None] = "x0",
    operation: str = "mixture_of_kernels",
    num_kernels: int = 4,
    gate: str = "softmax",
    num_heads: int = 1,
    heads: str = "block_diagonal",
    static_kernel: bool = False,
    bias: str = "dynamic",
    rank: int = 32,
    stop_gradient: bool = False,
    activation: str = "relu",
    batch_norm: bool = True,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "dpn",
) -> Any:
    """DPN: a deep network whose dense layers get their kernels from a context, instance by instance.

    Use it as the dynamic form of `dnn`: with all contexts `None` it is one. Contexts are the whole instance, some of
    its fields, or what an earlier layer made of it.

    `h_l = relu(batch_norm(operation(h_(l-1); z_l)))`, `logit = w^T h_L + b`.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding(dim=10)`.
        hidden_units: Widths of the dense layers. Default `(400, 400, 400)`.
        contexts: The context of each layer, or one for all: `"x0"`, the flattened embeddings; `"z0"`, separate
            context embeddings of the same ids; `"x:<role or field>"` and `"z:<role or field>"`, those of some fields;
            `"previous"`, the layer's own inputs; `"y1"`, the output of layer 1; `None` (or `"none"`, in settings
            files), a static layer. Default `"x0"`.
        operation: `"mixture_of_kernels"`, `"hyper_dense"` or `"decomposed"`. Default `"mixture_of_kernels"`.
        num_kernels: Number l of kernels of an operation. Default 4.
        gate: Activation of their weights. Default `"softmax"`.
        num_heads: Number of heads of an operation, a divisor of all widths. Default 1.
        heads: `"block_diagonal"` or `"shared"`. Default `"block_diagonal"`.
        static_kernel: Whether an operation has a static kernel beside the mixed ones. Default `False`.
        bias: `"dynamic"`, `"static"` or `"none"`. Default `"dynamic"`.
        rank: Rank of the decomposed kernel. Default 32.
        stop_gradient: Whether contexts are cut off from the gradient. Default `False`.
        activation: Activation of the dense layers. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `True`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of their kernels. Default 0.0.
        name: The model's name. Default `"dpn"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: An unknown operation, context or other option, or a number of contexts that is not that of layers.

    Cost: that of the operations; `num_kernels / num_heads` times the dense layers of `dnn`, but for what generates.

    Example:

    >>> features = EncodedFeatures.from_sizes([10, 20])
    >>> dpn(features, embedding=Embedding(4), hidden_units=(8, 8), contexts=("x0", "y1")).output_shape
    (None, 1)

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, section on feature-based
        operations, tables 1 and 2: embedding 10, 400-400-400, batch normalisation, ReLU.
    """
    inputs = encoded_inputs(features)
    field_map, lookup = field_contexts(inputs, features, embedding, contexts)
    x0 = keras.layers.Flatten(name="flatten")(field_map)
    x = dynamic_tower(
        x0,
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
