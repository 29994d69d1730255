"""The inputs of all models, an encoded batch."""

from __future__ import annotations

from typing import Any

from dynctr_tf import stack
from dynctr_tf.encoding.encoded_features import EncodedFeatures
from dynctr_tf.encoding.plain_names import plain_names


def encoded_inputs(features: EncodedFeatures) -> dict[str, Any]:
    """Makes the inputs of a model for an encoded batch.

    Use it to begin a model of your own. All models of one data set take the same batch, also those that do not
    look at the scenario or the group, so that models can be exchanged without touching the data.

    Args:
        features: The description that the encoder gives.

    Returns:
        A dict of `keras.Input`, as `EncodedFeatures` describes a batch: int32, and int64 where ids may be too large for
        that, as keys without a vocabulary are.

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
    wide = dict.fromkeys(widths, "int64") if features.num_ids >= 2**31 else {}
    # A column may have any name, also that of a layer of the model; the key of the batch does not change.
    own = plain_names(entry.key for entry in features.own_entries)
    return {
        key: stack.keyed_input(
            key, shape, name=f"input_{own[key]}" if key in own else key, dtype=wide.get(key, "int32")
        )
        for key, shape in shapes.items()
    }
