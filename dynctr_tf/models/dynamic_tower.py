"""The dense part of DPN: layers each of which may be dynamic, with a context of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import BatchNormalization, DecomposedDense, Dense, FieldSelection, HyperDense, MixtureOfKernels
from dynctr_tf.models.parts import Embedding
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import ROLES

OPERATIONS = ("mixture_of_kernels", "hyper_dense", "decomposed")
Contexts = str | None | Sequence[str | None]


def contexts_per_layer(contexts: Contexts, num_layers: int) -> list[str | None]:
    """Gives each layer its context.

    Args:
        contexts: One context for all layers, or one for each; `"none"`, as settings files write it, is `None`.
        num_layers: Number of layers.

    Raises:
        ValueError: Another number of contexts than of layers.
    """
    given = [contexts] * num_layers if contexts is None or isinstance(contexts, str) else list(contexts)
    if len(given) != num_layers:
        raise ValueError(f"contexts must be one or one for each of {num_layers} layers, got {tuple(given)}.")
    return [None if context == "none" else context for context in given]


def field_contexts(
    inputs: dict[str, Any], features: EncodedFeatures, embedding: Embedding, contexts: Contexts
) -> tuple[Any, Callable[[str], Any]]:
    """Embeds a batch for a network with contexts.

    Where a context of the kind `z` is asked for, each id has a second embedding for use as context. Both lie in one
    row of one table, which is gathered once.

    Args:
        inputs: What `encoded_inputs` gave.
        features: The description that the encoder gives.
        embedding: The embeddings.
        contexts: The contexts that will be asked for.

    Returns:
        The field map, and a function from the name of a context to its tensor: `"x0"`, the whole flattened field
        map; `"x:<role or field>"`, that of some fields; `"z0"` and `"z:..."`, the same of the context embeddings.
    """
    wanted = [contexts] if contexts is None or isinstance(contexts, str) else list(contexts)
    two = any((context or "").startswith("z") for context in wanted)
    whole = embedding.field_map(inputs, features, width=embedding.dim * (2 if two else 1))
    maps = {"x": whole}
    if two:
        maps = {
            "x": FieldSelection(start=0, stop=embedding.dim, name="fields_x")(whole),
            "z": FieldSelection(start=embedding.dim, name="fields_z")(whole),
        }
    made: dict[str, Any] = {}

    def lookup(context: str) -> Any:
        if context not in made:
            kind, key = context[:1], context[2:]
            rows = maps.get(kind)
            if rows is None or (context[1:] != "0" and context[1:2] != ":"):
                known = ["x0", "z0", "previous", "y1", "x:<role or field>", "z:<role or field>"]
                raise ValueError(unknown_name_message("context", context, known))
            label = re.sub(r"[^A-Za-z0-9_]", "_", context)
            if context[1:] != "0":
                positions = features.positions(role=key) if key in ROLES else features.positions(names=[key])
                if not positions:
                    having = sorted({field.role for field in features.fields})
                    raise ValueError(f"No field has the role {key!r} of the context {context!r}; roles: {having}.")
                rows = FieldSelection(positions, name=f"select_{label}")(rows)
            made[context] = keras.layers.Flatten(name=f"flatten_{label}")(rows)
        return made[context]

    return maps["x"], lookup


def dynamic_tower(
    x: Any,
    lookup: Callable[[str], Any],
    contexts: Contexts,
    hidden_units: Sequence[int],
    *,
    operation: str,
    num_kernels: int,
    gate: Any,
    num_heads: int,
    heads: str,
    static_kernel: bool,
    bias: str,
    rank: int,
    stop_gradient: bool,
    activation: Any,
    batch_norm: bool,
    dropout: float,
    kernel_regularizer_l2: float,
) -> Any:
    """Stacks layers, dynamic where there is a context, and gives the last one's output.

    Each is `[operation or Dense, batch normalisation, activation, dropout]`; options are those of `dpn`.

    Args:
        x: The inputs, flat.
        lookup: From the name of a context to its tensor; `"previous"`, the layer's own inputs, and `"y1"`, the
            output of layer 1, are known here.
        contexts: One context for all layers, or one for each; `None` for a static layer.
        hidden_units: Widths of the layers.
        operation: Which dynamic layer.
        num_kernels: Of the operation.
        gate: Of the operation.
        num_heads: Of the mixture of kernels.
        heads: Of the mixture of kernels.
        static_kernel: Of the operation.
        bias: Of the operation.
        rank: Of the decomposed kernel.
        stop_gradient: Whether contexts are cut off from the gradient.
        activation: A Keras activation.
        batch_norm: Whether to normalise over the batch before it.
        dropout: Share of the outputs dropped in training.
        kernel_regularizer_l2: L2 penalty of the kernels.

    Raises:
        ValueError: An unknown operation or context, or no layer.
    """
    if operation not in OPERATIONS:
        raise ValueError(unknown_name_message("operation", str(operation), OPERATIONS))
    if not hidden_units:
        raise ValueError("hidden_units must be one or more widths, got none.")
    regularizer = keras.regularizers.L2(kernel_regularizer_l2) if kernel_regularizer_l2 else None

    def make(units: int, label: str) -> Any:
        if operation == "hyper_dense":
            return HyperDense(
                units,
                dynamic_bias=bias == "dynamic",
                use_bias=bias != "none",
                stop_gradient=stop_gradient,
                kernel_regularizer=regularizer,
                name=label,
            )
        if operation == "decomposed":
            return DecomposedDense(
                units,
                rank=rank,
                num_kernels=num_kernels,
                static_kernel=static_kernel,
                gate=gate,
                stop_gradient=stop_gradient,
                kernel_regularizer=regularizer,
                name=label,
            )
        return MixtureOfKernels(
            units,
            num_kernels,
            gate=gate,
            static_kernel=static_kernel,
            bias=bias,
            num_heads=num_heads,
            heads=heads,
            stop_gradient=stop_gradient,
            kernel_regularizer=regularizer,
            name=label,
        )

    outputs: list[Any] = []
    for index, (units, context) in enumerate(
        zip(hidden_units, contexts_per_layer(contexts, len(hidden_units)), strict=True), start=1
    ):
        if context is None:
            x = Dense(units, kernel_regularizer=regularizer, name=f"dense_{index}")(x)
        else:
            earlier = re.fullmatch(r"y(\d+)", context)
            if earlier and not 1 <= int(earlier[1]) <= len(outputs):
                raise ValueError(f"Layer {index} has {len(outputs)} layers before it, got the context {context!r}.")
            z = x if context == "previous" else outputs[int(earlier[1]) - 1] if earlier else lookup(context)
            x = make(units, f"dynamic_{index}")(x, z)
        if batch_norm:
            x = BatchNormalization(name=f"batch_norm_{index}")(x)
        x = keras.layers.Activation(activation, name=f"activation_{index}")(x)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"dropout_{index}")(x)
        outputs.append(x)
    return x
