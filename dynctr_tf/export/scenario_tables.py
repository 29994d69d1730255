"""Serving models whose scenario-conditioned towers were computed once, into tables."""

from __future__ import annotations

from typing import Any

from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers import GeneratedTowers, SeparateTowers, StarTowers
from dynctr_tf.models.graph_copy import check_is_graph, copied_inputs, copy_layer, like_structure, run_graph

_TOWERS = (GeneratedTowers, SeparateTowers, StarTowers)


def has_scenario_towers(model: Any) -> bool:
    """Whether a model has towers that `with_scenario_tables` would compute.

    Args:
        model: A Keras model.
    """
    return any(isinstance(layer, _TOWERS) and not _is_stored(layer) for layer in model._flatten_layers())


def with_scenario_tables(model: Any) -> Any:
    """Computes the towers of all scenarios of a trained functional model, which then generates nothing.

    Use it before a model is exported, as `export_model` does: the copy answers the same, up to rounding, by looking the
    parameters of a row's scenario up.

    `GeneratedTowers`, `StarTowers` and `SeparateTowers` become `SeparateTowers` with a row for each real scenario and
    one in front for missing and unknown ones, the mean. What depends on more than the scenario stays as it is.

    Args:
        model: A functional model, nested ones included; one without such layers is copied as it is.

    Returns:
        A `keras.Model` of the same inputs, outputs and name, not compiled.

    Raises:
        ValueError: The model has no graph of layers, or a layer that its configuration does not make anew.

    Cost: of a layer, `(S + 1) * (m * c + c)` numbers for S real scenarios, generated once. For many scenarios and wide
    towers that is more than the hypernetwork; a rank keeps it small.

    Example:

    >>> from tensorflow import keras
    >>> x, scenario = keras.Input((6,)), keras.Input((), dtype="int32")
    >>> model = keras.Model([x, scenario], GeneratedTowers(5, hidden_units=(4,))(x, scenario))
    >>> [type(layer).__name__ for layer in with_scenario_tables(model).layers[2:]]
    ['SeparateTowers']

    Reference:
        OptMSM, arXiv 2306.13382; that a hypernetwork of the scenario alone can be evaluated before serving follows from
        our reconstruction of it.
    """
    check_is_graph(model)
    return _copy(model, "", {})


def _is_stored(layer: Any) -> bool:
    return isinstance(layer, SeparateTowers) and layer.stored_mean


def _copy(model: Any, prefix: str, made: dict[int, Any]) -> Any:
    values = copied_inputs(model)
    graph = stack.graph_of(model)
    called: list[tuple[Any, Any]] = []

    def call_layer(call: stack.GraphCall, arguments: Any, keywords: Any, values: dict[int, Any]) -> Any:
        layer, path = call.layer, prefix + call.layer.name
        if id(layer) not in made:
            if stack.graph_of(layer) is not None:
                made[id(layer)] = _copy(layer, f"{path}/", made)
            elif isinstance(layer, _TOWERS) and not _is_stored(layer):
                made[id(layer)] = SeparateTowers.from_config(layer.stored_config())
            else:
                made[id(layer)] = copy_layer(layer, path)
        called.append((layer, made[id(layer)]))
        return made[id(layer)](*arguments, **keywords)

    run_graph(model, values, call_layer)
    copy = keras.Model(like_structure(graph.input, values), like_structure(graph.output, values), name=model.name)
    for layer, new in called:
        if isinstance(layer, _TOWERS) and not _is_stored(layer):
            new.set_weights(layer.stored_weights())
        elif isinstance(layer, keras.layers.Layer) and stack.graph_of(layer) is None and layer.weights:
            new.set_weights(layer.get_weights())
    return copy
