"""Where indices of scenarios and groups enter layers: which ones a layer takes, and how it refuses others."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf.encoding.encoded_features import FIRST_VALUE_OFFSET
from dynctr_tf.nearest import unknown_name_message

UNKNOWN = ("mean", "error")
"""What a row of a scenario that is missing or was not in the training data gets."""


def check_scenarios(layer_name: str, num_scenarios: int, unknown: str) -> int:
    """Checks the arguments of a layer with parameters per scenario, and returns the number of real scenarios.

    Args:
        layer_name: The name of the layer, for the error.
        num_scenarios: Number of scenarios, the missing and the unknown one included.
        unknown: What rows of these two get.

    Raises:
        ValueError: No real scenario, or an unknown choice.
    """
    if num_scenarios <= FIRST_VALUE_OFFSET:
        raise ValueError(
            f"num_scenarios of {layer_name} counts the missing scenario 0, the unknown scenario 1 and at least one "
            f"real one, so it must be at least 3; got {num_scenarios}. `EncodedFeatures.num_scenarios` has it where "
            "a feature of the schema has the role 'scenario'."
        )
    if unknown not in UNKNOWN:
        raise ValueError(unknown_name_message("choice for unknown scenarios", str(unknown), UNKNOWN))
    return int(num_scenarios) - FIRST_VALUE_OFFSET


def checked_indices(layer_name: str, indices: Any, count: int) -> tf.Tensor:
    """Returns indices of groups or scenarios as int32, refused while running where there is no such group.

    TensorFlow would answer such rows somehow: layers clip, a GPU gathers zeros. Eager calls and graphs refuse them
    alike, in training, `predict` and a SavedModel; what XLA compiles (also for a TPU) and TFLite leave checks out.

    Args:
        layer_name: The name of the layer, for errors.
        indices: The indices, of an integer dtype.
        count: The number of groups or scenarios, the missing and the unknown one included.

    Raises:
        ValueError: They have no integer dtype; a policy may have rounded them to other ones.
        tf.errors.InvalidArgumentError: While running: an index below 0 or not below `count`.

    Cost:
        Two reductions of the batch's indices, a hundredth of a millisecond or two for thousands of rows.
    """
    indices = tf.convert_to_tensor(indices)
    if not indices.dtype.is_integer:
        raise ValueError(
            f"{layer_name} takes numbers of groups or scenarios in an integer dtype, got {indices.dtype.name}; "
            "give its input dtype='int32'."
        )
    # In int64 where int32 would turn an index into another one.
    wide = indices.dtype.size == 8 or indices.dtype == tf.uint32
    indices = tf.cast(indices, tf.int64 if wide else tf.int32)
    lowest, highest = tf.reduce_min(indices), tf.reduce_max(indices)
    message = (
        f"{layer_name} has {count} groups or scenarios, with indices from 0 (missing) and 1 (unknown) to {count - 1}, "
        "and got another index. The lowest and the highest of the batch:"
    )
    check = tf.debugging.Assert(tf.logical_and(lowest >= 0, highest < count), [message, lowest, highest])
    with tf.control_dependencies([] if check is None else [check]):
        return tf.cast(tf.identity(indices), tf.int32)


def checked_scenario(layer_name: str, scenario: Any, num_scenarios: int, unknown: str) -> tf.Tensor:
    """Returns scenario indices as int32 `(batch,)`, refused while running where there is no such scenario.

    Args:
        layer_name: The name of the layer, for errors.
        scenario: int, `(batch,)` or `(batch, 1)`.
        num_scenarios: Number of scenarios, the missing and the unknown one included.
        unknown: `"mean"`; or `"error"`, where scenarios may not be missing or unknown.

    Raises:
        ValueError: There is none, or what `checked_indices` raises.
    """
    if scenario is None:
        raise ValueError(f"{layer_name} takes inputs and the index of each row's scenario; got no scenario.")
    scenario = checked_indices(layer_name, tf.reshape(scenario, [-1]), num_scenarios)
    if unknown == "mean":
        return scenario
    message = (
        f"{layer_name} has unknown='error' and got rows whose scenario is missing (0) or was not in the training data "
        "(1). Leave such rows out, or build the model with unknown='mean'."
    )
    check = tf.debugging.assert_greater_equal(scenario, FIRST_VALUE_OFFSET, message=message)
    with tf.control_dependencies([] if check is None else [check]):
        return tf.identity(scenario)
