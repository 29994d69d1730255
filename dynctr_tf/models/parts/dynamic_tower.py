"""The dense part of DPN: layers that may be dynamic, each with its own context."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import Dense, FieldOperation, FieldSelection
from dynctr_tf.models.parts import Deep, Embedding, Operation, flat
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import ROLES

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

    For a context of the kind `z`, each id has a second embedding for use as context. Both are in one row of one table,
    which is gathered once.

    Args:
        inputs: The result of `encoded_inputs`.
        features: The description that the encoder gives.
        embedding: The embeddings.
        contexts: The contexts that will be looked up.

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
            made[context] = flat(rows, f"flatten_{label}")
        return made[context]

    return maps["x"], lookup


def dynamic_tower(x: Any, lookup: Callable[[str], Any], contexts: Contexts, operation: Operation, deep: Deep) -> Any:
    """Stacks layers, dynamic where there is a context, and returns the last one's output.

    Each is `[operation or Dense, batch normalisation, activation, dropout]`.

    Args:
        x: The inputs, flat.
        lookup: A function from the name of a context to its tensor. `"previous"`, the layer's own inputs, and `"y1"`,
            the output of layer 1, are not looked up.
        contexts: One context for all layers, or one for each; `None` for a static layer.
        operation: The dynamic layers.
        deep: Widths of the layers, and what follows each product.

    Raises:
        ValueError: An unknown context, or no layer.
    """
    if not deep.units:
        raise ValueError("deep.units must be one or more widths, got none.")
    regularizer = deep.kernel_regularizer()
    outputs: list[Any] = []
    for index, (units, context) in enumerate(
        zip(deep.units, contexts_per_layer(contexts, len(deep.units)), strict=True), start=1
    ):
        if context is None:
            x = Dense(units, kernel_regularizer=regularizer, name=f"dense_{index}")(x)
        else:
            earlier = re.fullmatch(r"y(\d+)", context)
            if earlier and not 1 <= int(earlier[1]) <= len(outputs):
                raise ValueError(f"Layer {index} has {len(outputs)} layers before it, got the context {context!r}.")
            z = x if context == "previous" else outputs[int(earlier[1]) - 1] if earlier else lookup(context)
            x = operation.layer(units, regularizer, f"dynamic_{index}")(x, z)
        x = deep.activated(x, f"{{}}_{index}")
        outputs.append(x)
    return x


def with_field_operation(field_map: Any, units: int, aggregator: str, operation: Operation) -> list[Any]:
    """Returns the flat field map, joined with the output of a light field-based operation on the fields.

    Args:
        field_map: `(batch, fields, dim)`.
        units: Width of each field in the operation; 0 for none.
        aggregator: As `FieldOperation`.
        operation: Its number of kernels and their gate.
    """
    parts = [flat(field_map)]
    if units:
        layer = FieldOperation(
            units, aggregator, operation.num_kernels, gate_activation=operation.gate_activation, name="field_operation"
        )
        parts.append(flat(layer(field_map), "flatten_field_operation"))
    return parts
