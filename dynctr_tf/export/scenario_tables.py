"""Serving models with tables in place of the towers that a scenario conditions."""

from __future__ import annotations

from typing import Any

from dynctr_tf import stack
from dynctr_tf.layers import GeneratedTowers, SeparateTowers, StarTowers
from dynctr_tf.models.adaptive.graph_copy import (
    check_is_graph,
    check_same_outputs,
    copied_inputs,
    like_structure,
    model_like,
    run_graph,
)

_TOWERS = (GeneratedTowers, SeparateTowers, StarTowers)


def has_scenario_towers(model: Any) -> bool:
    """Whether a model has towers that `with_scenario_tables` would compute.

    Args:
        model: A Keras model.
    """
    return any(isinstance(layer, _TOWERS) and not _is_stored(layer) for layer in model._flatten_layers())


def with_scenario_tables(model: Any, *, sample: Any = None) -> Any:
    """Computes the towers of all scenarios of a trained functional model once, into tables.

    Use it before a model is exported, as `export_model` does: the copy looks up the parameters of a row's scenario and
    answers the same, up to rounding.

    `GeneratedTowers`, `StarTowers` and `SeparateTowers` become `SeparateTowers` with a row for each real scenario. A
    first row, the mean, is for missing and unknown scenarios. What depends on more than the scenario stays as it is.
    All other layers are those of the model itself, weights included: training them changes both models. A batch checks
    that both give the same answers.

    Args:
        model: A functional model, nested ones included; one without such layers gets a model of the same layers.
        sample: A batch of the model's inputs, for the check. Default `None`: one is made that fits the inputs.

    Returns:
        A `keras.Model` of the same inputs, outputs and name, not compiled.

    Raises:
        ValueError: The model has no graph of layers, the new one would answer otherwise, or no batch can be made for
            the check and no `sample` is given.

    Cost: a batch of four rows, and of a layer, `(S + 1) * (m * c + c)` numbers for S real scenarios, generated once.
    For many scenarios and wide towers that is more than the hypernetwork; a rank keeps it small.

    Example:

    >>> from tensorflow import keras
    >>> x, scenario = keras.Input((6,)), keras.Input((), dtype="int32")
    >>> model = keras.Model([x, scenario], GeneratedTowers(5, hidden_units=(4,))(x, scenario))
    >>> [type(layer).__name__ for layer in with_scenario_tables(model).layers[2:]]
    ['SeparateTowers']

    Reference:
        OptMSM, arXiv 2306.13382. In our reconstruction the hypernetwork depends on the scenario alone, so it can be
        evaluated before serving.
    """
    check_is_graph(model)
    made: dict[int, Any] = {}
    new = _copy(model, made)
    check_same_outputs(model, new, sorted(layer.name for layer in made.values()), sample)
    return new


def _is_stored(layer: Any) -> bool:
    return isinstance(layer, SeparateTowers) and layer.stored_mean


def _copy(model: Any, made: dict[int, Any]) -> Any:
    values = copied_inputs(model)
    graph = stack.graph_of(model)
    called: list[tuple[Any, Any]] = []

    def call_layer(call: stack.GraphCall, arguments: Any, keywords: Any, values: dict[int, Any]) -> Any:
        layer = call.layer
        if id(layer) not in made:
            if stack.graph_of(layer) is not None and has_scenario_towers(layer):
                made[id(layer)] = _copy(layer, made)
            elif isinstance(layer, _TOWERS) and not _is_stored(layer):
                made[id(layer)] = SeparateTowers.from_config(layer.stored_config())
                called.append((layer, made[id(layer)]))
        return made.get(id(layer), layer)(*arguments, **keywords)

    run_graph(model, values, call_layer)
    copy = model_like(model, like_structure(graph.input, values), like_structure(graph.output, values), model.name)
    for layer, new in called:
        new.set_weights(layer.stored_weights())
    return copy
