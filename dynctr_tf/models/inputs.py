"""What all models begin with: the inputs of an encoded batch, and the field map made of them."""

from __future__ import annotations

from typing import Any

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.encoding.plain_names import plain_names
from dynctr_tf.layers import FieldEmbedding, ValuePooling


def encoded_inputs(features: EncodedFeatures) -> dict[str, Any]:
    """Makes the inputs of a model for an encoded batch.

    Use it to begin a model of your own. All models of one data set take the same batch, also those that do not
    look at the scenario or the group, so that models can be exchanged without touching the data.

    Args:
        features: The description that the encoder gives.

    Returns:
        A dict of int32 `keras.Input`, as `EncodedFeatures` describes a batch.

    Example:

    >>> sorted(encoded_inputs(EncodedFeatures.from_sizes([10, 20])))
    ['fields']
    """
    widths: dict[str, int] = {}
    if features.single_valued:
        widths["fields"] = len(features.single_valued)
    widths.update({field.key: field.max_values for field in features.multi_valued})
    widths.update({sequence.key: sequence.length for sequence in features.sequences})
    shapes: dict[str, tuple[int, ...]] = {key: (width,) for key, width in widths.items()}
    if features.num_scenarios:
        shapes["scenario"] = ()
    if features.num_groups:
        shapes["group"] = ()
    # A column may be called anything, also like a layer of the model; the key of the batch stays as it is.
    own = plain_names(entry.key for entry in features.own_entries)
    return {
        key: stack.keyed_input(key, shape, name=f"input_{own[key]}" if key in own else key)
        for key, shape in shapes.items()
    }


def embedded_fields(
    inputs: dict[str, Any],
    features: EncodedFeatures,
    embedding_dim: int,
    *,
    linear: bool = False,
    pooling: str = "mean",
    initial_scale: float = 0.01,
    row_regularizer_l2: float = 0.0,
    seed: int | None = None,
) -> Any:
    """Embeds an encoded batch with one table and one gather, the layer `"embedding"`.

    Use it behind `encoded_inputs`, in models without sequence layers: a sequence is pooled into one field, like
    the values of a multi-valued one, so that any model trains on any data.

    Args:
        inputs: What `encoded_inputs` gave.
        features: The description that the encoder gives.
        embedding_dim: Size of an embedding.
        linear: Whether first-order weights are wanted too. Default `False`.
        pooling: How values are pooled, `"mean"` or `"sum"`. Default `"mean"`.
        initial_scale: As `FieldEmbedding`. Default 0.01.
        row_regularizer_l2: As `FieldEmbedding`. Default 0.0.
        seed: As `FieldEmbedding`. Default `None`.

    Returns:
        The field map `(batch, fields + sequences, embedding_dim)`; with `linear` a pair of that and the
        first-order weights `(batch, fields + sequences, 1)`.

    Example:

    >>> features = EncodedFeatures.from_sizes([10, 20])
    >>> tuple(embedded_fields(encoded_inputs(features), features, 4).shape)
    (None, 2, 4)
    """
    pooled = [inputs[entry.key] for entry in features.own_entries]
    ids = [inputs["fields"], *pooled] if features.single_valued else pooled
    embedding = FieldEmbedding(
        features.num_ids,
        embedding_dim,
        linear=linear,
        initial_scale=initial_scale,
        row_regularizer_l2=row_regularizer_l2,
        seed=seed,
        name="embedding",
    )
    maps = embedding(ids if len(ids) > 1 else ids[0])
    if not pooled:
        return maps
    if not linear:
        return ValuePooling(pooling, name="pooling")([maps, *pooled])
    field_map, weights = maps
    return (
        ValuePooling(pooling, name="pooling")([field_map, *pooled]),
        ValuePooling(pooling, name="linear_pooling")([weights, *pooled]),
    )
