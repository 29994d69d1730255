"""A finished Keras model with adaptive layers in place of its dense ones."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.layers import MLP, AdaptiveDense, AdaptiveMLP, Dense
from dynctr_tf.models.adaptive.graph_copy import (
    check_is_graph,
    check_same_layers,
    copied_inputs,
    copied_layer,
    copy_state,
    copy_weights,
    like_structure,
    model_like,
    run_graph,
)
from dynctr_tf.nearest import unknown_name_message

_FROM_DENSE = ("units", "bias_kind", "activation", "kernel_initializer", "kernel_regularizer")
_NOT_CARRIED = ("bias_regularizer", "activity_regularizer", "kernel_constraint", "bias_constraint")


def make_adaptive(
    model: Any,
    *,
    select: str | Sequence[str] | None = None,
    condition: Any = None,
    condition_of: Any = None,
    name: str | None = None,
    start_from_kernel: bool = False,
    sample: Any = None,
    **adaptive: Any,
) -> Any:
    """Replaces dense layers of a functional model by layers whose parameters are generated per instance (APG).

    Use it on any functional model, of this library or your own, nested and with shared layers too. Names, inputs
    and outputs stay. All other layers are copied with their weights, frozen parts, look-up tables and adapted
    statistics, and the new model keeps the type of the given one and so its training step. Training the new model,
    which is not compiled, does not change the given one. Layers that training does not change are the same object in
    both.

    A batch checks that each copied layer gives the same outputs as its original. In the scope of a distribution
    strategy this check is left out.

    Args:
        model: A functional model, or a sequential one that is built.
        select: Which layers: regular expressions for whole paths such as `"dense_1"` or `"tower/dense_.*"`, of
            `keras.layers.Dense` and `MLP` layers. Default `None`: all that have more than one unit.
        condition: A layer that makes the condition, such as `GroupCondition(10)` or `MixCondition()`.
            Default `None`: the tensor that `condition_of` names is the condition itself.
        condition_of: Where the condition comes from: the name of an input or of a layer whose output it is (the first,
            where there are several), a new `keras.Input`, or a list of these for a condition layer. Default `None`:
            self-wise.
        name: Name of the new model. Default `None`: that of the given one.
        start_from_kernel: Whether adaptive layers start from the trained kernels and biases, so that the new model
            starts with the outputs of the given one; with a rank below the smaller side of a kernel, as nearly as that
            rank allows. Give `rank=1.0` or `rank=None` with it for equal outputs. Default `False`: they start anew, as
            in the paper.
        sample: A batch of the model's inputs, for the check of the copies. Default `None`: one is made that fits the
            inputs.
        **adaptive: Other arguments of `AdaptiveDense`, such as `rank=8` or `over_parameterisation=64`; for the layers
            of an `MLP` rank and over-parameterisation may be lists. `bias_kind="dynamic"` turns static biases into
            generated ones. For other values in other layers call it several times with a `select`.

    Returns:
        A `keras.Model`.

    Raises:
        ValueError: A pattern that matches no layer, a selected layer that cannot be replaced (the message names it and
            the reason), an unknown argument, a condition that depends on an adaptive layer, a layer that keeps state
            where a copy cannot find it, or a model for which no batch can be made and no `sample` is given.

    Cost: that of `AdaptiveDense`; the other weights are in memory twice while both models exist.

    Example:

    >>> from tensorflow import keras
    >>> x = keras.Input((6,))
    >>> model = keras.Model(x, keras.layers.Dense(1)(keras.layers.Dense(8, "relu", name="hidden")(x)))
    >>> type(make_adaptive(model, rank=2).get_layer("hidden")).__name__
    'AdaptiveDense'

    Reference:
        Yan et al., APG, arXiv 2203.16218: "any deep CTR model". That the layers of one unit stay static is our
        reading; the published code of others does the same.
    """
    check_is_graph(model)
    known = [key for key in inspect.signature(AdaptiveDense).parameters if key not in (*_FROM_DENSE, "kwargs")]
    for option in adaptive:
        if option != "bias_kind" and option not in known:
            raise ValueError(unknown_name_message("option of make_adaptive", option, ["bias_kind", *known]))
    if adaptive.get("bias_kind", "dynamic") != "dynamic":
        raise ValueError(
            f"bias_kind must be 'dynamic', or be left out to keep what each layer has; got {adaptive['bias_kind']!r}."
        )
    if condition is not None and condition_of is None:
        raise ValueError("condition is a layer: name in condition_of the inputs or layers that it is called with.")
    patterns = [select] if isinstance(select, str) else select
    selected = _selected(model, patterns, start_from_kernel)
    conversion = _Conversion(selected, adaptive, condition, condition_of, start_from_kernel)
    new = conversion.copy(model, name or model.name)
    if not tf.distribute.has_strategy():
        copies = {key: layer for key, layer in conversion.made.items() if key not in selected}
        check_same_layers(model, copies, sample)
    return new


def _nested(model: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """All layers of a model and of the functional models inside it, with their paths."""
    found: list[tuple[str, Any]] = []
    for layer in model.layers:
        path = prefix + layer.name
        found += _nested(layer, f"{path}/") if stack.graph_of(layer) is not None else [(path, layer)]
    return found


def _selected(model: Any, patterns: Sequence[str] | None, start_from_kernel: bool) -> set[int]:
    chosen: dict[str, Any] = {}
    refused: list[str] = []
    layers = _nested(model)
    hidden = {
        f"{path}/{inner.name}": f"{path!r} of type {type(layer).__name__}"
        for path, layer in layers
        if not isinstance(layer, (MLP, AdaptiveMLP, AdaptiveDense))
        for inner in layer._flatten_layers(include_self=False)
        if isinstance(inner, (keras.layers.Dense, MLP))
    }
    if patterns is None:
        for path, layer in layers:
            if isinstance(layer, MLP) or (isinstance(layer, keras.layers.Dense) and layer.units > 1):
                chosen[path] = layer
        refused += [f"{path!r}: it is inside of layer {owner}" for path, owner in hidden.items()]
        if not chosen and not refused:
            raise ValueError(f"Model {model.name!r} has no Dense or MLP layer of more than one unit to replace.")
    for pattern in patterns or ():
        matching = {path: layer for path, layer in layers if re.fullmatch(pattern, path)}
        inside = [path for path in hidden if re.fullmatch(pattern, path)]
        if not matching and not inside:
            raise ValueError(unknown_name_message("layer", pattern, [path for path, _ in layers]))
        chosen.update(matching)
        refused += [f"{path!r}: it is inside of layer {hidden[path]}" for path in inside]
    for path, layer in chosen.items():
        frozen = [weight.name for weight in layer.weights if not weight.trainable and "moving" not in weight.name]
        if type(layer) not in (keras.layers.Dense, Dense, MLP):
            refused.append(f"{path!r}: it is of type {type(layer).__name__}, not a Dense or MLP layer")
        elif (not layer.trainable or frozen) and not start_from_kernel:
            refused.append(
                f"{path!r}: it is frozen, by trainable=False or LoRA, and an adaptive layer would start anew; give "
                "start_from_kernel=True, or make it trainable"
            )
        elif isinstance(layer, keras.layers.Dense):
            held = [option for option in _NOT_CARRIED if getattr(layer, option, None) is not None]
            if layer.use_bias and not isinstance(layer.bias_initializer, keras.initializers.Zeros):
                # The bias of an adaptive layer starts at zero.
                held += [] if start_from_kernel else ["bias_initializer"]
            if getattr(layer, "quantization_mode", None) is not None:
                held.append("quantization")
            if getattr(layer.activation, "weights", None):
                held.append("activation, a layer with weights,")
            if held:
                refused.append(f"{path!r}: its {', '.join(held)} would be lost")
            elif len(layer.input_spec.axes or {}) != 1 or layer.kernel.shape.rank != 2:
                refused.append(f"{path!r}: it is not built")
    if refused:
        raise ValueError(
            "These layers cannot be made adaptive; leave them out with select, or write them with AdaptiveDense:\n"
            + "\n".join(refused)
        )
    return {id(layer) for layer in chosen.values()}


class _Conversion:
    """One run of `make_adaptive`: the layers made so far and the condition, once it is known."""

    def __init__(
        self, selected: set[int], adaptive: dict[str, Any], layer: Any, sources: Any, start_from_kernel: bool
    ) -> None:
        self.start_from_kernel = start_from_kernel
        self.selected = selected
        self.adaptive = adaptive
        self.condition_layer = layer
        self.several = isinstance(sources, (list, tuple))
        self.sources = list(sources) if self.several else [] if sources is None else [sources]
        self.made: dict[int, Any] = {}

    def copy(self, model: Any, name: str) -> Any:
        new_inputs = [source for source in self.sources if not isinstance(source, str)]
        values = copied_inputs(model)
        graph = stack.graph_of(model)
        named = {tensor.name: values[id(tensor)] for tensor in graph.inputs}
        known = [*named, *(layer.name for layer in graph.layers)]
        for source in self.sources:
            if isinstance(source, str) and source not in known:
                raise ValueError(unknown_name_message("source of a condition", source, known))
        condition: list[Any] = []

        def find_condition() -> Any:
            if not condition and all(not isinstance(source, str) or source in named for source in self.sources):
                tensors = [named[source] if isinstance(source, str) else source for source in self.sources]
                argument = tensors if self.several else tensors[0]
                condition.append(argument if self.condition_layer is None else self.condition_layer(argument))
            return condition[0] if condition else None

        waiting = run_graph(model, values, self._caller("", find_condition, named))
        if waiting:
            raise ValueError(
                f"The condition from {self.sources} depends on an adaptive layer; it would have to be computed before "
                f"{[call.layer.name for call in waiting]}. Choose a source before them."
            )
        inputs = like_structure(graph.input, values)
        if new_inputs and isinstance(inputs, dict):
            inputs = {**inputs, **{tensor.name: tensor for tensor in new_inputs}}
        elif new_inputs:
            inputs = [*(inputs if isinstance(inputs, (list, tuple)) else [inputs]), *new_inputs]
        adaptive = model_like(model, inputs, like_structure(graph.output, values), name)
        self._copy_states(model, adaptive)
        return adaptive

    def _caller(self, prefix: str, find_condition: Any, named: dict[str, Any] | None = None) -> Any:
        def call_layer(call: stack.GraphCall, arguments: Any, keywords: Any, values: dict[int, Any]) -> Any:
            layer, conditions = call.layer, []
            if self.sources and self._touches(layer):
                tensor = find_condition()
                if tensor is None:
                    return None
                conditions = [tensor]
            if id(layer) not in self.made:
                self.made[id(layer)] = self._make(layer, prefix + layer.name, conditions)
            if self._touches(layer) and stack.graph_of(layer) is None:
                shape = tuple(arguments[0].shape)
                if len(shape) != 2:
                    raise ValueError(f"{prefix + layer.name!r} cannot be made adaptive: its inputs have shape {shape}.")
            if conditions and stack.graph_of(layer) is not None:
                flat = [values[key] for key in call.inputs]
                outputs = self.made[id(layer)]([*flat, *conditions])
            else:
                outputs = self.made[id(layer)](*arguments, *conditions, **keywords)
            if named is not None and not isinstance(outputs, dict):
                named.setdefault(layer.name, outputs[0] if isinstance(outputs, (list, tuple)) else outputs)
            return outputs

        return call_layer

    def _touches(self, layer: Any) -> bool:
        if stack.graph_of(layer) is None:
            return id(layer) in self.selected
        return any(id(inner) in self.selected for _, inner in _nested(layer))

    def _make(self, layer: Any, path: str, conditions: list[Any]) -> Any:
        if stack.graph_of(layer) is not None:
            return self._make_nested(layer, path, conditions)
        if id(layer) not in self.selected:
            return copied_layer(layer, path)
        policy = {"dtype": layer.dtype_policy if stack.KERAS_3 else layer._dtype_policy, "name": layer.name}
        if isinstance(layer, MLP):
            config = {key: value for key, value in layer.get_config().items() if key not in ("dtype", "name")}
            return AdaptiveMLP(**config, adaptive=self.adaptive, **policy)
        options = {**self.adaptive}
        if not layer.use_bias or "bias_kind" not in options:
            options["bias_kind"] = "static" if layer.use_bias else "none"
        return AdaptiveDense(
            layer.units,
            activation=layer.activation,
            kernel_initializer=layer.kernel_initializer,
            kernel_regularizer=layer.kernel_regularizer,
            **options,
            **policy,
        )

    def _make_nested(self, model: Any, path: str, conditions: list[Any]) -> Any:
        graph = stack.graph_of(model)
        values = copied_inputs(model)
        extra = [keras.Input(tuple(tensor.shape[1:]), dtype=tensor.dtype, name="condition") for tensor in conditions]
        run_graph(model, values, self._caller(f"{path}/", lambda: extra[0]))
        inputs = like_structure(graph.input, values)
        if extra:
            inputs = [*(values[id(tensor)] for tensor in graph.inputs), *extra]
        return model_like(model, inputs, like_structure(graph.output, values), model.name)

    def _copy_states(self, model: Any, new: Any, prefix: str = "") -> None:
        if not model.trainable:
            new.trainable = False
        for layer in model.layers:
            path, copy = prefix + layer.name, self.made.get(id(layer))
            if isinstance(layer, keras.layers.InputLayer):
                continue
            if copy is None:
                raise ValueError(
                    f"Layer {path!r} of type {type(layer).__name__} leads to no output, and the copy would lose it. "
                    "Add its loss or metric in a layer that the outputs go through."
                )
            if stack.graph_of(layer) is not None:
                self._copy_states(layer, copy, f"{path}/")
            elif id(layer) not in self.selected:
                copy_state(layer, copy, path)
            else:
                self._start(layer, copy, path)

    def _start(self, layer: Any, new: Any, path: str) -> None:
        if new.trainable != layer.trainable:
            new.trainable = layer.trainable
        if not self.start_from_kernel:
            return
        steps = zip(layer._steps, new._steps, strict=True) if isinstance(layer, MLP) else [(layer, new)]
        for old, one in steps:
            if isinstance(one, AdaptiveDense):
                one.start_from(*(tf.convert_to_tensor(part) for part in _kernel_and_bias(old)))
            else:
                copy_weights(old, one, path)


def _kernel_and_bias(layer: Any) -> list[Any]:
    # The kernel of Keras 3 includes what LoRA adds to it.
    return [layer.kernel, layer.bias] if layer.use_bias else [layer.kernel]
