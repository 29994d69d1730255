"""The table of a `KeyEmbedding` as it is served: a sorted list of keys and their rows."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dynctr_tf import stack
from dynctr_tf.layers.embedding.field_embedding import FieldEmbedding


@stack.serializable
class KnownKeyEmbedding(FieldEmbedding):
    """Turns int64 keys into embeddings, of a fixed set of keys: what `dynctr_tf.export.freeze_keys` puts into a model.

    Use it to serve a `KeyEmbedding`. Its graph is plain TensorFlow and its keys are a weight, which TF Serving loads.

    With keys `K`, sorted, and table `E`: `output[j] = E[1 + place of k_j in K]`, and 0 for the padding key 0 and for
    keys that are not in `K`.

    Args:
        num_keys: How many keys there are.
        output_dim: As `FieldEmbedding`.
        **kwargs: As `FieldEmbedding`, but for the number of ids.

    Call arguments:
        inputs: As `KeyEmbedding`.
        training: As `FieldEmbedding`. Default `None`.

    Input shape:
        As `FieldEmbedding`.

    Output shape:
        As `FieldEmbedding`.

    Raises:
        ValueError: As `FieldEmbedding`.

    Cost: as a `FieldEmbedding` of `num_keys + 1` ids, 8 bytes for each key, and a binary search for each key of a
    batch.

    Example:

    >>> import numpy as np
    >>> layer = KnownKeyEmbedding(num_keys=3, output_dim=1)
    >>> layer.build((None, 2))
    >>> layer.set_weights([np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([-5, 7, 9])])
    >>> layer(tf.constant([[9, 8], [-5, 0]])).numpy()[:, :, 0].tolist()
    [[3.0, 0.0], [1.0, 0.0]]
    """

    def __init__(self, num_keys: int, output_dim: int, **kwargs: Any) -> None:
        super().__init__(int(num_keys) + 1, output_dim, **kwargs)
        self.num_keys = int(num_keys)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.keys = self.add_weight(
            name="keys",
            shape=(self.num_keys,),
            dtype="int64",
            initializer=lambda shape, dtype=None, **_: tf.range(1, shape[0] + 1, dtype=tf.int64),
            trainable=False,
            **stack.uncast_weight_options(),
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        keys = tf.cast(self._joined(inputs), tf.int64)
        known = tf.convert_to_tensor(stack.raw_variable(self.keys))
        flat_keys = tf.reshape(keys, [-1])
        place = tf.minimum(tf.searchsorted(known, flat_keys), self.num_keys - 1)
        is_known = tf.logical_and(tf.equal(tf.gather(known, place), flat_keys), tf.not_equal(flat_keys, 0))
        rows = tf.reshape(tf.where(is_known, place + 1, 0), tf.shape(keys))
        rows.set_shape(keys.shape)
        return self._embedded(rows, training)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["num_ids"], config["num_ids_per_field"]
        return {**config, "num_keys": self.num_keys}
