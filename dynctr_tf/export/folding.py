"""Serving models without the factors that adaptive layers have for training alone."""

from __future__ import annotations

from typing import Any

from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers import AdaptiveDense, AdaptiveMLP
from dynctr_tf.models.graph_copy import check_is_graph, copied_inputs, copy_layer, like_structure, run_graph


def fold(model: Any) -> Any:
    """Multiplies out the over-parameterised factors of all adaptive layers of a functional model.

    Use it on a trained model before it is exported: the copy answers the same, up to rounding, with fewer weights.

    `U = U^l U^r` and `V = V^l V^r`.

    Args:
        model: A functional model, nested ones included; one without such layers is copied as it is.

    Returns:
        A `keras.Model` of the same inputs, outputs and name, not compiled.

    Raises:
        ValueError: The model has no graph of layers, or a layer that its configuration does not make anew.

    Cost: of a layer, `(m + units) * P * K` multiply-adds, once.

    Example:

    >>> from tensorflow import keras
    >>> x = keras.Input((6,))
    >>> model = keras.Model(x, AdaptiveDense(8, 2, over_parameterisation=4)(x))
    >>> model.count_params() - fold(model).count_params()  # (6 + 2 + 2 + 8) * 4 - (6 + 8) * 2
    44

    Reference:
        Yan et al., APG, arXiv 2203.16218, section 3, over-parameterisation.
    """
    check_is_graph(model)
    return _folded(model, "", {})


def _folded(model: Any, prefix: str, made: dict[int, Any]) -> Any:
    values = copied_inputs(model)
    graph = stack.graph_of(model)

    def call_layer(call: stack.GraphCall, arguments: Any, keywords: Any, values: dict[int, Any]) -> Any:
        layer, path = call.layer, prefix + call.layer.name
        if id(layer) not in made:
            if stack.graph_of(layer) is not None:
                made[id(layer)] = _folded(layer, f"{path}/", made)
            elif isinstance(layer, (AdaptiveDense, AdaptiveMLP)):
                made[id(layer)] = type(layer).from_config(layer.folded_config())
            else:
                made[id(layer)] = copy_layer(layer, path)
        return made[id(layer)](*arguments, **keywords)

    run_graph(model, values, call_layer)
    copy = keras.Model(like_structure(graph.input, values), like_structure(graph.output, values), name=model.name)
    for layer in graph.layers:
        if stack.graph_of(layer) is None and id(layer) in made:
            _copy_weights(layer, made[id(layer)])
    return copy


def _copy_weights(layer: Any, folded: Any) -> None:
    if isinstance(layer, AdaptiveDense):
        folded.set_weights(layer.folded_weights())
    elif isinstance(layer, AdaptiveMLP):
        for old, new in zip(layer._steps, folded._steps, strict=True):
            _copy_weights(old, new)
    elif layer.weights:
        folded.set_weights(layer.get_weights())
