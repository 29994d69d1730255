"""The layout of the id space: the blocks of all features, one after another."""

from __future__ import annotations

from collections.abc import Mapping

from dynctr_tf.encoding.encoded_features import (
    FIRST_VALUE_OFFSET,
    MOST_IDS,
    PADDING_ID,
    EncodedFeatures,
    EncodedSequence,
    Field,
)
from dynctr_tf.encoding.value_keys import FIRST_KEY, NUM_KEYS
from dynctr_tf.schema import Feature, Schema


def describe_encoding(schema: Schema, num_values: Mapping[str, int]) -> EncodedFeatures:
    """Lays the blocks of ids of all features one after another; those of keys are one block at the end of the ids.

    Args:
        schema: The schema.
        num_values: For each feature with a vocabulary, bins or hash buckets of its own, how many values it has.

    Raises:
        ValueError: More than `MOST_IDS` ids; where features have keys, `FIRST_KEY` ids or more of the others.
    """
    single = [f for f in schema.features if f.kind != "sequence" and not is_wide(f)]
    wide = [f for f in schema.features if is_wide(f)]
    sequences = [f for f in schema.features if f.kind == "sequence"]
    blocks: dict[str, tuple[int, int]] = {}
    first = PADDING_ID + 1
    for feature in (*single, *wide, *sequences):
        if feature.vocabulary.keys:
            blocks[feature.name] = (FIRST_KEY, NUM_KEYS)
        elif feature.shares_vocabulary_with is None:
            size = num_values[feature.name] + FIRST_VALUE_OFFSET
            blocks[feature.name] = (first, size)
            first += size
    keys = [feature.name for feature in schema.features if feature.vocabulary.keys]
    most = FIRST_KEY if keys else MOST_IDS
    if first > most:
        largest = max((name for name in blocks if name not in keys), key=lambda name: blocks[name][1])
        bound = (
            f"the ids of vocabularies lie below {most:,} where features have keys, as {keys[0]!r} has"
            if keys
            else f"one id space has at most {most:,} (2^31 - 1)"
        )
        raise ValueError(
            f"The features have {first:,} ids together, of which {largest!r} has {blocks[largest][1]:,}. Ids are "
            f"int32, so that {bound}: the padding id, and for each feature its values, missing and unknown. Give "
            "features a max_size, a min_count or fewer hash_buckets, or let them have keys, which need no ids."
        )

    def block(feature: Feature) -> tuple[int, int]:
        return blocks[feature.shares_vocabulary_with or feature.name]

    def is_key(feature: Feature) -> bool:
        return (feature.shares_vocabulary_with or feature.name) in keys

    sizes = {f.role: block(f)[1] for f in schema.features if f.role in ("scenario", "group")}
    return EncodedFeatures(
        fields=tuple(
            Field(
                f.name,
                f.role,
                *block(f),
                max_values=f.max_length if is_wide(f) else 1,
                scenario_specific=f.scenario_specific,
                is_key=is_key(f),
            )
            for f in (*single, *wide)
        ),
        sequences=tuple(
            EncodedSequence(
                f.name,
                f.role,
                f.max_length,
                *block(f),
                field=f.shares_vocabulary_with,
                scenario_specific=f.scenario_specific,
                is_key=is_key(f),
            )
            for f in sequences
        ),
        num_scenarios=sizes.get("scenario", 0),
        num_groups=sizes.get("group", 0),
    )


def is_wide(feature: Feature) -> bool:
    """Whether the feature has an entry of its own in the batch; a set of at most one value has none."""
    return feature.kind == "multi_valued" and feature.max_length > 1
