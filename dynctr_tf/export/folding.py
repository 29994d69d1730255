"""Serving models without the factors and generators that adaptive layers need only in training."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers import AdaptiveDense, AdaptiveMLP, GroupCondition
from dynctr_tf.models.adaptive.graph_copy import (
    check_is_graph,
    check_same_outputs,
    copied_inputs,
    like_structure,
    model_like,
    run_graph,
)


def fold(model: Any, *, group_tables: bool = False, sample: Any = None) -> Any:
    """Multiplies out the over-parameterised factors of all adaptive layers of a functional model.

    Use it on a trained model before it is exported: the copy answers the same, up to rounding, with fewer weights.
    `export_model` does so. With group-wise conditions it can also generate for all groups once, so that serving
    looks up what training generates.

    All other layers are those of the model itself, weights included: training them changes both models. A batch checks
    that both give the same answers.

    `U = U^l U^r` and `V = V^l V^r`; with `group_tables`, `T[g] = generator(E[g])` for every group g.

    Args:
        model: A functional model, nested ones included; one without such layers gets a model of the same layers.
        group_tables: Whether adaptive layers whose condition is a `GroupCondition` get tables of what is generated
            for each group, in place of their generators. Default `False`.
        sample: A batch of the model's inputs, for the check. Default `None`: one is made that fits the inputs.

    Returns:
        A `keras.Model` of the same inputs, outputs and name, not compiled.

    Raises:
        ValueError: The model has no graph of layers; tables are wanted and no adaptive layer has a `GroupCondition` as
            its condition; the new model would answer otherwise; or no batch can be made for the check and no `sample`
            is given.

    Cost: a batch of four rows, and of a layer, `(m + units) * P * K` multiply-adds, once. A table has a row per group
    of what the layer generates, `K^2` numbers with shared factors: for few groups less than the generator.

    Example:

    >>> from tensorflow import keras
    >>> x = keras.Input((6,))
    >>> model = keras.Model(x, AdaptiveDense(8, 2, over_parameterisation=4)(x))
    >>> model.count_params() - fold(model).count_params()  # (6 + 2 + 2 + 8) * 4 - (6 + 8) * 2
    44

    Reference:
        Yan et al., APG, arXiv 2203.16218, section 3, over-parameterisation and group-wise strategy: parameters are
        equal within a group.
    """
    check_is_graph(model)
    folding = _Folding(group_tables)
    folded = folding.copy(model, model.name, {})
    if group_tables and not folding.num_tables:
        raise ValueError(
            f"Model {model.name!r} has no adaptive layer whose condition is the output of a GroupCondition, so there "
            "is nothing to make tables of; leave group_tables out."
        )
    check_same_outputs(model, folded, sorted(layer.name for layer in folding.made.values()), sample)
    return folded


class _Folding:
    """One run of `fold`.

    A layer that is called with several `GroupCondition`s, or with one and without, becomes one layer for each of them.
    """

    def __init__(self, group_tables: bool) -> None:
        self.group_tables = group_tables
        self.num_tables = 0
        # By the layer, and the GroupConditions that reach it by the place of the argument.
        self.made: dict[tuple[int, tuple[tuple[int, int], ...]], Any] = {}

    def copy(self, model: Any, name: str, conditions: dict[int, Any]) -> Any:
        """Copies a model; some of its inputs may be conditions of groups, whose numbers the copy takes instead.

        Args:
            model: The model.
            name: Name of the copy.
            conditions: The `GroupCondition` by the place of the input.
        """
        graph = stack.graph_of(model)
        values = copied_inputs(model)
        # By the `id` of a condition in the copy: its layer, and the numbers of the groups.
        groups: dict[int, tuple[Any, Any]] = {}
        inputs = dict(values)
        for place, layer in conditions.items():
            old = id(graph.inputs[place])
            inputs[old] = keras.Input((), dtype="int32", name=f"groups_{place}")
            # Other layers may use the condition too; if none does, Keras leaves it out of the model.
            condition = GroupCondition(layer.num_groups, layer.output_dim, name=f"{layer.name}_{place}")
            values[old] = condition(inputs[old])
            condition.set_weights(layer.get_weights())
            groups[id(values[old])] = (layer, inputs[old])
        called: list[tuple[Any, Any, Any]] = []

        def call_layer(call: stack.GraphCall, arguments: Any, keywords: Any, values: dict[int, Any]) -> Any:
            layer = call.layer
            if isinstance(layer, (AdaptiveDense, AdaptiveMLP)) and "condition" in keywords and len(arguments) == 1:
                keywords = dict(keywords)
                arguments = (*arguments, keywords.pop("condition"))
            flat = tf.nest.flatten(arguments)
            grouped = {place: groups[id(tensor)] for place, tensor in enumerate(flat) if id(tensor) in groups}
            nested = stack.graph_of(layer)
            if nested is None:
                takes_numbers = isinstance(layer, (AdaptiveDense, AdaptiveMLP)) and set(grouped) == {1}
            else:
                takes_numbers = not isinstance(nested.input, dict)  # its inputs stand in the order of the arguments
            if not takes_numbers:
                grouped = {}
            new = self._made(layer, {place: group[0] for place, group in grouped.items()})
            if new is not layer and nested is None:
                called.append((layer, new, grouped[1][0] if grouped else None))
            if grouped and new is not layer:
                arguments = tf.nest.pack_sequence_as(
                    arguments, [grouped[place][1] if place in grouped else tensor for place, tensor in enumerate(flat)]
                )
            outputs = new(*arguments, **keywords)
            if self.group_tables and isinstance(layer, GroupCondition):
                groups[id(outputs)] = (layer, layer.group_numbers(arguments[0]))
            return outputs

        run_graph(model, values, call_layer)
        copy = model_like(model, like_structure(graph.input, inputs), like_structure(graph.output, values), name)
        for layer, new, condition in called:
            _copy_weights(layer, new, None if condition is None else tf.convert_to_tensor(condition.embeddings))
        return copy

    def _made(self, layer: Any, conditions: dict[int, Any]) -> Any:
        nested = stack.graph_of(layer) is not None
        if not isinstance(layer, (AdaptiveDense, AdaptiveMLP)) and not (nested and _has_adaptive_layers(layer)):
            return layer
        key = (id(layer), tuple((place, id(condition)) for place, condition in sorted(conditions.items())))
        if key not in self.made:
            before = sum(1 for other, _ in self.made if other == id(layer))
            name = f"{layer.name}_{before + 1}" if before else layer.name
            if nested:
                self.made[key] = self.copy(layer, name, conditions)
            else:
                num_groups = conditions[1].num_groups if conditions else None
                self.num_tables += bool(conditions)
                self.made[key] = type(layer).from_config({**layer.folded_config(num_groups), "name": name})
        return self.made[key]


def _has_adaptive_layers(model: Any) -> bool:
    return any(isinstance(layer, (AdaptiveDense, AdaptiveMLP)) for layer in model._flatten_layers())


def _copy_weights(layer: Any, folded: Any, group_conditions: Any) -> None:
    if isinstance(layer, AdaptiveDense):
        folded.set_weights(layer.folded_weights(group_conditions))
    elif isinstance(layer, AdaptiveMLP):
        for old, new in zip(layer._steps, folded._steps, strict=True):
            _copy_weights(old, new, group_conditions)
    elif layer.weights:  # the normalisation of a perceptron
        folded.set_weights(layer.get_weights())
