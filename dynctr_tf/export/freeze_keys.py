"""Models whose keys have no vocabulary, as they are served: the keys that have a row now, in plain TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynctr_tf import stack
from dynctr_tf.layers import KeyEmbedding, KnownKeyEmbedding
from dynctr_tf.models.adaptive.graph_copy import check_is_graph, copied_inputs, like_structure, model_like, run_graph


def freeze_keys(model: Any) -> Any:
    """Replaces each `KeyEmbedding` of a functional model by a `KnownKeyEmbedding` of the keys that have a row now.

    Use it on a trained model before it is exported: the hash table of a `KeyEmbedding` is not a part of any SavedModel,
    and serving needs neither free rows nor the steps in which keys were seen. The copy answers the same.

    All other layers are those of the model itself, weights included: training them changes both models.

    Args:
        model: A functional model, nested ones included.

    Returns:
        A `keras.Model` of the same inputs, outputs and name, not compiled.

    Raises:
        ValueError: The model has no graph of layers or no `KeyEmbedding`, or no key has a row yet.

    Cost: the keys are sorted and their rows copied once.

    Example:

    >>> import numpy as np
    >>> from tensorflow import keras
    >>> keys = keras.Input((2,), dtype="int64")
    >>> model = keras.Model(keys, KeyEmbedding(100, 4)(keys))
    >>> trained = model(np.array([[7, -3]]), training=True)
    >>> frozen = freeze_keys(model)
    >>> [weight.shape for weight in frozen.get_weights()], bool((frozen(np.array([[7, -3]])) == trained).numpy().all())
    ([(3, 4), (2,)], True)
    """
    check_is_graph(model)
    made: dict[int, Any] = {}
    frozen = _copy(model, made)
    if not any(isinstance(new, KnownKeyEmbedding) for new in made.values()):
        raise ValueError(f"Model {model.name!r} has no KeyEmbedding to freeze; export it as it is.")
    return frozen


def _copy(model: Any, made: dict[int, Any]) -> Any:
    values = copied_inputs(model)
    inputs = dict(values)

    def call_layer(call: stack.GraphCall, arguments: Any, keywords: Any, values: dict[int, Any]) -> Any:
        layer = call.layer
        if id(layer) not in made:
            if isinstance(layer, KeyEmbedding):
                made[id(layer)] = _known(layer)
            elif stack.graph_of(layer) is not None and _has_keys(layer):
                made[id(layer)] = _copy(layer, made)
        return made.get(id(layer), layer)(*arguments, **keywords)

    run_graph(model, values, call_layer)
    graph = stack.graph_of(model)
    return model_like(model, like_structure(graph.input, inputs), like_structure(graph.output, values), model.name)


def _has_keys(model: Any) -> bool:
    return any(isinstance(layer, KeyEmbedding) for layer in model._flatten_layers())


def _known(layer: KeyEmbedding) -> KnownKeyEmbedding:
    keys = stack.raw_variable(layer.keys).numpy()
    used = np.flatnonzero(keys)
    if not len(used):
        raise ValueError(f"No key of {layer.name} has a row yet: train the model before it is frozen.")
    used = used[np.argsort(keys[used])]
    table = stack.raw_variable(layer.table).numpy()
    known = KnownKeyEmbedding(
        len(used),
        layer.output_dim,
        linear=layer.linear,
        initial_scale=layer.initial_scale,
        row_regularizer_l2=layer.row_regularizer_l2,
        dtype=layer.dtype_policy if stack.KERAS_3 else layer._dtype_policy,
        name=layer.name,
    )
    known.build((None, 1))
    known.set_weights([np.concatenate([table[:1], table[used]]), keys[used]])
    return known
