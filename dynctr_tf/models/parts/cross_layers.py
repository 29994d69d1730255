"""The cross layers of DCN-V2, beside or before a multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorflow import keras

from dynctr_tf.models.parts.deep import Deep
from dynctr_tf.nearest import unknown_name_message

_STRUCTURES = ("parallel", "stacked")


def cross_layers(x0: Any, make_layer: Callable[..., Any], num_layers: int, structure: str, deep: Deep) -> Any:
    """Stacks cross layers, each of which multiplies with the embeddings, and joins dense layers to them.

    Use it for models of this family; `dcn_v2` and `dcn_v2_mix` differ in the layer alone.

    Args:
        x0: The embeddings, flat.
        make_layer: A function of a `name` that returns a layer, which is called with its inputs and x0.
        num_layers: Number of cross layers.
        structure: `"parallel"`: the dense layers are beside the cross layers; `"stacked"`: after them.
        deep: The dense layers; with no units there are cross layers alone.

    Raises:
        ValueError: An unknown structure, or fewer than one cross layer.
    """
    if structure not in _STRUCTURES:
        raise ValueError(unknown_name_message("structure", str(structure), _STRUCTURES))
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, got {num_layers}; without cross layers use dnn.")
    x = x0
    for number in range(1, num_layers + 1):
        x = make_layer(name=f"cross_{number}")([x, x0])
    if structure == "stacked":
        return deep(x)
    return keras.layers.Concatenate(name="concatenate")([x, deep(x0)]) if deep.units else x
