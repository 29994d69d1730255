"""Frees the rows of keys that are not seen any more, while a model trains."""

from __future__ import annotations

import warnings

import numpy as np
from tensorflow import keras

from dynctr_tf.layers import KeyEmbedding
from dynctr_tf.stack import raw_variable
from dynctr_tf.training.key_rows import key_layers, start_slots


class ExpireKeys(keras.callbacks.Callback):  # type: ignore[misc]
    """Takes rows from keys that were not seen for long, in all `KeyEmbedding` layers of the model that is fitted.

    Use it in `model.fit(..., callbacks=[ExpireKeys(...)])`. Rows that become free get a new random start, and their
    optimizer state that of a row which has had no gradient: that of the padding row. This holds for any optimizer that
    keeps its state in slots, those of Keras and tensorflow-addons too.

    A warning says how often new keys have found no free row, and again when it has happened twice as often: they are
    answered as unknown ones until a row is free for them.

    Steps are counted in the weights of the layer. So a training that is stopped and goes on from a checkpoint frees the
    rows that it would have freed. Put it before a callback that saves at the end of an epoch.

    Args:
        every: Steps between two times; it is done at the end of each epoch of `fit` too. Default 1000.
        unseen_for: Steps in which a key was not seen until it goes. Default `None`: keys go only to make room.
        free_share: Share of the rows that must be free afterwards; those not seen for longest go. With 0 and
            `unseen_for=None` no key goes, and only the warning remains. Default 0.1.

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
        self._warned: dict[str, int] = {}

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.layers = [layer for layer in key_layers(self.model) if layer.trainable]
        if not self.layers:
            raise ValueError(f"The model {self.model.name!r} has no KeyEmbedding that trains, so no key can expire.")
        self._steps = max(int(raw_variable(layer.steps)) for layer in self.layers)
        self._warned = {layer.name: _refused(layer) for layer in self.layers}

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._steps += 1
        if self._steps % self.every == 0:
            self._expire()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._expire()

    def _expire(self) -> None:
        for layer in self.layers:
            refused = _refused(layer)
            if refused > 2 * self._warned[layer.name]:
                warnings.warn(
                    f"{refused:,} times a new key found no free row among the {layer.num_keys:,} of {layer.name}, so "
                    "that it is answered with zeros: raise num_keys or free_share, or expire keys more often.",
                    stacklevel=2,
                )
                self._warned[layer.name] = refused
            if self.unseen_for is None and not self.free_share:
                continue
            rows = layer.stale_rows(self.unseen_for, int(np.ceil(self.free_share * layer.num_keys)))
            if len(rows):
                layer.drop_rows(rows)
                start_slots(self.model.optimizer, layer, rows)


def _refused(layer: KeyEmbedding) -> int:
    return int(raw_variable(layer.num_refused))
