"""Frees the rows of keys that are not seen any more, while a model trains."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from dynctr_tf.layers import KeyEmbedding
from dynctr_tf.optimizers.composite_optimizer import CompositeOptimizer
from dynctr_tf.stack import raw_variable, slots_of


class ExpireKeys(keras.callbacks.Callback):  # type: ignore[misc]
    """Takes rows from keys that were not seen for long, in all `KeyEmbedding` layers of the model that is fitted.

    Use it in `model.fit(..., callbacks=[ExpireKeys(...)])`. Rows that become free get a new random start, and their
    optimizer state that of a row which has had no gradient: that of the padding row. This holds for any optimizer that
    keeps its state in slots, those of Keras and tensorflow-addons too.

    A warning says how many new keys have found no free row since the last time: they are answered as unknown ones until
    a row is free for them.

    Args:
        every: Steps between two times; it is done at the end of each epoch too. Default 1000.
        unseen_for: Steps in which a key was not seen until it goes. Default `None`: keys go only to make room.
        free_share: Share of the rows that must be free afterwards; those not seen for longest go. Default 0.1.

    Raises:
        ValueError: Numbers out of range; a model without a `KeyEmbedding` that trains.

    Cost: each time, one pass over 12 bytes for each row, and the rows that go.

    Example:

    >>> keys = keras.Input((2,), dtype="int64")
    >>> layer = KeyEmbedding(100, 4, name="embedding")
    >>> model = keras.Model(keys, keras.layers.Dense(1)(keras.layers.Flatten()(layer(keys))))
    >>> model.compile("adam", "mse")
    >>> rows = np.arange(1, 97, dtype=np.int64).reshape(48, 2)
    >>> _ = model.fit(rows, np.ones(48), batch_size=4, verbose=0, shuffle=False, callbacks=[ExpireKeys(unseen_for=3)])
    >>> layer.num_used
    24
    """

    def __init__(self, every: int = 1000, unseen_for: int | None = None, free_share: float = 0.1) -> None:
        super().__init__()
        if every < 1 or (unseen_for is not None and unseen_for < 1):
            raise ValueError(f"every and unseen_for are at least 1 step, got {every} and {unseen_for}.")
        if not 0 <= free_share < 1:
            raise ValueError(f"free_share lies from 0 to below 1, got {free_share}.")
        self.every = every
        self.unseen_for = unseen_for
        self.free_share = free_share
        self._steps = 0
        self._refused: dict[str, int] = {}

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        layers = self.model._flatten_layers()
        self.layers = [layer for layer in layers if isinstance(layer, KeyEmbedding) and layer.trainable]
        if not self.layers:
            raise ValueError(f"The model {self.model.name!r} has no KeyEmbedding that trains, so no key can expire.")
        self._refused = {layer.name: _refused(layer) for layer in self.layers}

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._steps += 1
        if self._steps % self.every == 0:
            self._expire()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._expire()

    def _expire(self) -> None:
        for layer in self.layers:
            refused = _refused(layer)
            if refused > self._refused[layer.name]:
                warnings.warn(
                    f"{refused - self._refused[layer.name]:,} times a new key found no free row among the "
                    f"{layer.num_keys:,} of {layer.name}: raise num_keys or free_share, or expire keys more often.",
                    stacklevel=2,
                )
                self._refused[layer.name] = refused
            rows = layer.stale_rows(self.unseen_for, int(np.ceil(self.free_share * layer.num_keys)))
            if len(rows):
                layer.drop_rows(rows)
                _start_slots(self.model.optimizer, layer, rows)


def _refused(layer: KeyEmbedding) -> int:
    return int(raw_variable(layer.num_refused))


def _start_slots(optimizer: Any, layer: KeyEmbedding, rows: np.ndarray) -> None:
    """Gives rows of a table the optimizer state of the padding row, which no gradient has changed."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    member = optimizer.member_of(layer.table) if isinstance(optimizer, CompositeOptimizer) else optimizer
    for slot in slots_of(member, layer.table):
        if slot.shape.rank and slot.shape[0] == layer.num_ids:
            start = tf.repeat(tf.gather(slot, [0]), len(rows), axis=0)
            slot.scatter_update(tf.IndexedSlices(start, tf.constant(rows)))
