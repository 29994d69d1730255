"""An embedding table for keys that no vocabulary knows: rows come with new keys, and go when keys expire."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.embedding.field_embedding import FieldEmbedding
from dynctr_tf.layers.embedding.key_index import KeyIndex, pairs_checksum


@stack.serializable
class KeyEmbedding(FieldEmbedding):
    """Turns any int64 keys into embeddings: a key gets a row of the table when it is first seen in training.

    Use it where ids come without a vocabulary: users, items or hashed values that appear and disappear while a model
    trains for days. With a vocabulary `FieldEmbedding` is faster. Give `ExpireKeys` of `dynctr_tf.training` to `fit`,
    which frees the rows of keys that are not seen any more, and `freeze_keys` of `dynctr_tf.export` the model that is
    to be served.

    With keys `k_1 ... k_n` of a row of the batch, the table `E` and the row `r(k)` of a key:
    `output[j] = E[r(k_j)]`, and 0 for the padding key 0 and for keys without a row. In training each new key takes a
    free row, which holds a random start; once no row is free, new keys stay without one and are counted. Otherwise no
    row is taken. The rows are those of a `FieldEmbedding`: any optimizer trains them, with the state that it keeps for
    each row, and the same keys in the same order give the training of a static table. `GroupFtrl` wants
    `untouched_rows="keep"`: otherwise its first step sets to 0 the rows that later keys will take. While the layer is
    not trainable no key takes a row.

    All keys share one space: keys of two columns that are equal share a row. Where columns count alike, hash them
    together with their names.

    Everything is in the weights: the key of each row, when it was last seen, which rows are free. So checkpoints,
    `.keras` files and `set_weights` hold all of it. A hash table beside them finds the rows; it is made again after
    weights were loaded.

    Args:
        num_keys: How many keys can have a row at a time. Memory is taken for all of them at the start.
        output_dim: As `FieldEmbedding`.
        linear: As `FieldEmbedding`. Default `False`.
        initial_scale: As `FieldEmbedding`. Default 0.05.
        row_regularizer_l2: As `FieldEmbedding`. Default 0.0.
        seed: As `FieldEmbedding`. Default `None`.
        index_kind: Whose hash table finds the rows: `"tensorflow"`, or `"tfra"` for that of
            tensorflow-recommenders-addons, which takes somewhat less memory and more time. Default `"tensorflow"`.
        keys_are_ids: Whether keys are ids of an encoded batch, of which those of vocabularies move when these grow:
            `carry_over` of `dynctr_tf.training` then moves their rows with their values. Default `False`: keys never
            change.
        **kwargs: As `keras.layers.Layer`.

    Call arguments:
        inputs: keys of an integer dtype, or a list of such tensors. A `keras.Input` of them must be int64: Keras
            casts what it is given to the dtype of the input.
        training: As `FieldEmbedding`; keys get rows with `True` alone. Default `None`: as `False`.

    Input shape:
        As `FieldEmbedding`.

    Output shape:
        As `FieldEmbedding`.

    Raises:
        ValueError: A strategy of several devices or processes, which would each have keys of their own, an unknown
            kind of index, or as `FieldEmbedding`.
        ImportError: tensorflow-recommenders-addons is wanted and is not there.

    Cost: as a `FieldEmbedding` of `num_keys + 1` ids; 16 bytes of weights for each row and about 45 of the hash table
    for each key; and one look-up for each distinct key of a batch, 0.2 to 1 microseconds.

    Example:

    >>> layer = KeyEmbedding(num_keys=1000, output_dim=4)
    >>> keys = tf.constant([[-7, 2**62], [-7, 0]])
    >>> layer(keys, training=True).shape, layer.num_used
    (TensorShape([2, 2, 4]), 2)
    """

    def __init__(
        self,
        num_keys: int,
        output_dim: int,
        linear: bool = False,
        initial_scale: float = 0.05,
        row_regularizer_l2: float = 0.0,
        seed: int | None = None,
        index_kind: str = "tensorflow",
        keys_are_ids: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            int(num_keys) + 1,
            output_dim,
            linear=linear,
            initial_scale=initial_scale,
            row_regularizer_l2=row_regularizer_l2,
            seed=seed,
            **kwargs,
        )
        self.num_keys = int(num_keys)
        self.index_kind = index_kind
        self.keys_are_ids = keys_are_ids
        self._index = KeyIndex(index_kind)

    def build(self, input_shape: Any) -> None:
        strategy = tf.distribute.get_strategy()
        if tf.distribute.has_strategy() and not isinstance(strategy, tf.distribute.OneDeviceStrategy):
            raise ValueError(
                f"{self.name} gives keys their rows in one process on one device, and is built in the scope of "
                f"{type(strategy).__name__}. Build the model without a strategy, or take a FieldEmbedding."
            )
        super().build(input_shape)
        rows = self.num_ids
        with tf.device("/CPU:0"):
            self.keys = self._add_state("keys", (rows,), "int64")  # of each row; 0 for a row that no key has
            self.seen = self._add_state("seen", (rows,), "int32")  # the step in which the row's key was last seen
            # The free rows are the first num_free numbers; row 1 is taken first.
            self.free = self._add_state("free", (rows,), "int32", lambda: tf.range(rows - 1, -1, -1))
            self.num_free = self._add_state("num_free", (), "int32", lambda: tf.constant(rows - 1))
            self.steps = self._add_state("steps", (), "int64")
            self.num_refused = self._add_state("num_refused", (), "int64")  # times a new key found no free row
            self.num_freed = self._add_state("num_freed", (), "int64")  # rows that were taken from their keys
            self.checksum = self._add_state("checksum", (), "int64")

    def _add_state(self, name: str, shape: tuple[int, ...], dtype: str, start: Any = None) -> Any:
        def initializer(shape: Any, dtype: Any = None, **_: Any) -> tf.Tensor:
            return tf.zeros(shape, dtype) if start is None else tf.cast(start(), dtype)

        options = stack.uncast_weight_options()
        return self.add_weight(name=name, shape=shape, dtype=dtype, initializer=initializer, trainable=False, **options)

    @property
    def num_used(self) -> int:
        """How many keys have a row; the layer must be built."""
        return self.num_keys - int(stack.raw_variable(self.num_free))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        keys = tf.cast(self._joined(inputs), tf.int64)
        return self._embedded(self._rows(keys, training), training)

    def _rows(self, keys: tf.Tensor, training: bool | None) -> tf.Tensor:
        """The rows of keys, int32 of their shape."""
        if not isinstance(stack.raw_variable(self.keys), tf.Variable):
            return tf.zeros_like(keys, tf.int32)  # Keras 3 traces a model that was never called
        flat_keys = tf.reshape(keys, [-1])
        with tf.device("/CPU:0"):
            self._index.follow(stack.raw_variable(self.keys), stack.raw_variable(self.checksum))
            if tf.is_tensor(training):
                trains = tf.logical_and(tf.cast(training, tf.bool), self.trainable)
                rows = tf.cond(trains, lambda: self._seen(flat_keys), lambda: self._index.find(flat_keys))
            else:
                rows = self._seen(flat_keys) if training and self.trainable else self._index.find(flat_keys)
        rows = tf.reshape(tf.cast(rows, tf.int32), tf.shape(keys))
        rows.set_shape(keys.shape)
        return rows

    def _seen(self, flat_keys: tf.Tensor) -> tf.Tensor:
        """The rows of keys of a step of training, int64 `(n,)`; those without a row get one if there is one."""
        steps, seen = stack.raw_variable(self.steps), stack.raw_variable(self.seen)
        distinct, positions = tf.unique(flat_keys)
        rows = self._index.find(distinct)
        new = tf.where(tf.logical_and(tf.equal(rows, 0), tf.not_equal(distinct, 0)))  # (new, 1)
        rows = tf.cond(
            tf.size(new) > 0,
            lambda: tf.tensor_scatter_nd_update(rows, new, self._take_rows(tf.gather_nd(distinct, new))),
            lambda: rows,
        )
        steps.assign_add(1)
        seen.scatter_update(tf.IndexedSlices(tf.fill(tf.shape(rows), tf.cast(steps, tf.int32)), rows))
        return tf.gather(rows, positions)

    def _take_rows(self, new: tf.Tensor) -> tf.Tensor:
        """Gives new keys free rows; returns them, int64 `(n,)`, 0 for those that found none."""
        keys, free, num_free, num_refused, checksum = (
            stack.raw_variable(weight)
            for weight in (self.keys, self.free, self.num_free, self.num_refused, self.checksum)
        )
        count = tf.minimum(tf.size(new), num_free)
        placed, refused = new[:count], tf.size(new) - count
        rows = tf.gather(free, num_free - 1 - tf.range(count))  # from the end
        keys.scatter_update(tf.IndexedSlices(placed, rows))
        self._index.add(placed, rows)
        checksum.assign_add(pairs_checksum(placed, rows))
        num_free.assign_sub(count)
        num_refused.assign_add(tf.cast(refused, tf.int64))
        return tf.pad(tf.cast(rows, tf.int64), [[0, refused]])

    def add_keys(self, keys: Any) -> None:
        """Gives keys rows before they are seen, the lowest free one first, so that known vectors can be put there.

        Args:
            keys: Distinct whole numbers other than 0; those that have a row keep it.

        Raises:
            ValueError: A key is 0 or is given twice, or there are not enough free rows.
        """
        given = tf.constant(np.asarray(keys, np.int64).reshape(-1))
        if len(np.unique(given)) < len(given) or not np.all(given):
            raise ValueError(f"{self.name} takes each key once, and not 0, which is padding; got {keys!r}.")
        self._index.follow(stack.raw_variable(self.keys), stack.raw_variable(self.checksum))
        new = tf.boolean_mask(given, tf.equal(self._index.find(given), 0))
        if len(new) > self.num_keys - self.num_used:
            raise ValueError(
                f"{self.name} has {self.num_keys - self.num_used} free rows and got {len(new)} new keys; "
                f"num_keys={self.num_keys} must be larger, or rows freed."
            )
        rows = tf.cast(self._take_rows(new), tf.int32)
        steps = tf.cast(stack.raw_variable(self.steps), tf.int32)
        stack.raw_variable(self.seen).scatter_update(tf.IndexedSlices(tf.fill(tf.shape(rows), steps), rows))

    def rename_keys(self, rows: np.ndarray, keys: np.ndarray) -> None:
        """Gives rows other keys; what is in the rows stays.

        Args:
            rows: Distinct rows that keys have, `(n,)`.
            keys: The new key of each, `(n,)`, not 0; all keys of the layer must be distinct afterwards.

        Raises:
            ValueError: A row that no key has, or a key that is 0 or that two rows would have.
        """
        own, checksum = stack.raw_variable(self.keys), stack.raw_variable(self.checksum)
        after = own.numpy()
        if len(rows) and not (np.all(after[rows]) and np.all(keys)):
            raise ValueError(f"{self.name} renames keys that have a row, to keys other than 0.")
        after[rows] = keys
        used = np.flatnonzero(after)
        if len(np.unique(after[used])) < len(used):
            raise ValueError(f"{self.name} would have two rows of one key; rename keys to distinct ones.")
        own.assign(after)
        checksum.assign(pairs_checksum(tf.constant(after[used]), tf.constant(used)))

    def rows_of(self, keys: Any) -> np.ndarray:
        """Returns the rows of the table that keys have, int64 `(n,)`; 0 for a key that has none.

        Args:
            keys: Whole numbers `(n,)`.
        """
        self._index.follow(stack.raw_variable(self.keys), stack.raw_variable(self.checksum))
        found: np.ndarray = self._index.find(tf.constant(np.asarray(keys, np.int64))).numpy()
        return found

    def stale_rows(self, unseen_for: int | None = None, num_free: int = 0) -> np.ndarray:
        """Returns the rows whose keys have not been seen for long, int64 `(n,)`.

        Args:
            unseen_for: Steps in which a key was not seen until it is stale. Default `None`: never.
            num_free: How many rows must be free afterwards: those not seen for longest are stale too. Default 0.
        """
        used = np.flatnonzero(stack.raw_variable(self.keys).numpy())
        seen = stack.raw_variable(self.seen).numpy()[used]
        is_stale = np.zeros(len(used), bool)
        if unseen_for is not None:
            is_stale = int(stack.raw_variable(self.steps)) - seen >= unseen_for
        missing = min(num_free - (self.num_keys - len(used)), len(used))
        if missing > is_stale.sum():
            is_stale = np.zeros(len(used), bool)
            is_stale[np.argsort(seen, kind="stable")[:missing]] = True
        return used[is_stale]

    def drop_rows(self, rows: np.ndarray) -> None:
        """Takes rows from their keys: the rows are free, with a new random start.

        The state that an optimizer keeps for them is not changed; `dynctr_tf.training.ExpireKeys` does both.

        Args:
            rows: Distinct rows that keys have, `(n,)`.

        Raises:
            ValueError: A row that no key has, or that is given twice.
        """
        keys, free, num_free, num_freed, checksum, table, steps = (
            stack.raw_variable(weight)
            for weight in (
                self.keys,
                self.free,
                self.num_free,
                self.num_freed,
                self.checksum,
                self.table,
                self.steps,
            )
        )
        places = tf.constant(np.asarray(rows, np.int32))
        dropped = tf.gather(keys, places)
        if len(np.unique(rows)) < len(rows) or not np.all(dropped):
            raise ValueError(f"{self.name} drops distinct rows that keys have, as stale_rows gives them; got {rows!r}.")
        self._index.follow(keys, checksum)
        self._index.remove(dropped, places)
        # The same keys at the same step start alike, so that a run that is resumed does not differ.
        start = tf.random.stateless_uniform(
            (len(places), self.output_dim), tf.stack([checksum, steps]), -self.initial_scale, self.initial_scale
        )
        checksum.assign_sub(pairs_checksum(dropped, places))
        keys.scatter_update(tf.IndexedSlices(tf.zeros_like(dropped), places))
        free.scatter_update(tf.IndexedSlices(places, num_free + tf.range(len(places))))
        num_free.assign_add(len(places))
        num_freed.assign_add(len(places))
        table.scatter_update(tf.IndexedSlices(tf.pad(start, [[0, 0], [0, int(self.linear)]]), places))

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        """What TensorFlow saves of the layer: its weights, and nothing in a SavedModel, which cannot hold the index.

        Raises:
            ValueError: A SavedModel is made.
        """
        if save_type == "savedmodel":
            raise ValueError(
                f"{self.name} finds rows in a hash table that no SavedModel holds. Export "
                "dynctr_tf.export.freeze_keys(model), which answers the same."
            )
        children: dict[str, Any] = super()._trackable_children(save_type, **kwargs)
        return children

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["num_ids"], config["num_ids_per_field"], config["deduplicate"]
        own = {"num_keys": self.num_keys, "index_kind": self.index_kind, "keys_are_ids": self.keys_are_ids}
        return {**config, **own}
