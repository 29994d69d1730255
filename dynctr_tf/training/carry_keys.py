"""Rows of keys that are ids of vocabularies: they move with their values when the vocabularies grow."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf.encoding.growth import IdMap
from dynctr_tf.layers import KeyEmbedding
from dynctr_tf.stack import raw_variable
from dynctr_tf.training.key_rows import start_slots


def carry_keys(layer: KeyEmbedding, ids: IdMap, optimizer: Any = None) -> np.ndarray:
    """Gives rows of a grown model, which has the weights of the model before, the ids that their values have now.

    Keys without a vocabulary stay. A new value whose field's unknown value has a row gets a row like it, so that the
    model answers as before; without a free row it is answered with zeros, which a warning says. Rows of values that
    have no id any more are free.

    Args:
        layer: The layer of the grown model.
        ids: What `dynctr_tf.encoding.id_map` says of the two encoders.
        optimizer: The optimizer of the grown model, with the state of the one before; rows that come or go get the
            state of a row that has had no gradient. Default `None`: none.

    Returns:
        The rows of new values, `(n,)`.

    Cost: one pass over the keys.
    """
    keys = raw_variable(layer.keys).numpy()
    rows = np.flatnonzero((keys > 0) & (keys < ids.before.num_vocabulary_ids))
    id_now = np.zeros(ids.before.num_vocabulary_ids, np.int64)
    stays = np.flatnonzero(~ids.is_new)
    id_now[ids.rows[stays]] = stays
    gone = rows[id_now[keys[rows]] == 0]
    if len(gone):
        layer.drop_rows(gone)
    rows = np.setdiff1d(rows, gone, assume_unique=True)
    layer.rename_keys(rows, id_now[keys[rows]])
    new = np.flatnonzero(ids.is_new)
    unknown = layer.rows_of(id_now[ids.rows[new]])
    new, unknown = new[unknown > 0], unknown[unknown > 0]
    free = layer.num_keys - layer.num_used
    if len(new) > free:
        warnings.warn(
            f"{len(new) - free:,} of {len(new):,} new values of vocabularies found no free row among the "
            f"{layer.num_keys:,} of {layer.name}, so that they are answered with zeros: raise num_keys or free_share.",
            stacklevel=2,
        )
        new, unknown = new[:free], unknown[:free]
    layer.add_keys(new)
    own = layer.rows_of(new)
    table = raw_variable(layer.table)
    table.scatter_update(tf.IndexedSlices(tf.gather(table, unknown), tf.constant(own)))
    if optimizer is not None:
        start_slots(optimizer, layer, np.union1d(gone, own))
    return own
