"""xDeepInt and DynInt: one network of interaction layers, static or dynamic."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tensorflow import keras

from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.layers import FieldSumOutput, SplitSubspaces
from dynctr_tf.models.parts import Embedding, encoded_inputs

_NUM_SUBSPACES = 16


def polynomial_network(
    features: EncodedFeatures,
    make_layer: Callable[[int, int], Any],
    *,
    embedding: Embedding,
    num_layers: int,
    num_subspaces: int | None,
    residual: bool,
    conditioned: bool,
    name: str,
) -> keras.Model:
    """Builds a network in which each layer multiplies by mixtures of the first field map's fields.

    Use it for models of this family; `xdeepint` and `dynint` differ in the layer alone.

    Args:
        features: The description that the encoder gives.
        make_layer: A function of (number of the layer from 1, number of stacked fields) that returns a layer of
            `fields_last` tensors.
        embedding: The embeddings.
        num_layers: Number of interaction layers; with 0 the output is linear in the field map.
        num_subspaces: Number of sub-spaces; `None` for the greatest common divisor of `embedding.dim` and 16.
        residual: Whether the layers are residual; if not, the outputs of all of them and the first field map
            are joined before the output.
        conditioned: Whether the layers take the flattened first field map as condition.
        name: The model's name.

    Raises:
        ValueError: A negative number of layers, or a number of sub-spaces that does not divide `embedding.dim`.
    """
    if num_layers < 0:
        raise ValueError(f"num_layers must be at least 0, got {num_layers}.")
    if num_subspaces is None:
        num_subspaces = math.gcd(embedding.dim, _NUM_SUBSPACES)
    if num_subspaces < 1 or embedding.dim % num_subspaces:
        divisors = [number for number in range(1, embedding.dim + 1) if embedding.dim % number == 0]
        raise ValueError(
            f"num_subspaces must divide embedding.dim={embedding.dim}, got {num_subspaces}; it may be {divisors}."
        )
    inputs = encoded_inputs(features)
    field_map = embedding.field_map(inputs, features)
    condition = keras.layers.Flatten(name="condition")(field_map) if conditioned and num_layers else None
    # (batch, dim / h, fields * h): transposed once, for all layers and the output.
    x0 = SplitSubspaces(num_subspaces, fields_last=True, name="split_subspaces")(field_map)
    stacked_fields = x0.shape[2]
    x, maps = x0, [x0]
    for number in range(1, num_layers + 1):
        layer = make_layer(number, stacked_fields)
        x = layer([x, x0]) if condition is None else layer([x, x0], condition)
        maps.append(x)
    if not residual and num_layers:
        x = keras.layers.Concatenate(axis=-1, name="all_orders")(maps)
    output = FieldSumOutput(num_subspaces, fields_last=True, name="logit")
    return keras.Model(inputs, output(x), name=name)
