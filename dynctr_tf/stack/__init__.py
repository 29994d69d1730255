"""Every difference between Keras 2 and Keras 3 that the library meets, one file for each subject.

The library speaks `tf.keras` and runs on three stacks: the newest TensorFlow with Keras 3, the same with
tf_keras (`TF_USE_LEGACY_KERAS=1`, set before TensorFlow is first imported), and TensorFlow 2.15 with
Keras 2.15. What the three do alike, the library calls directly; what they do differently is in this package.
"""

from dynctr_tf.stack.export import attach_to_export, saved_object, track_for_export, write_quietly
from dynctr_tf.stack.graphs import GraphCall, copy_trainable_of_weights, graph_calls, graph_of, in_form_of
from dynctr_tf.stack.inputs import KeyedInput, copied_input, input_is_used, keyed_input
from dynctr_tf.stack.layers import (
    ConditionedLayer,
    FloatInputs,
    Layer,
    MaskedLayer,
    ScenarioLayer,
    Sum,
    add_moving_average,
    as_floats,
    build_attention,
    given_mask,
    wide_dtype,
    widened,
)
from dynctr_tf.stack.optimizers import (
    DelegatingOptimizer,
    RuleOptimizer,
    apply_member,
    assign_state,
    build_member,
    is_legacy_optimizer,
    is_optimizer,
    learning_rate_variable,
    optimizer_state,
    refuse_options,
    slots_of,
)
from dynctr_tf.stack.random_state import keep_random_state_in_variables, random_states
from dynctr_tf.stack.replicas import ReplicaSum, once_for_all_replicas, sum_over_replicas
from dynctr_tf.stack.serializable import serializable
from dynctr_tf.stack.tables import TableNotes, attach_table_notes, bits_checksum, table_notes
from dynctr_tf.stack.variables import (
    raw_variable,
    row_pieces,
    shape_of_new_variable,
    shards_of,
    storage_dtype,
    uncast_weight_options,
    variable_path,
    variable_paths,
    whole_variables,
)
from dynctr_tf.stack.versions import KERAS_3

__all__ = [
    "ConditionedLayer",
    "DelegatingOptimizer",
    "FloatInputs",
    "GraphCall",
    "KERAS_3",
    "KeyedInput",
    "Layer",
    "MaskedLayer",
    "ReplicaSum",
    "RuleOptimizer",
    "ScenarioLayer",
    "Sum",
    "TableNotes",
    "add_moving_average",
    "apply_member",
    "as_floats",
    "assign_state",
    "attach_table_notes",
    "attach_to_export",
    "bits_checksum",
    "build_attention",
    "build_member",
    "copied_input",
    "copy_trainable_of_weights",
    "given_mask",
    "graph_calls",
    "graph_of",
    "in_form_of",
    "input_is_used",
    "is_legacy_optimizer",
    "is_optimizer",
    "keep_random_state_in_variables",
    "keyed_input",
    "learning_rate_variable",
    "once_for_all_replicas",
    "optimizer_state",
    "random_states",
    "raw_variable",
    "refuse_options",
    "row_pieces",
    "saved_object",
    "serializable",
    "shape_of_new_variable",
    "shards_of",
    "slots_of",
    "storage_dtype",
    "sum_over_replicas",
    "table_notes",
    "track_for_export",
    "uncast_weight_options",
    "variable_path",
    "variable_paths",
    "whole_variables",
    "wide_dtype",
    "widened",
    "write_quietly",
]
