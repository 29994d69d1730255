"""DyJoint: DyMLP, KFAtt and both sequence-based operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import FieldOperation
from dynctr_tf.models.behaviour_attention import kalman_attention, self_attention
from dynctr_tf.models.behaviour_network import embedded_behaviours, interests
from dynctr_tf.models.dynamic_tower import dynamic_tower
from dynctr_tf.models.parts import Embedding, encoded_inputs


def dyjoint(
    features: EncodedFeatures,
    *,
    embedding: Embedding = Embedding(dim=10),
    hidden_units: Sequence[int] = (400, 400, 400),
    field_units: int = 4,
    aggregator: str = "summation",
    mode: str = "freq",
    key: str | None = None,
    session_length: int | None = None,
    homogeneous: bool = True,
    heterogeneous: bool = True,
    operation: str = "mixture_of_kernels",
    num_kernels: int = 4,
    gate: str = "softmax",
    num_heads: int = 2,
    heads: str = "block_diagonal",
    static_kernel: bool = False,
    bias: str = "dynamic",
    rank: int = 32,
    stop_gradient: bool = False,
    form: str = "full",
    kernel_size: int = 3,
    context: str = "none",
    sequences: Sequence[str] | None = None,
    activation: str = "relu",
    batch_norm: bool = True,
    dropout: float = 0.0,
    kernel_regularizer_l2: float = 0.0,
    name: str = "dyjoint",
) -> Any:
    """DyJoint: the ranking network of DyMLP over fields and over what KFAtt and DPN's operations read in the history.

    Use it for data with both many fields and histories; it is what the paper puts online.

    `logit = w^T tower([x_0; flatten(FieldOperation(X_0)); v_kfatt; v_query]) + b`; every layer of the tower has x_0 as
    context.

    Args:
        features: The description that the encoder gives.
        embedding: The embeddings. Default `Embedding(dim=10)`.
        hidden_units: Widths of the dense layers. Default `(400, 400, 400)`.
        field_units: Width of each field in the light field-based operation beside the embeddings; 0 for none. Default
            4.
        aggregator: Its aggregator, see `FieldOperation`. Default `"summation"`.
        mode: `"base"` or `"freq"`. Default `"freq"`.
        key: The sequence that holds the keys, such as the category. Default `None`: the last of them.
        session_length: Behaviours see each other inside blocks of this many. Default `None`: the whole history.
        homogeneous: Whether the homogeneous operation, a dynamic convolution over the behaviours, stands beside the
            encoder. Default `True`.
        heterogeneous: Whether the heterogeneous operation, the query transformed by the behaviours, stands beside the
            decoder. Default `True`.
        operation: `"mixture_of_kernels"`, `"hyper_dense"` or `"decomposed"`. Default `"mixture_of_kernels"`.
        num_kernels: Number l of kernels of an operation. Default 4.
        gate: Activation of their weights. Default `"softmax"`.
        num_heads: Heads of the tower's operations and of the attentions, a divisor of all widths. Default 2.
        heads: `"block_diagonal"` or `"shared"`. Default `"block_diagonal"`.
        static_kernel: Whether an operation has a static kernel beside the mixed ones. Default `False`.
        bias: `"dynamic"`, `"static"` or `"none"`. Default `"dynamic"`.
        rank: Rank of the decomposed kernel. Default 32.
        stop_gradient: Whether contexts are cut off from the gradient. Default `False`.
        form: Form of the dynamic convolution, see `DynamicConvolution`. Default `"full"`.
        kernel_size: Its odd number of taps. Default 3.
        context: What generates for it and for the query, see `SequenceContext`. Default `"none"`.
        sequences: The sequences that are the behaviours, side by side; each repeats the ids of a field, which is its
            part of the query. Default `None`: all that repeat a field.
        activation: Activation of the dense layers. Default `"relu"`.
        batch_norm: Whether they are normalised over the batch. Default `True`.
        dropout: Share of their outputs dropped in training. Default 0.0.
        kernel_regularizer_l2: L2 penalty of their kernels. Default 0.0.
        name: The model's name. Default `"dyjoint"`.

    Returns:
        A `keras.Model` from an encoded batch to the logit `(batch, 1)`.

    Raises:
        ValueError: No sequence that repeats a field, sequences that do not go together, or an unknown option.

    Cost: that of `dymlp` and `kfatt`.

    Example:

    >>> from dynctr_tf.encoding.encoded_features import Field
    >>> from dynctr_tf.encoding.encoded_features import Sequence as History
    >>> features = EncodedFeatures((Field("item", "item", 1, 9),), (History("items", "user", 5, 1, 9, field="item"),))
    >>> dyjoint(features, embedding=Embedding(4), hidden_units=(8,), num_heads=1).output_shape
    (None, 1)

    Reference:
        Zhu et al., Dynamic Parameterized Network for CTR Prediction, arXiv 2111.04983, section on production and
        tables 6 and 7. How the parts are joined is our reading: its appendix is lost.
    """

    inputs = encoded_inputs(features)
    batch = embedded_behaviours(inputs, features, embedding, sequences)
    field_map = batch.field_map
    x0 = keras.layers.Flatten(name="flatten")(field_map)
    parts = [x0]
    if field_units:
        across_fields = FieldOperation(field_units, aggregator, num_kernels, gate=gate, name="field_operation")
        parts.append(keras.layers.Flatten(name="flatten_field_operation")(across_fields(field_map)))
    parts += interests(
        batch,
        self_attention(num_heads, session_length),
        kalman_attention(num_heads, mode, key),
        homogeneous=homogeneous,
        heterogeneous=heterogeneous,
        num_kernels=num_kernels,
        gate=gate,
        form=form,
        kernel_size=kernel_size,
        context=context,
    )
    x = dynamic_tower(
        keras.layers.Concatenate(name="concatenate")(parts),
        lambda context: x0,
        "x0",
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
