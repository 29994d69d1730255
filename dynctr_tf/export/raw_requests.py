"""Rows of a source as a client would send them: named tensors, and serialized `tf.Example` messages."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from dynctr_tf.encoding.plain_names import plain_names
from dynctr_tf.schema import Feature, Schema


def raw_signature(schema: Schema) -> dict[str, tf.TensorSpec]:
    """The named tensors that the exported model takes.

    A string `(batch,)` for a categorical feature, `""` where it is missing; a float32 `(batch,)` for a numeric
    one, NaN where it is missing; strings `(batch, values)`, padded with `""`, for a multi-valued or sequence one.

    The keys are the names of the columns; the names in the specifications are their `plain_names`, which TensorFlow
    accepts for arguments.
    """
    plain = plain_names(feature.name for feature in schema.features)
    return {
        feature.name: tf.TensorSpec(
            (None, None) if _is_list(feature) else (None,),
            tf.float32 if feature.kind == "numeric" else tf.string,
            name=plain[feature.name],
        )
        for feature in schema.features
    }


def item_features(schema: Schema) -> frozenset[str]:
    """The features that have a row for each item in a request of one user and many items; the others have one row.

    These are the features of the role item, if there are features of other roles too; else there are none.
    """
    items = {feature.name for feature in schema.features if feature.role == "item"}
    return frozenset(items if len(items) < len(schema.features) else ())


def left_out(specification: tf.TensorSpec) -> tf.Tensor:
    """The tensor without rows that stands for a feature which a request leaves out."""
    return tf.zeros([0] * specification.shape.rank, specification.dtype)


def example_features(schema: Schema) -> dict[str, Any]:
    """How a serialized `tf.Example` is parsed; a feature that it lacks is missing."""
    parsed: dict[str, Any] = {}
    for feature in schema.features:
        if _is_list(feature):
            parsed[feature.name] = tf.io.RaggedFeature(tf.string)
        elif feature.kind == "numeric":
            parsed[feature.name] = tf.io.FixedLenFeature((), tf.float32, default_value=float("nan"))
        else:
            parsed[feature.name] = tf.io.FixedLenFeature((), tf.string, default_value="")
    return parsed


def raw_tensors(columns: pa.RecordBatch, schema: Schema) -> dict[str, tf.Tensor]:
    """Turns columns of a row source into the named tensors of `raw_signature`."""
    tensors = {}
    for feature in schema.features:
        column = columns.column(columns.schema.get_field_index(feature.name))
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if feature.kind == "numeric":
            values = column.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float32)
            tensors[feature.name] = tf.constant(values)
        elif _is_list(feature):
            lists = [_values(entry, feature) for entry in column.to_pylist()]
            tensors[feature.name] = tf.ragged.constant(lists, ragged_rank=1, dtype=tf.string).to_tensor("")
        else:
            tensors[feature.name] = tf.constant(pc.fill_null(column.cast(pa.string()), "").to_pylist(), tf.string)
    return tensors


def serialized_examples(columns: pa.RecordBatch, schema: Schema) -> list[bytes]:
    """Turns columns of a row source into serialized `tf.Example` messages, without what is missing."""
    entries = {
        feature.name: columns.column(columns.schema.get_field_index(feature.name)).to_pylist()
        for feature in schema.features
    }
    messages = []
    for row in range(columns.num_rows):
        present = {}
        for feature in schema.features:
            value = entries[feature.name][row]
            if value is None:
                continue
            if feature.kind == "numeric":
                present[feature.name] = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
            else:
                values = _values(value, feature) if _is_list(feature) else [value]
                encoded = [text.encode() for text in values if text]
                present[feature.name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))
        messages.append(tf.train.Example(features=tf.train.Features(feature=present)).SerializeToString())
    return messages


def json_instances(columns: pa.RecordBatch, schema: Schema) -> list[dict[str, Any]]:
    """Turns columns of a row source into the `instances` of a request to TF Serving's REST interface.

    A missing number is NaN. `json.dumps` writes the word `NaN`, which is not JSON, but which TF Serving reads.
    All lists of a feature have the same length.

    Example:

    >>> schema = Schema((Feature("city", "categorical"), Feature("tags", "multi_valued")), label="click")
    >>> json_instances(pa.RecordBatch.from_pydict({"city": ["Oslo", None], "tags": ["a|b", None]}), schema)
    [{'city': 'Oslo', 'tags': ['a', 'b']}, {'city': '', 'tags': ['', '']}]
    """
    entries: dict[str, list[Any]] = {}
    for feature in schema.features:
        column = columns.column(columns.schema.get_field_index(feature.name)).to_pylist()
        if feature.kind == "numeric":
            entries[feature.name] = [math.nan if value is None else float(value) for value in column]
        elif _is_list(feature):
            lists = [_values(entry, feature) for entry in column]
            length = max([1, *map(len, lists)])
            entries[feature.name] = [[*values, *[""] * (length - len(values))] for values in lists]
        else:
            entries[feature.name] = [value or "" for value in column]
    return [{name: values[row] for name, values in entries.items()} for row in range(columns.num_rows)]


def tensors_of_instances(instances: list[dict[str, Any]], schema: Schema) -> dict[str, tf.Tensor]:
    """Turns the `instances` of a request into the named tensors of `raw_signature`, as TF Serving does."""
    kinds = {feature.name: tf.float32 if feature.kind == "numeric" else tf.string for feature in schema.features}
    return {name: tf.constant([row[name] for row in instances], kind) for name, kind in kinds.items()}


def _is_list(feature: Feature) -> bool:
    return feature.kind in ("multi_valued", "sequence")


def _values(entry: str | list[str | None] | None, feature: Feature) -> list[str]:
    """The values of a row's entry; a source gives a list, or a text with the separator between values."""
    if isinstance(entry, str):
        if feature.list_format != "separated":
            raise ValueError(f"A source reads the lists of {feature.name!r} that are in brackets, got {entry!r}.")
        entry = list(entry.split(feature.separator))
    return [text for text in entry or [] if text]
