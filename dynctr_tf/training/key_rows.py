"""The tables of a model in which keys take rows, and the optimizer's state of rows that they take and leave."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf.layers import KeyEmbedding
from dynctr_tf.optimizers.composite_optimizer import CompositeOptimizer
from dynctr_tf.stack import slots_of


def key_layers(model: Any) -> list[KeyEmbedding]:
    """Returns the layers of a model, also of models within it, in which keys take rows.

    Args:
        model: The model.
    """
    return [layer for layer in model._flatten_layers() if isinstance(layer, KeyEmbedding)]


def count_parameters(model: Any) -> int:
    """Counts the weights of a model, those of keys without what says which row is whose.

    Args:
        model: The model.
    """
    tables = sum(layer.count_params() - int(np.prod(layer.table.shape)) for layer in key_layers(model))
    return int(model.count_params()) - tables


def start_slots(optimizer: Any, layer: KeyEmbedding, rows: np.ndarray) -> None:
    """Gives rows of a table the optimizer state of the padding row, which no gradient has changed.

    Args:
        optimizer: The optimizer of the model, built.
        layer: The layer of the table.
        rows: The rows, `(n,)`.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    member = optimizer.member_of(layer.table) if isinstance(optimizer, CompositeOptimizer) else optimizer
    for slot in slots_of(member, layer.table):
        if slot.shape.rank and slot.shape[0] == layer.num_ids:
            start = tf.repeat(tf.gather(slot, [0]), len(rows), axis=0)
            slot.scatter_update(tf.IndexedSlices(start, tf.constant(rows)))
